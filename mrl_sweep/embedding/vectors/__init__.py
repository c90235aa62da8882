"""Vectors that exist already."""
