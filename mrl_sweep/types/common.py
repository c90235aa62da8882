"""The ground that the other types stand on: arrays, the seed, advice, the forms of a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]
    Float32Array = npt.NDArray[np.float32]
    BoolArray = npt.NDArray[np.bool_]
else:  # annotations only: the table of settings names these types' neighbours, and `--help` does without numpy
    IntArray = FloatArray = Float32Array = BoolArray = Any

SEED: Final = 0
"""Of everything that is drawn at random: the same inputs give the same report."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something the report says unasked: a stable `code`, a sentence, and what to do about it."""

    code: str
    message: str
    hint: str = ""


class Format(StrEnum):
    """What a report can be turned into."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    GITHUB = "github"
    JUNIT = "junit"
    SHIP = "ship"
