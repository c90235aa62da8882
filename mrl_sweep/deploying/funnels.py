"""Shortlist at a small prefix, rerank at a larger one: what that keeps, bounded from the ranks at the two sizes alone.

A document is on the shortlist of length K when fewer than K documents stand before it at the small size, and after
reranking only members of the shortlist can stand above it. Ranks of the judged documents and the first documents of each
ranking tell part of both; what they leave open is bounded. The bounds are themselves `Ranks`, the worst and the best case of
every judged document, so that the one scorer turns them into the bounds of any measure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.deploying.index_bytes import vector_bytes
from mrl_sweep.deploying.shortlists import Knowledge, Membership
from mrl_sweep.errors import InputError
from mrl_sweep.types import EXACT, NOT_RETRIEVED, Candidate, IntArray, Measure, Qrels, Ranks

FUNNEL_FORMS: Final = "write SMALL:SHORTLIST:LARGE, like 64:200:768: 200 documents found at 64 dimensions, reranked at 768"
SHORTLISTS: Final = (20, 50, 100, 200, 500, 1000, 2000, 5000)

_QUERY_STEP: Final = np.int64(2**40)


@dataclass(frozen=True, slots=True, order=True)
class Funnel:
    """`shortlist` documents found at `small` dimensions, reranked at `large`."""

    small: int
    shortlist: int
    large: int

    def __str__(self) -> str:
        return f"{self.small}:{self.shortlist}:{self.large}"

    def candidate(self, basis: str) -> Candidate:
        """As a candidate: it ranks by the scores at `large`."""
        return Candidate(basis, self.large, str(self))

    def operations(self, n_documents: int) -> int:
        """Multiply-adds per query when the first stage is exhaustive."""
        return n_documents * self.small + min(self.shortlist, n_documents) * self.large

    def hot_bytes(self, n_documents: int) -> int:
        """Bytes that every query reads: the float32 prefixes. The larger vectors are read `shortlist` at a time."""
        return vector_bytes(self.small, n_documents)


def parse_funnel(text: str) -> Funnel:
    """`64:200:768`; InputError where it is not three whole numbers above zero with the small size below the large one."""
    match = re.fullmatch(r"\s*(\d+):(\d+):(\d+)\s*", text)
    if match is None:
        raise InputError(f"{text!r} is not a funnel", FUNNEL_FORMS)
    funnel = Funnel(int(match[1]), int(match[2]), int(match[3]))
    if not 0 < funnel.small < funnel.large or funnel.shortlist < 1:
        raise InputError(f"funnel {text!r}: the first size must be the smaller one, the shortlist at least 1", FUNNEL_FORMS)
    return funnel


def funnel_grid(
    dims: Sequence[int], n_documents: int, *, cutoff: int, shortlists: Sequence[int] = SHORTLISTS
) -> tuple[Funnel, ...]:
    """Every pair of sizes with every shortlist that is at least the cut-off and shorter than half the corpus."""
    sizes = sorted(set(dims))
    lengths = [length for length in shortlists if cutoff <= length <= n_documents // 2]
    return tuple(Funnel(small, length, large) for large in sizes for small in sizes if small < large for length in lengths)


def bound_ranks(
    ranks: Ranks, qrels: Qrels, funnels: Sequence[Funnel], measure: Measure, *, basis: str = "prefix"
) -> tuple[Ranks, Ranks]:
    """(worst, best): the ranks of the documents relevant under `measure`, between which those of each measured funnel lie.

    Score both with `measure`: the first is a lower, the second (at most 1) an upper bound of every query's value. Candidates
    are `Funnel.candidate`. Needs the exact ranks at both sizes of each funnel; knows more with `ranks.top`.
    """
    relevant = np.flatnonzero(qrels.grades >= (1 if measure.name == "nDCG" else measure.rel))
    shape = (len(funnels), len(qrels.rows))
    above = np.full((2, *shape), NOT_RETRIEVED, np.int64)
    tied = np.zeros((2, *shape), np.int64)
    graded = measure.name == "nDCG"
    for (small, large), members in _by_sizes(funnels).items():
        knowledge = Knowledge.of(ranks, qrels, relevant, Candidate(basis, small, EXACT), Candidate(basis, large, EXACT))
        for f in members:
            membership = knowledge.at(funnels[f].shortlist)
            for case, (a, t) in enumerate((_worst(membership, funnels[f].shortlist), _best(membership, qrels, relevant, graded))):
                above[case, f, relevant], tied[case, f, relevant] = a, t
    candidates = tuple(funnel.candidate(basis) for funnel in funnels)
    worst, best = (Ranks(candidates, ranks.n_documents, above[case], tied[case]) for case in (0, 1))
    return worst, best


def cheapest_proven(funnels: Sequence[Funnel], n_documents: int, proven: Callable[[int, float], bool]) -> Funnel | None:
    """The funnel with the fewest operations among those proven; None where none is.

    `proven(i, share)` says whether the lower bounds of funnels[i] pass the decision's rule at that share of its alpha. Per
    pair of sizes the shortlists are tested from long to short, each at full level, up to the first that fails; the pairs
    share alpha equally. So the chance of ever recommending a funnel that does not keep the share stays below alpha.
    """
    chains = _by_sizes(funnels)
    accepted = []
    for members in chains.values():
        for f in sorted(members, key=lambda i: -funnels[i].shortlist):
            if not proven(f, 1 / len(chains)):
                break
            accepted.append(funnels[f])
    return min(accepted, key=lambda funnel: (funnel.operations(n_documents), funnel), default=None)


def _by_sizes(funnels: Sequence[Funnel]) -> dict[tuple[int, int], list[int]]:
    chains: dict[tuple[int, int], list[int]] = {}
    for f, funnel in enumerate(funnels):
        chains.setdefault((funnel.small, funnel.large), []).append(f)
    return chains


def _worst(membership: Membership, shortlist: int) -> tuple[IntArray, IntArray]:
    """Only what is certainly on the shortlist is found, below everything that may still stand above it, within K places."""
    above = np.minimum(membership.above - membership.out_above, shortlist - 1)
    tied = np.minimum(membership.tied, shortlist - 1 - above)
    return np.where(membership.inside, above, NOT_RETRIEVED), np.where(membership.inside, tied, 0)


def _best(membership: Membership, qrels: Qrels, relevant: IntArray, graded: bool) -> tuple[IntArray, IntArray]:
    """What may be on the shortlist is found, below only what certainly stands above it; ties are broken for the best.

    Where all gains of a query are alike (or the measure takes them so), the i-th relevant document cannot stand above the
    i-th place. Where they differ, only tied ones exclude each other: a document of low gain may be absent.
    """
    found = np.flatnonzero(~membership.outside)
    query, gains = qrels.queries[relevant][found], qrels.grades[relevant][found]
    order = np.lexsort((-gains, membership.above[found], query))
    found, query, gains = found[order], query[order], gains[order]
    whole, lowest = membership.whole[found], membership.in_above[found]
    in_query = _place_in_runs(query)
    in_group = _place_in_runs(query * _QUERY_STEP + membership.above[found])
    place = np.arange(len(found))
    distinct = lowest + np.where(whole, 0, in_group)
    pushed = np.maximum.accumulate(query * _QUERY_STEP + lowest - in_query) - query * _QUERY_STEP + in_query
    pushed = np.where(whole, pushed[place - in_group], pushed)
    unlike = np.bincount(query, gains != gains[place - in_query], qrels.n_queries)[query] > 0
    above, tied = np.full((2, len(relevant)), NOT_RETRIEVED, np.int64)
    tied[:] = 0
    above[found] = np.where(unlike & graded, distinct, pushed)
    tied[found] = np.where(whole, membership.tied[found], 0)
    return above, tied


def _place_in_runs(keys: IntArray) -> IntArray:
    """The index of each element within its run of equal keys; keys are sorted."""
    place = np.arange(len(keys))
    begins = np.diff(keys, prepend=-1) != 0
    return place - np.maximum.accumulate(np.where(begins, place, 0))
