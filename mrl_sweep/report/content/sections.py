"""All sections of a report that only some runs have, in their order; makes those of the controls and of larger corpora."""

from __future__ import annotations

from mrl_sweep import words
from mrl_sweep.decision.controls import AgainstRandom
from mrl_sweep.report.content.grid_table import grid_table, grids
from mrl_sweep.report.content.indexes import budgets, funnels, indexes, span
from mrl_sweep.report.content.layout import ColumnsOf, Mood, Section, Table
from mrl_sweep.report.content.losses import losers, slices
from mrl_sweep.report.content.view import control_name, ladder, measured, shares_of
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import ProjectionRow
from mrl_sweep.types import Basis, RandomControl


def sections(report: Report, *, whole: bool = False) -> list[Section]:
    """Makes the sections that have figures, in reading order; `whole` leaves out no slice, funnel or projected configuration."""
    made = [
        *(grid_table(grid, report) for grid in grids(report)),
        slices(report, whole=whole),
        losers(report),
        controls(report),
        indexes(report),
        funnels(report, whole=whole),
        budgets(report),
        *projections(report, whole=whole),
    ]
    return [section for section in made if section is not None]


def controls(report: Report) -> Section | None:
    """Shows what other axes of the same number keep beside the model's own prefix."""
    shares: dict[tuple[str, int], list[float]] = {}
    for row in report.candidates:
        kept, uncoded = measured(row, report).kept, row.configuration == row.configuration.at_float32
        if row.basis != Basis.PREFIX and uncoded and kept is not None:
            shares.setdefault((control_name(row.basis), row.dim), []).append(kept)
    if not shares:
        return None
    dims = sorted({dim for _, dim in shares}, reverse=True)
    tested, prefix = {row.dim: row for row in report.controls}, {row.dim: row for row in ladder(report)}
    share, column = shares_of(report), ColumnsOf(dims)
    columns = [
        column.number("dim", str),
        column.number("prefix", lambda dim: share(measured(prefix[dim], report).kept) if dim in prefix else words.DASH),
        *(
            ColumnsOf([shares.get((basis, dim), []) for dim in dims]).number(basis, _several)
            for basis in dict.fromkeys(basis for basis, _ in shares)
        ),
        column.number("better than random by", lambda dim: _better_by(tested.get(dim)), drop=1),
    ]
    title = f"Controls: {report.verdict.measure} kept on other axes of the same number"
    return Section(title=title, name="controls", table=Table.of(columns), notes=_against_random(report))


def _better_by(row: RandomControl | None) -> str:
    """The limits of prefix less random, in shares of full size."""
    if row is None or row.low is None or row.high is None:
        return words.DASH
    return f"{words.points(row.low)} to {words.points(row.high)}%"


def _against_random(report: Report) -> tuple[str, ...]:
    """`Against random axes the prefix is better at 96, 48 (proven against each draw); may be either at 24.`"""
    by_answer: dict[str, list[str]] = {}
    for row in report.controls:
        by_answer.setdefault(row.answer, []).append(str(row.dim))
    if not by_answer:
        return ()
    margin = words.asked_share(report.controls[0].margin)
    draws = len({row.basis for row in report.candidates if row.basis.startswith(Basis.RANDOM)})
    of_draws = "the one draw of them" if draws == 1 else f"each of the {draws} draws of them, not a further one"
    phrases = {
        AgainstRandom.BETTER: f"is better at {{}} (proven against {of_draws})",
        AgainstRandom.NO_BETTER: f"is no better at {{}} (proven within {margin} of full size)",
        AgainstRandom.OPEN: "may be either at {}: the queries cannot tell",
    }
    parts = [phrases[AgainstRandom(answer)].format(", ".join(dims)) for answer, dims in by_answer.items()]
    return (f"Against random axes, where those lose {margin} or more, the prefix {'; it '.join(parts)}.",)


def _several(shares: list[float]) -> str:
    """The mean of a control's draws, and how far they lie apart."""
    if not shares:
        return words.DASH
    mean = words.percent(sum(shares) / len(shares))
    return mean if len(shares) == 1 else f"{mean} ±{words.points((max(shares) - min(shares)) / 2).removeprefix('+')}"


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
        column.number("here", lambda row: _at_hand(report, row), drop=1),
        column.number("there", lambda row: words.score(row.value)),
        column.number("band", _band, drop=3),
        column.number("kept there", lambda row: share(row.kept)),
        column.number("between", lambda row: span(row.kept_low, row.kept_high), drop=2),
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
    return (f"The {size} are {outlook_words(worst)} there: kept {span(worst.kept_low, worst.kept_high)} of {worst.measure}.",)


def _at_hand(report: Report, row: ProjectionRow) -> str:
    name = str(row.dim) if row.is_size else row.configuration
    candidate = next((one for one in report.candidates if str(one.configuration) == name), None)
    return words.score(candidate.evidence(row.measure).mean if candidate else None)


def _band(row: ProjectionRow) -> str:
    return words.DASH if row.low is None or row.high is None else f"{words.score(row.low)}-{words.score(row.high)}"


def outlook_words(row: ProjectionRow) -> str:
    """Writes the verdict on a projected size in words."""
    return "not proven" if row.acceptable is None else "acceptable" if row.acceptable else "too low"
