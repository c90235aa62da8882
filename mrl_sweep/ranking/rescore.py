"""Rescoring: a shortlist by codes, ordered again by full vectors or a prefix of them; exact, from the lists of the best."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Self

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.ranking.exact import RankOptions, join, prepare_space
from mrl_sweep.ranking.pass_plan import PAIRS_AT_ONCE
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.record import record
from mrl_sweep.types import (
    FLOAT32,
    NOT_RETRIEVED,
    Configuration,
    Float32Array,
    IntArray,
    Qrels,
    Ranks,
    TopDocuments,
    Vectors,
)

FORMS: Final = "write 4x: four times as many candidates as are asked for; or 4x@768: ordered again by the first 768 dimensions"

_STEP: Final = np.int64(2**40)


@record(order=True)
class Rescore:
    """A rescoring: `factor` times the documents asked for, ordered again by the first `dim` numbers of a vector; None: all."""

    factor: int
    dim: int | None = None

    def __str__(self) -> str:
        return f"{self.factor}x" + (f"@{self.dim}" if self.dim is not None else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `4x` or `4x@768`. Raises InputError for anything else."""
        match = re.fullmatch(r"\s*(\d+)\s*[xX](?:@(\d+))?\s*", text)
        if match is None or int(match[1]) < 1 or (match[2] and int(match[2]) < 1):
            raise InputError(f"{text!r} is no rescoring", FORMS)
        return cls(int(match[1]), int(match[2]) if match[2] else None)

    def shortlist(self, cutoff: int) -> int:
        """Returns how many documents are ordered again where the first `cutoff` are asked for."""
        return self.factor * cutoff


def rescored(
    ranks: Ranks,
    rescores: Sequence[Rescore],
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    options: RankOptions,
    *,
    cutoff: int,
    at_own_size: bool = False,
) -> Ranks:
    """Returns `ranks` and those of every coded configuration with each rescoring, whose shortlists are for the first `cutoff`.

    `ranks.top` must be as deep as the longest shortlist, or as the corpus; ValueError where there is none. Documents on the
    shortlist stand by their float32 scores, all others are NOT_RETRIEVED. Documents that tie at the end of the shortlist are
    taken in the order of the corpus. `at_own_size`: a rescoring that names no size orders by as many numbers as the codes were
    cut to, as a database does that stores vectors of this size alone.
    """
    if ranks.top is None:
        raise ValueError("rescoring needs the lists of the best documents")
    coded = [c for c, candidate in enumerate(ranks.candidates) if candidate.is_exact and candidate.precision != FLOAT32]
    parts = []
    for rescore, codes in _by_size(rescores, coded, ranks.candidates, at_own_size=at_own_size):
        lists = ranks.top.rows[codes][:, :, : rescore.shortlist(cutoff)]
        scores = _scores_of(lists, rescore.dim or vectors.dim, vectors, queries, options)
        order = np.lexsort((np.where(lists < 0, np.iinfo(np.int64).max, lists), -scores), axis=-1)
        top = TopDocuments(np.take_along_axis(lists, order, axis=-1), np.take_along_axis(scores, order, axis=-1))
        ranked = [_ranks_within(rows, values, qrels) for rows, values in zip(top.rows, top.scores, strict=True)]
        zeros = None if ranks.zero_prefixes is None else ranks.zero_prefixes[codes]
        parts.append(
            Ranks(
                tuple(replace(ranks.candidates[c], rescore=str(rescore)) for c in codes),
                ranks.n_documents,
                np.stack([above for above, _ in ranked]),
                np.stack([tied for _, tied in ranked]),
                _at_depth(top, ranks.top.depth),
                zeros,
            )
        )
    return join([ranks, *parts])


