"""The store: vectors by content, embedded once."""
