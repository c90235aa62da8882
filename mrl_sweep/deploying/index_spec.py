"""Names of indexes, and what they tell: search parameters, and the bytes of FAISS's file in closed form.

A name is a FAISS factory string with search parameters behind it, or an index of a live pgvector.
"""

from __future__ import annotations

import re
from typing import Final, Self

from mrl_sweep.errors import InputError
from mrl_sweep.ranking.codes.scalar import ScalarCode
from mrl_sweep.ranking.codes.signs import RaBitQCode
from mrl_sweep.record import record

SPEC_FORMS: Final = (
    "--index takes FAISS factory strings: Flat, HNSW32, IVF1024,Flat, SQ8, SQfp16, PQ64, IVF1024,PQ64, RaBitQ, LSH, "
    "with search parameters behind them if you like: HNSW32,efSearch=64"
)

COMMON: Final = ("Flat", "HNSW32", "SQ8", "SQfp16", "SQ4", "LSH", "RaBitQ", "IVF1024,Flat", "IVF1024,PQ64", "PQ64", "HNSW32,SQ8")
"""Factory strings that a misspelt one is held against."""

_PARAMETER = re.compile(r"([A-Za-z_]+)=(\d+)")
_DEGENERATE = re.compile(r"(?:IVF|NSG|PQ|RQ|LSQ)0+(?!\d)|HNSW0*[01](?!\d)")
_GRAPH_OF_ESTIMATES = re.compile(r"(?:^|,|Refine\()(?:HNSW|NSG|NND)\d*[,_]SQtq\d")
"""FAISS ends the process when it links these codes: two of them have no distance."""

LIVE: Final = "pgvector:"
"""The beginning of the name of an index in a live database."""

LIVE_FORMS: Final = "write pgvector:hnsw, or pgvector:hnsw(m=16,ef=40): links a vector, and how many candidates a search keeps"


@record(order=True)
class IndexSpec:
    """`factory` is FAISS's own string, or a live index's name; `parameters` are set before searching (`efSearch`, `nprobe` …)."""

    factory: str
    parameters: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return ",".join((self.factory, *(f"{name}={value}" for name, value in self.parameters)))

    @property
    def is_flat(self) -> bool:
        """Whether the index is exhaustive over unaltered float32 vectors, hence exact by construction."""
        return self.factory == "Flat"


@record
class LiveIndex:
    """An HNSW index of a live pgvector: `m` links a vector, `ef` candidates kept while searching."""

    m: int = 16
    ef: int = 40

    def __str__(self) -> str:
        return f"{LIVE}hnsw(m={self.m},ef={self.ef})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `pgvector:hnsw(m=16,ef=40)`, both optional, in any order. Raises InputError for anything else."""
        match = re.fullmatch(r"pgvector:hnsw(?:\(([^()]*)\))?", text.replace(" ", ""))
        pairs = [word.partition("=") for word in (match[1] or "").split(",") if word] if match else []
        if match is None or any(name not in ("m", "ef") or not value.isdecimal() for name, _, value in pairs):
            raise InputError(f"index {text!r} is none of pgvector's", LIVE_FORMS)
        one = cls(**{name: int(value) for name, _, value in pairs})
        if not (2 <= one.m <= 100 and 1 <= one.ef <= 1000):
            raise InputError(f"index {text!r}: pgvector takes m from 2 to 100, ef from 1 to 1000", LIVE_FORMS)
        return one


def canonical_index(text: str) -> str:
    """Writes out what a live index leaves to defaults, as runs name it; FAISS's stays as it is written."""
    return str(LiveIndex.parse(text.strip())) if text.strip().startswith(LIVE) else text


def parse_index(text: str) -> IndexSpec:
    """Reads a name. Raises InputError for one that FAISS breaks on; one that it cannot read is refused when the index is made."""
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
    if _GRAPH_OF_ESTIMATES.search(factory):
        raise InputError(f"index {text!r}: FAISS cannot link these codes", "SQtqmse3 and its like can be linked: HNSW32,SQtqmse3")
    return IndexSpec(factory, tuple(parameters))


_FAISS_CODES: Final = {
    "float32": "Flat",
    "float16": "SQfp16",
    "int8": "SQ8",
    "int4": "SQ4",
    "rabitq": "RaBitQ",
    "binary": "LSH",
}


def faiss_code(precision: str) -> str:
    """Returns FAISS's word for a precision; a word of FAISS stays as it is."""
    return _FAISS_CODES.get(precision, precision)


