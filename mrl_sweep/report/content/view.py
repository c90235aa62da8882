"""The parts of a report that every rendering shows: headline, the table of sizes with notes, warnings, closing sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from mrl_sweep import words
from mrl_sweep.report.content.layout import MEANINGS, SAME_TOP, Column, ColumnsOf, Mood, Section, Table, unsaid, warnings
from mrl_sweep.report.document import NO_FAULT, Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.types import AGREEMENT, FLAT, Basis, Evidence, Outcome, SliceRow

FINE_SWEEP: Final = 16
"""More sizes than this are drawn as a curve, and the table keeps those that matter."""

_MOST_NOTES: Final = 4

_OUTCOMES: Final[dict[str, str]] = {
    Outcome.PASS: "ok",
    Outcome.FAIL: "too low",
    Outcome.INCONCLUSIVE: "not proven",
    Outcome.NOT_TESTED: "not tested",
}


def headline(report: Report) -> list[str]:
    """Names collection, sizes, model and search, as far as the manifest knows them."""
    collection, model = report.of_run("collection"), report.of_run("model")
    parts = [str(collection.get("name", ""))]
    asking = ("doc as query", "docs as queries") if collection.get("queries_are") == "documents" else ("query", "queries")
    for key, noun, nouns in (("documents", "doc", "docs"), ("queries", *asking)):
        number = collection.get(key)
        if isinstance(number, int):
            parts.append(words.plural(number, noun, nouns))
    parts.append(model_name(str(model.get("name", ""))))
    queries = model.get("query_model")
    if isinstance(queries, dict) and (own := queries.get("name")):
        parts.append(f"queries by {model_name(str(own))}")
    similarity = report.manifest.get("similarity")
    parts.append(f"exact {similarity}" if similarity else "")
    return [part for part in parts if part]


def model_name(name: str) -> str:
    """Names the model as a reader knows it: a folder by its own name, not by where it lies on the machine that ran."""
    scheme = "vectors:" if name.startswith("vectors:") else ""
    place = name.removeprefix(scheme)
    is_place = scheme or place.startswith(("/", "./", "../", "~"))
    return scheme + place.rstrip("/").rpartition("/")[2] if is_place else name


def limits(report: Report) -> list[str]:
    """Lists what does not fit into the target database at all; it stands before the table."""
    return [warning.message for warning in report.warnings if warning.code == "target-limit"]


def ladder(report: Report) -> list[CandidateRow]:
    """Lists the rows of exact prefixes, from full size down."""
    rows = [row for row in report.candidates if row.configuration.is_exact_prefix]
    return sorted(rows, key=lambda row: -row.dim)


def measured(row: CandidateRow, report: Report) -> Evidence:
    """Returns the evidence of the deciding measure at one candidate."""
    return row.evidence(report.verdict.measure)


def shares_of(report: Report) -> Callable[[float | None], str]:
    """Returns a function that writes a share, on its own side of the share that was asked."""
    return partial(words.percent, limit=report.verdict.retain)


def control_name(basis: str) -> str:
    """Names the control of a basis: `random-0`, `random-1` … are all draws of `random`."""
    return str(Basis.RANDOM) if basis.startswith(Basis.RANDOM) else basis


def shown(report: Report) -> list[CandidateRow]:
    """Picks the sizes of the table: all, or in a fine sweep those that matter (full, halvings, the answer, its neighbours)."""
    rows = ladder(report)
    if len(rows) <= FINE_SWEEP:
        return rows
    verdict, dims = report.verdict, [row.dim for row in rows]
    wanted = {dims[0], dims[-1], verdict.dimension, verdict.proven, verdict.measured}
    wanted |= set([dim for dim in dims if dim < verdict.dimension][:2])
    wanted |= set([dim for dim in dims if dim > verdict.dimension][-1:])
    half = dims[0]
    while half >= dims[-1]:
        wanted.add(next(dim for dim in dims if dim <= half))
        half //= 2
    return [row for row in rows if row.dim in wanted]


def sizes(report: Report) -> Section:
    """Shows the sizes with their notes, in columns only where something was measured."""
    rows = shown(report)
    flat = {row.dim: row for row in report.candidates if row.basis == Basis.PREFIX and row.index == FLAT}
    column = ColumnsOf(rows)
    columns = [
        column.number("dim", lambda row: str(row.dim)),
        *_deciding(report, column),
        *_others(report, column),
        *_agreement(rows),
        _bytes(report, column, flat),
        *speed(ColumnsOf([flat.get(row.dim, row) for row in rows]), drops=(3, 20, 21)),
        column.text("verdict", lambda row: verdict_words(row, report)),
    ]
    chosen = next((i for i, row in enumerate(rows) if row.dim == report.verdict.dimension), None)
    moods = [mood(row.verdict) for row in rows]
    return Section(title="Sizes", table=Table.of(columns, moods, chosen=chosen), notes=tuple(_size_notes(report, rows)))


def verdict_words(row: CandidateRow, report: Report) -> str:
    """Writes the verdict on a size: `ok, smallest`, `too low`, `not proven, needs ~1,200 queries`, `not reached`, `baseline`."""
    outcome = outcome_words(row, report)
    return f"{outcome}, smallest" if row.verdict == Outcome.PASS and row.dim == report.verdict.dimension else outcome


def outcome_words(row: CandidateRow, report: Report) -> str:
    """Writes a row's verdict; past the stop of its walk it is `not reached`, with `would pass alone` where its own bound does."""
    if row.verdict == Outcome.PASS:
        return "ok" if report.verdict.decide_by == "bound" else "ok as measured"
    if row.verdict == Outcome.INCONCLUSIVE:
        needed = measured(row, report).queries_needed
        units = "queries" if report.verdict.clusters is None else "clusters"
        alone = ", would pass alone" if row.reason.startswith("would pass") else ""  # it shares alpha with others
        return f"not proven, needs ~{words.about(needed)} {units}" if needed else f"not proven{alone}"
    if row.verdict == Outcome.NOT_TESTED:
        return "not reached, would pass alone" if row.reason else "not reached"
    return outcome_word(row.verdict)


