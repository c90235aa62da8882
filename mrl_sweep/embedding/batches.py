"""How a stream of texts is cut into windows and batches: by the texts alone, so that a resumed run cuts as the first did."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from mrl_sweep.embedding.protocol import Batching
from mrl_sweep.types import IntArray

WINDOW_TEXTS: Final = 16_384
WINDOW_CHARACTERS: Final = 32 << 20


def windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Runs of texts small enough to hold and large enough to sort by length."""
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text)
        if len(window) >= WINDOW_TEXTS or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def batches(texts: Sequence[str], batching: Batching) -> list[IntArray]:
    """Row numbers into `texts`: longest first where the provider pads, never more than it wants at a time."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    order = np.argsort(-lengths, kind="stable") if batching.by_length else np.arange(len(texts))
    if batching.characters is None:
        return [order[start : start + batching.texts] for start in range(0, len(order), batching.texts)]
    cuts, room = [0], batching.characters
    for place, length in enumerate(lengths[order].tolist()):
        if place > cuts[-1] and (place - cuts[-1] >= batching.texts or length > room):
            cuts.append(place)
            room = batching.characters
        room -= length
    return [order[low:high] for low, high in itertools.pairwise([*cuts, len(order)]) if high > low]


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON can hold and no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
