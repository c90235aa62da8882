"""The main job, start to end: a collection becomes embeddings, ranks, scores, a verdict, a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Final

from mrl_sweep.collection import LoadOptions, load_collection
from mrl_sweep.decision.queries_needed import queries_for_share, strictest_words
from mrl_sweep.decision.units import cluster_labels, count_units
from mrl_sweep.deploying.findings import which_sizes
from mrl_sweep.deploying.targets import DEFAULT_TARGET, target_named
from mrl_sweep.embedding import Embedder, VectorSource, candidate_dims, embed
from mrl_sweep.errors import naming
from mrl_sweep.events import Note, OnEvent, Stage, Timing, ignore
from mrl_sweep.execution.parts import open_checkpoint
from mrl_sweep.files import prepare_folder
from mrl_sweep.pipeline.checks import (
    check_before_embedding,
    check_data,
    check_earlier,
    check_embedded,
    check_executor,
    check_indexes,
    check_measures,
    check_settings,
    check_single,
    check_truncation,
)
from mrl_sweep.pipeline.models import Model, embed_there, open_model
from mrl_sweep.pipeline.outlook import bounded_funnels
from mrl_sweep.pipeline.summary import summarise
from mrl_sweep.pipeline.sweep import SweepInputs, judge_sweep, measure_deployed, rank_all
from mrl_sweep.ranking.codes.precision import HAMMING
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.report.document import Report
from mrl_sweep.report.exports import write_trec_runs
from mrl_sweep.report.folder import RUNS_FILE, write_rotation, write_run, write_runs
from mrl_sweep.settings import table as settings
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import local_store, readable, run_folder
from mrl_sweep.types import FLOAT32, Advice, Collection, Embeddings, Similarity
from mrl_sweep.words import asked_share, queries_of

LABEL_FREE_RETAIN: Final = 0.85
"""The share of agreement that a label-free run must keep by default.

