"""How people name an index: a FAISS factory string, with search parameters behind it, or one of a live pgvector."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from mrl_sweep.errors import InputError

SPEC_FORMS: Final = (
    "--index takes FAISS factory strings: Flat, HNSW32, IVF1024,Flat, SQ8, SQfp16, PQ64, IVF1024,PQ64, RaBitQ, LSH, "
    "with search parameters behind them if you like: HNSW32,efSearch=64"
)

_PARAMETER = re.compile(r"([A-Za-z_]+)=(\d+)")
_DEGENERATE = re.compile(r"(?:IVF|NSG|PQ|RQ|LSQ)0+(?!\d)|HNSW0*[01](?!\d)")

LIVE: Final = "pgvector:"
"""An index that is not FAISS's begins so."""

LIVE_FORMS: Final = "write pgvector:hnsw, or pgvector:hnsw(m=16,ef=40): links a vector, and how many candidates a search keeps"


@dataclass(frozen=True, slots=True, order=True)
class IndexSpec:
    """`factory` is FAISS's own string; `parameters` are set before searching (`efSearch`, `nprobe`, `k_factor_rf` …)."""

    factory: str
    parameters: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return ",".join((self.factory, *(f"{name}={value}" for name, value in self.parameters)))

    @property
    def is_flat(self) -> bool:
        """Whether the index is exhaustive over unaltered float32 vectors, hence exact by construction."""
        return self.factory == "Flat"


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """An HNSW index of a live pgvector: `m` links a vector, `ef` candidates kept while searching."""

    m: int = 16
    ef: int = 40

    def __str__(self) -> str:
        return f"{LIVE}hnsw(m={self.m},ef={self.ef})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`pgvector:hnsw(m=16,ef=40)`, both optional, in any order. Raises InputError on anything else."""
        match = re.fullmatch(r"pgvector:hnsw(?:\(([^()]*)\))?", text.replace(" ", ""))
        pairs = [word.partition("=") for word in (match[1] or "").split(",") if word] if match else []
        if match is None or any(name not in ("m", "ef") or not value.isdecimal() for name, _, value in pairs):
            raise InputError(f"index {text!r} is none of pgvector's", LIVE_FORMS)
        one = cls(**{name: int(value) for name, _, value in pairs})
        if not (2 <= one.m <= 100 and 1 <= one.ef <= 1000):
            raise InputError(f"index {text!r}: pgvector takes m from 2 to 100, ef from 1 to 1000", LIVE_FORMS)
        return one


def canonical_index(text: str) -> str:
    """A live index with all that it leaves to defaults, as runs name it; FAISS's as it is written."""
    return str(LiveIndex.parse(text.strip())) if text.strip().startswith(LIVE) else text


def parse_index(text: str) -> IndexSpec:
    """The spec as written; what only FAISS can tell (a factory string it cannot read) is refused when the index is made."""
    if text.strip().startswith(LIVE):
        return IndexSpec(text.strip())  # a live database reads what stands behind it
    words = [word.strip() for word in text.split(",")]
    start = next((i for i, word in enumerate(words) if "=" in word), len(words))
    factory = ",".join(words[:start])
    parameters = []
    for word in words[start:]:
        match = _PARAMETER.fullmatch(word)
        if match is None or int(match[2]) < 1:
            raise InputError(f"index {text!r}: {word!r} is not a search parameter", SPEC_FORMS)
        parameters.append((match[1], int(match[2])))
    if not factory:
        raise InputError(f"index {text!r} names no index", SPEC_FORMS)
    if _DEGENERATE.search(factory):
        raise InputError(f"index {text!r}: FAISS breaks on this count of links or lists", SPEC_FORMS)
    return IndexSpec(factory, tuple(parameters))
