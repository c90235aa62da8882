"""Names for groups of queries: the words that tell one group from the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Final

from mrl_sweep.types import IntArray

_WORD: Final = re.compile(r"[^\W\d_][\w'-]+")
_PRIOR: Final = 0.5


def telling_words(texts: Sequence[str], labels: IntArray, *, n_words: int = 3) -> dict[int, str]:
    """A name for each label >= 0 in ascending order: its `n_words` most telling words, as `enzyme, kinase, binding`.

    A word tells when many of the group's queries have it and few others do: the log-odds ratio of queries with the word, in
    the group against the rest, over its standard deviation (Monroe, Colaresi & Quinn 2008). A group without any such word is
    called by its number, and a name that two groups share gets it appended.
    """
    words = [set(_WORD.findall(text.casefold())) for text in texts]
    everywhere = Counter(word for found in words for word in found)
    names: dict[int, str] = {}
    for label in sorted({int(i) for i in labels if i >= 0}):
        members = [found for found, own in zip(words, labels, strict=True) if own == label]
        inside = Counter(word for found in members for word in found)
        scored = {w: _telling(n, len(members), everywhere[w] - n, len(texts) - len(members)) for w, n in inside.items()}
        best = sorted((w for w, z in scored.items() if z > 0), key=lambda w: (-scored[w], w))[:n_words]
        names[label] = ", ".join(best) or f"topic {label}"
    shared = {name for name, again in pairwise(sorted(names.values())) if name == again}
    return {label: f"{name} ({label})" if name in shared else name for label, name in names.items()}


def _telling(inside: int, n_inside: int, outside: int, n_outside: int) -> float:
    """The z of the log-odds ratio of having the word, with half a query added to every count."""
    counts = [c + _PRIOR for c in (inside, n_inside - inside, outside, n_outside - outside)]
    odds = log(counts[0] / counts[1]) - log(counts[2] / counts[3])
    return odds / sqrt(sum(1 / c for c in counts))