An agreement of 98% hardly ever comes below full size, and quality does not ask for it: where there were judgments,
sizes that returned 85% of full size's top 10 kept 98.2% (WordLlama, Python's documentation) and 99.9% of nDCG@10
(text-embedding-3-small, LoCoMo).
"""


def run(config: SweepConfig, on_event: OnEvent = ignore) -> Report:
    """Does the main job as configured; returns its report, which is also written to the run folder (`Report.folder`).

    Texts that the store holds are not embedded again. Raises `MrlSweepError`s, which carry exit codes, and KeyboardInterrupt;
    whatever was embedded and ranked by then is kept.
    """
    check_settings(config)
    if config.run.out is not None:
        prepare_folder(config.run.out)
    with timed("load the collection", on_event):
        collection = load(config, on_event)
    with executor_of(config, on_event) as executor:
        return run_on(config, collection, open_model(config), on_event, executor)


def run_each(config: SweepConfig, on_event: OnEvent = ignore) -> Mapping[str, Report]:
    """Does the main job for every configured collection, with one model and store; returns the reports by name, in order.

    One collection alone has no name (`""`). Several are all loaded and checked before anything is embedded, so that the last
    one's mistake does not cost the work on the others; each is let go when its run is written. With `run.out` their runs lie in
    folders below it, beside a list by which `gate` and `report` find them again. Raises what `run` raises, with the collection
    named in the message; the runs that were written by then stay.
    """
    if len(config.collection.sources) < 2:
        return {"": run(config, on_event)}
    check_settings(config)
    if config.run.out is not None:
        prepare_folder(config.run.out)
        (config.run.out / RUNS_FILE).unlink(missing_ok=True)
    each = config.each()
    with timed("load the collections", on_event):
        waiting = [load(one, on_event) for one in each]
    names = labels(waiting, config.collection.sources)
    folders = folders_of(names, config.run.out)
    model = open_model(config)
    for name, one, collection in zip(names, each, waiting, strict=True):
        with naming(name):
            check_data(one, collection)
            check_earlier(one.replaced("run", "out", folders[name]), collection, model)
    reports: dict[str, Report] = {}
    with executor_of(config, on_event) as executor:
        for number, (name, one) in enumerate(zip(names, each, strict=True), start=1):
            on_event(Note(f"collection {number} of {len(names)}: {name}"))
            with naming(name):
                placed = one.replaced("run", "out", folders[name])
                reports[name] = run_on(placed, waiting.pop(0), model, on_event, executor)
    if config.run.out is not None:
        write_runs(config.run.out, {name: folder for name, folder in folders.items() if folder is not None})
    return reports


def labels(collections: Sequence[Collection], sources: Sequence[str]) -> list[str]:
    """Returns the name of each collection, or all that was typed for it where two have the same name."""
    names = [collection.name for collection in collections]
    return [source if names.count(name) > 1 else name for name, source in zip(names, sources, strict=True)]


def folders_of(names: Sequence[str], out: Path | None) -> dict[str, Path | None]:
    """Returns, by name, a folder below `out`, with a number where two would be spelled alike; None for each without `out`."""
    folders: dict[str, Path | None] = {}
    for name in names:
        folder, number = out and out / readable(name), 1
        while folder is not None and folder in folders.values():
            number += 1
            folder = folder.with_name(f"{readable(name)}-{number}")
        folders[name] = folder
    return folders


def in_the_targets_terms(config: SweepConfig) -> SweepConfig:
    """Returns the configuration with float32 and the precisions that its target offers, where none were given."""
    target = target_named(config.deploy.target)
    if target.name == DEFAULT_TARGET:
        return config
    own = [one for one in target.precisions if one != HAMMING or not target.compares_codes]  # `binary` is the same there
    return config.unless_given("sweep", "precision", tuple(dict.fromkeys((FLOAT32, *own))))


def run_on(
    config: SweepConfig,
    collection: Collection,
    model: Model,
    on_event: OnEvent,
    executor: Executor | None,
    *,
    resume: bool = True,
) -> Report:
    """Does the main job on a loaded collection, with a model that may serve other collections too; as `run` otherwise.

    `executor` None counts with threads of this process; `resume` goes on from the partial counts of an interrupted run.
    """
    inputs = embed_checked(config, collection, model, on_event, executor)
    config = inputs.config
    checkpoint = open_checkpoint(local_store(config), inputs.embeddings.documents, on_event)
    with timed("rank", on_event):
        ranks, rotation = rank_all(inputs, on_event, checkpoint if resume else None, executor)
    sweep = judge_sweep(inputs, ranks, rotation)
    with timed("measure indexes", on_event):
        sweep = replace(sweep, funnels=bounded_funnels(sweep, config.deploy.funnel))
        sweep = measure_deployed(sweep, on_event)
    with timed("report", on_event):
        report, data = summarise(sweep)
        folder = run_folder(config, collection.name, report.manifest)
        if config.run.run_files:
            _, encoded = write_trec_runs(folder / "runs", sweep.ranks, data.query_ids, collection.documents.ids)
            # First, since the text shows three warnings: run files were asked for by name, and with encoded ids, evaluated
            # as they are, they find nothing.
            report = replace(report, warnings=(*encoded, *report.warnings))
        report = write_run(folder, report.accepting(config.run.accept), data)
        if sweep.rotation is not None:
            write_rotation(folder / "rotation.npy", sweep.rotation)
    checkpoint.clear()
    on_event(Note(f"run written to {folder}"))
    return report


def executor_of(config: SweepConfig, on_event: OnEvent) -> AbstractContextManager[Executor | None]:
    """Opens the configured executor for as long as the block lasts; None stands for threads, which each ranking makes."""
    check_executor(config)
    if config.run.executor == settings.ExecutorName.LOCAL:
        return nullcontext()
    from mrl_sweep.execution.ray import joined

    return joined(config.run.address, n_threads=config.run.threads, device=config.model.device, on_event=on_event)


def embed_checked(
    config: SweepConfig, collection: Collection, model: Model, on_event: OnEvent, executor: Executor | None
) -> SweepInputs:
    """Embeds the collection and chooses the sizes to rank; completes the configuration with the model's own similarity.

    Raises InputError for what does not fit sizes or indexes; before anything is embedded, where the sizes are known by then.
    """
    config = in_the_targets_terms(config)
    if collection.label_free:
        config = config.unless_given("decision", "retain", LABEL_FREE_RETAIN)
    check_before_embedding(config, collection, model)
    on_event(Note(provable(config, collection)))
    embeddings = embed_texts(config, collection, model, on_event, executor)
    check_embedded(config, embeddings)
    if (own := embeddings.model.get("similarity")) in list(Similarity):
        config = config.unless_given("sweep", "similarity", Similarity(own))
    dims = sizes(config, embeddings)
    if not isinstance(model.documents, Embedder) and config.sweep.dims == "auto":
        chosen = ", ".join(map(str, dims[::-1]))
        on_event(Note(f"sizes {chosen}: halved, for vectors do not say what their model was trained for; --dims chooses others"))
    check_indexes(config, which_sizes(dims, None), len(collection.documents))
    return SweepInputs(config, collection, embeddings, dims)


def provable(config: SweepConfig, collection: Collection) -> str:
    """Says what the queries, or the clusters that they make, could prove at the most, before anything is embedded."""
    decision, n = config.decision, len(collection.queries)
    if decision.cluster:
        n = count_units(cluster_labels(collection.queries.metadata, decision.cluster))
    words = strictest_words(n, noun=queries_of(collection, clustered=bool(decision.cluster)), alpha=decision.alpha)
    needed = queries_for_share(decision.retain, alpha=decision.alpha)
    if needed is None or n >= needed:
        return words
    return f"{words}; {asked_share(decision.retain)} takes {needed:,}"


def load(config: SweepConfig, on_event: OnEvent = ignore) -> Collection:
    """Loads the configured collection, checked. Raises InputError before it is read where the measures do not fit it."""
    table = config.collection
    check_measures(config)
    check_single(config)
    options = LoadOptions(
        missing_docs=table.missing_docs,
        no_relevant=table.no_relevant,
        strict=config.run.strict,
        distractors=table.distractors,
        label_free=table.label_free,
    )
    split = table.split if "collection.split" in config.origins else None
    return load_collection("".join(table.sources), split=split, options=options, on_event=on_event)


def embed_texts(
    config: SweepConfig, collection: Collection, model: Model, on_event: OnEvent, executor: Executor | None
) -> Embeddings:
    """Returns full-size vectors of the collection, from the store where it has them; a cluster's nodes embed what is missing."""
    on_event(Stage("start the model"))
    if executor is not None:
        embed_there(config, executor, collection, model, on_event)
    embeddings = embed(collection, model.documents, model.store, query_model=model.queries, on_event=on_event)
    check_truncation(config, embeddings)
    return verified(config, collection, model.documents, embeddings) if config.model.verify_api else embeddings


