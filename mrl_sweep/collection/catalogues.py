"""Collections of the Hugging Face hub and of ir_datasets; the only file that imports datasets and ir_datasets.

`hf:owner/name`, `hf:owner/name/SUBSET` (a language of a multilingual set), each with `@revision` where wanted; a local folder
of the same layout (`hf:./folder`) is read alike. Documents and queries are the configurations `corpus` and `queries`
(`SUBSET-corpus` …), judgments `qrels`, `default` or the subset itself, or the data set `owner/name-qrels`: the layouts of BEIR,
NanoBEIR and MTEB. `ir:beir/scifact/test` is a name of the ir_datasets catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.files import ALIASES, SETTINGS
from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.collection.reading.folders import DEFAULT_SPLIT, choose_split, parse_spec, split_hint
from mrl_sweep.collection.reading.qrels import Judgment, grade_of, in_columns
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.collection.reading.tables import BlocksFrom, RowBlock, judgments, queries, rows_of
from mrl_sweep.collection.reading.text_sources import RowSource
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.events import OnEvent, ignore, quiet
from mrl_sweep.record import record
from mrl_sweep.types import Collection
from mrl_sweep.words import did_you_mean, first_offenders, printable

_EXTRA: Final = "collections"
COLUMNS: Final = tuple(name for name in SETTINGS if "." in name)
_LAYOUT: Final = "a retrieval set has the configurations corpus, queries and qrels (or default)"


@record
class Repository:
    """Names a data set on the hub or in a folder, and the part of it that is meant."""

    path: str
    subset: str = ""
    revision: str | None = None

    @property
    def label(self) -> str:
        return f"hf:{self.path}"


def load_hf(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """Loads the collection that `hf:source` names, memory-mapped.

    Errors: InputError for an unknown name or layout, EnvironmentFault where the hub cannot be reached,
    MissingExtra without the package datasets.
    """
    place, *named_columns = source.split(",") if not Path(source).is_dir() else [source]
    columns = parse_spec(",".join([".", *named_columns]), COLUMNS, _LAYOUT, ALIASES).columns
    repository = parse_repository(place)
    configs = _configs(repository)
    corpus, topics = (_part(repository, configs, name, split) for name in ("corpus", "queries"))
    judged_in, config = _qrels(configs, repository)
    splits = _splits(judged_in, config)
    split = choose_split(split, dict.fromkeys(splits), f"{judged_in.label} ({config})")
    qrels = _load(judged_in, config, split)
    name = repository.path.rstrip("/").rpartition("/")[2] + (f"/{repository.subset}" if repository.subset else "")
    return assemble(
        Parts(
            name=name,
            source=f"hf:{source}",
            split=split,
            documents=RowSource(f"{repository.label} corpus", corpus, columns("corpus"), seeks=True),
            queries=queries(rows_of(topics), columns("queries"), _place(f"{repository.label} queries")),
            queries_label=f"{repository.label} queries",
            queries_place=_place(f"{repository.label} queries"),
            judgments=judgments(rows_of(_blocks(qrels)), columns("qrels"), _place(f"{judged_in.label} {config}")),
            judgments_label=f"{judged_in.label} {config}",
            judgments_place=_place(f"{judged_in.label} {config}"),
            hint=split_hint(splits),
            facts={"layout": "hf", "revision": repository.revision},
        ),
        options,
        on_event,
    )


def parse_repository(source: str) -> Repository:
    """Parses `owner/name`, `owner/name/SUBSET`, `…@revision`, a folder, `/folder/SUBSET`, `./folder/SUBSET`; else InputError."""
    if Path(source).is_dir():
        return Repository(source)
    folder, _, subset = source.rpartition("/")
    if folder and source.startswith((".", "/")) and _has_card(Path(folder)):
        return Repository(folder, subset)
    name, _, revision = source.partition("@")
    if name.startswith((".", "/", "~")):
        raise InputError(f"cannot read {printable(name)}: no such folder", f"hf:owner/name, or a folder; {_LAYOUT}")
    parts = name.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise InputError(
            f"hf:{printable(source)} is not owner/name", "hf:owner/name, hf:owner/name/SUBSET, hf:owner/name@revision"
        )
    return Repository("/".join(parts[:2]), parts[2] if len(parts) == 3 else "", revision or None)


def _has_card(folder: Path) -> bool:
    """Whether a folder's README is a data set's card, which names its subsets between lines of three hyphens at its beginning."""
    try:
        with (folder / "README.md").open("rb") as file:
            return file.readline(8).rstrip() == b"---"
    except OSError:
        return False


def _choose(configs: Sequence[str], repository: Repository, part: str) -> str:
    """The configuration of this part. Errors: InputError listing the subsets where one must be named."""
    config = next((name for name in (f"{repository.subset}-{part}", part) if name in configs), None)
    if config is not None:
        return config
    subsets = sorted({config.removesuffix(f"-{part}") for config in configs if config.endswith(f"-{part}")})
    is_relative = Path(repository.path).is_dir() and not repository.path.startswith((".", "/"))
    label = f"hf:./{repository.path}" if is_relative else repository.label
    hint = f"name a subset: {label.rstrip('/')}/{subsets[0]}; there are {', '.join(subsets[:20])}" if subsets else _LAYOUT
    raise InputError(f"{repository.label} has no configuration {part}; it has {', '.join(map(printable, configs[:12]))}", hint)


def _qrels(configs: Sequence[str], repository: Repository) -> tuple[Repository, str]:
    subset = repository.subset
    names = [f"{subset}-qrels", subset, "qrels", "default"] if subset else ["qrels", "default"]
    config = next((name for name in names if name in configs), None)
    if config is not None:
        return repository, config
    if Path(repository.path).is_dir():
        raise InputError(
            f"{repository.label} has no judgments; its configurations are {', '.join(map(printable, configs))}", _LAYOUT
        )
    apart = Repository(f"{repository.path}-qrels", subset)
    return apart, _configs(apart)[0]


def _part(repository: Repository, configs: Sequence[str], part: str, split: str | None) -> BlocksFrom:
    """The rows of a part's configuration: of the split asked for where it has one, else of its only or usual one."""
    config = _choose(configs, repository, part)
    splits = _splits(repository, config)
    name = next((name for name in (split, part, "test", "train") if name in splits), None)
    if len(splits) > 1 and name is None:
        raise InputError(f"{repository.label} ({config}) has the splits {', '.join(splits)}", "--split NAME")
    return _blocks(_load(repository, config, name or splits[0]))


