"""The tables beside that of the sizes: the grid, shortlists, budgets, larger corpora, and for the page every row there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from mrl_sweep import words
from mrl_sweep.record import record
from mrl_sweep.report.content.layout import Column, ColumnsOf, Mood, Section, Table
from mrl_sweep.report.content.sentence import PRECISION_WORDS
from mrl_sweep.report.content.view import measured, mood, outcome_word, outcome_words, shares_of, shown, speed
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import BudgetRow, CandidateRow, FunnelRow, FunnelShare, ProjectionRow
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration, Outcome

_PROVEN: Final = "*"
_MOST_FUNNELS: Final = 8
_OTHERS: Final = "Others: what all other queries keep."
_Q_VALUE: Final = "q: the share of false alarms among slices with a q up to this one."


@record(kw_only=True)
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
    """Finds the grids of the model's own axes and of fitted ones, where codes were ranked; a fine one shows what matters."""
    return [grid for basis in (Basis.PREFIX, Basis.PCA) if (grid := _grid(report, str(basis))) is not None]


def _grid(report: Report, basis: str) -> Grid | None:
    exhaustive = [row for row in report.candidates if row.basis == basis and row.index == EXACT]
    rows = [row for row in exhaustive if row.precision != FLOAT32 or not row.rescore]
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
    """Shows a grid, a line a precision; where the width is short, the sizes that the answers name stay."""
    dims, families, named = grid.dims, grid.families, report.verdict.configuration
    smallest = next((c.dim for c in grid.cells if str(c) == named), None)
    stays = {*dims[:1], report.verdict.dimension, smallest}
    columns = [ColumnsOf(families).text("precision", family_words)]
    for i, (dim, rows) in enumerate(zip(dims, zip(*map(grid.row, families), strict=True), strict=True)):
        drop = 0 if dim in stays else 1 + len(dims) - i
        columns.append(ColumnsOf(rows).number(str(dim), lambda row: _cell(row, report), drop=drop))
    chosen = next((i for i, f in enumerate(families) if any(c.family == f and str(c) == named for c in grid.cells)), None)
    sure = words.asked_share(1 - report.verdict.alpha)
    legend = f"A cell: kept, at least, bytes of a vector. {_PROVEN} proven: all of these together with {sure} confidence."
    notes = [f"{legend} The others fell short or were not tried."]
    notes += [_rescore_words(rescore, grid.cells.values()) for rescore in dict.fromkeys(f.rescore for f in families if f.rescore)]
    if grid.basis == Basis.PREFIX:
        notes += [note for note in (_sample_words(report), _vendor_words(report, [f.precision for f in families])) if note]
    title = f"{grid.title} ({report.verdict.measure})"
    return Section(title=title, name="grid", table=Table.of(columns, chosen=chosen), notes=tuple(notes))


def _rescore_words(rescore: str, rows: Iterable[CandidateRow]) -> str:
    """What a rescoring stands for, with what it costs on disk."""
    row = next(row for row in rows if row.rescore == rescore)
    besides = f"{words.count((row.bytes_on_disk or 0) - row.bytes_per_vector)} bytes a vector on disk besides"
    return f"{rescore}: {rescore_meaning(rescore)}, {besides}."


def rescore_meaning(rescore: str) -> str:
    """Says what `4x`, `4x@768` or `1000@256` stands for."""
    many, _, dim = rescore.partition("@")
    long = f"{many.removesuffix('x')} times as long" if many.endswith("x") else f"of {int(many):,}"
    return f"a shortlist {long}, ordered again by {f'the first {dim} numbers of ' if dim else ''}float32 vectors"


def rescore_notes(spelled: Iterable[str]) -> str:
    """Explains each rescoring that a table names; empty where it names none."""
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
    if row is None or report.verdict.measure not in row.measures:
        return words.DASH
    evidence, share = measured(row, report), shares_of(report)
    shares = share(evidence.kept)
    if evidence.at_least is not None:
        shares += f" {share(evidence.at_least)}"
    mark = _PROVEN if str(row.configuration) in report.verdict.proven_configurations else ""
    return f"{shares} {words.count(row.bytes_per_vector)}{mark}"


