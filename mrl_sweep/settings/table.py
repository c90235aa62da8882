"""The table of settings: one row each, which the options, the configuration, the messages and the reference are read off.

A new setting is a new row: a field of the table that it stands under in a TOML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, get_type_hints

from mrl_sweep.decision.policy import DecideBy
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.record import record
from mrl_sweep.settings.parsing import (
    choice_of,
    list_of,
    parse_above_zero,
    parse_code,
    parse_count,
    parse_device,
    parse_dims,
    parse_indexes,
    parse_level,
    parse_loss,
    parse_number,
    parse_path,
    parse_positive,
    parse_precisions,
    parse_rescore,
    parse_share,
    parse_size,
    parse_sources,
    parse_store,
    parse_text,
    some,
)
from mrl_sweep.settings.setting import Setting, SettingsTable, choice, setting, several, switch
from mrl_sweep.types import FLOAT32, Basis, Format, Measure, MissingDocs, NoRelevant, Similarity


class StoreDtype(StrEnum):
    """How a component is stored: float16 takes half the disk."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Backend(StrEnum):
    """What runs a local model."""

    TORCH = "torch"
    ONNX = "onnx"
    OPENVINO = "openvino"


class ExecutorName(StrEnum):
    """Where ranking runs: threads of this machine, or a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


class OnInconclusive(StrEnum):
    """What the gate does where the queries cannot tell: exit with code 4, pass with a warning, or pass."""

    FAIL = "fail"
    WARN = "warn"
    PASS = "pass"


_measures = list_of(parse_measure, ", ")


@record(kw_only=True, slots=False)
class CollectionTable(SettingsTable, panel="Collection"):
    """[collection]: what is searched, and by which judgments it is measured; `split` None is `test`, or the only one there is.

    `source` is one collection, or several that are asked the same question. `label_free` reads no judgments: what is measured
    then is the agreement with full size, on every query.
    """

    source: str | tuple[str, ...] | None = setting(
        "--collection",
        "SPEC",
        parse_sources,
        None,
        "A BEIR folder, trec:, csv:, ir:, hf:, or pydocs: Python's own documentation.",
        repeatable=True,
        relative="spec",
    )
    split: str | None = setting("--split", "NAME", parse_text, None, "Which judgments; default test, or the only ones there are.")
    distractors: Path | None = setting(
        "--distractors", "FILE", parse_path, None, "More documents, unjudged: JSON lines as in corpus.jsonl.", relative="path"
    )
    missing_docs: MissingDocs = choice(
        "--missing-docs", MissingDocs, MissingDocs.ERROR, "A judged document that the corpus lacks: stop (default) or count."
    )
    no_relevant: NoRelevant = choice(
        "--no-relevant", NoRelevant, NoRelevant.EXCLUDE, "A query without a relevant judgment: exclude (default) or score 0."
    )
    label_free: bool = switch("--label-free/--judged", "No judgments: measure the agreement with the full size's top 10.")

    @property
    def sources(self) -> tuple[str, ...]:
        """The collections, however many are named."""
        return self.source if isinstance(self.source, tuple) else () if self.source is None else (self.source,)


@record(kw_only=True, slots=False)
class ModelTable(SettingsTable, panel="Model"):
    """[model]: the models of documents and queries, and the options that their providers take."""

    name: str | None = setting(
        "--model",
        "SPEC",
        parse_text,
        None,
        "A sentence-transformers name or folder, wordllama, openai:, voyage:, cohere:, gemini:NAME, vectors:FOLDER or "
        "pgvector:DSN?table=NAME.",
        relative="spec",
    )
    query_model: str | None = setting(
        "--query-model",
        "SPEC",
        parse_text,
        None,
        "Another model of the same space for the queries: voyage:voyage-4-lite beside voyage:voyage-4-large.",
        relative="spec",
    )
    revision: str | None = setting("--revision", "REV", parse_text, None, "The model's revision.")
    query_prompt: str | None = setting("--query-prompt", "TEXT", str, None, "Text before each query; default: the model's own.")
    document_prompt: str | None = setting(
        "--document-prompt", "TEXT", str, None, "Text before each document; default: the model's own."
    )
    trust_remote_code: bool = switch("--trust-remote-code/--no-remote-code", "Run code that comes with the model.")
    base_url: str | None = setting("--base-url", "URL", parse_text, None, "The server of a hosted model.")
    batch_size: int | None = setting("--batch-size", "N", parse_positive, None, "Texts per call of the model.")
    max_length: int | None = setting(
        "--max-length", "N", parse_positive, None, "Tokens read of each text; default: the model's own."
    )
    fail_on_truncation: bool = switch("--fail-on-truncation/--allow-truncation", "Refuse texts that the model cuts off.")
    device: str | None = setting("--device", "NAME", parse_device, None, "cpu, cuda, mps; default: the best there is.")
    backend: Backend = choice("--backend", Backend, Backend.TORCH, "torch (default), onnx or openvino.", metavar="NAME")
    processes: int = setting("--processes", "N", parse_positive, 1, "Encode in that many processes; default 1.")
    verify_api: int | None = setting(
        "--verify-api", "N", parse_positive, None, "Ask a hosted model for N texts at a small size: is that the cut vector?"
    )
    price_per_million: float | None = setting(
        "--price-per-million", "PRICE", parse_number, None, "Of a hosted model, per million tokens: for a dry run and a plan."
    )


@record(kw_only=True, slots=False)
class SweepTable(SettingsTable, panel="Sweep"):
    """[sweep]: which candidates are tried. `dims` is `"auto"`, `"every:N"` or sizes from large to small."""

    dims: str | tuple[int, ...] = setting(
        "--dims", "SPEC", parse_dims, "auto", "auto (default): the sizes the model was trained for; 64,128,256; every:8."
    )
    basis: tuple[Basis, ...] = several(
        "--basis",
        "NAME",
        some(list_of(choice_of(Basis), ", "), "a basis", "write prefix, pca or random"),
        "prefix (default); pca and random as controls.",
        default=(Basis.PREFIX,),
    )
    precision: tuple[str, ...] = several(
        "--precision",
        "NAME",
        parse_precisions,
        "float32 (default), float16, int8, int4, rabitq, binary, all, or a FAISS code string: SQtqmse2.",
        default=(FLOAT32,),
    )
    rescore: tuple[str, ...] = several(
        "--rescore",
        "N",
        list_of(parse_rescore, ", "),
        "Every code also with a shortlist N times as long, ordered again by full vectors: 4x, 4x@768.",
    )
    index: tuple[str, ...] = several(
        "--index", "SPEC", parse_indexes, "FAISS factory string to measure, default Flat; none.", default=("Flat",)
    )
    similarity: Similarity = choice("--similarity", Similarity, Similarity.COSINE, "Default cosine.")
    exclude_identical: bool = switch("--exclude-identical/--keep-identical", "Leave out the document whose id is the query's.")


@record(kw_only=True, slots=False)
class DecisionTable(SettingsTable, panel="Decision"):
    """[decision]: when a size is acceptable. The first measure decides, those of `require` must pass as well.

    Queries with the same value of the field `cluster` count as one unit of evidence.
    """

    measures: tuple[Measure, ...] = several(
        "--measure",
        "M",
        some(_measures, "a measure", "write nDCG@10, R@100 or another"),
        "Default nDCG@10, R@10, R@100, label-free Agreement@10; the first decides.",
        default=(Measure("nDCG", 10), Measure("R", 10), Measure("R", 100)),
    )
    require: tuple[Measure, ...] = several("--require", "M", _measures, "A measure that must pass as well.")
    retain: float = setting(
        "--retain", "SHARE", parse_share, 0.98, "The share of full size to keep: 0.98 (default; 0.85 label-free) or 98%."
    )
    alpha: float = setting("--alpha", "RATE", parse_level, 0.05, "Error rate of the proof, one-sided; default 0.05.")
    decide_by: DecideBy = choice(
        "--decide-by", DecideBy, DecideBy.BOUND, "bound (default): proven; mean: measured only, and it says so."
    )
    cluster: str | None = setting(
        "--cluster", "FIELD", parse_text, None, "Queries that share this field's value count as one unit of evidence."
    )


@record(kw_only=True, slots=False)
class SlicesTable(SettingsTable, panel="Decision"):
    """[slices]: fields of a query's metadata; with `slice_retain`, what each value of a declared field must keep."""

    slice: tuple[str, ...] = several("--slice", "FIELD", list_of(parse_text), "A field of the queries' metadata.")
    slice_retain: float | None = setting(
        "--slice-retain", "SHARE", parse_share, None, "What every value of those fields must keep."
    )


