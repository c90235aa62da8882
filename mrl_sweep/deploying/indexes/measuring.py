"""Measuring one index: what it returns for the judged queries, its bytes, its build, its speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from mrl_sweep.deploying.findings import Cost, Smaller
from mrl_sweep.deploying.funnels import Funnel
from mrl_sweep.deploying.index_spec import IndexSpec, parse_index
from mrl_sweep.deploying.indexes.answers import Answers, Trial, agree, collect_answers, search_all
from mrl_sweep.deploying.indexes.building import (
    Built,
    IndexCut,
    IndexShelf,
    build_index,
    fill_index,
    refuse_too_few,
    try_building,
)
from mrl_sweep.deploying.indexes.faiss_index import (
    FaissIndex,
    limited_threads,
    list_count,
    make_index,
    make_two_stage,
    training_need,
    tunable_parameters,
)
from mrl_sweep.deploying.indexes.measurement import (
    IndexBudget,
    IndexMeasurement,
    at_depth,
    measure_latency,
    measure_throughput,
)
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Advice, Basis, Configuration, IntArray, Qrels, Ranks, Similarity, Vectors, distinct


def check_index(
    spec: str, dim: int, *, similarity: Similarity, n_documents: int, strict: bool = False, tried: bool = False
) -> None:
    """Raises InputError where this index cannot be made at this size or trained on so many documents: call it before embedding.

    `strict` also refuses what could be trained, but on fewer documents than FAISS advises. `tried`: it is built, too.
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
    if tried:
        try_building(parsed, dim, similarity)


def measure_built(
    built: Built,
    candidate: Configuration,
    trial: Trial,
    *,
    budget: IndexBudget,
    n_points: int = 1,
    exact: Ranks | None = None,
    on_event: OnEvent = ignore,
) -> IndexMeasurement:
    """Searches, weighs and times an index that stands, with the search parameters it has; `trial` has its queries cut.

    `n_points` measurements share what the build bought. With `exact`, a Flat index is not searched in full: its answers are held
    against the exact search's first documents on a sample of queries, and it takes its ranks from there.
    """
    index, advice = built.index, list(built.advice)
    exact_answers = _exact_answers(exact, candidate, trial.depth)
    known_answers = exact_answers if index.spec.is_flat else None
    if known_answers is not None and not _sample_agrees(index, trial, known_answers[2], budget.checked_queries):
        advice.append(Advice("flat-check", f"{candidate}: FAISS and the exact search disagree; the index was searched in full"))
        known_answers = None
    above, tied, answers = known_answers or search_all(index, trial, f"search {candidate}", on_event)
    cost = Cost(
        index_bytes=index.size_bytes(),
        resident_bytes=built.resident_bytes,
        train_s=built.train_s,
        build_s=built.build_s,
        certified=built.certified,
        recall=None if exact_answers is None else _recall(exact_answers[2].rows, answers.rows),
    )
    return IndexMeasurement(
        candidate=candidate,
        above=above,
        tied=tied,
        top_rows=answers.rows,
        top_scores=answers.scores,
        cost=_timed(cost, index, trial, *budget.seconds(built.build_s, n_points)),
        advice=tuple(advice),
    )


def _timed(cost: Cost, index: FaissIndex, trial: Trial, latency_s: float, throughput_s: float) -> Cost:
    """Adds to the cost what single queries and batches take, each timed for so many seconds."""
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
    return replace(
        cost,
        p50_ms=latency.p50_ms if latency else None,
        p99_ms=latency.p99_ms if latency else None,
        queries_per_second_1=alone,
        queries_per_second=together,
        threads=threads,
    )


def _exact_answers(exact: Ranks | None, candidate: Configuration, depth: int) -> tuple[IntArray, IntArray, Answers] | None:
    """Takes what the exact search of these codes gave, as `search_all` does; None where its first documents are not known."""
    if exact is None or exact.top is None or candidate.exact not in exact.candidates:
        return None
    c = exact.candidates.index(candidate.exact)
    answers = Answers(at_depth(exact.top.rows[c], depth, -1), at_depth(exact.top.scores[c], depth, -np.inf))
    return exact.above[c], exact.tied[c], answers


