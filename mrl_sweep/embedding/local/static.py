"""Static models without the detour: tokens to rows of a table to their mean, the same bytes as the library's `encode`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import numpy as np

from mrl_sweep.types import Float32Array, IntArray


class StaticEncoder:
    """Encodes with a SentenceTransformer made of one StaticEmbedding and, perhaps, a normalisation.

    Such a model is bound by its tokeniser and by what is done around it for each text: this skips the character offsets, the
    guess at what kind of thing a text is, the sorting by length (nothing is padded), and a tensor object for each text.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def on(cls, model: Any) -> Self | None:
        """None for any other model."""
        kinds = [type(module).__name__ for module in model]
        return cls(model) if kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"} else None

    def encode(self, texts: Sequence[str]) -> tuple[Float32Array, IntArray]:
        """(n, dim) float32 vectors and (n,) numbers of tokens."""
        import torch

        first, device = self._model[0], self._model.device
        encodings = first.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        flat = np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum()))
        offsets = np.cumsum(lengths) - lengths
        with torch.inference_mode():
            found = first.embedding(torch.from_numpy(flat).to(device), torch.from_numpy(offsets).to(device))
            features = {"sentence_embedding": found}
            for module in list(self._model)[1:]:
                features = module(features)
        return np.ascontiguousarray(features["sentence_embedding"].float().cpu().numpy()), lengths
