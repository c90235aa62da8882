"""Dimensions x precisions: the passes that rank them all, and their ranks as one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.ranking.codes.precision import code_of
from mrl_sweep.ranking.exact import RankOptions, rank_in
from mrl_sweep.ranking.space import Space, coded
from mrl_sweep.types import FLOAT32, SEED, Basis, Configuration, Float32Array, IntArray, Qrels, Ranks, TopDocuments, Vectors

TRAINING_ROWS: Final = 20_000
"""So many documents train the codes: enough for ranges, means and centroids, which is all that these codes learn."""


def training_rows(n_documents: int) -> IntArray:
    """The documents that train the codes, ascending: all of them, or a random sample that is the same for every run."""
    if n_documents <= TRAINING_ROWS:
        return np.arange(n_documents)
    return np.sort(np.random.default_rng(SEED).choice(n_documents, TRAINING_ROWS, replace=False))


def coded_spaces(
    spaces: Sequence[Space], precisions: Sequence[str], vectors: Vectors, *, symmetric: bool = False
) -> Iterator[Space]:
    """The passes for every precision but float32, trained on `training_rows`; made one by one, as each is counted.

    `symmetric` as `code_of` has it.
    """
    others = [precision for precision in precisions if precision != FLOAT32]
    if not others:
        return
    sample = functools.cache(lambda: vectors.take(training_rows(len(vectors))))  # not read for codes that learn nothing
    for space in spaces:
        for precision in others:
            yield from coded(space, precision, code_of(precision, symmetric=symmetric), sample)


def rank_grid(
    spaces: Sequence[Space],
    precisions: Sequence[str],
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    options: RankOptions,
    *,
    on_event: OnEvent = ignore,
) -> Ranks:
    """The exact ranks of every float32 space, then of its prefixes at every other precision."""
    first = [rank_in(space, vectors, queries, qrels, options, on_event=on_event) for space in spaces]
    codes = (rank_in(s, vectors, queries, qrels, options, on_event=on_event) for s in coded_spaces(spaces, precisions, vectors))
    return zeros_of_float32(join([*first, *codes]))


def join(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of several passes over the same documents, queries and judgments, as one."""
    tops = [part.top for part in parts if part.top is not None]
    top = TopDocuments(np.concatenate([t.rows for t in tops]), np.concatenate([t.scores for t in tops])) if tops else None
    return Ranks(
        tuple(candidate for part in parts for candidate in part.candidates),
        parts[0].n_documents,
        np.concatenate([part.above for part in parts]),
        np.concatenate([part.tied for part in parts]),
        top,
        np.concatenate([part.zero_prefixes for part in parts if part.zero_prefixes is not None]),
    )


def zeros_of_float32(ranks: Ranks) -> Ranks:
    """The ranks with the zero prefixes of each code counted before it was coded: a code may hide that nothing was there."""
    if ranks.zero_prefixes is None:
        return ranks
    counts = dict(zip(ranks.candidates, ranks.zero_prefixes.tolist(), strict=True))

    def uncoded(candidate: Configuration) -> int:
        twin = replace(candidate, precision=FLOAT32)
        return int(counts.get(twin, counts.get(replace(twin, basis=str(Basis.PREFIX)), counts[candidate])))

    return replace(ranks, zero_prefixes=np.array([uncoded(candidate) for candidate in ranks.candidates], np.int64))
