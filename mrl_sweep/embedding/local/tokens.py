"""A local model's tokens: counted where its library makes them, and made here, in less time, for static models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import numpy as np

from mrl_sweep.types import BoolArray, Float32Array, IntArray


class StaticEncoder:
    """Encodes with a SentenceTransformer of one StaticEmbedding and, perhaps, a normalisation, to the bytes of its `encode`.

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
            pooled = first.embedding(torch.from_numpy(flat).to(device), torch.from_numpy(offsets).to(device))
            features = {"sentence_embedding": pooled}
            for module in list(self._model)[1:]:
                features = module(features)
        return np.ascontiguousarray(features["sentence_embedding"].float().cpu().numpy()), lengths


class TokenCounter:
    """Listens to a model's tokeniser. Where that hands over its encodings, a text is truncated if tokens overflowed; elsewhere if
    it fills the maximum length.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._seen: dict[str, tuple[int, bool]] = {}

    @classmethod
    def on(cls, model: Any) -> Self | None:
        """Installs a counter; None for models without a maximum length, which never truncate."""
        length = getattr(model, "max_seq_length", None)
        if length is None or not math.isfinite(length):
            return None
        counter = cls(int(length))
        name = "preprocess" if hasattr(model, "preprocess") else "tokenize"
        original = getattr(model, name)

        def listened(texts: Any, *args: Any, **kwargs: Any) -> Any:
            features = original(texts, *args, **kwargs)
            counter.note(texts, features)
            return features

        setattr(model, name, listened)
        return counter

    def begin(self) -> None:
        """Forgets the batch before."""
        self._seen.clear()

    def note(self, texts: Any, features: Any) -> None:
        """What the tokeniser made of these texts."""
        encodings = getattr(features, "encodings", None)
        mask = features.get("attention_mask") if hasattr(features, "get") else None
        if mask is None or len(mask) != len(texts):
            return
        counts = [int(count) for count in mask.sum(1).tolist()]
        if encodings is not None and len(encodings) == len(texts):
            cut = [bool(encoding.overflowing) for encoding in encodings]
        else:
            cut = [count >= self._max_length for count in counts]
        for text, count, truncated in zip(texts, counts, cut, strict=True):
            if isinstance(text, str):
                self._seen[text] = (count, truncated)

    def take(self, texts: Sequence[str], prompt: str) -> tuple[IntArray, BoolArray] | tuple[None, None]:
        """(n,) tokens read and (n,) truncated, of the texts of the batch; None where the tokeniser was not heard."""
        entries = [self._seen.get(text) or self._seen.get(prompt + text) for text in texts]
        noted = [entry for entry in entries if entry is not None]
        if len(noted) < len(texts):
            return None, None
        return np.array([entry[0] for entry in noted], np.int64), np.array([entry[1] for entry in noted], np.bool_)
