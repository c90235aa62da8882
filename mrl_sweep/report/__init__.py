"""One document, many renderings."""