def funnels(report: Report, *, whole: bool = False) -> Section | None:
    """Shows shortlists that are ordered again: the recommended one, then the measured, then the proven ones of least work."""
    if not report.funnels:
        return None
    top = sorted(report.funnels, key=_funnel_order)[: None if whole else _MOST_FUNNELS]
    others = [name for name in dict.fromkeys(name for row in top for name in row.measures) if name != top[0].measure]
    share, column = shares_of(report), ColumnsOf(top)
    columns = [
        column.number("funnel", lambda row: f"{row.shortlist:,} at {row.small}, then {row.large}"),
        column.number("keeps", lambda row: _from_ranks(row.kept_low, row.kept_high)),
        column.number("at least", lambda row: share(row.at_least), drop=1),
        column.number("measured", lambda row: share(row.measured_kept)),
        *(column for name in others for column in _other_measure(name, top, share)),
        column.number("work", _work),
        column.number("kept hot", lambda row: words.size(row.hot_bytes), drop=5),
        column.number("p50", lambda row: words.milliseconds(row.latency_ms.get("p50")), drop=6),
        column.number("p99", lambda row: words.milliseconds(row.latency_ms.get("p99")), drop=4),
        column.text("verdict", funnel_words),
    ]
    chosen = next((i for i, row in enumerate(top) if row.recommended), None)
    title = f"Funnels: shortlist at a small size, rerank at a larger one ({top[0].measure})"
    rest = len(report.funnels) - len(top)
    notes = (f"{words.count(rest)} more in report.json.",) if rest else ()
    rows = Table.of(columns, [mood(row.verdict) for row in top], chosen=chosen)
    brief = (_recommended(top[0], share),) if top[0].recommended else ()
    return Section(title=title, name="funnels", on_request=True, brief=brief, table=rows, notes=notes)


def _recommended(row: FunnelRow, share: Callable[[float | None], str]) -> str:
    """The recommended funnel in a sentence: what it keeps as far as that was measured, and the work that it saves."""
    kept = f"at least {share(row.kept_low)}" if row.measured_kept is None else share(row.measured_kept)
    how = f"A shortlist of {row.shortlist:,} at {row.small} dimensions, ordered again at {row.large}"
    return f"{how}, keeps {kept} for {_work(row)} work."


def _other_measure(name: str, rows: list[FunnelRow], share: Callable[[float | None], str]) -> list[Column]:
    """The share of another measure that must pass: as measured, else between its bounds; and its limit."""

    def kept(one: FunnelShare) -> str:
        return share(one.measured_kept) if one.measured_kept else _from_ranks(one.kept_low, one.kept_high)

    column = ColumnsOf([row.measures.get(name, FunnelShare()) for row in rows])
    return [
        column.number(f"{name} keeps", kept, drop=3),
        column.number(f"{name} at least", lambda one: share(one.at_least), drop=1),
    ]


def how_searched(one: Configuration) -> str:
    """`HNSW32`, `exact, rescore 200@768`: the index, and what is ordered again."""
    return f"{one.index}, rescore {one.rescore}" if one.rescore else one.index


def budgets(report: Report) -> Section | None:
    """Shows for each budget the best acceptable configuration that was measured to be within it, or why there is none."""
    rows = report.budgets
    if not rows:
        return None
    best = {
        row: Configuration.parse(row.configuration) if row.configuration else Configuration(Basis.PREFIX, row.dim, row.index)
        for row in rows
        if row.dim is not None
    }
    coded = any(one.precision != FLOAT32 for one in best.values())
    share, column = shares_of(report), ColumnsOf(rows)
    columns = [
        column.text("budget", lambda row: row.budget),
        column.number("dim", lambda row: "-" if row.dim is None else str(row.dim)),
        column.number("precision", lambda row: best[row].precision if coded and row in best else words.DASH),
        column.text("index", lambda row: how_searched(best[row]) if row in best else _nothing(row)),
        column.number("kept", lambda row: share(row.kept)),
        column.number("at least", lambda row: share(row.at_least), drop=1),
        column.number("size", lambda row: words.size(row.size_bytes)),
        column.number("p99", lambda row: words.milliseconds(row.p99_ms)),
    ]
    moods = [Mood.PLAIN if row.dim is not None else Mood.BAD for row in rows]
    notes = tuple(f"{row.budget}: {row.reason}." for row in rows if row.reason)
    title = "The best acceptable configuration within each budget"
    return Section(title=title, name="budgets", table=Table.of(columns, moods), notes=notes)


def projections(report: Report, *, whole: bool = False) -> list[Section]:
    """Shows what each size is expected to keep in a larger corpus: a section for each number of documents that was named."""
    sizes = dict.fromkeys(row.documents for row in report.projections)
    return [_projection(report, documents, whole=whole) for documents in sizes]


