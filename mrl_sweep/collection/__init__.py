"""Judged collections, checked while they are read."""
