"""Precisions by name: what `--precision` takes, the code behind it, and its bytes."""

from __future__ import annotations

import re
from typing import Final

from mrl_sweep.errors import InputError
from mrl_sweep.ranking.codes import scalar, signs
from mrl_sweep.ranking.codes.code import Code
from mrl_sweep.ranking.codes.scalar import HalfCode, ScalarCode
from mrl_sweep.ranking.codes.signs import RaBitQCode, SignCode
from mrl_sweep.types import FLOAT32
from mrl_sweep.words import did_you_mean

ALL: Final = (FLOAT32, "float16", "int8", "int4", "rabitq", "binary")
"""What `all` stands for, from many bytes to few."""

HAMMING: Final = "LSH"
"""Signs against signs, by FAISS's name for it."""

FORMS: Final = (
    f"write {', '.join(ALL)}, all, or a FAISS code string: SQ6, SQbf16, SQtqmse1 to 4, SQtqmse8, SQtq2 to 5, RaBitQ2 to 9, LSH"
)

FLOAT32_BYTES: Final = 4

_ALIASES: Final = {"sqfp16": "float16", "sq8": "int8", "sq4": "int4", "rabitq1": "rabitq", "hamming": HAMMING}
_FACTORIES: Final = {"int8": "SQ8", "int4": "SQ4"}
_SPELLINGS: Final = ("SQ6", "SQbf16", *(f"SQtqmse{n}" for n in (1, 2, 3, 4, 8)), *(f"SQtq{n}" for n in range(2, 6)))
_KNOWN: Final = {name.lower(): name for name in (*ALL, *_SPELLINGS, *(f"RaBitQ{n}" for n in range(2, 10)), HAMMING)}


def parse_precision(text: str) -> str:
    """Returns the precision's one name (`SQ8` is `int8`). Raises InputError for a text that names no precision."""
    word = text.strip().lower()
    name = _ALIASES.get(word) or _KNOWN.get(word)
    if name is not None:
        return name
    meant = did_you_mean(word, [*_KNOWN, *_ALIASES], spelt=lambda name: repr(_ALIASES.get(name) or _KNOWN[name]))
    guess = f"{meant} " if meant else ""
    if re.match(r"(?i)(ivf|hnsw|nsg|pq|opq|flat|rabitq\d*fs)", word):
        guess = f"to measure it as an index write --index {text.strip()}; "
    raise InputError(f"{text!r} is no precision", guess + FORMS)


def code_of(precision: str, *, symmetric: bool = False) -> Code:
    """Returns the code behind a precision other than float32. Raises InputError for float32 and for unknown names.

    `symmetric`: the signs of `binary` are compared with the query's signs, where the target does so.
    """
    name = parse_precision(precision)
    if name == "float16":
        return HalfCode()
    if name in ("binary", HAMMING):
        return SignCode(symmetric=symmetric or name == HAMMING)
    if match := signs.FACTORY.fullmatch("RaBitQ" if name == "rabitq" else name):
        return RaBitQCode(int(match["bits"] or 1))
    factory = _FACTORIES.get(name, name)
    if scalar.FACTORY.fullmatch(factory) is None:
        raise InputError(f"{precision!r} has no code", FORMS)
    return ScalarCode(factory)


def bytes_per_vector(precision: str, dim: int) -> int:
    """Returns the bytes of one vector of `dim` numbers at this precision, as `faiss.serialize_index` adds them."""
    return FLOAT32_BYTES * dim if precision == FLOAT32 else code_of(precision).bytes_per_vector(dim)
