"""Local models. Read in this order:

* `model_files`: a name leads to files, in a folder or in a snapshot of the Hugging Face hub. Are weights and tokenizer there,
  whole, and of a kind that the backend reads?
* `look`: does the model give one dense vector a text, and what of it is guessed? Nothing is opened for that.
* `sentence_transformers`: `LocalModel` opens the model at the first need and encodes with it.
* `library`: the libraries' noise, faults and tokens, and a faster way for models that are one table.
"""
