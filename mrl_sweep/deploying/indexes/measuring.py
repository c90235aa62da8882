"""One deployed index measured: what it returns for the judged queries, its bytes, its build, its speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrl_sweep.deploying.index_spec import IndexSpec, parse_index
from mrl_sweep.deploying.indexes.answers import Answers, agree, at_depth, collect_answers
from mrl_sweep.deploying.indexes.building import Built, refuse_too_few
from mrl_sweep.deploying.indexes.faiss_index import FaissIndex, limited_threads, make_index, training_need
from mrl_sweep.deploying.indexes.latency import Latency, measure_latency, measure_throughput
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement
from mrl_sweep.deploying.indexes.searching import Trial, search_all
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import EXACT, Advice, Candidate, IntArray, Ranks, Similarity


def check_index(spec: str, dim: int, *, similarity: Similarity, n_documents: int, strict: bool = False) -> None:
    """Raises InputError where this index cannot be made at this size or trained on so many documents: ask before embedding.

    `strict` also refuses what could be trained, but on fewer documents than FAISS advises.
    """
    parsed = parse_index(spec)
    index = make_index(parsed, dim, similarity)
    index.set_parameters(parsed.parameters)
    need = training_need(index)
    refuse_too_few(parsed, need, n_documents)
    if strict and n_documents < need.advised:
        raise InputError(
            f"strict: {parsed.factory} needs >= {need.advised:,} training vectors; the corpus has {n_documents:,}",
            "choose fewer lists or centroids, or leave strict mode to have it measured without being certified",
        )


def measure_built(
    built: Built,
    candidate: Candidate,
    trial: Trial,
    *,
    budget: IndexBudget,
    exact: Ranks | None = None,
    on_event: OnEvent = ignore,
) -> IndexMeasurement:
    """Searches, weighs and times an index that stands, with the search parameters it has.

    With `exact`, a Flat index is not searched in full: its answers are held against the exact search's first documents on a
    sample of queries, and it takes its ranks from there.
    """
    index, advice = built.index, list(built.advice)
    known = _known_answers(index.spec, candidate, exact, trial.depth)
    if known is not None and not _sample_agrees(index, trial, known[2], budget.checked_queries):
        advice.append(Advice("flat-check", f"{candidate}: FAISS and the exact search disagree; the index was searched in full"))
        known = None
    above, tied, answers = known or search_all(index, trial, f"search {candidate}", on_event)
    allowed_s = budget.share_of_build * built.build_s
    latency_s = max(budget.latency_s, min(allowed_s, budget.most_latency_s))
    throughput_s = max(budget.throughput_s, min(allowed_s / 2, budget.most_throughput_s))
    speed = _speed(index, trial, latency_s, throughput_s)
    return IndexMeasurement(
        candidate=candidate,
        above=above,
        tied=tied,
        top_rows=answers.rows,
        top_scores=answers.scores,
        index_bytes=index.size_bytes(),
        resident_bytes=built.resident_bytes,
        train_s=built.train_s,
        build_s=built.build_s,
        latency=speed.latency,
        queries_per_second_1=speed.one_thread,
        queries_per_second=speed.all_threads,
        threads=speed.threads,
        certified=built.certified,
        exact_by_construction=known is not None,
        advice=tuple(advice),
    )


@dataclass(frozen=True, slots=True)
class _Speed:
    latency: Latency | None
    one_thread: float | None
    all_threads: float | None
    threads: int


def _speed(index: FaissIndex, trial: Trial, latency_s: float, throughput_s: float) -> _Speed:
    queries, k = trial.queries, trial.k

    def one(q: int) -> object:
        return index.search(queries[q : q + 1], k)

    def batch(start: int, stop: int) -> object:
        return index.search(queries[start:stop], k)

    with limited_threads(1):
        latency = measure_latency(one, len(queries), budget_s=latency_s)
        alone = measure_throughput(batch, len(queries), budget_s=throughput_s)
    with limited_threads(None) as threads:
        together = measure_throughput(batch, len(queries), budget_s=throughput_s) if threads > 1 else alone
    return _Speed(latency, alone, together, threads)


def _known_answers(
    spec: IndexSpec, candidate: Candidate, exact: Ranks | None, depth: int
) -> tuple[IntArray, IntArray, Answers] | None:
    """What the exact search found at this size, where the index is exact by construction and its first documents are known."""
    twin = Candidate(candidate.basis, candidate.dim, EXACT)
    if not spec.is_flat or exact is None or exact.top is None or twin not in exact.candidates:
        return None
    c = exact.candidates.index(twin)
    answers = Answers(at_depth(exact.top.rows[c], depth, -1), at_depth(exact.top.scores[c], depth, -np.inf))
    return exact.above[c], exact.tied[c], answers


def _sample_agrees(index: FaissIndex, trial: Trial, expected: Answers, n_checked: int) -> bool:
    """Whether the index returns what the exact search did, on queries spread over the whole set."""
    n_queries = len(trial.queries)
    rows = np.unique(np.linspace(0, n_queries - 1, min(n_checked, n_queries)).astype(np.int64))
    some = trial.only(rows)
    known = (expected.rows >= 0).any(axis=0).sum()
    found = collect_answers(index.search, some.queries, trial.depth, own_rows=some.own_rows, n_documents=len(index))
    return agree(
        Answers(found.rows[:, :known], found.scores[:, :known]),
        Answers(expected.rows[rows, :known], expected.scores[rows, :known]),
    )
