"""The judgments seen from one relevance level: which pairs are relevant, how many a query has, and sums by query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from mrl_sweep.types import FloatArray, IntArray, Qrels

Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True)
class Relevant:
    """The relevant pairs of all queries: those of query q lie at offsets[q]:offsets[q + 1] of these arrays.

    `columns` are their places among all judgments, `gains` their grades as float64, `queries` their query rows. Judged
    documents that are missing from the corpus are among them: they count in R and are never retrieved.
    """

    columns: IntArray
    queries: IntArray
    offsets: IntArray
    gains: FloatArray

    @classmethod
    def of(cls, qrels: Qrels, rel: int) -> Self:
        """The pairs whose grade is `rel` or higher (rel >= 1: unjudged, zero and negative grades are not relevant)."""
        columns = np.flatnonzero(qrels.grades >= rel)
        offsets = np.searchsorted(columns, qrels.offsets)
        return cls(columns, qrels.queries[columns], offsets, qrels.grades[columns].astype(np.float64))

    def of_columns(self, values: IntArray) -> IntArray:
        """(..., n_judgments) -> (..., n_pairs): the values of the relevant pairs; a view where all judgments are relevant."""
        return values if len(self.columns) == values.shape[-1] else values[..., self.columns]

    @cached_property
    def counts(self) -> IntArray:
        """(n_queries,) R, the number of relevant documents of each query."""
        return np.diff(self.offsets)

    def sum_by_query(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """(..., n_pairs) -> (..., n_queries): sums over each query's pairs, 0 for a query without any."""
        return self._reduce(np.add, values, 0)

    def min_by_query(self, values: IntArray, without: int) -> IntArray:
        """(..., n_pairs) -> (..., n_queries): each query's smallest value, `without` for a query without any."""
        return self._reduce(np.minimum, values, without)

    def _reduce(self, ufunc: np.ufunc, values: npt.NDArray[Number], without: float) -> npt.NDArray[Number]:
        filled = self.counts > 0
        if len(filled) == len(self.columns) and filled.all():
            return values
        out = np.full((*values.shape[:-1], len(filled)), without, values.dtype)
        if len(self.columns):
            out[..., filled] = ufunc.reduceat(values, self.offsets[:-1][filled], axis=-1)
        return out

    @cached_property
    def _best_first(self) -> tuple[FloatArray, IntArray]:
        """Each query's gains from high to low, and the places, from 0, that they take."""
        order = np.lexsort((-self.gains, self.queries))
        return self.gains[order], np.arange(len(self.columns)) - self.offsets[self.queries]

    def ideal(self, discounts: FloatArray) -> FloatArray:
        """(n_queries,) the DCG of each query's best possible ranking; discounts[i] is what rank i + 1 weighs, the last 0."""
        gains, places = self._best_first
        return self.sum_by_query(gains * discounts[np.minimum(places, len(discounts) - 1)])