def verified(
    config: SweepConfig, collection: Collection, embedder: Embedder | VectorSource, embeddings: Embeddings
) -> Embeddings:
    """Adds to the embeddings whether a hosted model's own vectors of the sweep's smallest size are the cut full vectors."""
    from mrl_sweep.embedding.hosted.model import NoSuchSize
    from mrl_sweep.embedding.hosted.verify import verify_api, verify_codes

    texts = list(collection.documents.texts(0, min(config.model.verify_api or 0, len(collection.documents))))
    try:
        smallest = min(sizes(config, embeddings))
        check = verify_api(embedder, texts, smallest)
        codes = verify_codes(embedder, texts, smallest, config.sweep.precision)
    except NoSuchSize as refusal:  # the full size is all that a sweep needs
        hint = "what this sweep says holds for vectors cut by you"
        return replace(embeddings, warnings=(*embeddings.warnings, Advice("api-no-size", refusal.message, hint)))
    finally:
        if isinstance(embedder, Embedder):
            embedder.close()
    model = {**embeddings.model, "api_verified": check.to_json(), "codes_verified": [code.to_json() for code in codes]}
    said = (check.advice, *(code.advice for code in codes))
    return replace(embeddings, model=model, warnings=(*embeddings.warnings, *said))


def sizes(config: SweepConfig, embeddings: Embeddings) -> tuple[int, ...]:
    """Returns the sizes that the sweep tries with this model, ascending, the full size last."""
    return candidate_dims(config.sweep.dims, embeddings.documents.dim, embeddings.trained_dims)


@contextmanager
def timed(stage: str, on_event: OnEvent) -> Iterator[None]:
    """Tells the listener that a stage begins, and how long it took."""
    on_event(Stage(stage))
    started = perf_counter()
    yield
    on_event(Timing(stage, perf_counter() - started))
