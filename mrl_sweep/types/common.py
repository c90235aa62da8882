"""Types and constants that the other types use: arrays, the seed, advice and its codes, formats of a report."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.record import record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]
    Float32Array = npt.NDArray[np.float32]
    BoolArray = npt.NDArray[np.bool_]
else:  # annotations only: the table of settings names these types' neighbours, and `--help` does without numpy
    IntArray = FloatArray = Float32Array = BoolArray = Any


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns (n,) the different values of an array, ascending. `np.unique` imports numpy.ma, to ask whether it is masked."""
    import numpy as np

    ordered = np.sort(values, axis=None)
    begins = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    different: npt.NDArray[Any] = ordered[begins]
    return different


SEED: Final = 0
"""The seed of everything that is drawn at random: the same inputs give the same report."""


ADVICE_CODES: Final = frozenset(
    {
        "api-codes-differ",
        "api-codes-verified",
        "api-differs",
        "api-no-size",
        "api-verified",
        "collapsed-embeddings",
        "default-prompt",
        "default-size",
        "documents-as-queries",
        "empty-documents",
        "empty-queries",
        "far-projection",
        "few-queries",
        "flat-check",
        "foreign-code",
        "gate-inconclusive",
        "half-characters",
        "index-left-out",
        "index-training",
        "index-warning",
        "judged-share-low",
        "metadata-missing",
        "missing-documents",
        "near-zero-measure",
        "no-loss-tolerated",
        "no-production-size",
        "no-projection",
        "not-matryoshka",
        "only-relevant-judged",
        "pca-reaches-smaller",
        "pgvector-seqscan",
        "pooling-guessed",
        "projection-refused",
        "prompt-unknown",
        "prompts-missing",
        "prompts-not-used",
        "quantised-weights",
        "queries-are-documents",
        "random-sample",
        "returned-missing",
        "returned-short",
        "saturated-measure",
        "sent-in-clear",
        "silent-truncation",
        "similarity-not-offered",
        "slices-hardly-tested",
        "slices-unproven",
        "small-corpus",
        "store-damaged",
        "target-codes",
        "target-limit",
        "target-note",
        "target-steps",
        "trec-ids-encoded",
        "truncate-dim-forced",
        "truncated-documents",
        "truncated-queries",
        "unjudged-copies",
        "zero-documents",
        "zero-queries",
    }
)
"""Every code that an `Advice` has; docs/codes.md says what each means."""


@record
class Advice:
    """A warning in the report: a stable `code`, a sentence, and what to do about it."""

    code: str
    message: str
    hint: str = ""


class Format(StrEnum):
    """The formats in which a report is rendered."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    GITHUB = "github"
    JUNIT = "junit"
    SHIP = "ship"
