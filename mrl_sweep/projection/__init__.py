"""Projection to a larger corpus: what each size will keep of its quality there."""