def outcome_word(verdict: str) -> str:
    """Writes an outcome as every table does: `ok`, `too low`, `not proven`, `not tested`, `baseline`."""
    return _OUTCOMES.get(verdict, verdict)


def mood(verdict: str) -> Mood:
    """Gives the mood of a row by its verdict."""
    moods: dict[str, Mood] = {Outcome.PASS: Mood.GOOD, Outcome.FAIL: Mood.BAD, Outcome.INCONCLUSIVE: Mood.OPEN}
    return moods.get(verdict, Mood.QUIET)


def closing(report: Report) -> list[str]:
    """Lists the sentences to act on: the gate's answer if any, the verdict in size and in bytes, the slice that is hit worst."""
    gate = [report.gate.sentence] if report.gate else []
    return [*gate, report.verdict.sentence, *filter(None, [report.verdict.bytes_sentence, worst_slice(report)])]


def failures(report: Report) -> tuple[str, ...]:
    """Lists why the gate is not met, as far as the closing sentences do not say it."""
    return unsaid(report.gate.failures, closing(report)) if report.gate else ()


def worst_slice(report: Report) -> str:
    """Names the slice that keeps least at the chosen size, among those hit harder than the others; empty where none is."""
    verdict = report.verdict
    hit = [row for row in report.slices if row.dim == verdict.dimension and proven_hit(row, report)]
    if not hit:
        return ""
    worst = min(hit, key=lambda row: row.kept if row.kept is not None else 1.0)
    queries = words.plural(worst.queries, "query", "queries")
    return f"Worst hit: {worst.field}={worst.value} keeps {words.percent(worst.kept, limit=verdict.retain)} ({queries})."


def proven_hit(row: SliceRow, report: Report) -> bool:
    """Tells whether a slice is hit harder than the other queries, the share of false discoveries held at alpha."""
    return row.kept is not None and row.q_value is not None and row.q_value <= report.verdict.alpha


