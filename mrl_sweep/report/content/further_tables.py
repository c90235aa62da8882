"""The tables beside that of the sizes: the grid, shortlists, budgets, larger corpora, and for the page every row there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mrl_sweep import words
from mrl_sweep.report.content.layout import Column, Mood, Section, Table, table
from mrl_sweep.report.content.sentence import PRECISION_WORDS
from mrl_sweep.report.content.view import measured, mood, outcome_words, shown
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import BudgetRow, CandidateRow, FunnelRow, FunnelShare, ProjectionRow
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration, Outcome

_PROVEN: Final = "*"
_MOST_FUNNELS: Final = 8
OTHERS: Final = "Others: what all other queries keep."
Q_VALUE: Final = "q: the share of false alarms among slices with a q up to this one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The exhaustive searches over one kind of axes: sizes from large to small by precisions, and those that were measured."""

    basis: str
    dims: tuple[int, ...]
    families: tuple[Configuration, ...]
    cells: Mapping[Configuration, CandidateRow]

    def row(self, family: Configuration) -> list[CandidateRow | None]:
        """A precision at each size; None where that was not measured."""
        by_dim = {c.dim: row for c, row in self.cells.items() if c.family == family}
        return [by_dim.get(dim) for dim in self.dims]

    @property
    def title(self) -> str:
        """What lies along its sides."""
        return "Dimensions x precision" + ("" if self.basis == Basis.PREFIX else " on axes fitted on the documents (PCA)")


def grids(report: Report) -> list[Grid]:
    """That of the model's own axes and that of fitted ones, where any code was ranked; of a fine sweep the sizes that matter."""
    return [grid for basis in (Basis.PREFIX, Basis.PCA) if (grid := _grid(report, str(basis))) is not None]


def _grid(report: Report, basis: str) -> Grid | None:
    rows = [
        row
        for row in report.candidates
        if row.basis == basis and row.index == EXACT and not (row.precision == FLOAT32 and row.rescore)
    ]
    if all(row.precision == FLOAT32 for row in rows):
        return None
    cells = {row.configuration: row for row in rows}
    return Grid(
        basis=basis,
        dims=tuple(sorted({row.dim for row in rows} & {row.dim for row in shown(report)}, reverse=True)),
        families=tuple(sorted(dict.fromkeys(c.family for c in cells), key=lambda family: (bool(family.rescore), family.rescore))),
        cells=cells,
    )


def grid_table(grid: Grid, report: Report) -> Section:
    """A line a precision; where the width is short, the sizes that the answers name stay."""
    dims, families, named = grid.dims, grid.families, report.verdict.configuration
    smallest = next((c.dim for c in grid.cells if str(c) == named), None)
    stays = {*dims[:1], report.verdict.dimension, smallest}
    cells = zip(*(grid.row(family) for family in families), strict=True)
    columns = [
        Column(title="precision", cells=tuple(map(family_words, families)), right=False),
        *(
            Column(
                title=str(dim),
                cells=tuple(_cell(row, report) for row in column),
                drop=0 if dim in stays else 1 + len(dims) - i,
            )
            for i, (dim, column) in enumerate(zip(dims, cells, strict=True))
        ),
    ]
    chosen = next((i for i, f in enumerate(families) if any(c.family == f and str(c) == named for c in grid.cells)), None)
    sure = words.asked_share(1 - report.verdict.alpha)
    legend = f"A cell: kept, at least, bytes of a vector. {_PROVEN} proven: all of these together with {sure} confidence."
    notes = [f"{legend} The others fell short or were not tried."]
    notes += [_rescore_words(rescore, grid.cells.values()) for rescore in dict.fromkeys(f.rescore for f in families if f.rescore)]
    if grid.basis == Basis.PREFIX:
        notes += [note for note in (_sample_words(report), _vendor_words(report, [f.precision for f in families])) if note]
    made = table(columns, [Mood.PLAIN] * len(families), chosen=chosen)
    title = f"{grid.title} ({report.verdict.measure})"
    return Section(title=title, name="grid", always=True, table=made, notes=tuple(notes))


