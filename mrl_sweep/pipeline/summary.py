"""The report of a sweep, gathered: slices, losers, agreement, costs, advice, and the manifest."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.decision.slices import (
    Slice,
    biggest_losers,
    declared_slices,
    judge_slices,
    length_slices,
    relevant_slices,
    search_slices,
    topic_slices,
)
from mrl_sweep.deploying.findings import findings_of, which_sizes
from mrl_sweep.deploying.targets import Target, target_advice, target_named
from mrl_sweep.measures.score import agreement
from mrl_sweep.pipeline.outlook import AGREEMENT_AT, judged_report, with_outlook
from mrl_sweep.pipeline.sweep import Sweep
from mrl_sweep.ranking.exact import TRAINING_ROWS
from mrl_sweep.report.content.build import each_once, loser_rows
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import LoserRow
from mrl_sweep.report.folder import RunData, mentioned_rows
from mrl_sweep.types import FLOAT32, SEED, Advice, Collection, Configuration, Qrels, Ranks, SliceRow

LOSERS: Final = 5
TIE_RULE: Final = "expectation over tied documents"
TIE_RULE_OF_LISTS: Final = "tied documents in the order of the corpus"
"""Agreement compares lists, which have to put tied documents somewhere: all sizes alike."""
_PACKAGES: Final = ("mrl-sweep", "numpy", "scipy", "numba", "faiss-cpu", "sentence-transformers", "torch")


def summarise(sweep: Sweep) -> tuple[Report, RunData]:
    """Gathers the report, and the run's ranks, judgments and names, which later commands read."""
    collection, deploy = sweep.collection, sweep.config.deploy
    target = target_named(deploy.target)
    data = run_data(collection, sweep.ranks)
    findings = findings_of(sweep, costs={one.candidate: one.cost for one in sweep.indexes}, agreements=agreements(sweep.ranks))
    report = replace(judged_report(sweep, findings, target, data.query_ids), manifest=manifest(sweep))
    report, advice, doubts = with_outlook(report, sweep, findings, target, deploy, sweep.funnels)
    report = replace(
        report,
        slices=slices_of(sweep),
        losers=losers_of(sweep, data),
        warnings=each_once(
            [
                *target_warnings(sweep, target),
                *collection_warnings(sweep),
                *sweep.embeddings.warnings,
                *advice,
                *(noticed for one in sweep.indexes for noticed in one.advice),
                *sweep.left_out,
                *doubts,
            ]
        ),
        excluded=dict(collection.excluded),
    )
    return report, data


def target_warnings(sweep: Sweep, target: Target) -> tuple[Advice, ...]:
    """Returns the target's advice on the ranked sizes and precisions: what does not fit, and at which sizes bytes fall."""
    exact = [configuration for configuration in sweep.ranks.candidates if configuration.is_exact]
    dims, precisions = sorted({c.dim for c in exact}), dict.fromkeys(c.precision for c in exact)
    return target_advice(target, dims, precisions, symmetric=target.compares_codes)


def collection_warnings(sweep: Sweep) -> tuple[Advice, ...]:
    """Returns the loader's warnings, without advice that the settings follow already."""
    taken = {"queries-are-documents"} if sweep.config.sweep.exclude_identical else set()
    return tuple(advice for advice in sweep.collection.warnings if advice.code not in taken)


def run_data(collection: Collection, ranks: Ranks) -> RunData:
    """Gathers the ranks with the judgments, and the ids, texts and titles of the queries and documents that they mention."""
    rows, queries = mentioned_rows(ranks, collection.qrels), collection.queries
    ids: Sequence[str] = collection.documents.ids
    take = getattr(ids, "take", None)  # ids that are stored compactly have a faster `take`
    return RunData(
        ranks=ranks,
        qrels=collection.qrels,
        query_ids=queries.ids,
        query_metadata=queries.metadata,
        query_texts=queries.texts,
        document_ids=dict(zip(rows, take(rows) if take else [ids[row] for row in rows], strict=True)),
        document_titles=dict(zip(rows, collection.documents.titles(rows), strict=True)),
    )


def agreements(ranks: Ranks) -> dict[Configuration, dict[int, float]]:
    """Returns, per candidate, by k the mean share of the full size's first k documents that are among its own."""
    k = min(AGREEMENT_AT, ranks.top.depth if ranks.top is not None else 0)
    if k == 0:
        return {}
    shares = agreement(ranks, k).mean(axis=1)
    return {candidate: {k: float(share)} for candidate, share in zip(ranks.candidates, shares, strict=True)}


