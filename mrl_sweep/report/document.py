"""The Report: everything a run found, as one versioned document that every rendering reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.types import Advice

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRow:
    """One measure at one candidate; None is "not measured" or "not defined"."""

    mean: float
    kept: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lost: int | None = None
    gained: int | None = None
    unchanged: int | None = None
    provable_loss: float | None = None
    queries_needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """One candidate: what it keeps and what it costs. `verdict` is an `Outcome`; sizes in bytes, times in s or ms as named."""

    basis: str
    dim: int
    index: str
    verdict: str
    bytes_per_vector: int
    measures: Mapping[str, MeasureRow]
    reason: str = ""
    agreement: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None
    build_s: float | None = None
    latency_ms: Mapping[str, float | None] = field(default_factory=lambda: {"p50": None, "p99": None})
    queries_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """The queries whose `field` is `value`, at one size: what they keep, and how sure that is after the search (`q_value`)."""

    field: str
    value: str
    dim: int
    queries: int
    kept: float | None
    at_least: float | None
    at_most: float | None = None
    q_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """The answer and its evidence; `sentence` is the one a manager can act on."""

    dimension: int
    proven: int | None
    measured: int | None
    measure: str
    retain: float
    alpha: float
    decide_by: str
    kept: float | None
    at_least: float | None
    queries: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole result of a run. `folder` is where it lies (not part of the document), None for one that was never written."""

    status: str
    verdict: VerdictRow
    candidates: tuple[CandidateRow, ...]
    slices: tuple[SliceRow, ...] = ()
    warnings: tuple[Advice, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    folder: Path | None = field(default=None, compare=False)