def remarks(report: Report) -> Section:
    """Makes the section of open warnings, with notes on accepted ones and on what was set aside."""
    notes = []
    codes = [one.code for one in report.warnings if one.code in report.accepted]
    if codes:
        counted = "; ".join(f"{words.count(codes.count(code))} {code}" for code in dict.fromkeys(codes))
        notes.append(f"Accepted: {counted}.")
    for title, faults in (("Set aside", True), ("Not of this split, which is no fault", False)):
        kinds = [(reason, number) for reason, number in report.excluded.items() if (reason not in NO_FAULT) == faults]
        counted = "; ".join(words.counted(number, reason) for reason, number in kinds)
        notes += [f"{title}: {counted}."] if counted else []
    return warnings(report.open_warnings, notes)


def _deciding(report: Report, column: ColumnsOf[CandidateRow]) -> list[Column]:
    """The deciding measure; of full size its mean alone, for it is compared with itself."""
    share = shares_of(report)

    def changed(evidence: Evidence) -> str:
        unknown = evidence.lost is None or evidence.gained is None
        return words.DASH if unknown else f"{evidence.lost}/{evidence.gained}"

    def below_full(cell: Callable[[Evidence], str]) -> Callable[[CandidateRow], str]:
        return lambda row: words.DASH if row.verdict == Outcome.BASELINE else cell(measured(row, report))

    return [
        column.number(report.verdict.measure, lambda row: words.score(measured(row, report).mean)),
        column.number("kept", below_full(lambda evidence: share(evidence.kept))),
        column.number("at least", lambda row: share(measured(row, report).at_least)),
        column.number("lost/gained", below_full(changed), drop=5),
    ]


def _others(report: Report, column: ColumnsOf[CandidateRow]) -> list[Column]:
    """Makes columns of the share and bound of other measures that must pass, then of the means of those that need not."""
    names = dict.fromkeys(name for row in column.rows for name in row.measures if name != report.verdict.measure)
    required = [name for name in names if name in report.verdict.required]
    share = shares_of(report)
    columns = []
    for name in required:
        evidence = ColumnsOf([row.evidence(name) for row in column.rows])
        columns.append(evidence.number(f"{name} kept", lambda m: share(None if m.at_least is None else m.kept), drop=1))
        columns.append(evidence.number("at least", lambda m: share(m.at_least), drop=1))
    for i, name in enumerate(name for name in names if name not in required):
        evidence = ColumnsOf([row.evidence(name) for row in column.rows])
        columns.append(evidence.number(name, lambda m: words.score(m.mean), drop=6 + i))
    return columns


def _agreement(rows: Sequence[CandidateRow]) -> list[Column]:
    """Makes a column for each depth of agreement, unless a measure already shows that agreement."""
    measured_at = {f"{AGREEMENT}@{k}": k for row in rows for k in row.agreement}
    with_column = {k for name, k in measured_at.items() if any(name in row.measures for row in rows)}
    depths = [k for k in dict.fromkeys(k for row in rows for k in row.agreement) if k not in with_column]
    return [
        ColumnsOf([row.agreement.get(k) for row in rows]).number(
            f"same top {k}", words.percent, drop=4, note=f"Same top {k}: {MEANINGS[SAME_TOP]}."
        )
        for k in depths
    ]


def _bytes(report: Report, column: ColumnsOf[CandidateRow], flat: dict[int, CandidateRow]) -> Column:
    """The float32 index where one was built, else what the vectors of the corpus take."""
    built = {dim: row.index_bytes for dim, row in flat.items()}
    documents = report.of_run("collection").get("documents")
    if any(built.get(row.dim) is not None for row in column.rows) or not isinstance(documents, int):
        return column.number("float32 index", lambda row: words.size(built.get(row.dim)), drop=2)
    return column.number("float32 vectors", lambda row: words.size(row.bytes_per_vector * documents), drop=2)


def speed(column: ColumnsOf[CandidateRow], *, drops: tuple[int, int, int] = (0, 0, 0)) -> list[Column]:
    """Makes the columns of latency and throughput, each with its `drop`."""
    p50, p99, qps = drops
    return [
        column.number("p50", lambda row: words.milliseconds(row.latency_ms.get("p50")), drop=p50),
        column.number("p99", lambda row: words.milliseconds(row.latency_ms.get("p99")), drop=p99),
        column.number("queries/s", lambda row: words.count(row.queries_per_second), drop=qps),
    ]


