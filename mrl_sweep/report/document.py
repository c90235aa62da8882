"""The Report: everything a run found, as one versioned document that every rendering reads; its JSON, written and checked."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.report.document_rows import (
    BudgetRow,
    CandidateRow,
    FunnelRow,
    GateRow,
    LoserRow,
    ProjectionRow,
    VerdictRow,
)
from mrl_sweep.types import EXACT, NOT_IN_DOCUMENT, Advice, Basis, Configuration, RandomControl, Scores, SearchCost, SliceRow
from mrl_sweep.words import plural

if TYPE_CHECKING:
    import pandas as pd

    from mrl_sweep.report.render.chart import Chart

T = TypeVar("T")

SCHEMA_VERSION: Final = 2
READABLE: Final = (1, SCHEMA_VERSION)
"""The schema versions that can be read: 1 has no precision and no rescoring, and judged the exact prefixes alone."""

NO_FAULT: Final = frozenset({"queries_without_judgments"})
"""Kinds of `Report.excluded` that are no fault of the data: a folder holds the queries of all splits, and one split is judged."""

_NOT_A_REPORT = "name a run folder of mrl-sweep, or the report.json in it"
_OTHER_VERSION = "run it again with this version, or read it with the version of mrl-sweep that wrote it"


@record
class QueryScores:
    """The scores behind a report, by query id; they lie in scores.parquet beside it, not in the document."""

    scores: Scores
    query_ids: Sequence[str]


@record(kw_only=True)
class Report:
    """The whole result of a run.

    `folder` is where the report lies, None for one that was never written; `scores` are the per-query values while they are
    in memory. Neither is part of the document. `warnings` are all, also those of a code in `accepted`, which are only counted.
    """

    status: str
    verdict: VerdictRow
    candidates: tuple[CandidateRow, ...]
    slices: tuple[SliceRow, ...] = ()
    warnings: tuple[Advice, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    folder: Path | None = field(default=None, compare=False, metadata=NOT_IN_DOCUMENT)
    losers: tuple[LoserRow, ...] = ()
    gate: GateRow | None = None
    funnels: tuple[FunnelRow, ...] = ()
    projections: tuple[ProjectionRow, ...] = ()
    budgets: tuple[BudgetRow, ...] = ()
    accepted: tuple[str, ...] = ()
    controls: tuple[RandomControl, ...] = ()
    scores: QueryScores | None = field(default=None, compare=False, repr=False, metadata=NOT_IN_DOCUMENT)

    def __repr__(self) -> str:
        """Returns three lines at most: the status with counts, the verdict's sentence, and the folder."""
        queries = plural(self.verdict.queries, "query", "queries")
        facts = f"{plural(len(self.candidates), 'configuration')}, {queries}, {plural(len(self.open_warnings), 'warning')}"
        where = f"\n  {self.folder}" if self.folder is not None else ""
        return f"<Report: {self.status}; {facts}\n  {self.verdict.sentence}{where}>"

    def _repr_html_(self) -> str:
        """Returns the HTML that a notebook shows: the answer and the table of sizes."""
        from mrl_sweep.report.render.html import core

        return core(self)

    def plot(self) -> Chart:
        """Charts the share kept by dimensions: a notebook shows the chart, its `save` writes it as an SVG file."""
        from mrl_sweep.report.render.chart import chart_of

        return chart_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the document as plain JSON values; a number that is not finite is None, `schema_version` comes first."""
        return document(self)

    def to_json(self) -> str:
        """Writes the document as strict JSON in ASCII, the same text for the same report; ends without a newline."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_dict(cls, data: object, *, source: str = "report") -> Report:
        """Reads the report that `to_dict` wrote; `source` names it in messages.

        Raises InputError for anything else, also for a schema outside of `READABLE`. Keys that this version does not know
        are passed over, as a schema may be added to.
        """
        return decode(cls, data, source=source)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "report") -> Report:
        """Reads the report that `to_json` wrote. Raises InputError as `from_dict` does, and for text that is not JSON."""
        return cls.from_dict(load_json(text, source=source), source=source)

    def to_frame(self) -> pd.DataFrame:
        """Returns every counted query's value, long-form: basis, dim, index, precision, rescore, measure, query_id, value.

        It reads the scores in memory, else scores.parquet beside the report. Raises InputError where there is neither.
        """
        from mrl_sweep.report.exports import frame

        return frame(self.scores, self.folder)

    def candidate(self, dim: int, *, basis: str = Basis.PREFIX, index: str = EXACT) -> CandidateRow | None:
        """Finds the row of a float32 configuration without rescoring, None where it was not part of the run."""
        return self.row(Configuration(basis, dim, index))

    def row(self, configuration: Configuration) -> CandidateRow | None:
        """Finds the row of this configuration, None where it was not part of the run."""
        return next((row for row in self.candidates if row.configuration == configuration), None)

    def accepting(self, codes: Iterable[str]) -> Report:
        """Returns the report with these codes of warnings accepted, besides those that are already."""
        return replace(self, accepted=tuple(dict.fromkeys((*self.accepted, *codes))))

    def of_run(self, part: str) -> Mapping[str, Any]:
        """Returns a part of the manifest: `collection`, `model`, `settings`; empty where an edited report does not hold it."""
        return part_of(self.manifest, part)

    @property
    def shown_status(self) -> str:
        """The status of the gate; of a run without a gate that of the verdict."""
        return self.gate.status if self.gate else self.status

    @property
    def exit_code(self) -> int:
        """The exit code of the process: the gate's, 0 for a run without a gate."""
        return self.gate.exit_code if self.gate else 0

    @property
    def open_warnings(self) -> tuple[Advice, ...]:
        """The warnings whose code nobody has accepted."""
        return tuple(one for one in self.warnings if one.code not in self.accepted)

    @property
    def baseline(self) -> CandidateRow | None:
        """The row of full size, which all others are compared with."""
        return next((row for row in self.candidates if row.verdict == "baseline"), None)

    @property
    def chosen(self) -> CandidateRow | None:
        """The row of the exact float32 prefix at the dimension that the verdict names."""
        return self.candidate(self.verdict.dimension)