def _blocks(dataset: Any) -> BlocksFrom:
    """A reader of the rows from a given one on; columns of vectors are never read."""
    plain = [name for name, kind in dataset.features.items() if getattr(kind, "_type", "") == "Value" or isinstance(kind, dict)]
    table = dataset.select_columns(plain)

    def blocks(position: int, at_once: int) -> Iterator[RowBlock]:
        for start in range(position, len(table), at_once):
            yield RowBlock(start, table[start : start + at_once])

    return blocks


def _place(label: str) -> Callable[[int], str]:
    return lambda number: f"{label} row {number + 1:,}"


def _configs(repository: Repository) -> list[str]:
    return list(_answer("get_dataset_config_names", repository, repository.path, revision=repository.revision))


def _splits(repository: Repository, config: str) -> list[str]:
    return list(_answer("get_dataset_split_names", repository, repository.path, config, revision=repository.revision))


def _load(repository: Repository, config: str, split: str) -> Any:
    return _answer("load_dataset", repository, repository.path, config, split=split, revision=repository.revision)


def _answer(function: str, repository: Repository, *args: Any, **kwargs: Any) -> Any:
    """Calls a function of datasets, and raises its failures as MissingExtra, InputError or EnvironmentFault."""
    try:
        datasets: Any = import_module("datasets")
        faults: Any = import_module("datasets.exceptions")
    except ImportError as error:
        raise MissingExtra("datasets", _EXTRA) from error
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        with quiet("datasets", "huggingface_hub", "fsspec"):
            return getattr(datasets, function)(*args, **kwargs)
    except faults.DatasetNotFoundError as error:
        raise InputError(
            f"{repository.label}: {error}", "is the name spelt right? A private set needs `hf auth login`"
        ) from error
    except (ConnectionError, OSError) as error:
        raise EnvironmentFault(
            f"cannot reach {repository.label}: {error}", "is the network reachable? hf: also takes a folder"
        ) from error
    except Exception as error:  # of the library over a card or a table that it cannot read: YAML, Arrow, pandas have their own
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot read {repository.label}: {printable(said, 300)}", _LAYOUT) from error


def load_ir(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """Loads the collection that `ir:source` names; the name with `split` (None: `test`) at its end comes before the name alone.

    Errors: InputError for an unknown name, EnvironmentFault where the files cannot be fetched, MissingExtra
    without the package ir_datasets.
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
            documents=RowSource(label, partial(_documents, dataset, label), {"id": "id"}),
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
        ir_datasets.log.easy().logger().setLevel("CRITICAL")
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
    """Reads the records; raises EnvironmentFault for a failed download, InputError for records that cannot be read."""
    try:
        yield from read()
    except OSError as error:
        raise EnvironmentFault(f"cannot read {label}: {error}", "is the network reachable? The same command resumes") from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"cannot read {label}: {error}") from error


def _documents(dataset: Any, label: str, start: int, at_once: int) -> Iterator[RowBlock]:
    def read() -> Iterator[Any]:
        records: Any = dataset.docs_iter()
        try:
            yield from records[start:] if start else records
        except (TypeError, AttributeError):
            yield from islice(records, start, None)

    records = _fetched(read, label)
    while some := list(islice(records, at_once)):
        ids, titles, texts = zip(*map(_fields, some), strict=True)
        yield RowBlock(start, {"id": ids, "title": titles, "text": texts})
        start += len(some)


def _fields(entry: Any) -> tuple[str, str, str]:
    """Returns id, title and text of a document; one without a `text` gives its `default_text()`."""
    text = getattr(entry, "text", None)
    return (entry.doc_id, "", entry.default_text()) if text is None else (entry.doc_id, getattr(entry, "title", "") or "", text)


def _queries(records: Iterable[Any]) -> Iterator[Query]:
    for row, entry in enumerate(records):
        text = entry.default_text() if hasattr(entry, "default_text") else entry.text
        fields = entry._asdict()
        metadata = {
            name: value
            for name, value in fields.items()
            if name not in ("query_id", "text") and value != text and isinstance(value, str | int | float) and value != ""
        }
        yield Query(entry.query_id, text, metadata, row)


def _judgments(records: Iterable[Any], place: Callable[[int], str]) -> Iterator[Judgment]:
    for row, entry in enumerate(records):
        yield Judgment(entry.query_id, entry.doc_id, grade_of(entry.relevance, place(row)), row)