def every_configuration(report: Report) -> Table | None:
    """Shows all rows, where the table of sizes leaves some out; else None."""
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


def _size_notes(report: Report, rows: Sequence[CandidateRow]) -> list[str]:
    every = ladder(report)
    notes = [f"{len(rows)} of {len(every)} sizes are shown."] if len(rows) < len(every) else []
    reasons = [f"{row.dim}: {row.reason}." for row in every if row.reason and not _plain_to_see(row, report)]
    notes += reasons[:_MOST_NOTES]
    if len(reasons) > _MOST_NOTES:
        notes.append(f"And {words.plural(len(reasons) - _MOST_NOTES, 'more size')} with a reason of its own, in report.json.")
    return [*notes, *filter(None, [_legend(report, rows), other_shares(report), _power(report, every), _unmet(report, every)])]


def _legend(report: Report, rows: Sequence[CandidateRow]) -> str:
    """What `at least` means, where any row has it."""
    bounded = any(measured(row, report).at_least is not None for row in rows)
    sure = words.asked_share(1 - report.verdict.alpha)
    return f"At least: the share that is proven, with {sure} confidence." if bounded else ""


def other_shares(report: Report) -> str:
    """Answers for other shares: `Smallest proven if 99% or 98% is asked: all 768; if 95%: 256.`; empty with one size."""
    dims = {row.dim for row in ladder(report)}
    if len(dims) < 2:
        return ""
    by_answer: dict[int, list[str]] = {}
    for one in report.verdict.smallest:
        by_answer.setdefault(one.dimension, []).append(words.asked_share(one.retain))
    answers = [
        f"if {words.listed(shares)}{' is asked' if i == 0 else ''}: {'all ' if dimension == max(dims) else ''}{dimension}"
        for i, (dimension, shares) in enumerate(by_answer.items())
    ]
    how = "Smallest proven" if report.verdict.decide_by == "bound" else "Smallest as measured"
    return f"{how} {'; '.join(answers)}." if answers else ""


def _plain_to_see(row: CandidateRow, report: Report) -> bool:
    """Whether the row's own figures already say why it has this verdict."""
    evidence, limit = measured(row, report), report.verdict.retain
    if row.verdict not in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        return False
    by_mean = report.verdict.decide_by == "mean"
    share = evidence.kept if by_mean else evidence.at_most if row.verdict == Outcome.FAIL else evidence.at_least
    return share is not None and share < limit


def _queries(report: Report) -> str:
    """`300 queries`, or the clusters that are the units of evidence."""
    verdict = report.verdict
    if verdict.clusters is not None:
        return words.plural(verdict.clusters, "cluster of queries", "clusters of queries")
    return words.plural(verdict.queries, "query", "queries")


def _unmet(report: Report, rows: Sequence[CandidateRow]) -> str:
    """What queries of which none loses cannot exclude, at the smallest such one: of a share p none is met in (1 - p)^n."""
    verdict = report.verdict
    evidence = {row.dim: measured(row, report) for row in rows if row.verdict != Outcome.BASELINE}
    without = [dim for dim, e in evidence.items() if e.lost == 0 and e.at_least is not None]
    units = verdict.queries if verdict.clusters is None else verdict.clusters
    if not without or not units or verdict.decide_by != "bound":
        return ""
    unmet = words.percent(1 - verdict.alpha ** (1 / units))
    return f"None of {_queries(report)} loses at {min(without)}; up to {unmet} of all may still lose everything there."


def _power(report: Report, rows: Sequence[CandidateRow]) -> str:
    """What this query set usually (in 80% of draws) proves, by the spread where the walk stopped, or of the answer."""
    verdict = report.verdict
    stop = next((row for row in rows if row.verdict in (Outcome.FAIL, Outcome.INCONCLUSIVE)), None) or report.chosen
    loss = measured(stop, report).provable_loss if stop else None
    if not loss or verdict.decide_by != "bound":
        return ""
    truly = verdict.retain + loss
    if truly > 1:
        return f"With {_queries(report)}, even a size that loses nothing is often not proven."
    return f"With {_queries(report)}, a size that truly keeps {words.percent(truly)} or more is usually proven."
