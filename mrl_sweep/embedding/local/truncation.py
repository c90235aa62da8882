"""Counts tokens and truncated texts while a SentenceTransformer tokenises, so that nothing is tokenised twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mrl_sweep.types import BoolArray, IntArray


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
        found = [self._seen.get(text) or self._seen.get(prompt + text) for text in texts]
        known = [entry for entry in found if entry is not None]
        if len(known) < len(texts):
            return None, None
        return np.array([entry[0] for entry in known], np.int64), np.array([entry[1] for entry in known], np.bool_)
