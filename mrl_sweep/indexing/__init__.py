"""FAISS: what is deployed, measured."""
