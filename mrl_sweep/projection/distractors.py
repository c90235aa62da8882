"""The judged documents as growth sees them: how many distractors, and how many other relevant ones, stand above each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from mrl_sweep.types import NOT_RETRIEVED, FloatArray, IntArray, Measure, Qrels

TIE_PLACES: Final = 64
"""In a tie a document takes each of the first so many places, and so many evenly spaced ones of those beyond."""

_CELLS_AT_ONCE: Final = 2**21
_FAR: Final = 12.0
"""Standard deviations beyond which no chance is left to speak of (1e-32)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The relevant documents of a linear measure: a query's value is the sum of worth[i] * reward[rank of i] over its own.

    `columns` are the places of the relevant pairs among all judgments, `queries` their queries, `n_relevant` (n_queries,) is R,
    and `reward` (k,) what each of the first k ranks brings.
    """

    columns: IntArray
    queries: IntArray
    worth: FloatArray
    n_relevant: IntArray
    reward: FloatArray


def wanted(qrels: Qrels, measure: Measure) -> Wanted:
    """R@k, P@k and nDCG@k as such sums: the order of the relevant documents among themselves does not change with the corpus."""
    k = measure.cutoff or 0
    columns = np.flatnonzero(qrels.grades >= (1 if measure.name == "nDCG" else measure.rel))
    queries = qrels.queries[columns]
    n_relevant = np.bincount(queries, minlength=qrels.n_queries)
    if measure.name == "nDCG":
        reward = 1.0 / np.log2(np.arange(2, k + 2))
        gains = qrels.grades[columns].astype(np.float64)
        order = np.lexsort((-gains, queries))
        places = np.arange(len(columns)) - (np.cumsum(n_relevant) - n_relevant)[queries]
        ideal = np.bincount(queries, gains[order] * np.append(reward, 0)[np.minimum(places, k)], qrels.n_queries)
        return Wanted(columns, queries, gains / ideal[queries], n_relevant, reward)
    share = 1.0 / n_relevant[queries] if measure.name == "R" else np.full(len(columns), 1.0 / k)
    return Wanted(columns, queries, share, n_relevant, np.ones(k))


@dataclass(frozen=True, slots=True)
class DistractorCounts:
    """One candidate's retrieved relevant documents: `distractors` and `relevant` above each, `worth` and `weight` as below.

    A document in a tie stands for each place of its group, with its worth and its weight (1 / R, so that each query weighs 1
    in a fit) split among them. `found` (n_queries,) counts the retrieved relevant documents. `cases` (3, n_cases) are the
    different triples of distractors, relevant, and the query's found; `case` which of them each document is.
    """

    queries: IntArray
    distractors: IntArray
    relevant: IntArray
    worth: FloatArray
    weight: FloatArray
    found: IntArray
    cases: IntArray
    case: IntArray

    def by_query(self, rewards: FloatArray) -> FloatArray:
        """(n_queries,) the measure from the reward that each document brings."""
        return np.bincount(self.queries, self.worth * rewards, len(self.found)).astype(np.float64)


def standing(wanted: Wanted, above: IntArray, tied: IntArray) -> DistractorCounts:
    """From `above` and `tied` (n_pairs,) of all judgments at one candidate; what was not retrieved is left out."""
    above, tied = above[wanted.columns], tied[wanted.columns]
    keep = np.flatnonzero(above < NOT_RETRIEVED)
    order = keep[np.lexsort((above[keep], wanted.queries[keep]))]
    queries, above, size = wanted.queries[order], above[order], tied[order] + 1
    found = np.bincount(queries, minlength=len(wanted.n_relevant))
    starts = np.flatnonzero((np.diff(queries, prepend=-1) != 0) | (np.diff(above, prepend=-1) != 0))
    members = np.repeat(np.diff(np.append(starts, len(order))), np.diff(np.append(starts, len(order))))
    before = np.repeat(starts, np.diff(np.append(starts, len(order)))) - (np.cumsum(found) - found)[queries]
    each, ahead, share = _places_in_ties(size)
    peers = np.rint(ahead * (members - 1)[each] / np.maximum(size - 1, 1)[each]).astype(np.int64)
    weight = 1.0 / wanted.n_relevant[queries]
    distractors, relevant = (above - before)[each] + ahead - peers, before[each] + peers
    cases, case = np.unique(np.stack([distractors, relevant, found[queries[each]]]), axis=1, return_inverse=True)
    return DistractorCounts(
        queries=queries[each],
        distractors=distractors,
        relevant=relevant,
        worth=wanted.worth[order][each] * share,
        weight=weight[each] * share,
        found=found,
        cases=cases,
        case=case.ravel(),
    )


def _places_in_ties(size: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """For groups of these sizes the places of one member: whose, how many of its group are ahead, and the chance of it."""
    places = np.minimum(size, 2 * TIE_PLACES)
    each = np.repeat(np.arange(len(size)), places)
    index = np.arange(len(each)) - np.repeat(np.cumsum(places) - places, places)
    deep, blocks = size[each] - TIE_PLACES, np.maximum(places[each] - TIE_PLACES, 1)
    below = TIE_PLACES + (2 * (index - TIE_PLACES) + 1) * deep // (2 * blocks)
    single = index < TIE_PLACES
    return each, np.where(single, index, below), np.where(single, 1.0, deep / blocks) / size[each]


def in_a_sample(standing: DistractorCounts, reward: FloatArray, *, n_documents: int, n_kept: int | None = None) -> FloatArray:
    """(n_queries,) the exact expectation over random samples of `n_kept` documents (default: all) that keep the relevant ones.

    Of a document's c distractors above, among n, a sample of m keeps Hypergeometric(n, c, m).
    """
    distractors, relevant, found = standing.cases
    total, drawn = n_documents - found, np.maximum((n_documents if n_kept is None else n_kept) - found, 0)
    expected = distractors * (drawn / np.maximum(total, 1))
    near = np.flatnonzero(expected - _FAR * np.sqrt(expected) <= len(reward) + _FAR)
    cases = np.stack([distractors, relevant, total, drawn])[:, near]
    values = np.zeros(len(distractors))
    step = max(1, _CELLS_AT_ONCE // len(reward))
    for start in range(0, len(near), step):
        values[near[start : start + step]] = _hypergeometric(cases[:, start : start + step], reward)
    return standing.by_query(values[standing.case])


def _hypergeometric(cases: IntArray, reward: FloatArray) -> FloatArray:
    """E[reward at rank a + H], H ~ Hypergeometric, of each column (c, a, n, m) of `cases`."""
    k = len(reward)
    c, a, n, m = (row[:, None] for row in cases)
    padded = np.append(reward, np.zeros(k))
    kept = np.arange(k)
    possible = (kept <= c) & (kept <= m) & (m - kept <= n - c)
    log_chance = _log_choose(c, kept) + _log_choose(n - c, m - kept) - _log_choose(n, m)
    chance = np.where(possible, np.exp(np.where(possible, log_chance, 0.0)), 0.0)
    sampled = (chance * padded[np.minimum(a + kept, k)]).sum(axis=1)
    whole = padded[np.minimum(a + c, k)[:, 0]]
    expected: FloatArray = np.where((m == n)[:, 0], whole, sampled)
    return expected


def _log_choose(n: IntArray, k: IntArray) -> FloatArray:
    k = np.clip(k, 0, n)
    chosen: FloatArray = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return chosen
