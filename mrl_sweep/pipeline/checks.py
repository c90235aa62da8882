"""Checks of a run: each raises InputError for options, data or vectors that do not fit, as early as that is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mrl_sweep.decision.units import check_fields
from mrl_sweep.deploying.findings import which_sizes
from mrl_sweep.deploying.funnels import parse_funnel
from mrl_sweep.deploying.index_spec import LIVE, parse_index
from mrl_sweep.deploying.targets import DEFAULT_TARGET, check_target, target_named
from mrl_sweep.embedding import Embedder, candidate_dims, known_facts
from mrl_sweep.embedding.protocol import GUESSED
from mrl_sweep.errors import InputError
from mrl_sweep.files import json_digest
from mrl_sweep.measures.measure import refuse_mixture
from mrl_sweep.pipeline.models import Model
from mrl_sweep.ranking.rescore import Rescore
from mrl_sweep.report.document import part_of
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import inputs_of
from mrl_sweep.types import FLOAT32, Collection, Embeddings, ModelFacts, Similarity
from mrl_sweep.words import printable

USUAL_SIZES: Final = (256, 384, 512, 768, 1024, 1536, 3072)
"""Sizes at which an index is tried while the model's own size is not known."""

_SWEPT: Final = ("dims", "basis", "precision", "rescore", "index", "exclude_identical", "similarity")
_SAID_BY_OTHERS: Final = ("precision", "similarity")
"""Settings that the target and the model decide where they are not given."""

_ZERO: Final = ("zero-documents", "zero-queries")


def check_settings(config: SweepConfig) -> None:
    """Raises InputError for settings that no run can follow, whatever the data."""
    check_complete(config)
    check_measures(config)
    check_precisions(config)
    check_rescore(config)
    check_executor(config)
    check_out(config)


def check_before_embedding(config: SweepConfig, collection: Collection, model: Model) -> None:
    """Raises InputError for settings that do not fit the data, the model, the run at `--out`, or sizes that are known by now."""
    check_data(config, collection)
    check_earlier(config, collection, model)
    check_verifiable(config, model)
    check_indexes(config, None, len(collection.documents))
    if (facts := known_facts(model.documents, model.store)) is not None:
        check_model(config, facts)
        check_sizes(config, facts.dim)
        planned = candidate_dims(config.sweep.dims, facts.dim, facts.trained_dims)
        check_indexes(config, which_sizes(planned, None), len(collection.documents))


def check_embedded(config: SweepConfig, embeddings: Embeddings) -> None:
    """Raises InputError, where strict, for zero vectors, which nothing can find; and for sizes that the vectors do not have."""
    check_vectors(config, embeddings)
    check_sizes(config, embeddings.documents.dim)


def check_complete(config: SweepConfig) -> None:
    """Raises InputError where no collection or no model is named."""
    check_collection(config)
    if config.model.name is None:
        raise InputError(
            "no model given",
            "give --model NAME (openai:, voyage:, cohere:, gemini:NAME, vectors:FOLDER ...); wordllama needs no download",
        )


def check_collection(config: SweepConfig) -> None:
    """Raises InputError where no collection is named."""
    if config.collection.source is None:
        hint = (
            "give --collection FOLDER, or --collection pydocs for Python's own documentation; `mrl-sweep demo` shows it at work"
        )
        raise InputError("no collection given", hint)


def check_single(config: SweepConfig) -> None:
    """Raises InputError where several collections are named for what takes one."""
    n = len(config.collection.sources)
    if n > 1:
        hint = "name one, or use `mrl_sweep.pipeline.run.run_each`"
        raise InputError(f"{n} collections are named, and this takes one", hint)


def check_part(config: SweepConfig) -> Path:
    """Returns the folder that all parts of a run share. Raises InputError where none is named, or several collections are."""
    if config.run.out is None:
        raise InputError("--part needs the folder that all parts share", "give --out DIR")
    if len(config.collection.sources) > 1:
        raise InputError("--part takes one collection", "run the parts of each collection with an --out of its own")
    return config.run.out


def check_embeds(model: Model) -> None:
    """Raises InputError where no model embeds, since all vectors were made elsewhere."""
    if not any(isinstance(one, Embedder) for one in (model.documents, model.queries)):
        message = f"{model.documents.name}: these vectors exist already"
        raise InputError(message, "there is nothing to embed; `mrl-sweep run` uses them")


def check_executor(config: SweepConfig) -> None:
    """Raises InputError where a cluster's address is given without `--executor`."""
    if config.run.address is not None and "run.executor" not in config.origins:
        raise InputError(f"{config.origins['run.address']} is of a Ray cluster, and threads here are to count", "--executor ray")


def check_precisions(config: SweepConfig) -> None:
    """Raises InputError for an unknown target, and for a precision that it does not have."""
    target = target_named(config.deploy.target)
    if target.name != DEFAULT_TARGET:  # float32 is what everything is held against, also where the target does not keep it
        check_target(target, [precision for precision in config.sweep.precision if precision != FLOAT32])