def _projection(report: Report, documents: int, *, whole: bool) -> Section:
    """The sizes; of their codes, which are many, those that are acceptable there, or all."""
    every = sorted((row for row in report.projections if row.documents == documents), key=lambda row: (row.measure, -row.dim))
    rows = [row for row in every if whole or row.acceptable or row.is_size] or every
    names = dict.fromkeys(row.measure for row in rows)
    share, column = shares_of(report), ColumnsOf(rows)
    columns = [
        column.number("dim", lambda row: row.configuration or str(row.dim)),
        column.text("measure", lambda row: row.measure if len(names) > 1 else "-"),
        column.number("here", lambda row: _here(report, row), drop=1),
        column.number("there", lambda row: words.score(row.value)),
        column.number("band", _band, drop=3),
        column.number("kept there", lambda row: share(row.kept)),
        column.number("between", lambda row: _span(row.kept_low, row.kept_high), drop=2),
        column.number("holds up to", lambda row: words.count(row.holds_up_to), drop=4),
        column.text("verdict", outlook_words),
    ]
    moods = [Mood.OPEN if row.acceptable is None else Mood.GOOD if row.acceptable else Mood.BAD for row in rows]
    how = "modelled from the ranks; right for a corpus of which this one is a random sample" if rows[0].modelled else "exact"
    title = f"At {words.count(documents)} documents{'' if len(names) > 1 else f' ({rows[0].measure})'}"
    codes = words.plural(len(every) - len(rows), "code of these that is", "codes of these that are")
    rest = f"{codes} not acceptable there: --format html."
    answer = (*_answer(report, rows), *_fewest_bytes(report, every))
    notes = (*answer, f"{how[0].upper()}{how[1:]}.", *([rest] if len(rows) < len(every) else []))
    return Section(title=title, name="projection", table=Table.of(columns, moods), notes=notes)


def _answer(report: Report, rows: list[ProjectionRow]) -> tuple[str, ...]:
    """The smallest size there that is acceptable by every measure, with all larger ones, beside the one here."""
    smallest = None
    sizes = [row for row in rows if row.is_size]
    for dim in sorted({row.dim for row in sizes}, reverse=True):
        if not all(row.acceptable for row in sizes if row.dim == dim):
            break
        smallest = dim
    if smallest is None:
        return ()
    return (f"There {smallest} dimensions are the smallest acceptable size; here it is {report.verdict.dimension}.",)


def _fewest_bytes(report: Report, rows: list[ProjectionRow]) -> tuple[str, ...]:
    """Says what the code of the fewest bytes that is proven here keeps there, by the measure that is hit hardest."""
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
    name = str(row.dim) if row.is_size else row.configuration
    candidate = next((one for one in report.candidates if str(one.configuration) == name), None)
    return words.score(candidate.evidence(row.measure).mean if candidate else None)


def _band(row: ProjectionRow) -> str:
    return words.DASH if row.low is None or row.high is None else f"{words.score(row.low)}-{words.score(row.high)}"


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
    """Tells how many times fewer multiply-adds it takes than an exhaustive search at full size; None where that is not known."""
    return row.full_operations / row.operations if row.operations and row.full_operations else None


def _funnel_order(row: FunnelRow) -> tuple[bool, bool, bool, int]:
    proven = row.verdict == Outcome.PASS
    return not row.recommended, row.measured_kept is None, not proven, row.operations or 0


def funnel_words(row: FunnelRow) -> str:
    """A funnel's verdict in words."""
    shown = "proven" if row.verdict == Outcome.PASS else outcome_word(row.verdict)
    return f"{shown}, least work" if row.recommended else shown


def outlook_words(row: ProjectionRow) -> str:
    """A projected size in words."""
    return "not proven" if row.acceptable is None else "acceptable" if row.acceptable else "too low"


def _nothing(row: BudgetRow) -> str:
    return "none is acceptable" if row.within else "nothing is within"


def every_configuration(report: Report) -> Table | None:
    """Shows all rows, where the table of sizes leaves some out."""
    rows = report.candidates
    if len(rows) <= len(shown(report)):
        return None
    share, column = shares_of(report), ColumnsOf(rows)
    evidence = ColumnsOf([measured(row, report) for row in rows])
    columns = [
        column.text("configuration", lambda row: str(row.configuration)),
        column.number("bytes", lambda row: words.count(row.bytes_per_vector)),
        evidence.number(report.verdict.measure, lambda one: words.score(one.mean)),
        evidence.number("kept", lambda one: share(one.kept)),
        evidence.number("at least", lambda one: share(one.at_least)),
        evidence.number("at most", lambda one: share(one.at_most)),
        column.number("index size", lambda row: words.size(row.index_bytes)),
        *speed(column),
        column.text("verdict", lambda row: outcome_words(row, report)),
    ]
    return Table.of(columns, [mood(row.verdict) for row in rows])