def _sample_agrees(index: FaissIndex, trial: Trial, expected: Answers, n_checked: int) -> bool:
    """Tells whether the index returns what the exact search did, on queries spread over the whole set."""
    n_queries = len(trial.queries)
    rows = distinct(np.linspace(0, n_queries - 1, min(n_checked, n_queries)).astype(np.int64))
    some = trial.only(rows)
    width = (expected.rows >= 0).any(axis=0).sum()
    returned = collect_answers(index.search, some.queries, trial.depth, own_rows=some.own_rows, n_documents=len(index))
    return agree(
        Answers(returned.rows[:, :width], returned.scores[:, :width]),
        Answers(expected.rows[rows, :width], expected.scores[rows, :width]),
    )


def _recall(best: IntArray, rows: IntArray) -> float | None:
    """Averages the share of the exact first documents, ten or as many as lists are deep, that are among the first in `rows`."""
    if not len(rows):
        return None
    first = best[:, :RECALL_AT]
    shared = (first[:, :, None] == rows[:, None, :RECALL_AT]).any(axis=2) & (first >= 0)
    return float((shared.sum(axis=1) / np.maximum((first >= 0).sum(axis=1), 1)).mean())


def over_a_sample(
    points: Sequence[IndexMeasurement],
    trial: Trial,
    dim: int,
    spec: str,
    rows: IntArray,
    *,
    budget: IndexBudget,
    on_event: OnEvent = ignore,
) -> tuple[IndexMeasurement, ...]:
    """Adds to the points what the same index does over the documents `rows`, ascending: from two sizes its growth is read.

    A search effort that the sample does not need gets no figures. Raises InputError where the sample is too small to train on.
    """
    nothing = Qrels(np.zeros(len(trial.queries) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    fewer = replace(
        trial,
        vectors=Vectors(trial.vectors.parts, rows if trial.vectors.order is None else trial.vectors.order[rows]),
        qrels=nothing,
        own_rows=None if trial.own_rows is None else _places(trial.own_rows, rows),
        depth=min(RECALL_AT, trial.depth),
    )
    with limited_threads(budget.threads):
        flat, cut = _cut(fewer, dim)
        index = build_index(fewer.vectors, cut, parse_index("Flat")).index
        truth = search_all(index, flat, f"search {dim}, a sample", on_event)[2]
    by_name = {
        one.candidate: Smaller(
            docs=len(rows),
            p50_ms=one.cost.p50_ms,
            p99_ms=one.cost.p99_ms,
            queries_per_second=one.cost.queries_per_second,
            recall=_recall(truth.rows, one.top_rows),
        )
        for one in measure_points(fewer, dim, spec, budget=budget, on_event=on_event)
    }
    return tuple(replace(one, cost=replace(one.cost, smaller=by_name.get(one.candidate))) for one in points)


def _cut(trial: Trial, dim: int) -> tuple[Trial, IndexCut]:
    """Returns the trial with its queries cut to `dim`, and the cut for its documents."""
    cut = IndexCut(dim=dim, similarity=trial.similarity)
    return replace(trial, queries=cut.apply(trial.queries)), cut


def _places(own_rows: IntArray, rows: IntArray) -> IntArray:
    """Finds the place of each query's own document among `rows`, ascending; -1 where it is none of them."""
    at = np.minimum(np.searchsorted(rows, own_rows), len(rows) - 1)
    return np.where(rows[at] == own_rows, at, -1)


def measure_funnel(trial: Trial, funnel: Funnel, *, budget: IndexBudget, on_event: OnEvent = ignore) -> IndexMeasurement:
    """Shortlists at the small prefix, reranks at the large one, in one FAISS index whose first stage cuts and renormalises.

    The candidate is `funnel.configuration`. A query's own document, where it is left out, takes no place on the shortlist.
    Raises InputError where the large size exceeds the vectors'.
    """
    vectors = trial.vectors
    if funnel.large > vectors.dim:
        raise InputError(f"funnel {funnel}: the model's vectors have {vectors.dim} dimensions", "--funnel SMALL:SHORTLIST:LARGE")
    trial, cut = _cut(trial, funnel.large)
    index = make_two_stage(str(funnel), funnel.small, funnel.shortlist, funnel.large, trial.similarity)
    with limited_threads(budget.threads):
        built = fill_index(index, vectors, cut, seed=budget.seed, on_event=on_event)
        return measure_built(built, funnel.configuration, trial, budget=budget, on_event=on_event)


RECALL_AT = 10
"""Of so many first documents of the exact search, or of as many as lists are deep, a recall is the share that comes back."""

MOST_POINTS = 12
SETTLED = 0.9995
"""The share of returned documents in common from which more search effort is taken to change nothing."""


def measure_points(
    trial: Trial,
    dim: int,
    spec: str,
    *,
    budget: IndexBudget,
    exact: Ranks | None = None,
    shelf: IndexShelf | None = None,
    on_event: OnEvent = ignore,
) -> tuple[IndexMeasurement, ...]:
    """Builds the index over the renormalised prefixes of the documents, searches every query, weighs and times it.

    Search parameters that `spec` leaves open are tried from the least effort up, until more returns the same documents; without
    any there is one measurement. With a shelf, the index is taken from there or put there. `exact` as in `measure_built`.
    Raises InputError where FAISS cannot make or train the index.
    """
    parsed = parse_index(spec)
    trial, cut = _cut(trial, dim)
    points: list[IndexMeasurement] = []
    with limited_threads(budget.threads):
        built = _built(trial.vectors, cut, parsed, budget, shelf, on_event)
        settings = _settings(built.index, parsed)
        for parameters in settings:
            built.index.set_parameters(parameters)
            candidate = Configuration(Basis.PREFIX, dim, str(IndexSpec(parsed.factory, parameters)))
            points.append(
                measure_built(built, candidate, trial, budget=budget, n_points=len(settings), exact=exact, on_event=on_event)
            )
            if len(points) > 1 and _in_common(points[-2], points[-1]) >= SETTLED:
                break
    return tuple(points)


def _built(
    vectors: Vectors, cut: IndexCut, spec: IndexSpec, budget: IndexBudget, shelf: IndexShelf | None, on_event: OnEvent
) -> Built:
    stored = None if shelf is None else shelf.take(vectors, cut, spec, seed=budget.seed)
    if stored is not None:
        return stored
    built = build_index(vectors, cut, spec, seed=budget.seed, on_event=on_event)
    if shelf is not None:
        shelf.put(built, vectors, cut, seed=budget.seed)
    return built


def _settings(index: FaissIndex, spec: IndexSpec) -> Sequence[tuple[tuple[str, int], ...]]:
    """Lists the search parameters to try, least effort first; those that the spec names stay as they are."""
    named = dict(spec.parameters)
    free = [name for name in tunable_parameters(index) if name not in named]
    if not free:
        return [spec.parameters]
    grids = [_grid(name, list_count(index)) for name in free]
    settings = [(*spec.parameters, *zip(free, values, strict=True)) for values in product(*grids)]
    settings.sort(key=lambda parameters: float(np.prod([float(value) for _, value in parameters])))
    if len(settings) > MOST_POINTS:
        settings = [settings[i] for i in np.linspace(0, len(settings) - 1, MOST_POINTS).round().astype(int)]
    return settings


def _grid(name: str, n_lists: int) -> list[int]:
    """Lists the values to try, least effort first: FAISS's own default, then up."""
    if name == "nprobe":
        return [probes for probes in (4**i for i in range(12)) if probes < n_lists] + [n_lists]
    if name == "efSearch":
        return [16, 32, 64, 128, 256, 512]
    return [1, 2, 4, 16]


def _in_common(a: IndexMeasurement, b: IndexMeasurement) -> float:
    """Returns the share of returned documents that two measurements have in common, in the same places."""
    returned = (a.top_rows >= 0) | (b.top_rows >= 0)
    return float((a.top_rows == b.top_rows)[returned].mean()) if returned.any() else 1.0