def check_out(config: SweepConfig) -> None:
    """Raises InputError where `--out` is an input of the run (FAULTS 55), or holds a run of another sweep."""
    out = config.run.out
    for path in inputs_of(config) if out is not None and out.is_dir() else ():
        if out is not None and os.path.realpath(path) == os.path.realpath(out):
            raise InputError(f"will not write the run to {out}: it is an input", "give --out another folder")
    _refuse_other_run(config, _other_settings)


def check_verifiable(config: SweepConfig, model: Model) -> None:
    """Raises InputError for `--verify-api` with a model that no vendor hosts."""
    if config.model.verify_api is None:
        return
    from mrl_sweep.embedding.hosted.model import HostedModel

    if not isinstance(model.documents, HostedModel):
        raise InputError(f"{model.documents.name} is no hosted model: there is nothing to verify", "leave --verify-api out")


def check_earlier(config: SweepConfig, collection: Collection, model: Model) -> None:
    """Raises InputError where `--out` holds a run of other data, another model or another sweep (FAULTS 67).

    Data and model are compared by content, not by name; the same run may be repeated, or asked for another share or measure.
    `--force` allows everything.
    """
    _refuse_other_run(config, lambda earlier, now: _other_settings(earlier, now) or _other_content(earlier, collection, model))


def _refuse_other_run(config: SweepConfig, differences: Callable[[Mapping[str, Any], SweepConfig], Sequence[str]]) -> None:
    from mrl_sweep.report.folder import holds_run, read_manifest

    out = config.run.out
    if out is None or config.run.force or not holds_run(out):
        return
    try:
        changes = "; ".join(differences(read_manifest(out), config))
    except InputError:  # a report of another version or a damaged one is not ours to throw away
        changes = "one that cannot be read"
    if changes:
        raise InputError(f"{out} holds another run ({printable(changes, 300)})", "give --out another folder, or --force")


def _other_settings(earlier: Mapping[str, Any], config: SweepConfig) -> list[str]:
    """Lists what was swept then and now, where that differs: another share or measure is answered from the same ranks."""
    then, now = part_of(earlier, "settings"), config.settings()
    keys = [f"sweep.{key}" for key in _SWEPT if f"sweep.{key}" in config.origins or key not in _SAID_BY_OTHERS]
    return [
        f"{key.partition('.')[2]} {_shown(then.get(key))}, now {_shown(now[key])}" for key in keys if then.get(key) != now[key]
    ]


def _other_content(earlier: Mapping[str, Any], collection: Collection, model: Model) -> list[str]:
    """Lists which of collection and models differ from those of the earlier run, by their digests."""
    data, embedder = part_of(earlier, "collection"), part_of(earlier, "model")
    now = {**collection.facts, "documents": len(collection.documents), "queries": len(collection.queries)}
    now["judgments"] = len(collection.qrels.rows)
    names = {"name": "", "source": ""}
    changes = []
    if json_digest({**data, **names}) != json_digest({**now, **names}):
        changes.append(
            f"collection {data.get('name', 'unknown')}, whose documents or judgments are not those of {collection.name} now"
        )
    query_model = embedder.get("query_model")
    queries_then = query_model.get("name", "none") if isinstance(query_model, Mapping) else "none"
    queries_now = "none" if model.queries is None else model.queries.name
    if queries_then != queries_now:
        changes.append(f"query model {queries_then}, now {queries_now}")
    elif json_digest(embedder.get("identity")) != json_digest(model.identity()):
        changes.append(
            f"model {embedder.get('name', 'unknown')}, whose weights or prompts are not those of {model.documents.name} now"
        )
    return changes


