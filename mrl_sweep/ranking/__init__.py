"""One pass over the documents: where each judged document stands at every prefix."""
