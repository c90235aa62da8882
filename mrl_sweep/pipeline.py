"""The main job, start to end: a collection becomes embeddings, ranks, scores, a verdict, a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Final

import numpy as np

from mrl_sweep.collection import LoadOptions, load_collection, own_rows
from mrl_sweep.config import SweepConfig
from mrl_sweep.decision.policy import Policy, decide
from mrl_sweep.decision.units import cluster_labels
from mrl_sweep.embedding import Embedder, ModelOptions, Store, VectorSource, candidate_dims, embed, open_embedder
from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, Timing, ignore
from mrl_sweep.executors.local import LocalThreads, available_threads
from mrl_sweep.measures.score import score
from mrl_sweep.places import default_store, run_folder
from mrl_sweep.ranking.controls import join, rotations
from mrl_sweep.ranking.exact import SHARD_BYTES, RankOptions, open_kernel, rank
from mrl_sweep.report.atomic import prepare_folder
from mrl_sweep.report.document import Report
from mrl_sweep.report.folder import write_run
from mrl_sweep.report.trec import write_trec_runs
from mrl_sweep.summary import Sweep, summarise
from mrl_sweep.types import Basis, Candidate, Collection, Embeddings, Ranks

AGREEMENT_DEPTH: Final = 10
RUN_FILE_DEPTH: Final = 100
ZERO_SHARE: Final = 0.01
"""A size at which more than this share of the documents lose all their numbers is not acceptable, whatever it scores."""

SEED: Final = 0
"""Of everything that is drawn at random: the same inputs give the same report."""


def run(config: SweepConfig, on_event: OnEvent = ignore) -> Report:
    """Do the main job as configured and return its report, also written to the run folder (`Report.folder`).

    Texts that the store holds are not embedded again. Raises `MrlSweepError`s, which carry exit codes, and KeyboardInterrupt;
    whatever was embedded by then is kept.
    """
    if config.run.out is not None:
        prepare_folder(config.run.out)
    with timed("load the collection", on_event):
        collection = load(config)
    embeddings = embed_texts(config, collection, on_event)
    with timed("rank", on_event):
        ranks = rank_all(config, collection, embeddings, on_event)
    sweep = judge(Sweep(config=config, collection=collection, embeddings=embeddings, ranks=ranks))
    with timed("measure indexes", on_event):
        sweep = measure_indexes(sweep, on_event)
    with timed("report", on_event):
        report, data = summarise(sweep)
        folder = run_folder(config, collection.name, report.manifest)
        report = write_run(folder, report, data)
        if config.run.run_files:
            write_trec_runs(folder / "runs", sweep.ranks, data.query_ids, collection.documents.ids)
    on_event(Note(f"run written to {folder}"))
    return report


def load(config: SweepConfig) -> Collection:
    """The configured collection, checked."""
    table = config.collection
    options = LoadOptions(missing_docs=table.missing_docs, no_relevant=table.no_relevant, strict=config.run.strict)
    asked = table.split if "collection.split" in config.origins else None
    return load_collection(table.source or "", split=asked, options=options)


def embed_texts(config: SweepConfig, collection: Collection, on_event: OnEvent = ignore) -> Embeddings:
    """Full-size vectors of the collection, from the store where it has them."""
    embedder, store = open_model(config)
    embeddings = embed(collection, embedder, store, on_event=on_event)
    truncated = next((advice for advice in embeddings.warnings if advice.code.startswith("truncated-")), None)
    if truncated is not None and config.model.fail_on_truncation:
        raise InputError(
            truncated.message, "split long documents, take a model that reads more, or leave out --fail-on-truncation"
        )
    return embeddings


def open_model(config: SweepConfig) -> tuple[Embedder | VectorSource, Store]:
    """The configured model, which is not loaded yet, and the store for its vectors."""
    model, folder = config.model, config.run.store or default_store()
    options = ModelOptions(
        revision=model.revision,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        trust_remote_code=model.trust_remote_code,
        base_url=model.base_url,
        batch_size=model.batch_size,
        device=model.device,
        max_length=model.max_length,
        backend=model.backend,
        processes=model.processes,
        offline=config.run.offline,
        cache_dir=folder,
    )
    return open_embedder(model.name or "", options), Store(folder, dtype=config.run.store_dtype)


def rank_all(config: SweepConfig, collection: Collection, embeddings: Embeddings, on_event: OnEvent = ignore) -> Ranks:
    """One pass for the model's own prefixes, one more for each control basis."""
    vectors, n_threads = embeddings.documents, config.run.threads or available_threads()
    dims = candidate_dims(config.sweep.dims, vectors.dim, embeddings.trained_dims)
    kernel = open_kernel()
    if kernel.name != "numba":
        on_event(Note("ranking without compiled code: slower, the same result"))
    budget = config.run.max_memory
    options = RankOptions(
        similarity=config.sweep.similarity,
        depth=min(RUN_FILE_DEPTH if config.run.run_files else AGREEMENT_DEPTH, len(vectors)),
        own_rows=own_rows(collection) if config.sweep.exclude_identical else None,
        kernel=kernel,
        executor=LocalThreads(n_threads),
        shard_bytes=SHARD_BYTES if budget is None else min(SHARD_BYTES, budget // (4 * n_threads)),
    )
    passes = [rank(vectors, embeddings.queries, collection.qrels, dims, options, on_event=on_event)]
    smaller = [dim for dim in dims if dim < vectors.dim]
    controls = config.sweep.basis if smaller else ()
    for basis, rotation in rotations(controls, vectors, np.random.default_rng(SEED)):
        turned = rank(
            vectors, embeddings.queries, collection.qrels, smaller, options, basis=basis, rotation=rotation, on_event=on_event
        )
        passes.append(turned)
    return join(passes)


def judge(sweep: Sweep) -> Sweep:
    """Scores of every candidate, and the verdict on the exact prefixes."""
    decision = sweep.config.decision
    required = tuple(dict.fromkeys((decision.measures[0], *decision.require)))
    policy = Policy(required=required, retain=decision.retain, alpha=decision.alpha, decide_by=decision.decide_by)
    measures = tuple(dict.fromkeys((*decision.measures, *required)))
    scores = score(sweep.ranks, sweep.collection.qrels, measures, no_relevant=sweep.config.collection.no_relevant.value)
    clusters = cluster_labels(sweep.collection.queries.metadata, decision.cluster) if decision.cluster else None
    unfit = unfit_candidates(sweep)
    verdict = decide(scores, policy, clusters=clusters, unfit=unfit)
    return replace(sweep, scores=scores, policy=policy, verdict=verdict, clusters=clusters, unfit=unfit)


def unfit_candidates(sweep: Sweep) -> dict[Candidate, str]:
    """Candidates that fail whatever their scores, with the reason: nothing tells their documents apart."""
    ranks = sweep.ranks
    if any(advice.code == "collapsed-embeddings" for advice in sweep.embeddings.warnings):
        return dict.fromkeys(ranks.candidates, "collapsed embeddings: all document vectors are alike")
    if ranks.zero_prefixes is None:
        return {}
    full = max(candidate.dim for candidate in ranks.candidates)
    at_full = max(n for candidate, n in zip(ranks.candidates, ranks.zero_prefixes, strict=True) if candidate.dim == full)
    lost = {candidate: int(n - at_full) for candidate, n in zip(ranks.candidates, ranks.zero_prefixes, strict=True)}
    return {
        candidate: f"{n:,} documents have only zeros in their first {candidate.dim} dimensions"
        for candidate, n in lost.items()
        if n > ZERO_SHARE * ranks.n_documents
    }


def measure_indexes(sweep: Sweep, on_event: OnEvent = ignore) -> Sweep:
    """Build, weigh, time and search the index that would be deployed, at the sizes that matter."""
    specs = sweep.config.sweep.index
    if not specs:
        return sweep
    from mrl_sweep.indexing.measurement import IndexBudget, merge_measurements, which_sizes
    from mrl_sweep.indexing.measuring import measure_index

    collection, embeddings, similarity = sweep.collection, sweep.embeddings, sweep.config.sweep.similarity
    exact = [candidate.dim for candidate in sweep.ranks.candidates if candidate.basis == Basis.PREFIX]
    measured = [
        measure_index(
            embeddings.documents,
            embeddings.queries,
            dim,
            spec,
            similarity=similarity,
            qrels=collection.qrels,
            own_rows=own_rows(collection) if sweep.config.sweep.exclude_identical else None,
            depth=max(measure.cutoff or 0 for measure in (*sweep.scores.measures, *sweep.policy.required)) or RUN_FILE_DEPTH,
            budget=IndexBudget(threads=sweep.config.run.threads),
            exact=sweep.ranks,
            on_event=on_event,
        )
        for spec in specs
        for dim in which_sizes(exact, sweep.verdict.dimension)
    ]
    ranks = merge_measurements(sweep.ranks, measured)
    scores = score(ranks, collection.qrels, sweep.scores.measures, no_relevant=sweep.config.collection.no_relevant.value)
    return replace(sweep, ranks=ranks, scores=scores, indexes=tuple(measured))


@contextmanager
def timed(stage: str, on_event: OnEvent) -> Iterator[None]:
    """Tell the listener how long a stage took."""
    started = perf_counter()
    yield
    on_event(Timing(stage, perf_counter() - started))