def _by_size(
    rescores: Sequence[Rescore], coded: list[int], candidates: Sequence[Configuration], *, at_own_size: bool
) -> Iterator[tuple[Rescore, list[int]]]:
    """Yields each rescoring with the positions of its coded candidates, one size of its vectors at a time."""
    for rescore in rescores:
        if rescore.dim is not None or not at_own_size:
            yield rescore, coded
            continue
        for dim in dict.fromkeys(candidates[c].dim for c in coded):
            yield replace(rescore, dim=dim), [c for c in coded if candidates[c].dim == dim]


def _scores_of(lists: IntArray, dim: int, vectors: Vectors, queries: Float32Array, options: RankOptions) -> Float32Array:
    """Returns the judge's float32 score of every listed document at `dim`, -inf for row -1; each pair is judged once."""
    space = prefixes([dim], options.similarity)
    n_queries = lists.shape[1]
    nothing = Qrels(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    one = prepare_space(space, vectors, queries, nothing, options)
    keys = np.where(lists < 0, -1, lists * _STEP + np.arange(n_queries)[None, :, None])  # by document: read in their order
    unique, places = np.unique(keys, return_inverse=True)
    scores = np.full(len(unique), -np.inf, np.float32)
    for start in range(0, len(unique), PAIRS_AT_ONCE):
        part = unique[start : start + PAIRS_AT_ONCE]
        rows, query_rows = np.divmod(np.maximum(part, 0), _STEP)
        documents, places_of = np.unique(rows, return_inverse=True)
        judged = one.kernel.pair_scores(one.task.targets, vectors.take(documents), places_of, query_rows)
        scores[start : start + PAIRS_AT_ONCE] = np.where(part < 0, np.float32(-np.inf), judged[0])
    return scores[places].reshape(lists.shape)


def _ranks_within(rows: IntArray, scores: Float32Array, qrels: Qrels) -> tuple[IntArray, IntArray]:
    """Returns (above, tied) of every judgment among its query's listed documents, `rows` (n_queries, length) best first."""
    length = rows.shape[1]
    place = np.broadcast_to(np.arange(length), rows.shape)
    new = np.diff(scores, axis=1, prepend=np.float32(np.nan)) != 0
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    last_of_run = np.where(np.concatenate([new[:, 1:], np.ones((len(rows), 1), bool)], axis=1), place, length)
    last = np.minimum.accumulate(last_of_run[:, ::-1], axis=1)[:, ::-1]
    keys = (np.arange(len(rows))[:, None] * _STEP + np.where(rows < 0, _STEP - 1, rows)).ravel()
    order = np.argsort(keys, kind="stable")
    wanted = qrels.queries * _STEP + np.maximum(qrels.rows, 0)
    at = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    listed = (keys[order][at] == wanted) & (qrels.rows >= 0) if len(keys) else np.zeros(len(wanted), bool)
    entry = order[at] if len(keys) else at
    above = np.where(listed, first.ravel()[entry], NOT_RETRIEVED)
    tied = np.where(listed, (last - first).ravel()[entry], 0)
    return above, tied


def _at_depth(top: TopDocuments, depth: int) -> TopDocuments:
    """Cuts or pads the lists to this depth; the padding is row -1, score -inf."""
    missing = [(0, 0), (0, 0), (0, max(0, depth - top.depth))]
    rows = np.pad(top.rows, missing, constant_values=-1)[:, :, :depth]
    return TopDocuments(rows, np.pad(top.scores, missing, constant_values=-np.inf)[:, :, :depth])


def shortlist_length(rescore: str, cutoff: int) -> int:
    """Returns how many documents a `rescore` orders again: `4x` of `cutoff`, or the 200 of a funnel's `200@768`."""
    length, _, _ = rescore.partition("@")
    return int(length) if length.isdecimal() else Rescore.parse(rescore).shortlist(cutoff)


def shortlist_depth(rescores: Sequence[Rescore], cutoff: int) -> int:
    """Returns how deep the lists of the best must be for all these rescorings; 0 for none."""
    return max((rescore.shortlist(cutoff) for rescore in rescores), default=0)