def is_graph(structure: str) -> bool:
    """Tells whether a structure is a graph over all vectors, and not one over the lists of an IVF."""
    return "hnsw" in structure.lower() and not structure.startswith("IVF")


def links(structure: str) -> int:
    """Reads the m of a graph: of `HNSW16`, of `pgvector:hnsw(m=16)`; 16 where none is named."""
    match = re.search(r"HNSW(\d+)|\bm=(\d+)", structure)
    return int(match[1] or match[2]) if match else 16


FLOAT_BYTES: Final = 4
ID_BYTES: Final = 8

_HEADER: Final = 45
_WRAPPER: Final = 41
"""Bytes that an index takes around another: transforms in a row share one."""
_FAST_SCAN_BLOCK: Final = 32
_QUANTISER_BITS: Final = {"SQ8": 8, "SQ6": 6, "SQ4": 4, "SQfp16": 16, "SQbf16": 16, "SQ8_direct": 8, "SQ8_direct_signed": 8}
_TRAINED_RANGES: Final = ("SQ8", "SQ6", "SQ4")
_TURBO_MSE_BITS: Final = (1, 2, 3, 4, 8)
_TURBO_BITS: Final = (2, 3, 4, 5)


@record
class CodeBytes:
    """A codec takes `per_vector` bytes (`block` vectors at a time), and `once` a file, or `once_in_lists` in an IVF."""

    per_vector: int
    once: int
    once_in_lists: int
    block: int = 1

    def bytes(self, n: int) -> int:
        return self.once + self.per_vector * _round_up(n, self.block)


def vector_bytes(dim: int, n: int = 1) -> int:
    """Counts the bytes of n float32 vectors."""
    return FLOAT_BYTES * dim * n


def index_bytes(spec: str, dim: int, n: int) -> int | None:
    """Counts the bytes of the FAISS index `spec` over n vectors of `dim`, as `faiss.serialize_index` does; None where unknown.

    Known: Flat, SQ4/6/8/fp16/bf16, TurboQuant, PQ, fast-scan PQ, LSH, RaBitQ; HNSW and IVF over any of them; PCA, OPQ, RR and
    L2norm in front; RFlat and Refine(…) behind. What the data or chance decide (the upper links of HNSW, how full the last
    block of a fast-scan list is) stands at its expectation. All else FAISS builds (RQ, LSQ, NSG …) is measured only.
    """
    words = [word.strip() for word in parse_index(spec).factory.split(",")]
    total, full = 0, dim
    while words and (front := _transform(words[0], dim)) is not None:
        total, dim, words = total + front[0] - (_WRAPPER if total else 0), front[1], words[1:]
    if words and (behind := _refinement(words[-1], full)) is not None:
        total, words = total + behind.bytes(n), words[:-1]
    core = _core(words, dim, n)
    return None if core is None else total + core


def code_of(word: str, dim: int) -> CodeBytes | None:
    """Returns the bytes that a flat index or an inverted list takes under this codec; None where they are not known."""
    if word == "Flat":
        return CodeBytes(FLOAT_BYTES * dim, _HEADER, 0)
    if word in _QUANTISER_BITS:
        ranges = 2 * FLOAT_BYTES * dim if word in _TRAINED_RANGES else 0
        return CodeBytes(_bits(dim * _QUANTISER_BITS[word]), 81 + ranges, 45 + ranges)
    if match := re.fullmatch(r"LSH(r?)(t?)", word):
        rotation, thresholds = (FLOAT_BYTES * dim * dim if match[1] else 0), (FLOAT_BYTES * dim if match[2] else 0)
        return CodeBytes(_bits(dim), 93 + rotation + thresholds, 0)
    if match := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(fsr?)?(?:_(\d+))?(?:np)?", word):
        parts, bits = int(match[1]), int(match[2] or 8)
        centroids = FLOAT_BYTES * dim * 2**bits
        if match[3]:
            block = int(match[4] or _FAST_SCAN_BLOCK)
            return CodeBytes(_bits(_round_up(parts, 2) * bits), 105 + centroids, 69 + centroids, block)
        return CodeBytes(_bits(parts * bits), 86 + centroids, 41 + centroids)
    return _turbo_quant(word, dim) or _rabitq(word, dim)


def _rabitq(word: str, dim: int) -> CodeBytes | None:
    """Knows RaBitQ: a bit (or more) a number and two (or five) numbers a vector; the fast-scan variant has one bit, in blocks."""
    if match := re.fullmatch(r"RaBitQfs(?:_(\d+))?", word):
        return CodeBytes(_bits(dim) + 8, 110 + FLOAT_BYTES * dim, 67, int(match[1] or _FAST_SCAN_BLOCK))
    if match := re.fullmatch(r"RaBitQ(\d*)", word):
        bits = int(match[1] or 1)
        once = 74 if bits == 1 else 82
        return CodeBytes(RaBitQCode(bits).bytes_per_vector(dim), once + FLOAT_BYTES * dim, once - 44)
    return None