@record(kw_only=True, slots=False)
class RunTable(SettingsTable, panel="Run"):
    """[run]: where things lie and how much of the machine may be used; sizes in bytes, None: decided where it is needed."""

    store: Path | str | None = setting(
        "--store",
        "URI",
        parse_store,
        None,
        "Where vectors are kept: a folder, s3:// or gs://; default: your cache folder.",
        relative="path",
    )
    store_dtype: StoreDtype = choice(
        "--store-dtype", StoreDtype, StoreDtype.FLOAT32, "float32 (default), or float16 for half the disk.", metavar="NAME"
    )
    out: Path | None = setting(
        "--out", "DIR", parse_path, None, "Where the run is written; default runs/NAME-DIGEST.", relative="path"
    )
    format: Format = choice(
        "--format",
        Format,
        Format.TEXT,
        "text (default), json, markdown, html, github, junit; ship: what to paste.",
        metavar="NAME",
    )
    output: Path | None = setting(
        "-o --output", "FILE", parse_path, None, "Write that rendering to FILE instead of stdout.", relative="path"
    )
    force: bool = switch("--force/--no-force", "Let --out replace another run.")
    run_files: bool = switch("--run-files/--no-run-files", "Also write TREC run files.")
    offline: bool = switch("--offline/--online", "Never ask the network.")
    strict: bool = switch("--strict/--no-strict", "Refuse data that would be set aside and counted.")
    accept: tuple[str, ...] = several(
        "--accept", "CODE", list_of(parse_code, ", "), "A warning that is known: counted, not shown (docs/codes.md)."
    )
    threads: int | None = setting("--threads", "N", parse_positive, None, "Default: all cores.")
    max_memory: int | None = setting("--max-memory", "SIZE", parse_size, None, "For ranking, such as 4GiB.")
    executor: ExecutorName = choice(
        "--executor", ExecutorName, ExecutorName.LOCAL, "Where ranking runs: threads here (default), or Ray."
    )
    address: str | None = setting(
        "--address", "A", parse_text, None, "Of the Ray cluster: auto, HOST:PORT or ray://HOST:10001; default RAY_ADDRESS."
    )


