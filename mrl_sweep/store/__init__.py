"""The store of embedded vectors, found by the content of their texts."""
