"""The sweep: ranks prefixes, control bases, precisions and rescoring, judges them at once, then measures indexes and funnels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from mrl_sweep.collection import left_out
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.units import cluster_labels
from mrl_sweep.deploying.findings import BoundedFunnel, Evaluation, findings_of, which_sizes
from mrl_sweep.deploying.funnels import Funnel, parse_funnel
from mrl_sweep.deploying.index_spec import LIVE
from mrl_sweep.deploying.indexes.answers import Trial
from mrl_sweep.deploying.indexes.building import IndexShelf
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement, merge_measurements
from mrl_sweep.deploying.indexes.measuring import measure_funnel, measure_points, over_a_sample
from mrl_sweep.deploying.targets import target_named
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent
from mrl_sweep.execution.resources import Limits, RankInputs, prepare
from mrl_sweep.files import json_digest
from mrl_sweep.measures.measure import asked_documents
from mrl_sweep.measures.score import score
from mrl_sweep.pipeline.outlook import AGREEMENT_AT
from mrl_sweep.ranking.counting import Checkpoint, Executor
from mrl_sweep.ranking.exact import TRAINING_ROWS, Pass, RankOptions, coded_spaces, count, join, prepare_space, zeros_of_float32
from mrl_sweep.ranking.ranked_space import RankedSpace, prefixes, rotations
from mrl_sweep.ranking.rescore import Rescore, rescored, shortlist_depth
from mrl_sweep.record import record
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import index_folder
from mrl_sweep.types import (
    EXACT,
    FLOAT32,
    NOT_RETRIEVED,
    SEED,
    Advice,
    Basis,
    Collection,
    Configuration,
    Embeddings,
    Float32Array,
    Ranks,
    TopDocuments,
    full_size,
)
from mrl_sweep.words import plural

RUN_FILE_DEPTH: Final = 100

DEPTH: Final = 100
"""How many documents an index is asked for where a measure has no cut-off."""

SAMPLED: Final = 4
"""One document in so many makes the second corpus, from which the growth of latency and recall is read."""

LEAST_SAMPLED: Final = 1000
"""Documents below which a sample of them says nothing of growth."""

ZERO_SHARE: Final = 0.01
"""A size at which more than this share of the documents lose all their numbers is not acceptable, whatever it scores."""


@record
class SweepInputs:
    """A collection with its embeddings, the sizes to rank (ascending), and the configuration, complete by now."""

    config: SweepConfig
    collection: Collection
    embeddings: Embeddings
    dims: tuple[int, ...]


@record(kw_only=True)
class Sweep(Evaluation):
    """The evaluation of everything that was ranked, and all it rests on; indexes and funnels join as they are measured.

    `rotation` is the one that PCA fitted, where it was asked for.
    """

    config: SweepConfig
    collection: Collection
    embeddings: Embeddings
    rotation: Float32Array | None = None
    indexes: tuple[IndexMeasurement, ...] = ()
    left_out: tuple[Advice, ...] = ()
    funnels: tuple[BoundedFunnel, ...] = ()


def judge_sweep(inputs: SweepInputs, ranks: Ranks, rotation: Float32Array | None) -> Sweep:
    """Scores every candidate under every measure that is asked for, and reaches the verdict on the exact prefixes."""
    config, collection, embeddings = inputs.config, inputs.collection, inputs.embeddings
    decision = config.decision
    required = tuple(dict.fromkeys((decision.measures[0], *decision.require)))
    return Sweep.of(
        ranks,
        collection.qrels,
        tuple(dict.fromkeys((*decision.measures, *required))),
        Policy(
            required=required,
            retain=decision.retain,
            alpha=decision.alpha,
            decide_by=decision.decide_by,
            by_default="decision.retain" not in config.origins,
        ),
        clusters=cluster_labels(collection.queries.metadata, decision.cluster) if decision.cluster else None,
        unfit=unfit_candidates(embeddings, ranks),
        no_relevant=config.collection.no_relevant.value,
        listed_for=deepest_cutoff(config),
        config=config,
        collection=collection,
        embeddings=embeddings,
        rotation=rotation,
    )


def unfit_candidates(embeddings: Embeddings, ranks: Ranks) -> dict[Configuration, str]:
    """Returns the candidates that fail whatever their scores, with the reason: nothing tells their documents apart."""
    if any(advice.code == "collapsed-embeddings" for advice in embeddings.warnings):
        return dict.fromkeys(ranks.candidates, "collapsed embeddings: all document vectors are alike")
    if _all_tied(ranks):
        return dict.fromkeys(ranks.candidates, "at full size every judged document ties with all others")
    if ranks.zero_prefixes is None:
        return {}
    counts = dict(zip(ranks.candidates, ranks.zero_prefixes.tolist(), strict=True))
    full = max(candidate.dim for candidate in counts)
    at_full = max(n for candidate, n in counts.items() if candidate.dim == full)
    return {
        candidate: f"{plural(n - at_full, 'document has', 'documents have')} only zeros in the first {candidate.dim} dimensions"
        for candidate, n in counts.items()
        if n - at_full > ZERO_SHARE * ranks.n_documents
    }


def _all_tied(ranks: Ranks) -> bool:
    """Whether full size orders nothing: the documents or the queries are zero vectors, or all documents point one way."""
    full = ranks.candidates.index(full_size(ranks.candidates))
    tied = ranks.tied[full][ranks.above[full] != NOT_RETRIEVED]
    others = ranks.n_documents - 2  # the query's own document may be left out
    return others > 0 and len(tied) > 0 and bool((tied >= others).all())


def rank_all(
    inputs: SweepInputs, on_event: OnEvent, checkpoint: Checkpoint | None, executor: Executor | None
) -> tuple[Ranks, Float32Array | None]:
    """Ranks every configuration that is no index; returns the ranks, and the rotation that PCA fitted, else None."""
    options = rank_options(inputs, on_event, checkpoint, executor)
    counted, fitted = [], None
    for basis, rotation, one in passes(inputs, options):
        counted.append(one.ranks(count(one, options, on_event)))
        fitted = rotation if basis == Basis.PCA else fitted
    return with_rescored(inputs, join(counted), options), fitted


def passes(inputs: SweepInputs, options: RankOptions) -> Iterator[tuple[str, Float32Array | None, Pass]]:
    """Yields each pass that the configuration asks for, with its basis and rotation.

    First float32: the model's own prefixes, and the sizes below full on the axes of each control, which says nothing at full
    size. Then every other precision of the model's own axes and of PCA's: one pass for all sizes of signs, one for each size of
    the other codes, whose scale is that of the renormalised prefix.
    """
    config, vectors, queries, dims = inputs.config, inputs.embeddings.documents, inputs.embeddings.queries, inputs.dims

    def prepared(space: RankedSpace) -> Pass:
        return prepare_space(space, vectors, queries, inputs.collection.qrels, options)

    own = prefixes(dims, config.sweep.similarity)
    yield Basis.PREFIX, None, prepared(own)
    to_code: list[tuple[RankedSpace, Float32Array | None]] = [(own, None)]
    smaller = [dim for dim in dims if dim < vectors.dim]
    controls = [basis for basis in config.sweep.basis if basis != Basis.PREFIX] if smaller else []
    for basis, rotation in rotations(controls, vectors, np.random.default_rng(SEED)) if controls else ():
        yield basis, rotation, prepared(prefixes(smaller, config.sweep.similarity, basis=basis, rotation=rotation))
        if basis == Basis.PCA:
            to_code.append((prefixes(dims, config.sweep.similarity, basis=basis, rotation=rotation), rotation))
    symmetric = target_named(config.deploy.target).compares_codes
    for uncoded, fitted in to_code:
        for space in coded_spaces([uncoded], config.sweep.precision, vectors, symmetric=symmetric):
            yield space.candidates[0].basis, fitted, prepared(space)


def with_rescored(inputs: SweepInputs, ranks: Ranks, options: RankOptions) -> Ranks:
    """Adds each rescoring that follows from the ranks of all passes; cuts the lists to the depth that later commands need."""
    config, vectors, queries, qrels = (
        inputs.config,
        inputs.embeddings.documents,
        inputs.embeddings.queries,
        inputs.collection.qrels,
    )
    ranks = zeros_of_float32(ranks)
    rescores = [Rescore.parse(text) for text in config.sweep.rescore]
    if rescores and any(candidate.precision != FLOAT32 for candidate in ranks.candidates):
        cutoff, own = deepest_cutoff(config), not target_named(config.deploy.target).stores_full_vectors
        ranks = rescored(ranks, rescores, vectors, queries, qrels, options, cutoff=cutoff, at_own_size=own)
    depth = min(kept_depth(config), len(vectors))
    if ranks.top is None or ranks.top.depth <= depth:
        return ranks
    return replace(ranks, top=TopDocuments(ranks.top.rows[:, :, :depth], ranks.top.scores[:, :, :depth]))


def rank_options(inputs: SweepInputs, on_event: OnEvent, checkpoint: Checkpoint | None, executor: Executor | None) -> RankOptions:
    """Returns how the configured passes are run, with lists of the best as deep as the longest shortlist.

    `executor` None: by threads of this process.
    """
    config, collection, vectors = inputs.config, inputs.collection, inputs.embeddings.documents
    rescores = [Rescore.parse(text) for text in config.sweep.rescore]
    shortlist = shortlist_depth(rescores, deepest_cutoff(config))
    n_bases = 1 + (Basis.PCA in config.sweep.basis)
    n_codes = len(inputs.dims) * n_bases * sum(precision != FLOAT32 for precision in config.sweep.precision)
    to_rank = RankInputs(
        vectors=vectors,
        qrels=collection.qrels,
        n_sizes=len(inputs.dims),
        depth=min(max(kept_depth(config), shortlist), len(vectors)),
        similarity=config.sweep.similarity,
        own_rows=left_out(collection, identical=config.sweep.exclude_identical),
        n_kept=len(inputs.dims) * n_bases + n_codes * (1 + len(rescores)),
        n_trained=min(TRAINING_ROWS, len(vectors)) if n_codes or n_bases > 1 else 0,
        n_rescored=n_codes if rescores else 0,
    )
    limits = Limits(threads=config.run.threads, max_memory=config.run.max_memory, device=config.model.device)
    options = prepare(to_rank, limits, checkpoint=checkpoint, on_event=on_event)
    return options if executor is None else replace(options, executor=executor)


def kept_depth(config: SweepConfig) -> int:
    """Returns how many first documents of every ranking are kept: for the agreement, for run files."""
    decision = config.decision
    depths = [m.cutoff or 0 for m in (*decision.measures, *decision.require) if m.label_free]
    return max(AGREEMENT_AT, RUN_FILE_DEPTH if config.run.run_files else 0, *depths)


def deepest_cutoff(config: SweepConfig) -> int:
    """Returns how many documents the measures that must pass ask for: the k of which a shortlist is a multiple."""
    return asked_documents((config.decision.measures[0], *config.decision.require))


def measure_deployed(sweep: Sweep, on_event: OnEvent) -> Sweep:
    """Builds, weighs, times and searches each index at the sizes that matter, and the funnels worth it.

    `--index none` measures nothing. Raises InputError, where strict, for an index that cannot be built at one of the sizes.
    """
    settings = sweep.config.sweep
    if not settings.index:
        return sweep
    funnels = [parse_funnel(text) for text in sweep.config.deploy.funnel]
    funnels += [one.funnel for one in sweep.funnels if one.recommended and one.funnel not in funnels]
    measured: list[IndexMeasurement] = []
    unbuilt: list[Advice] = []
    for spec in (spec for spec in settings.index if not spec.startswith(LIVE)):
        for dim in which_sizes([size.dim for size in sweep.sizes], sweep.verdict.dimension):
            try:
                measured += _measure_index(sweep, dim, spec, on_event)
            except InputError as refused:  # one index that cannot be built never takes the others along
                if sweep.config.run.strict:
                    raise
                unbuilt.append(
                    Advice("index-left-out", f"{spec} at {dim} dimensions is left out: {refused.message}", refused.hint)
                )
    measured += [_measure_funnel(sweep, funnel, on_event) for funnel in funnels]
    measured += [point for spec in settings.index if spec.startswith(LIVE) for point in _measure_live(sweep, spec, on_event)]
    ranks = merge_measurements(sweep.ranks, measured)
    scores = score(ranks, sweep.collection.qrels, sweep.scores.measures, no_relevant=sweep.no_relevant)
    return replace(sweep, ranks=ranks, scores=scores, indexes=tuple(measured), left_out=tuple(unbuilt))


def _measure_index(sweep: Sweep, dim: int, spec: str, on_event: OnEvent) -> tuple[IndexMeasurement, ...]:
    config, shelf = sweep.config, None
    if config.deploy.keep_indexes:
        content = json_digest([sweep.collection.facts, sweep.embeddings.model.get("identity")])
        shelf = IndexShelf(index_folder(config), content)
    trial, budget = _trial(sweep), IndexBudget(threads=config.run.threads)
    points = measure_points(trial, dim, spec, budget=budget, exact=sweep.ranks, shelf=shelf, on_event=on_event)
    n = len(trial.vectors)
    if not config.deploy.project_docs or n < LEAST_SAMPLED:
        return points
    rows = np.sort(np.random.default_rng(SEED).choice(n, n // SAMPLED, replace=False))
    with suppress(InputError):  # a sample that the index cannot be trained on tells nothing
        points = over_a_sample(points, trial, dim, spec, rows, budget=budget, on_event=on_event)
    return points


def _measure_live(sweep: Sweep, spec: str, on_event: OnEvent) -> tuple[IndexMeasurement, ...]:
    """A live pgvector at every configuration of the model's own axes that may be recommended, rescored ones too."""
    from mrl_sweep.deploying.index_spec import LiveIndex
    from mrl_sweep.deploying.pgvector import measure_live

    findings = findings_of(sweep)
    proven = [c for c, finding in findings.items() if finding.acceptable and c.index == EXACT and c.basis == Basis.PREFIX]
    return measure_live(sweep.config.deploy.dsn or "", LiveIndex.parse(spec), proven, _trial(sweep), on_event)


def _measure_funnel(sweep: Sweep, funnel: Funnel, on_event: OnEvent) -> IndexMeasurement:
    budget = IndexBudget(threads=sweep.config.run.threads)
    return measure_funnel(_trial(sweep, whole=funnel.shortlist), funnel, budget=budget, on_event=on_event)


def _trial(sweep: Sweep, whole: int = DEPTH) -> Trial:
    """Gathers what indexes are tried on: lists as deep as any measure looks, `whole` for one without a cut-off."""
    config = sweep.config.sweep
    return Trial(
        vectors=sweep.embeddings.documents,
        queries=sweep.embeddings.queries,
        qrels=sweep.collection.qrels,
        own_rows=left_out(sweep.collection, identical=config.exclude_identical),
        depth=max(measure.cutoff or whole for measure in sweep.scores.measures),
        similarity=config.similarity,
    )