@record(kw_only=True, slots=False)
class GateTable(SettingsTable, panel="Gate"):
    """[gate]: `dim` or `config` must be acceptable, or some size up to `max_dim`, or something of at most `max_bytes` a vector.

    With none of them, the baseline's size, or some size below full.

    Against a `baseline` run, a proven loss of more than `max_regression` (a share of the earlier mean) fails.
    """

    dim: int | None = setting("--dim", "N", parse_positive, None, "The size in production: it must still be acceptable.")
    max_dim: int | None = setting("--max-dim", "N", parse_positive, None, "Some size up to N must be acceptable.")
    max_bytes: int | None = setting(
        "--max-bytes", "N", parse_positive, None, "Some configuration of at most N bytes a vector must be proven."
    )
    config: str | None = setting(
        "--config", "C", parse_text, None, "This configuration must still be acceptable: 512:binary:exact:rescore=4x."
    )
    on_inconclusive: OnInconclusive = choice(
        "--on-inconclusive", OnInconclusive, OnInconclusive.FAIL, "Where the queries cannot tell: exit 4 (default), warn, pass."
    )
    baseline: Path | None = setting(
        "--baseline", "RUN", parse_path, None, "An earlier run: a proven regression against it fails.", relative="path"
    )
    baseline_optional: bool = switch("--baseline-optional/--baseline-required", "Go on where there is no baseline yet.")
    allow: tuple[str, ...] = several(
        "--allow", "KIND", list_of(parse_text, ", "), "Data set aside that is accepted: empty-documents …"
    )
    max_regression: float = setting(
        "--max-regression", "LOSS", parse_loss, 0.01, "What may be lost against the baseline: 0.01 (default) or 1%."
    )


