"""The parts of a report that look beyond this search on this corpus: funnels, budgets, a larger corpus."""

from __future__ import annotations

from mrl_sweep import words
from mrl_sweep.report.content.layout import Column, Mood, Section, table
from mrl_sweep.report.content.view import mood
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import BudgetRow, FunnelRow, FunnelShare, ProjectionRow
from mrl_sweep.types import Outcome

_MOST_FUNNELS = 8


def funnels(report: Report, *, whole: bool = False) -> Section | None:
    """Shortlist and rerank: the recommended one, then the measured ones, then those of least work that are proven."""
    if not report.funnels:
        return None
    top = sorted(report.funnels, key=_funnel_order)[: None if whole else _MOST_FUNNELS]
    limit = report.verdict.retain
    others = [name for name in dict.fromkeys(name for row in top for name in row.measures) if name != top[0].measure]
    columns = [
        Column(title="funnel", cells=tuple(f"{row.small} > {row.shortlist} > {row.large}" for row in top), right=False),
        Column(title="keeps", cells=tuple(_from_ranks(row.kept_low, row.kept_high) for row in top)),
        Column(title="at least", cells=tuple(words.percent(row.at_least, limit=limit) for row in top), drop=1),
        Column(title="measured", cells=tuple(words.percent(row.measured_kept, limit=limit) for row in top)),
        *(column for name in others for column in _other_measure(name, top, limit)),
        Column(title="work", cells=tuple(_work(row) for row in top)),
        Column(title="kept hot", cells=tuple(words.size(row.hot_bytes) for row in top), drop=5),
        Column(title="p50", cells=tuple(words.milliseconds(row.latency_ms.get("p50")) for row in top), drop=6),
        Column(title="p99", cells=tuple(words.milliseconds(row.latency_ms.get("p99")) for row in top), drop=4),
        Column(title="verdict", cells=tuple(funnel_words(row) for row in top), right=False),
    ]
    chosen = next((i for i, row in enumerate(top) if row.recommended), None)
    title = f"Funnels: shortlist at a small size, rerank at a larger one ({top[0].measure})"
    rest = len(report.funnels) - len(top)
    notes = (f"{words.count(rest)} more in report.json.",) if rest else ()
    rows = table(columns, [mood(row.verdict) for row in top], chosen=chosen)
    brief = _recommended(top[0], limit) if top[0].recommended else ()
    return Section(title=title, name="funnels", brief=brief, table=rows, notes=notes)


def _recommended(row: FunnelRow, limit: float) -> tuple[str, ...]:
    """The recommended funnel in a sentence: what it keeps as far as that was measured, and the work that it saves."""
    kept = row.measured_kept if row.measured_kept is not None else row.kept_low
    share = f"{'' if row.measured_kept is not None else 'at least '}{words.percent(kept, limit=limit)}"
    how = f"A shortlist of {row.shortlist:,} at {row.small} dimensions, ordered again at {row.large}"
    return (f"{how}, keeps {share} for {_work(row)} work.",)


def _other_measure(name: str, rows: list[FunnelRow], limit: float) -> tuple[Column, Column]:
    """The share of another measure that must pass: as measured, else between its bounds; and its limit."""
    shares = [row.measures.get(name, FunnelShare()) for row in rows]
    kept = tuple(
        words.percent(share.measured_kept, limit=limit) if share.measured_kept else _from_ranks(share.kept_low, share.kept_high)
        for share in shares
    )
    least = tuple(words.percent(share.at_least, limit=limit) for share in shares)
    return Column(title=f"{name} keeps", cells=kept, drop=3), Column(title=f"{name} at least", cells=least, drop=1)


def budgets(report: Report) -> Section | None:
    """For each budget the best acceptable configuration that was measured to be within it, or why there is none."""
    rows = report.budgets
    if not rows:
        return None
    limit = report.verdict.retain
    columns = [
        Column(title="budget", cells=tuple(row.budget for row in rows), right=False),
        Column(title="dim", cells=tuple("-" if row.dim is None else str(row.dim) for row in rows)),
        Column(title="index", cells=tuple(_nothing(row) if row.dim is None else row.index for row in rows), right=False),
        Column(title="kept", cells=tuple(words.percent(row.kept, limit=limit) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(row.at_least, limit=limit) for row in rows), drop=1),
        Column(title="size", cells=tuple(words.size(row.size_bytes) for row in rows)),
        Column(title="p99", cells=tuple(words.milliseconds(row.p99_ms) for row in rows)),
    ]
    moods = [Mood.PLAIN if row.dim is not None else Mood.BAD for row in rows]
    notes = tuple(f"{row.budget}: {row.reason}." for row in rows if row.reason)
    title = "The best acceptable configuration within each budget"
    return Section(title=title, name="budgets", asked=True, table=table(columns, moods), notes=notes)


def projections(report: Report, *, whole: bool = False) -> list[Section]:
    """One section per corpus size that was asked about: what each size is expected to keep there."""
    return [
        _projection(report, documents, whole=whole) for documents in dict.fromkeys(row.documents for row in report.projections)
    ]