def _shown(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def check_rescore(config: SweepConfig) -> None:
    """Raises InputError for a rescoring where only float32 is measured, so that no code's answers can be ordered again."""
    given = "sweep.precision" in config.origins or config.deploy.target == DEFAULT_TARGET  # a target has codes of its own
    if config.sweep.rescore and given and set(config.sweep.precision) <= {FLOAT32}:
        raise InputError(
            f"--rescore {config.sweep.rescore[0]} orders the answers of codes again, and only float32 is measured",
            "add --precision int8, binary, ...; or leave --rescore out",
        )


def check_measures(config: SweepConfig) -> None:
    """Raises InputError for agreement mixed with quality, and for a measure that cannot be projected where that is wanted."""
    decision, label_free = config.decision, config.collection.label_free
    refuse_mixture((*decision.measures, *decision.require), label_free=label_free)
    if config.deploy.project_docs and not label_free:
        from mrl_sweep.projection.growth import refuse_unprojectable

        for measure in dict.fromkeys((decision.measures[0], *decision.require)):
            refuse_unprojectable(measure)


def check_data(config: SweepConfig, collection: Collection) -> None:
    """Raises InputError for fields that no query has, `--slice-retain` alone, or a grade that no judgment reaches (FAULTS 70)."""
    metadata = collection.queries.metadata
    check_fields(metadata, config.slices.slice, "--slice")
    if config.decision.cluster:
        check_fields(metadata, [config.decision.cluster], "--cluster")
    if config.slices.slice_retain is not None and not config.slices.slice:
        raise InputError("--slice-retain says what each slice must keep, and no slice is declared", "add --slice FIELD")
    if collection.label_free:
        return
    highest = int(collection.qrels.grades.max(initial=0))
    for measure in dict.fromkeys((*config.decision.measures, *config.decision.require)):
        if measure.rel > highest:
            raise InputError(
                f"{measure}: no judgment has a grade of {measure.rel} or more; the highest is {highest}",
                f"choose rel from 1 to {highest}",
            )


def check_model(config: SweepConfig, facts: ModelFacts) -> None:
    """Raises InputError, where strict, for facts of the model that had to be guessed."""
    guessed = [advice for advice in facts.warnings if advice.code in GUESSED]
    if config.run.strict and guessed:
        raise InputError(f"strict: {guessed[0].message}", guessed[0].hint)


def check_sizes(config: SweepConfig, full_dim: int) -> None:
    """Raises InputError for a funnel or a rescoring at a size above `full_dim`, the model's own."""
    for text in config.deploy.funnel:
        funnel = parse_funnel(text)
        if funnel.large > full_dim:
            raise InputError(
                f"funnel {text}: the model has {full_dim} dimensions", f"--funnel {funnel.small}:{funnel.shortlist}:{full_dim}"
            )
    for rescore in map(Rescore.parse, config.sweep.rescore):
        if rescore.dim is not None and rescore.dim > full_dim:
            raise InputError(
                f"rescoring {rescore}: the model has {full_dim} dimensions", f"--rescore {rescore.factor}x@{full_dim}"
            )


def check_truncation(config: SweepConfig, embeddings: Embeddings) -> None:
    """Raises InputError, with `--fail-on-truncation`, for texts that the model cut off; known once they are embedded."""
    truncated = next((advice for advice in embeddings.warnings if advice.code.startswith("truncated-")), None)
    if truncated is not None and config.model.fail_on_truncation:
        hint = "split long documents, take a model that reads more, or leave out --fail-on-truncation"
        raise InputError(truncated.message, hint)


def check_vectors(config: SweepConfig, embeddings: Embeddings) -> None:
    """Raises InputError, where strict, for texts whose vectors are all zeros: nothing can find them (FAULTS 59)."""
    faults: Sequence[str] = [advice.message for advice in embeddings.warnings if advice.code in _ZERO]
    if config.run.strict and faults:
        raise InputError(
            f"strict: {'; '.join(faults)}",
            "embed them again or leave them out; --no-strict counts them in the report",
        )


def check_indexes(config: SweepConfig, dims: Sequence[int] | None, n_documents: int) -> None:
    """Raises InputError for an index that cannot be built at any size, before hours of work lead up to it.

    `dims` None: the sizes are not known yet, so that only what no usual size allows is refused. An index that can be built at
    some sizes is left out at the others with its reason (`measure_deployed`); strict refuses it.
    """
    specs = [spec for spec in config.sweep.index if not parse_index(spec).is_flat]
    if not specs:
        return
    refuse_whole_rankings(config, specs)
    check_live(config)
    specs = [spec for spec in specs if not spec.startswith(LIVE)]
    from mrl_sweep.deploying.indexes.measuring import check_index

    for spec in specs:
        refused: list[InputError] = []
        for dim in dims or USUAL_SIZES:
            try:
                check_index(
                    spec,
                    dim,
                    similarity=config.sweep.similarity,
                    n_documents=n_documents,
                    strict=config.run.strict,
                    tried=dims is not None,
                )
            except InputError as error:
                refused.append(error)
        if refused and (len(refused) == len(dims or USUAL_SIZES) or (dims and config.run.strict)):
            raise refused[0]


def check_live(config: SweepConfig) -> None:
    """Raises InputError for a live database's index that is misspelt, has no `--dsn`, or is not searched by cosine."""
    from mrl_sweep.deploying.index_spec import LiveIndex

    live = [LiveIndex.parse(spec) for spec in config.sweep.index if spec.startswith(LIVE)]
    if live and config.deploy.dsn is None:
        raise InputError(f"{live[0]} is measured on a live PostgreSQL, and none is named", "--dsn postgresql://host/database")
    if live and config.sweep.similarity is not Similarity.COSINE:
        raise InputError(f"{live[0]} is measured with pgvector's cosine distance", "--similarity cosine, or another --index")


def refuse_whole_rankings(config: SweepConfig, specs: Sequence[str]) -> None:
    """Raises InputError for a measure without a cut-off beside an index, which returns a list and never the whole ranking."""
    decision = config.decision
    whole = [measure for measure in (*decision.measures, *decision.require) if measure.cutoff is None]
    if whole:
        raise InputError(
            f"{whole[0]} looks at the whole ranking, and {specs[0]} returns a list: what lies behind it would count as lost",
            f"give the measure a cut-off (--measure {whole[0]}@100), or measure no index but Flat (--index none)",
        )
