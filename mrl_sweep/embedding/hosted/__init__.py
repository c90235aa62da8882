"""Hosted models: one `HostedModel` for every vendor. Read in this order:

* `vendors`: a class for each vendor says what it wants and what it answers; to add one, this page is the only one to change.
* `wire`: an `EmbedRequest` goes out, a `Reply` comes back, and vectors are read out of it strictly.
* `connection`: the vendor's address and key, and the exchange itself, bounded in time and size.
* `replies`: what an answer without vectors means: wait, too long, a wrong key or model, never.
* `patience`: how often and after how long a call is tried again.
* `model`: `HostedModel` puts these together, and halves a batch until the text to blame stands alone.
* `verify`: `--verify-api` compares what the vendor gives at a small size, and as codes, with the cut full vectors.
"""
