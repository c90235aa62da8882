"""Texts to full-size vectors, kept by content."""
