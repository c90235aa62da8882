"""One index at several search efforts: built once, an operating point for each setting of `nprobe`, `efSearch` …"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from mrl_sweep.deploying.index_spec import IndexSpec, parse_index
from mrl_sweep.deploying.indexes.building import Built, Cut, build_index
from mrl_sweep.deploying.indexes.cache import IndexShelf
from mrl_sweep.deploying.indexes.faiss_index import FaissIndex, limited_threads, list_count, tunable_parameters
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement
from mrl_sweep.deploying.indexes.measuring import measure_built
from mrl_sweep.deploying.indexes.searching import Trial
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Candidate, Float32Array, IntArray, Qrels, Ranks, Similarity, Vectors

MOST_POINTS = 12
SETTLED = 0.9995
"""The share of returned documents in common from which more search effort is taken to change nothing."""


def measure_points(
    vectors: Vectors,
    queries: Float32Array,
    dim: int,
    spec: str,
    *,
    similarity: Similarity,
    qrels: Qrels,
    own_rows: IntArray | None,
    depth: int,
    budget: IndexBudget,
    exact: Ranks | None = None,
    rotation: Float32Array | None = None,
    basis: str = "prefix",
    shelf: IndexShelf | None = None,
    on_event: OnEvent = ignore,
) -> tuple[IndexMeasurement, ...]:
    """Builds the index over the renormalised prefixes of `vectors`, searches every query, weighs and times it.

    At every search effort worth knowing when `spec` names none, until more of it returns the same documents; one measurement
    otherwise. With a shelf, the index is taken from there or put there. `exact` as in `measure_built`. Raises InputError where
    FAISS cannot make or train the index.
    """
    parsed = parse_index(spec)
    cut = Cut(dim=dim, similarity=similarity, rotation=rotation)
    trial = Trial(cut.apply(queries), qrels, own_rows, depth)
    points: list[IndexMeasurement] = []
    with limited_threads(budget.threads):
        built = _built(vectors, cut, parsed, budget, shelf, on_event)
        settings = _settings(built.index, parsed)
        # one build buys time for all of its points together
        share = replace(budget, share_of_build=budget.share_of_build / len(settings))
        for parameters in settings:
            built.index.set_parameters(parameters)
            candidate = Candidate(basis, dim, str(IndexSpec(parsed.factory, parameters)))
            points.append(measure_built(built, candidate, trial, budget=share, exact=exact, on_event=on_event))
            if len(points) > 1 and _in_common(points[-2], points[-1]) >= SETTLED:
                break
    return tuple(points)


def _built(
    vectors: Vectors, cut: Cut, spec: IndexSpec, budget: IndexBudget, shelf: IndexShelf | None, on_event: OnEvent
) -> Built:
    kept = None if shelf is None else shelf.take(vectors, cut, spec, seed=budget.seed)
    if kept is not None:
        return kept
    built = build_index(vectors, cut, spec, seed=budget.seed, max_bytes=budget.max_bytes, on_event=on_event)
    if shelf is not None:
        shelf.put(built, vectors, cut, seed=budget.seed)
    return built


def _settings(index: FaissIndex, spec: IndexSpec) -> Sequence[tuple[tuple[str, int], ...]]:
    """Search parameters to try, least effort first; those that the spec names stay as they are."""
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
    """Values to try, least effort first: FAISS's own default, then up."""
    if name == "nprobe":
        return [probes for probes in (4**i for i in range(12)) if probes < n_lists] + [n_lists]
    if name == "efSearch":
        return [16, 32, 64, 128, 256, 512]
    return [1, 2, 4, 16]


def _in_common(a: IndexMeasurement, b: IndexMeasurement) -> float:
    """The share of returned documents that two measurements have in common, in the same places."""
    returned = (a.top_rows >= 0) | (b.top_rows >= 0)
    return float((a.top_rows == b.top_rows)[returned].mean()) if returned.any() else 1.0
