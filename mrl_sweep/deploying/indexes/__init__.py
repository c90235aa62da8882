"""FAISS: what is deployed, measured. Importing this package imports FAISS's neighbours only; `measure` imports FAISS itself."""