@record(kw_only=True, slots=False)
class DeployTable(SettingsTable, panel="Deployment"):
    """[deploy]: what the deployed system is to be: funnels `SMALL:SHORTLIST:LARGE` to measure, budgets to meet (p99 in ms, index
    in GiB), corpus sizes to project to; `keep_indexes` keeps what was built beside the store.
    """

    target: str = setting(
        "--target",
        "NAME",
        parse_text,
        "faiss",
        "The database: its limits, precisions, bytes, statements. Default faiss; pgvector …",
    )
    dsn: str | None = setting(
        "--dsn",
        "DSN",
        parse_text,
        None,
        "Of the PostgreSQL that --index pgvector:hnsw is measured on: postgresql://host/database.",
    )
    funnel: tuple[str, ...] = several(
        "--funnel", "S:N:L", list_of(parse_text), "Measure a funnel: N documents found at S dimensions, reranked at L."
    )
    budget_ms: tuple[float, ...] = several(
        "--budget-ms", "MS", list_of(parse_above_zero, ", "), "The best configuration with a p99 up to MS."
    )
    budget_gib: tuple[float, ...] = several(
        "--budget-gib", "GIB", list_of(parse_above_zero, ", "), "The best configuration up to this index size."
    )
    project_docs: tuple[int, ...] = several(
        "--project-docs", "N", list_of(parse_count, ", "), "What each size will keep in a corpus of N documents: 10M."
    )
    keep_indexes: bool = switch("--keep-indexes/--drop-indexes", "Keep built indexes beside the store for reuse.")


@record(kw_only=True, slots=False)
class PlanTable(SettingsTable, panel="Plan"):
    """[plan]: the planned corpus and what things cost, in the user's currency; sizes in bytes, prices per month."""

    docs: int | None = setting("--docs", "N", parse_count, None, "Documents of the planned corpus: 50M.")
    index: tuple[str, ...] = several(
        "--index", "SPEC", parse_indexes, "Default: what the run measured, else the target's own.", name="plan_index"
    )
    replicas: int = setting("--replicas", "N", parse_positive, 1, "Copies of the index, default 1; more where --qps needs them.")
    qps: float | None = setting("--qps", "N", parse_number, None, "Queries a second to be served.")
    recall: float | None = setting(
        "--recall", "SHARE", parse_share, None, "What an index must return of the exact first ten at --docs: 95%."
    )
    tenant: tuple[str, ...] = several(
        "--tenant",
        "TEXT",
        list_of(parse_text, ";"),
        "A service with limits of its own: 'search ms=20 gib=4 recall=95% slice=lang:de'.",
    )
    currency: str | None = setting("--currency", "NAME", parse_text, None, "Of your prices, as it is to be printed: EUR.")
    price_gib_month: float | None = setting("--price-gib-month", "PRICE", parse_number, None, "Of a GiB of memory.")
    price_disk_gib_month: float | None = setting("--price-disk-gib-month", "PRICE", parse_number, None, "Of a GiB of disk.")
    machine_memory: int | None = setting("--machine-memory", "SIZE", parse_size, None, "Of one machine, such as 64GiB.")
    machine_price_month: float | None = setting("--machine-price-month", "PRICE", parse_number, None, "Of one machine.")
    headroom: float = setting("--headroom", "SHARE", parse_loss, 0.2, "Memory of a machine that stays free, default 0.2.")
    documents_per_second: float | None = setting("--documents-per-second", "N", parse_number, None, "Rate of embedding.")
    tokens_per_document: float | None = setting("--tokens-per-document", "N", parse_number, None, "For the price of embedding.")


@record(kw_only=True, slots=False)
class Tables:
    """The tables of a file, each under the name that it has there."""

    collection: CollectionTable
    model: ModelTable
    sweep: SweepTable
    decision: DecisionTable
    slices: SlicesTable
    run: RunTable
    gate: GateTable
    deploy: DeployTable
    plan: PlanTable


TABLES: Final[Mapping[str, type[SettingsTable]]] = get_type_hints(Tables)
SETTINGS: Final = tuple(setting for name, table in TABLES.items() for setting in Setting.all_of(name, table))
