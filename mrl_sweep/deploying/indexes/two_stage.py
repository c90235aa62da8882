"""A funnel measured: a real two-stage FAISS index, its quality and its speed."""

from __future__ import annotations

from dataclasses import replace

from mrl_sweep.deploying.funnels import Funnel
from mrl_sweep.deploying.indexes.building import Cut, fill_index
from mrl_sweep.deploying.indexes.faiss_index import limited_threads, make_two_stage
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement
from mrl_sweep.deploying.indexes.measuring import measure_built
from mrl_sweep.deploying.indexes.searching import Trial
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Float32Array, IntArray, Qrels, Similarity, Vectors


def measure_funnel(
    vectors: Vectors,
    queries: Float32Array,
    funnel: Funnel,
    *,
    similarity: Similarity,
    qrels: Qrels,
    own_rows: IntArray | None,
    depth: int,
    budget: IndexBudget,
    rotation: Float32Array | None = None,
    basis: str = "prefix",
    on_event: OnEvent = ignore,
) -> IndexMeasurement:
    """Shortlists at the small prefix, reranks at the large one, in one FAISS index whose first stage cuts and renormalises.

    The candidate is `funnel.candidate(basis)`. A query's own document, where it is left out, takes no place on the shortlist.
    Raises InputError where the large size exceeds the vectors'.
    """
    if funnel.large > vectors.dim:
        raise InputError(f"funnel {funnel}: the model's vectors have {vectors.dim} dimensions", "--funnel SMALL:SHORTLIST:LARGE")
    cut = Cut(dim=funnel.large, similarity=similarity, rotation=rotation)
    trial = Trial(cut.apply(queries), qrels, own_rows, depth)
    index = make_two_stage(str(funnel), funnel.small, funnel.shortlist, funnel.large, similarity)
    with limited_threads(budget.threads):
        built = fill_index(index, vectors, cut, seed=budget.seed, on_event=on_event)
        measured = measure_built(built, funnel.candidate(basis), trial, budget=budget, on_event=on_event)
    return replace(measured, hot_bytes=index.hot_bytes)
