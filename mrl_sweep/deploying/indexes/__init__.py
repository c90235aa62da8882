"""Indexes built, searched, weighed and timed. Only `measurement` can be imported without FAISS."""