def _rescore_words(rescore: str, rows: Iterable[CandidateRow]) -> str:
    """What a rescoring stands for, with what it costs on disk."""
    row = next(row for row in rows if row.rescore == rescore)
    besides = f"{words.count((row.bytes_on_disk or 0) - row.bytes_per_vector)} bytes a vector on disk besides"
    return f"{rescore}: {rescore_meaning(rescore)}, {besides}."


def rescore_meaning(rescore: str) -> str:
    """What `4x`, `4x@768` or `1000@256` stands for."""
    many, _, dim = rescore.partition("@")
    long = f"{many.removesuffix('x')} times as long" if many.endswith("x") else f"of {int(many):,}"
    return f"a shortlist {long}, ordered again by {f'the first {dim} numbers of ' if dim else ''}float32 vectors"


def rescore_notes(spelled: Iterable[str]) -> str:
    """A sentence for each rescoring that a table names; empty where it names none."""
    return " ".join(f"{rescore}: {rescore_meaning(rescore)}." for rescore in dict.fromkeys(spelled) if rescore)


def _sample_words(report: Report) -> str:
    """How many documents trained the codes; empty where all did."""
    trained = report.of_run("codes_trained_on")
    n, of = trained.get("documents"), trained.get("of")
    return f"Codes are trained on {words.count(n)} of the {words.count(of)} documents, drawn at random." if n != of else ""


def _vendor_words(report: Report, precisions: Sequence[str]) -> str:
    """Which of these codes the model's vendor makes itself, and how to see whether they are the same; empty where none."""
    codes = report.of_run("model").get("codes") or ()
    own = [PRECISION_WORDS.get(code, code) for code in codes if code in precisions]
    if not own or any(advice.code.startswith("api-codes-") for advice in report.warnings):
        return ""
    return f"The vendor also sends codes of its own ({', '.join(own)}): --verify-api 20 says whether they are these."


def family_words(family: Configuration) -> str:
    """`one bit, 4x`: a precision, and how its answers are ordered again."""
    name = PRECISION_WORDS.get(family.precision, family.precision)
    return f"{name}, {family.rescore}" if family.rescore else name


def _cell(row: CandidateRow | None, report: Report) -> str:
    evidence = measured(row, report) if row is not None else None
    if row is None or evidence is None:
        return words.DASH
    limit = report.verdict.retain
    shares = words.percent(evidence.kept, limit=limit)
    if evidence.at_least is not None:
        shares += f" {words.percent(evidence.at_least, limit=limit)}"
    mark = _PROVEN if str(row.configuration) in report.verdict.proven_configurations else ""
    return f"{shares} {words.count(row.bytes_per_vector)}{mark}"


