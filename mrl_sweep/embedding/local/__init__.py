"""Local models. Read in this order:

* `model_files`: a name leads to files, in a folder or in a snapshot of the Hugging Face hub. Are weights and tokenizer there,
  whole, and of a kind that the backend reads?
* `look`: does the model give one dense vector a text, and what of it is guessed? The model is not opened for that.
* `sentence_transformers`: `LocalModel` opens the model at the first need and encodes with it.
* `library`: silences the libraries, turns their errors into ours, counts tokens, and encodes faster where a model is one table.
"""