def document(value: Any) -> dict[str, Any]:
    """Turns a document's dataclass into plain JSON values, its `schema_version` first."""
    plain: dict[str, Any] = encode(value)
    return {"schema_version": plain.pop("schema_version"), **plain}


def encode(value: Any) -> Any:
    """Turns a dataclass, mapping, list, tuple, array or scalar into plain JSON values; NaN and infinities become None.

    Fields marked `document: False` stay out. Raises TypeError for what has no place in JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: encode(getattr(value, one.name)) for one in _document_fields(type(value))}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy here
        return encode(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in a JSON document: {value!r}")


def part_of(manifest: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """Returns one part of a manifest; empty where an edited report does not hold it."""
    facts = manifest.get(part)
    return facts if isinstance(facts, Mapping) else {}


def load_json(text: str | bytes, *, source: str) -> Any:
    """Parses strict JSON text. Raises InputError for other text (bad syntax with line and column), also for NaN and Infinity."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}:{error.lineno}:{error.colno}: not JSON: {error.msg}", _NOT_A_REPORT) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON: {error}", _NOT_A_REPORT) from None


def decode(cls: type[T], data: object, *, source: str) -> T:
    """Builds the dataclass `cls` from the `data` that `encode` made of it; its schema is checked first (`READABLE`).

    Null for a plain float is NaN; unknown keys are passed over. Raises InputError that names the place, as `source: a.b[2]`.
    """
    if not isinstance(data, Mapping) or "schema_version" not in data:
        raise InputError(f"{source}: not a report of mrl-sweep: it has no schema_version", _NOT_A_REPORT)
    version = data["schema_version"]
    if version not in READABLE or isinstance(version, bool):
        numbers = " and ".join(map(str, READABLE))
        raise InputError(f"{source}: schema_version is {version!r}; this version reads {numbers}", _OTHER_VERSION)
    result: T = _decode(cls, data, source, "")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


@functools.cache
def _document_fields(cls: Any) -> list[dataclasses.Field[Any]]:
    """Lists the fields that a document holds, in their order; what a configuration costs comes last."""
    costs = {one.name for one in dataclasses.fields(SearchCost)} if issubclass(cls, SearchCost) else set()
    kept = (one for one in dataclasses.fields(cls) if one.metadata.get("document", True))
    return sorted(kept, key=lambda one: one.name in costs)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, value: Any, source: str, place: str) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, source, place)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _decode(inner, value, source, place)
    if origin is tuple:
        if not isinstance(value, list):
            _refuse("a list", value, source, place)
        return tuple(_decode(arguments[0], item, source, f"{place}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            _refuse("an object", value, source, place)
        return {key: _decode(arguments[1], item, source, f"{place}.{key}") for key, item in value.items()}
    return _decode_scalar(hint, value, source, place)


def _decode_dataclass(cls: Any, value: Any, source: str, place: str) -> Any:
    if not isinstance(value, Mapping):
        _refuse("an object", value, source, place)
    hints = _hints(cls)
    given = {}
    for one in _document_fields(cls):
        inner = f"{place}.{one.name}" if place else one.name
        if one.name in value:
            given[one.name] = _decode(hints[one.name], value[one.name], source, inner)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise InputError(f"{source}: {inner} is missing", _NOT_A_REPORT)
    return cls(**given)


def _decode_scalar(hint: Any, value: Any, source: str, place: str) -> Any:
    number = not isinstance(value, bool) and (
        (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))
    )
    if hint is float and (number or value is None):
        return math.nan if value is None else value  # a whole number stays one, and is written again as it was
    if hint is int and number and value == int(value):
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    return _refuse({float: "a number", int: "a whole number", str: "text"}.get(hint, "true or false"), value, source, place)


def _refuse(wanted: str, value: Any, source: str, place: str) -> NoReturn:
    shown = json.dumps(value)[:40]
    raise InputError(f"{source}: {place} should be {wanted}, not {shown}", _NOT_A_REPORT)