def slices_of(sweep: Sweep) -> tuple[SliceRow, ...]:
    """Judges declared slices and those found in the queries, at each size that matters below full, each a search of its own.

    Without judgments there is no number of relevant documents to slice by.
    """
    from mrl_sweep.deploying.indexes.faiss_index import topic_labels

    queries, qrels, table = sweep.collection.queries, sweep.collection.qrels, sweep.config.slices
    fields = table.slice or tuple(sorted({key for entry in queries.metadata for key in entry}))
    n_relevant = np.bincount(qrels.queries[qrels.grades > 0], minlength=len(queries))
    slices: list[Slice] = [
        *declared_slices(queries.metadata, table.slice),
        *(s for field in fields if field not in table.slice for s in undeclared_slices(queries.metadata, field)),
        *length_slices(queries.texts),
        *(() if sweep.collection.label_free else relevant_slices(n_relevant)),
        *topic_slices(topic_labels(sweep.embeddings.queries), queries.texts),
    ]
    rows = search_slices(sweep.question, slices, sizes_below_full(sweep))
    return judge_slices(rows, alpha=sweep.policy.alpha)


def undeclared_slices(metadata: tuple[Mapping[str, Any], ...], field: str) -> tuple[Slice, ...]:
    """Returns the slices of an undeclared field, which no gate judges; none where hardly two queries share a value."""
    slices = declared_slices(metadata, (field,))
    if len(slices) > len(metadata) // 2:
        return ()
    return tuple(Slice(s.field, s.value, s.members) for s in slices)


def sizes_below_full(sweep: Sweep) -> list[Configuration]:
    """Returns the exact prefixes below full size; of a fine sweep those that matter (`which_sizes`)."""
    wanted = which_sizes([size.dim for size in sweep.sizes], sweep.verdict.dimension)
    return [size for size in sweep.sizes if size.dim in wanted and size != sweep.full]


def sizes_in_question(sweep: Sweep) -> list[Configuration]:
    """Returns the size that was chosen and the next smaller one, without full size."""
    at = next(i for i, size in enumerate(sweep.sizes) if size.dim == sweep.verdict.dimension)
    return [size for size in sweep.sizes[at : at + 2] if size != sweep.full]


def losers_of(sweep: Sweep, data: RunData) -> tuple[LoserRow, ...]:
    """Returns the queries that lose most at the chosen size, or at the first one below full where full size was chosen."""
    sizes = sizes_in_question(sweep)
    if not sizes:
        return ()
    measure = sweep.policy.required[0]
    losing = biggest_losers(sweep.scores, sizes[0], measure=measure, n=LOSERS, ranks=sweep.ranks)
    qrels = data.qrels
    judged = {int(row) for one in losing for row in qrels.rows[qrels.offsets[one.query] : qrels.offsets[one.query + 1]]}
    rows = sorted({row for one in losing for row in (*one.left, *one.came)} | judged - {Qrels.MISSING})
    excerpts = dict(zip(rows, sweep.collection.documents.excerpts(rows), strict=True))
    return loser_rows(losing, data, dim=sizes[0].dim, measure=measure, excerpts=excerpts)


def manifest(sweep: Sweep) -> dict[str, Any]:
    """Records what was run, on what, with which versions: enough to run it again and to refuse a wrong comparison."""
    collection, config = sweep.collection, sweep.config
    return {
        "label_free": collection.label_free,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "collection": {
            **collection.facts,
            "name": collection.name,
            "documents": len(collection.documents),
            "queries": len(collection.queries),
            "judgments": len(collection.qrels.rows),
        },
        "model": _model(sweep),
        "similarity": str(config.sweep.similarity),
        "identical_excluded": config.sweep.exclude_identical or collection.query_rows is not None,
        "tie_rule": TIE_RULE_OF_LISTS if collection.label_free else TIE_RULE,
        "unfit": {str(candidate): reason for candidate, reason in sweep.unfit.items()},
        **({"codes_trained_on": _training(len(collection.documents))} if set(config.sweep.precision) - {FLOAT32} else {}),
        "settings": config.settings(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _training(n_documents: int) -> dict[str, int]:
    """The sample that trained the codes: queries are never in it."""
    return {"documents": min(TRAINING_ROWS, n_documents), "of": n_documents, "seed": SEED}


def _model(sweep: Sweep) -> dict[str, Any]:
    """What the embeddings know of the models, under the names that were typed; passwords in them are blanked."""
    typed, model = sweep.config.settings(), dict(sweep.embeddings.model)
    if sweep.config.model.query_model is not None:
        model["query_model"] = {**model.get("query_model", {}), "name": typed["model.query_model"]}
    return {**model, "name": typed["model.name"]}


def _versions() -> dict[str, str]:
    """Returns the versions of the installed packages, read off the names of their `.dist-info` folders.

    importlib.metadata would parse the metadata in these as e-mails, which takes as long as all slices do.
    """
    installed: dict[str, str] = {}
    for place in sys.path:
        for folder in Path(place).glob("*-*.dist-info"):
            name, _, version = folder.stem.partition("-")
            installed.setdefault(name.replace("_", "-").lower(), version)
    return {package: installed[package] for package in _PACKAGES if package in installed}
