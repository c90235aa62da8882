"""Two or more runs side by side: what each reaches at equal bytes, and which is better as far as the queries can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mrl_sweep.decision.compare import Comparison, compare_paired, differences
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.report.codec import encode
from mrl_sweep.report.content.build import FLOAT32_BYTES
from mrl_sweep.runs.baseline import facts_to_share, model_of, named, paired_values
from mrl_sweep.runs.reopen import EarlierRun
from mrl_sweep.types import EXACT, Basis, Candidate, Measure

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of the comparison; `differs` says why it cannot be paired with the first, query by query (empty: it can)."""

    name: str
    collection: str
    model: str
    queries: int
    dimension: int
    status: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run at one row: its size and mean (None where it has no such size), and the paired comparison with the first run."""

    dim: int | None = None
    mean: float | None = None
    against_first: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All runs at vectors of `bytes_per_vector`; None is the row in which every run has the size that its own verdict names."""

    bytes_per_vector: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The comparison as a document. `rows` begin with the largest vectors and end with what each run would ship."""

    measure: str
    alpha: float
    runs: tuple[RunRow, ...]
    rows: tuple[Row, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def label_free(self) -> bool:
        """Whether agreement with full size is compared, not quality."""
        return parse_measure(self.measure).label_free

    def to_dict(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        plain: dict[str, Any] = encode(self)
        return {"schema_version": plain.pop("schema_version"), **plain}


def side_by_side(runs: Sequence[EarlierRun]) -> SideBySide:
    """Every run against the first, at equal bytes of the exact float32 prefix and at the sizes that the verdicts name.

    The measure and alpha are the first run's. Runs that do not share queries and judgments with it stand beside it unpaired,
    and say what differs. Raises InputError for a label-free run beside a judged one: their figures are of different things.
    """
    measure = runs[0].policy.required[0]
    for run in runs:
        refuse_other_labels(runs[0], run)
    same = [_measured_by(run, measure) for run in runs]
    facts = [facts_to_share(run) for run in same]
    differing = [differences(facts[0], fact) for fact in facts]
    alpha = runs[0].policy.alpha
    rows = []
    for dim in sorted({c.dim for run in same for c in _sizes(run)}, reverse=True):
        cells = [_cell(same[0], run, dim, dim, alpha, pairs=not why) for run, why in zip(same, differing, strict=True)]
        rows.append(Row(bytes_per_vector=FLOAT32_BYTES * dim, cells=tuple(cells)))
    first = runs[0].verdict.dimension
    own = [
        _cell(same[0], run, run.verdict.dimension, first, alpha, pairs=not why) for run, why in zip(same, differing, strict=True)
    ]
    return SideBySide(
        measure=str(measure),
        alpha=alpha,
        runs=tuple(_run_row(run, why) for run, why in zip(same, differing, strict=True)),
        rows=(*rows, Row(bytes_per_vector=None, cells=tuple(own))),
    )


def refuse_other_labels(first: EarlierRun, run: EarlierRun) -> None:
    """Raise InputError where only one of two runs is label-free."""
    own, other = (one.policy.required[0] for one in (run, first))
    if own.label_free != other.label_free:
        raise InputError(
            f"{named(run)} has {own} and {named(first)} has {other}: agreement with full size and judged quality do not compare",
            "compare label-free runs with each other, and judged runs with each other",
        )


def _measured_by(run: EarlierRun, measure: Measure) -> EarlierRun:
    """The run with this measure as the one that decides; the ranks know every measure."""
    if run.policy.required[0] == measure:
        return run
    scores = score(run.data.ranks, run.data.qrels, [measure])
    return replace(run, scores=scores, policy=replace(run.policy, required=(measure,)))


def _sizes(run: EarlierRun) -> Iterable[Candidate]:
    return (c for c in run.scores.candidates if c.basis == Basis.PREFIX and c.index == EXACT)


def _cell(first: EarlierRun, run: EarlierRun, dim: int, first_dim: int, alpha: float, *, pairs: bool) -> Cell:
    candidate, other = (Candidate(Basis.PREFIX, d, EXACT) for d in (dim, first_dim))
    if candidate not in run.scores.candidates:
        return Cell()
    measure = run.policy.required[0]
    mean = float(run.scores.of(candidate, measure).mean())
    if run is first or not pairs or other not in first.scores.candidates:
        return Cell(dim=dim, mean=mean)
    a, b = paired_values(first, run, other, candidate, measure)
    counted = first.scores.counted[first.scores.measures.index(measure)]
    clusters = None if first.clusters is None else first.clusters[counted]
    return Cell(dim=dim, mean=mean, against_first=compare_paired(a, b, alpha=alpha, clusters=clusters))


def _run_row(run: EarlierRun, differs: tuple[str, ...]) -> RunRow:
    collection = run.report.manifest.get("collection")
    return RunRow(
        name=named(run),
        collection=str(collection.get("name", "")) if isinstance(collection, dict) else "",
        model=model_of(run),
        queries=run.verdict.n_queries,
        dimension=run.verdict.dimension,
        status=str(run.verdict.status),
        differs=differs,
    )
