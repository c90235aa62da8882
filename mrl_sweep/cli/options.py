"""The options, each declared once; a command takes a group of them as `**flags`. Every one of `SweepFlags` is also a TOML key.

Values stay text here: `config` parses them, so that flag, environment and file are read by one reader with one set of errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict, TypeVar, get_type_hints

import typer

C = TypeVar("C", bound=Callable[..., Any])

_COLLECTION: Final = "Collection"
_MODEL: Final = "Model"
_SWEEP: Final = "Sweep"
_DECISION: Final = "Decision"
_DEPLOY: Final = "Deployment"
_RUN: Final = "Run"
_GATE: Final = "Gate"
_PLAN: Final = "Plan"
_TALK: Final = "Talk"

ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="CONFIG.toml", help="Settings; every option below may stand there.", show_default=False)
]


def _option(group: str, names: str, metavar: str | None, help_text: str, **more: Any) -> Any:
    return typer.Option(*names.split(), metavar=metavar, help=help_text, rich_help_panel=group, show_default=False, **more)


Strict = Annotated[bool | None, _option(_RUN, "--strict/--no-strict", None, "Refuse data that would be set aside and counted.")]
StoreFolder = Annotated[str | None, _option(_RUN, "--store", "DIR", "Where vectors are kept; default: your cache folder.")]
Offline = Annotated[bool | None, _option(_RUN, "--offline/--online", None, "Never ask the network.")]
OutFolder = Annotated[str | None, _option(_RUN, "--out", "DIR", "Where the run is written; default runs/NAME-DIGEST.")]
Threads = Annotated[str | None, _option(_RUN, "--threads", "N", "Default: all cores.")]


class TalkFlags(TypedDict, total=False):
    """How much is said."""

    quiet: Annotated[int, _option(_TALK, "-q --quiet", "", "Only the verdict; -qq: nothing, the exit code tells.", count=True)]
    verbose: Annotated[int, _option(_TALK, "-v --verbose", "", "What was found and how long each stage took.", count=True)]
    debug: Annotated[bool, _option(_TALK, "--debug", None, "Show the traceback of an error.")]


class OutputFlags(TalkFlags, total=False):
    """What is printed, and where to."""

    format: Annotated[str | None, _option(_RUN, "--format", "NAME", "text (default), json, markdown, html, github or junit.")]
    output: Annotated[str | None, _option(_RUN, "-o --output", "FILE", "Write that rendering to FILE instead of stdout.")]


class StoreFlags(TalkFlags, total=False):
    """What is embedded, and by what."""

    collection: Annotated[
        list[str] | None,
        _option(
            _COLLECTION,
            "--collection",
            "SPEC",
            "A BEIR folder, trec:, csv:, ir:, hf:, or pydocs: Python's own documentation. Repeatable.",
        ),
    ]
    split: Annotated[
        str | None, _option(_COLLECTION, "--split", "NAME", "Which judgments; default test, or the only ones there are.")
    ]
    missing_docs: Annotated[
        str | None,
        _option(
            _COLLECTION, "--missing-docs", "error|count", "A judged document that the corpus lacks: stop (default) or count."
        ),
    ]
    no_relevant: Annotated[
        str | None,
        _option(
            _COLLECTION, "--no-relevant", "exclude|zero", "A query without a relevant judgment: exclude (default) or score 0."
        ),
    ]
    label_free: Annotated[
        bool | None,
        _option(_COLLECTION, "--label-free/--judged", None, "No judgments: measure the agreement with the full size's top 10."),
    ]
    model: Annotated[
        str | None, _option(_MODEL, "--model", "SPEC", "A sentence-transformers name or folder, wordllama, or vectors:FOLDER.")
    ]
    revision: Annotated[str | None, _option(_MODEL, "--revision", "REV", "The model's revision.")]
    query_prompt: Annotated[
        str | None, _option(_MODEL, "--query-prompt", "TEXT", "Text before each query; default: the model's own.")
    ]
    document_prompt: Annotated[
        str | None, _option(_MODEL, "--document-prompt", "TEXT", "Text before each document; default: the model's own.")
    ]
    trust_remote_code: Annotated[
        bool | None, _option(_MODEL, "--trust-remote-code/--no-remote-code", None, "Run code that comes with the model.")
    ]
    base_url: Annotated[str | None, _option(_MODEL, "--base-url", "URL", "The server of a hosted model.")]
    batch_size: Annotated[str | None, _option(_MODEL, "--batch-size", "N", "Texts per call of the model.")]
    max_length: Annotated[str | None, _option(_MODEL, "--max-length", "N", "Tokens read of each text; default: the model's own.")]
    fail_on_truncation: Annotated[
        bool | None, _option(_MODEL, "--fail-on-truncation/--allow-truncation", None, "Refuse texts that the model cuts off.")
    ]
    processes: Annotated[str | None, _option(_MODEL, "--processes", "N", "Encode in that many processes; default 1.")]
    verify_api: Annotated[
        str | None,
        _option(_MODEL, "--verify-api", "N", "Ask a hosted model for N texts at a small size: is that the cut vector?"),
    ]
    price_per_million: Annotated[
        str | None, _option(_MODEL, "--price-per-million", "PRICE", "Per million tokens, for embed --dry-run.")
    ]
    device: Annotated[str | None, _option(_MODEL, "--device", "NAME", "cpu, cuda, mps; default: the best there is.")]
    backend: Annotated[str | None, _option(_MODEL, "--backend", "NAME", "torch (default), onnx or openvino.")]
    store: StoreFolder
    store_dtype: Annotated[str | None, _option(_RUN, "--store-dtype", "NAME", "float32 (default), or float16 for half the disk.")]
    offline: Offline
    strict: Strict


class EmbedFlags(StoreFlags, OutputFlags, total=False):
    """What filling the store takes."""


class DecisionFlags(TypedDict, total=False):
    """When a size is acceptable."""

    measure: Annotated[
        list[str] | None,
        _option(
            _DECISION, "--measure", "M", "Default nDCG@10, R@10, R@100, label-free Agreement@10; the first decides. Repeatable."
        ),
    ]
    require: Annotated[list[str] | None, _option(_DECISION, "--require", "M", "A measure that must pass as well. Repeatable.")]
    retain: Annotated[
        str | None, _option(_DECISION, "--retain", "SHARE", "The share of full size to keep: 0.98 (default) or 98%.")
    ]
    alpha: Annotated[str | None, _option(_DECISION, "--alpha", "RATE", "Error rate of the proof, one-sided; default 0.05.")]
    decide_by: Annotated[
        str | None,
        _option(_DECISION, "--decide-by", "bound|mean", "bound (default): proven; mean: measured only, and it says so."),
    ]
    cluster: Annotated[
        str | None,
        _option(_DECISION, "--cluster", "FIELD", "Queries that share this field's value count as one unit of evidence."),
    ]
    slice: Annotated[list[str] | None, _option(_DECISION, "--slice", "FIELD", "A field of the queries' metadata. Repeatable.")]
    slice_retain: Annotated[
        str | None, _option(_DECISION, "--slice-retain", "SHARE", "What every value of those fields must keep.")
    ]


class DecisionOutputFlags(DecisionFlags, OutputFlags, total=False):
    """What a command on finished runs takes."""


class SweepFlags(StoreFlags, DecisionFlags, OutputFlags, total=False):
    """Everything `run` takes."""

    dims: Annotated[
        str | None, _option(_SWEEP, "--dims", "SPEC", "auto (default): the sizes the model was trained for; 64,128,256; every:8.")
    ]
    basis: Annotated[
        list[str] | None, _option(_SWEEP, "--basis", "NAME", "prefix (default); pca and random as controls. Repeatable.")
    ]
    index: Annotated[
        list[str] | None, _option(_SWEEP, "--index", "SPEC", "FAISS factory string to measure, default Flat; none. Repeatable.")
    ]
    similarity: Annotated[str | None, _option(_SWEEP, "--similarity", "cosine|dot", "Default cosine.")]
    exclude_identical: Annotated[
        bool | None,
        _option(_SWEEP, "--exclude-identical/--keep-identical", None, "Leave out the document whose id is the query's."),
    ]
    out: OutFolder
    run_files: Annotated[bool | None, _option(_RUN, "--run-files/--no-run-files", None, "Also write TREC run files.")]
    threads: Threads
    max_memory: Annotated[str | None, _option(_RUN, "--max-memory", "SIZE", "For ranking, such as 4GiB.")]
    distractors: Annotated[
        str | None, _option(_COLLECTION, "--distractors", "FILE", "More documents, unjudged: JSON lines as in corpus.jsonl.")
    ]
    funnel: Annotated[
        list[str] | None,
        _option(_DEPLOY, "--funnel", "S:N:L", "Measure a funnel: N documents found at S dimensions, reranked at L. Repeatable."),
    ]
    budget_ms: Annotated[
        list[str] | None, _option(_DEPLOY, "--budget-ms", "MS", "The best configuration with a p99 up to MS. Repeatable.")
    ]
    budget_gib: Annotated[
        list[str] | None, _option(_DEPLOY, "--budget-gib", "GIB", "The best configuration up to this index size. Repeatable.")
    ]
    project_docs: Annotated[
        list[str] | None,
        _option(_DEPLOY, "--project-docs", "N", "What each size will keep in a corpus of N documents: 10M. Repeatable."),
    ]
    keep_indexes: Annotated[
        bool | None, _option(_DEPLOY, "--keep-indexes/--drop-indexes", None, "Keep built indexes beside the store for reuse.")
    ]
    executor: Annotated[str | None, _option(_RUN, "--executor", "local", "Where ranking runs.")]


class GateFlags(DecisionFlags, OutputFlags, total=False):
    """What the gate asks; where it starts from a configuration, that says what to run."""

    strict: Strict
    store: StoreFolder
    offline: Offline
    out: OutFolder
    threads: Threads
    dim: Annotated[str | None, _option(_GATE, "--dim", "N", "The size in production: it must still be acceptable.")]
    max_dim: Annotated[str | None, _option(_GATE, "--max-dim", "N", "Some size up to N must be acceptable.")]
    on_inconclusive: Annotated[
        str | None,
        _option(_GATE, "--on-inconclusive", "fail|warn|pass", "Where the queries cannot tell: exit 4 (default), warn, pass."),
    ]
    baseline: Annotated[str | None, _option(_GATE, "--baseline", "RUN", "An earlier run: a proven regression against it fails.")]
    baseline_optional: Annotated[
        bool | None, _option(_GATE, "--baseline-optional/--baseline-required", None, "Go on where there is no baseline yet.")
    ]
    max_regression: Annotated[
        str | None, _option(_GATE, "--max-regression", "LOSS", "What may be lost against the baseline: 0.01 (default) or 1%.")
    ]


class PlanFlags(DecisionFlags, OutputFlags, total=False):
    """What is planned for; the prices are yours, in your currency."""

    docs: Annotated[str | None, _option(_PLAN, "--docs", "N", "Documents of the planned corpus: 50M.")]
    plan_index: Annotated[
        list[str] | None, _option(_PLAN, "--index", "SPEC", "Default: those that the run measured. Repeatable.")
    ]
    replicas: Annotated[
        str | None, _option(_PLAN, "--replicas", "N", "Copies of the index, default 1; more where --qps needs them.")
    ]
    qps: Annotated[str | None, _option(_PLAN, "--qps", "N", "Queries a second to be served.")]
    price_gib_month: Annotated[str | None, _option(_PLAN, "--price-gib-month", "PRICE", "Of a GiB of memory.")]
    price_disk_gib_month: Annotated[str | None, _option(_PLAN, "--price-disk-gib-month", "PRICE", "Of a GiB of disk.")]
    machine_memory: Annotated[str | None, _option(_PLAN, "--machine-memory", "SIZE", "Of one machine, such as 64GiB.")]
    machine_price_month: Annotated[str | None, _option(_PLAN, "--machine-price-month", "PRICE", "Of one machine.")]
    headroom: Annotated[str | None, _option(_PLAN, "--headroom", "SHARE", "Memory of a machine that stays free, default 0.2.")]
    documents_per_second: Annotated[str | None, _option(_PLAN, "--documents-per-second", "N", "Rate of embedding.")]
    tokens_per_document: Annotated[str | None, _option(_PLAN, "--tokens-per-document", "N", "For the price of embedding.")]
    price_per_million: Annotated[
        str | None, _option(_PLAN, "--price-per-million", "PRICE", "Of a hosted model, per million tokens.")
    ]


def takes(group: type) -> Callable[[C], C]:
    """Give a command the options of a group: its `**flags` become keyword parameters, which typer can read."""

    def declare(command: C) -> C:
        own = inspect.signature(command, eval_str=True)
        fixed = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        named = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=0 if hint.__origin__ is int else None, annotation=hint
            )
            for name, hint in get_type_hints(group, include_extras=True).items()
        ]
        vars(command)["__signature__"] = own.replace(parameters=[*fixed, *named])
        return command

    return declare