def _projection(report: Report, documents: int, *, whole: bool) -> Section:
    """The sizes; of their codes, which are many, those that are acceptable there, or all."""
    every = sorted((row for row in report.projections if row.documents == documents), key=lambda row: (row.measure, -row.dim))
    rows = [row for row in every if whole or row.acceptable or row.configuration in ("", str(row.dim))] or every
    names = dict.fromkeys(row.measure for row in rows)
    limit = report.verdict.retain
    columns = [
        Column(title="dim", cells=tuple(row.configuration or str(row.dim) for row in rows)),
        Column(title="measure", cells=tuple(row.measure if len(names) > 1 else "-" for row in rows), right=False),
        Column(title="here", cells=tuple(_here(report, row) for row in rows)),
        Column(title="there", cells=tuple(words.score(row.value) for row in rows)),
        Column(title="band", cells=tuple(_band(row) for row in rows), drop=2),
        Column(title="kept there", cells=tuple(words.percent(row.kept, limit=limit) for row in rows)),
        Column(title="between", cells=tuple(_span(row.kept_low, row.kept_high) for row in rows), drop=1),
        Column(title="holds up to", cells=tuple(words.count(row.holds_up_to) for row in rows), drop=3),
        Column(title="verdict", cells=tuple(outlook_words(row) for row in rows), right=False),
    ]
    moods = [Mood.OPEN if row.acceptable is None else Mood.GOOD if row.acceptable else Mood.BAD for row in rows]
    how = "modelled from the ranks; right for a corpus of which this one is a random sample" if rows[0].modelled else "exact"
    title = f"At {words.count(documents)} documents{'' if len(names) > 1 else f' ({rows[0].measure})'}"
    codes = words.plural(len(every) - len(rows), "code of these that is", "codes of these that are")
    rest = f"{codes} not acceptable there: --format html."
    answer = (*_answer(report, rows), *_unprojected(report, every))
    notes = (*answer, f"{how[0].upper()}{how[1:]}.", *([rest] if len(rows) < len(every) else []))
    return Section(title=title, name="projection", asked=True, table=table(columns, moods), notes=notes)


def _answer(report: Report, rows: list[ProjectionRow]) -> tuple[str, ...]:
    """The smallest size there that is acceptable by every measure, with all larger ones, beside the one here."""
    smallest = None
    sizes = [row for row in rows if row.configuration in ("", str(row.dim))]
    for dim in sorted({row.dim for row in sizes}, reverse=True):
        if not all(row.acceptable for row in sizes if row.dim == dim):
            break
        smallest = dim
    if smallest is None:
        return ()
    return (f"There {smallest} dimensions are the smallest acceptable size; here it is {report.verdict.dimension}.",)


def _unprojected(report: Report, rows: list[ProjectionRow]) -> tuple[str, ...]:
    """What is not known there of the configuration of the fewest bytes, where that one is not projected."""
    verdict = report.verdict
    if not verdict.configuration or verdict.configuration in {row.configuration or str(row.dim) for row in rows}:
        return ()
    size = words.plural(verdict.bytes_per_vector or 0, "byte", "bytes")
    return (f"Whether the {size} of {verdict.configuration} hold there is not known: a shortlist is not projected.",)


def _here(report: Report, row: ProjectionRow) -> str:
    if row.configuration not in ("", str(row.dim)):
        coded = next((one for one in report.candidates if str(one.configuration) == row.configuration), None)
        return words.score(coded.measures[row.measure].mean if coded and row.measure in coded.measures else None)
    candidate = report.candidate(row.dim)
    evidence = candidate.measures.get(row.measure) if candidate else None
    return words.score(evidence.mean if evidence else None)


def _band(row: ProjectionRow) -> str:
    return words.DASH if row.low is None or row.high is None else f"{row.low:.4f}-{row.high:.4f}"


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        one = words.percent(high if low is None else low)
        return one if low is high else f"at most {one}" if low is None else f"at least {one}"
    return f"{words.percent(low)} - {words.percent(high)}"


def _from_ranks(low: float | None, high: float | None) -> str:
    """The bounds of a share; an upper one beyond full size says nothing, and is left out."""
    if low is not None and high is not None and high > 1:
        return f"{words.percent(low)} or more"
    return _span(low, high)


def _work(row: FunnelRow) -> str:
    times = work_saved(row)
    return words.count(row.operations) if times is None else f"{times:.1f}x less"


def work_saved(row: FunnelRow) -> float | None:
    """How many times fewer multiply-adds than an exhaustive search at full size; None where that is not known."""
    return row.full_operations / row.operations if row.operations and row.full_operations else None


def _funnel_order(row: FunnelRow) -> tuple[bool, bool, bool, int]:
    proven = row.verdict == Outcome.PASS
    return not row.recommended, row.measured_kept is None, not proven, row.operations or 0


def funnel_words(row: FunnelRow) -> str:
    """A funnel's verdict in words."""
    shown_as = {Outcome.PASS: "proven", Outcome.FAIL: "too low", Outcome.INCONCLUSIVE: "not proven"}
    shown = shown_as.get(Outcome(row.verdict), "not tested")
    return f"{shown}, least work" if row.recommended else shown


def outlook_words(row: ProjectionRow) -> str:
    """A projected size in words."""
    return "not proven" if row.acceptable is None else "acceptable" if row.acceptable else "too low"


def _nothing(row: BudgetRow) -> str:
    return "none is acceptable" if row.within else "nothing is within"
