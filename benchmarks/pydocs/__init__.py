"""How the packaged collection `pydocs` was made, and a larger corpus of the same kind for measurements."""