def funnels(report: Report, *, whole: bool = False) -> Section | None:
    """Shortlist and rerank: the recommended one, then the measured ones, then those of least work that are proven."""
    if not report.funnels:
        return None
    top = sorted(report.funnels, key=_funnel_order)[: None if whole else _MOST_FUNNELS]
    limit = report.verdict.retain
    others = [name for name in dict.fromkeys(name for row in top for name in row.measures) if name != top[0].measure]
    columns = [
        Column(title="funnel", cells=tuple(f"{row.shortlist:,} at {row.small}, then {row.large}" for row in top)),
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


def how_searched(one: Configuration) -> str:
    """`HNSW32`, `exact, rescore 200@768`: the index, and what is ordered again."""
    return f"{one.index}, rescore {one.rescore}" if one.rescore else one.index


def budgets(report: Report) -> Section | None:
    """For each budget the best acceptable configuration that was measured to be within it, or why there is none."""
    rows = report.budgets
    if not rows:
        return None
    limit = report.verdict.retain
    best = {
        row: Configuration.parse(row.configuration) if row.configuration else Configuration(Basis.PREFIX, row.dim, row.index)
        for row in rows
        if row.dim is not None
    }
    coded = any(one.precision != FLOAT32 for one in best.values())
    columns = [
        Column(title="budget", cells=tuple(row.budget for row in rows), right=False),
        Column(title="dim", cells=tuple("-" if row.dim is None else str(row.dim) for row in rows)),
        Column(title="precision", cells=tuple(best[row].precision if coded and row in best else words.DASH for row in rows)),
        Column(
            title="index", cells=tuple(how_searched(best[row]) if row in best else _nothing(row) for row in rows), right=False
        ),
        Column(title="kept", cells=tuple(words.percent(row.kept, limit=limit) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(row.at_least, limit=limit) for row in rows), drop=1),
        Column(title="size", cells=tuple(words.size(row.size_bytes) for row in rows)),
        Column(title="p99", cells=tuple(words.milliseconds(row.p99_ms) for row in rows)),
    ]
    moods = [Mood.PLAIN if row.dim is not None else Mood.BAD for row in rows]
    notes = tuple(f"{row.budget}: {row.reason}." for row in rows if row.reason)
    title = "The best acceptable configuration within each budget"
    return Section(title=title, name="budgets", always=True, table=table(columns, moods), notes=notes)


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
    answer = (*_answer(report, rows), *_fewest_bytes(report, every))
    notes = (*answer, f"{how[0].upper()}{how[1:]}.", *([rest] if len(rows) < len(every) else []))
    return Section(title=title, name="projection", always=True, table=table(columns, moods), notes=notes)


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


def _fewest_bytes(report: Report, rows: list[ProjectionRow]) -> tuple[str, ...]:
    """What becomes there of the code of the fewest bytes that is proven here, by the measure that is hit hardest."""
    verdict, name = report.verdict, report.verdict.configuration
    if not name or name in {str(row.dim) for row in rows}:
        return ()
    size = f"{words.plural(verdict.bytes_per_vector or 0, 'byte', 'bytes')} of {name}"
    own = [row for row in rows if row.configuration == name]
    if not own:
        return (f"Whether the {size} hold there is not known: its shortlist is not projected.",)
    worst = min(own, key=lambda row: {False: 0, None: 1, True: 2}[row.acceptable])
    return (f"The {size} are {outlook_words(worst)} there: kept {_span(worst.kept_low, worst.kept_high)} of {worst.measure}.",)


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


def every_configuration(report: Report) -> Table | None:
    """All rows, where the table of sizes leaves some out."""
    rows = report.candidates
    if len(rows) <= len(shown(report)):
        return None
    limit = report.verdict.retain
    evidence = [measured(row, report) for row in rows]
    columns = [
        Column(title="configuration", cells=tuple(str(row.configuration) for row in rows), right=False),
        Column(title="bytes", cells=tuple(words.count(row.bytes_per_vector) for row in rows)),
        Column(title=report.verdict.measure, cells=tuple(words.score(one.mean if one else None) for one in evidence)),
        Column(title="kept", cells=tuple(words.percent(one.kept if one else None, limit=limit) for one in evidence)),
        Column(title="at least", cells=tuple(words.percent(one.at_least if one else None, limit=limit) for one in evidence)),
        Column(title="at most", cells=tuple(words.percent(one.at_most if one else None, limit=limit) for one in evidence)),
        Column(title="index size", cells=tuple(words.size(row.index_bytes) for row in rows)),
        Column(title="p50", cells=tuple(words.milliseconds(row.latency_ms.get("p50")) for row in rows)),
        Column(title="p99", cells=tuple(words.milliseconds(row.latency_ms.get("p99")) for row in rows)),
        Column(title="queries/s", cells=tuple(words.count(row.queries_per_second) for row in rows)),
        Column(title="verdict", cells=tuple(outcome_words(row, report) for row in rows), right=False),
    ]
    return table(columns, [mood(row.verdict) for row in rows])


def every_slice(report: Report) -> Table | None:
    """All slices at all sizes."""
    rows = report.slices
    if not rows:
        return None
    columns = [
        Column(title="slice", cells=tuple(f"{row.field}={row.value}" for row in rows), right=False),
        Column(title="dim", cells=tuple(str(row.dim) for row in rows)),
        Column(title="queries", cells=tuple(words.count(row.queries) for row in rows)),
        Column(title="kept", cells=tuple(words.percent(row.kept) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(row.at_least) for row in rows)),
        Column(title="at most", cells=tuple(words.percent(row.at_most) for row in rows)),
        Column(title="others", cells=tuple(words.percent(row.kept_by_others) for row in rows), note=OTHERS),
        Column(title="q", cells=tuple("-" if row.q_value is None else f"{row.q_value:.3f}" for row in rows), note=Q_VALUE),
    ]
    return table(columns, [mood(row.verdict or "") for row in rows])