def _turbo_quant(word: str, dim: int) -> CodeBytes | None:
    """TurboQuant: b bits a number, 2^b levels with the bounds between them; `SQtq` gives one bit to the residual, and norms."""
    if (match := re.fullmatch(r"SQtqmse(\d)", word)) and int(match[1]) in _TURBO_MSE_BITS:
        bits, residual = int(match[1]), 0
    elif (match := re.fullmatch(r"SQtq(\d)", word)) and int(match[1]) in _TURBO_BITS:
        bits, residual = int(match[1]) - 1, 12
    else:
        return None
    levels = FLOAT_BYTES * (2 ** (bits + 1) - 1) + residual
    return CodeBytes(ScalarCode(word).bytes_per_vector(dim), 81 + levels, 45 + levels)


def _core(words: list[str], dim: int, n: int) -> int | None:
    """Counts the bytes of an index without transforms and refinement: a codec alone, a graph over one, or inverted lists."""
    if not words:
        return None
    first, storage = words[0], words[1] if len(words) > 1 else "Flat"
    if len(words) <= 2 and (match := re.fullmatch(r"HNSW(\d*)(?:_([A-Za-z0-9]+))?", first)):
        if match[2] and len(words) > 1:
            return None
        code = code_of(match[2] or storage, dim)
        return None if code is None else code.bytes(n) + _graph(int(match[1] or 32), n)
    if len(words) == 2 and (match := re.fullmatch(r"IVF(\d+)(?:_HNSW(\d*)|\(HNSW(\d*)\))?", first)):
        code = code_of(storage, dim)
        return None if code is None else _lists(match, code, dim, n)
    if len(words) == 1:
        code = code_of(first, dim)
        return None if code is None else code.bytes(n)
    return None


def _graph(links: int, n: int) -> int:
    """Counts HNSW's links: 2M on the ground, M on each upper level, reached with chance M^-level; a level and an offset."""
    per_vector = 4 + 8 + 4 * 2 * links + 4 * links / (links - 1)
    return 181 + round(n * per_vector)


def _lists(match: re.Match[str], code: CodeBytes, dim: int, n: int) -> int:
    """Inverted lists: coarse centroids (in a graph where so named), an id beside each code, half a block of padding a list."""
    n_lists, coarse_links = int(match[1]), match[2] if match[2] is not None else match[3]
    coarse = _HEADER + FLOAT_BYTES * dim * n_lists
    if coarse_links is not None:
        coarse += _graph(int(coarse_links or 32), n_lists)
    blocks = 0
    if code.block > 1:
        # a fast-scan list has its length beside it, and half a block of padding at its end; a short one is a block
        padding = max(n_lists * (code.block - 1) / 2, n_lists * code.block - n)
        blocks = 8 * n_lists + round(code.per_vector * padding)
    return coarse + 94 + 8 * n_lists + code.once_in_lists + n * (ID_BYTES + code.per_vector) + blocks


def _transform(word: str, dim: int) -> tuple[int, int] | None:
    """Returns the bytes of a transform in front of an index, and the size it leaves; None where the word is no transform."""
    if match := re.fullmatch(r"PCA[RW]*(\d+)", word):
        out = int(match[1])
        return FLOAT_BYTES * (dim * dim + dim * out + 2 * dim + out) + 108, out
    if match := re.fullmatch(r"OPQ\d+(?:_(\d+))?|RR(\d+)", word):
        out = int(match[1] or match[2] or dim)
        return FLOAT_BYTES * dim * out + 71, out
    return (58, dim) if word == "L2norm" else None


def _refinement(word: str, dim: int) -> CodeBytes | None:
    """Weighs the second store of a refining index, which reranks in the full dimension, whatever transforms stand in front."""
    if word == "RFlat":
        return CodeBytes(FLOAT_BYTES * dim, _HEADER + _WRAPPER, 0)
    if match := re.fullmatch(r"Refine\((\w+)\)", word):
        code = code_of(match[1], dim)
        return None if code is None else CodeBytes(code.per_vector, code.once + _WRAPPER, 0, code.block)
    return None


def _bits(count: int) -> int:
    """Returns whole bytes for so many bits."""
    return (count + 7) // 8


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step
