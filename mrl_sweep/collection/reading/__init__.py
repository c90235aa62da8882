"""Readers of files for the loaders: lines, tables, judgments, records, and the documents of a corpus."""
