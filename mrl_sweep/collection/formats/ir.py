"""Collections of the ir_datasets catalogue: `ir:beir/scifact/test`; the only file that imports ir_datasets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any, Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.collection.reading.columns import TableRow
from mrl_sweep.collection.reading.folders import DEFAULT_SPLIT
from mrl_sweep.collection.reading.qrels import Judgment, grade_of, in_columns
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.collection.reading.text_sources import RowSource
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection
from mrl_sweep.words import did_you_mean, first_offenders, printable

_EXTRA: Final = "collections"


def load_ir(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection that `ir:source` names; `split` is the last part of a name that has no judgments of its own.

    Errors: InputError for an unknown name, EnvironmentFault where the files cannot be fetched.
    """
    name, dataset = _find(source, split)
    label = f"ir:{name}"

    def place(kind: str) -> Callable[[int], str]:
        return lambda number: f"{label} {kind} {number + 1:,}"

    return assemble(
        Parts(
            name=name,
            source=f"ir:{source}",
            split=name.rpartition("/")[2],
            documents=RowSource(label, lambda start: _documents(dataset, label, start), {"id": "id"}),
            queries=_queries(_fetched(dataset.queries_iter, label)),
            queries_label=f"{label} queries",
            queries_place=place("query"),
            judgments=in_columns(_judgments(_fetched(dataset.qrels_iter, label), place("judgment"))),
            judgments_label=f"{label} qrels",
            judgments_place=place("judgment"),
            facts={"layout": "ir", "dataset": name},
        ),
        options,
        on_event,
    )


def _find(source: str, split: str | None) -> tuple[str, Any]:
    """The data set that has documents, queries and judgments under the name, or under the name and the split."""
    try:
        ir_datasets: Any = import_module("ir_datasets")
    except ImportError as error:
        raise MissingExtra("ir_datasets", _EXTRA) from error
    if not sys.stderr.isatty():
        ir_datasets.log.easy().logger().setLevel(logging.CRITICAL)
    registry = list(ir_datasets.registry)
    for name in dict.fromkeys([f"{source}/{split or DEFAULT_SPLIT}", source]):
        if name not in registry:
            continue
        if split not in (None, DEFAULT_SPLIT, name.rpartition("/")[2]):
            continue
        dataset = ir_datasets.load(name)
        if dataset.has_docs() and dataset.has_queries() and dataset.has_qrels():
            return name, dataset
    inside = [name for name in registry if name.startswith(f"{source}/")]
    if inside:
        raise InputError(
            f"ir:{printable(source)} has no judgments of {split or 'its own'}",
            f"name one of its parts: {first_offenders(inside, limit=8)}",
        )
    if source in registry:
        raise InputError(f"ir:{source} has no split {printable(split or DEFAULT_SPLIT)}", f"--split {source.rpartition('/')[2]}")
    raise InputError(
        f"ir_datasets knows no {printable(source)}",
        did_you_mean(source, registry, most=3) or "see https://ir-datasets.com",
    )


def _fetched(read: Callable[[], Iterable[Any]], label: str) -> Iterator[Any]:
    """The records, a failed download told as such."""
    try:
        yield from read()
    except OSError as error:
        raise EnvironmentFault(f"cannot read {label}: {error}", "is the network reachable? The same command resumes") from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"cannot read {label}: {error}") from error


def _documents(dataset: Any, label: str, start: int) -> Iterator[TableRow]:
    def read() -> Iterator[Any]:
        records: Any = dataset.docs_iter()
        try:
            yield from records[start:] if start else records
        except (TypeError, AttributeError):
            yield from islice(records, start, None)

    for row, record in enumerate(_fetched(read, label), start):
        text = getattr(record, "text", None)
        whole = (
            {"title": getattr(record, "title", "") or "", "text": text} if text is not None else {"text": record.default_text()}
        )
        yield TableRow(row, row, {"id": record.doc_id, **whole})


def _queries(records: Iterable[Any]) -> Iterator[Query]:
    for row, record in enumerate(records):
        text = record.default_text() if hasattr(record, "default_text") else record.text
        fields = record._asdict()
        metadata = {
            name: value
            for name, value in fields.items()
            if name not in ("query_id", "text") and value != text and isinstance(value, str | int | float) and value != ""
        }
        yield Query(record.query_id, text, metadata, row)


def _judgments(records: Iterable[Any], place: Callable[[int], str]) -> Iterator[Judgment]:
    for row, record in enumerate(records):
        yield Judgment(record.query_id, record.doc_id, grade_of(record.relevance, place(row)), row)
