"""Precisions: how each keeps the numbers of a vector; one module a family, behind the protocols of `code`."""
