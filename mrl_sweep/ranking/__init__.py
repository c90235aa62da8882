"""Ranks of all judged documents at every size and precision, counted in passes over the documents."""
