"""Precisions: how each keeps the numbers of a vector, one file a family behind the protocol of `code`."""
