"""Where every judged document stands, and every measure that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mrl_sweep.types.common import BoolArray, Float32Array, FloatArray, IntArray
from mrl_sweep.types.configuration import Configuration

NOT_RETRIEVED: Final = 2**31 - 1
"""The value of `above` for a judged document that was not returned: behind every cut-off, and safe to add to in int64."""


@dataclass(frozen=True, slots=True)
class TopDocuments:
    """What a search returns: the best documents of each query, best first.

    `rows` (n_candidates, n_queries, depth) int64, -1 where there are fewer; `scores` float32 alike, -inf there.
    """

    rows: IntArray
    scores: Float32Array

    @property
    def depth(self) -> int:
        return int(self.rows.shape[2])


@dataclass(frozen=True, slots=True)
class Ranks:
    """The heart: where each judged document stands among all documents, at each candidate.

    For each candidate and each judgment of `Qrels` (same order): `above` is how many documents score strictly higher,
    `tied` how many others score the same (both (n_candidates, n_pairs) int64). A judged document that is missing from the
    corpus, excluded as the query itself, or not returned by an index has `above` = NOT_RETRIEVED and `tied` = 0.
    `top` holds the first documents of every ranking, from which agreement with full size follows. `zero_prefixes`
    (n_candidates,) int64 counts the documents that have no direction left at a candidate's size.
    """

    candidates: tuple[Configuration, ...]
    n_documents: int
    above: IntArray
    tied: IntArray
    top: TopDocuments | None = None
    zero_prefixes: IntArray | None = None


AGREEMENT: Final = "Agreement"
"""The name of the one measure that needs no judgments: the share of the full size's first documents that come back."""


@dataclass(frozen=True, slots=True, order=True)
class Measure:
    """A ranking measure as the field writes it: `nDCG@10`, `R@100`, `RR`, `AP(rel=2)@100`; or `Agreement@10` with full size.

    `cutoff` None means the whole ranking; `rel` is the lowest grade that counts as relevant (nDCG ignores it).
    """

    name: str
    cutoff: int | None = None
    rel: int = 1

    @property
    def label_free(self) -> bool:
        """Whether it compares rankings with that of full size, and so says nothing about their quality."""
        return self.name == AGREEMENT

    def __str__(self) -> str:
        rel = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.name}{rel}" + (f"@{self.cutoff}" if self.cutoff is not None else "")


@dataclass(frozen=True, slots=True)
class Scores:
    """Every measure of every query at every candidate.

    `values` (n_candidates, n_measures, n_queries) float64; `counted` (n_measures, n_queries) is False for queries without a
    relevant judgment under that measure: their value is 0 and no mean may include them.
    """

    candidates: tuple[Configuration, ...]
    measures: tuple[Measure, ...]
    values: FloatArray
    counted: BoolArray

    def of(self, candidate: Configuration, measure: Measure) -> FloatArray:
        """(n_counted,) the values of the counted queries, in query order."""
        m = self.measures.index(measure)
        values: FloatArray = self.values[self.candidates.index(candidate), m, self.counted[m]]
        return values
