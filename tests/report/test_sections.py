"""Parts of a report that only some runs have: controls, indexes with their Pareto fronts, slices, losers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from made_evaluation import verdict_row

from mrl_sweep.decision.slices import LosingQuery
from mrl_sweep.report.content import view
from mrl_sweep.report.content.build import loser_rows
from mrl_sweep.report.content.indexes import indexes, pareto
from mrl_sweep.report.content.layout import fit
from mrl_sweep.report.content.losses import losers, slices
from mrl_sweep.report.content.sections import controls, sections
from mrl_sweep.report.content.view import other_shares, worst_slice
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.folder import RunData
from mrl_sweep.report.render import Format, Look, render
from mrl_sweep.types import Configuration, Evidence, Measure, Qrels, RandomControl, Ranks, SliceRow, SmallestRow

MIB = 1024 * 1024


def index(dim: int, spec: str, mean: float, size_mib: float, p99: float, verdict: str = "pass") -> CandidateRow:
    return CandidateRow(
        basis="prefix",
        dim=dim,
        index=spec,
        verdict=verdict,
        bytes_per_vector=4 * dim,
        measures={"nDCG@10": Evidence(mean=mean, kept=mean / 0.3412)},
        index_bytes=round(size_mib * MIB),
        latency_ms={"p50": p99 / 2, "p99": p99},
        queries_per_second=1000 / p99,
        build_s=2.0,
    )


def control(basis: str, dim: int, kept: float) -> CandidateRow:
    measures = {"nDCG@10": Evidence(mean=0.3412 * kept, kept=kept)}
    return CandidateRow(basis=basis, dim=dim, index="exact", verdict="not_tested", bytes_per_vector=4 * dim, measures=measures)


def with_rows(report: Report, *rows: CandidateRow) -> Report:
    return replace(report, candidates=(*report.candidates, *rows))


def test_a_plain_run_has_slices_and_nothing_else(sketch: Report) -> None:
    assert [section.title for section in sections(sketch)] == ["Slices at 256 dimensions: who loses more than the others"]
    assert sections(replace(sketch, slices=())) == []


def test_index_loss_stands_apart_from_the_loss_of_cutting(sketch: Report) -> None:
    section = indexes(with_rows(sketch, index(256, "HNSW32", 0.3360, 72, 0.4), index(256, "SQ8", 0.3370, 14, 1.2)))
    assert section is not None
    assert section.table is not None
    cells = {column.title: column.cells for column in section.table.columns}
    hnsw = cells["index"].index("HNSW32")
    assert cells["lost by cutting"][hnsw] == "1.0%"  # 1 - 0.9903
    assert cells["by the index"][hnsw] == "0.6%"  # 0.9903 - 0.3360 / 0.3412
    assert cells["size"][hnsw] == "72.0 MiB"


def test_a_shortlist_loses_against_the_size_that_orders_it_again(sketch: Report) -> None:
    funnel = replace(index(64, "exact", 0.3300, 20, 0.4), rescore="200@256")
    section = indexes(with_rows(sketch, funnel, index(256, "HNSW32", 0.3360, 72, 0.4)))
    assert section is not None
    assert section.table is not None
    cells = {column.title: column.cells for column in section.table.columns}
    shortlist = cells["index"].index("exact, rescore 200@256")
    assert (cells["lost by cutting"][shortlist], cells["by the index"][shortlist]) == ("1.0%", "2.3%")  # of 256: 0.9903 - 0.9672
    assert section.table.notes == ("200@256: a shortlist of 200, ordered again by the first 256 numbers of float32 vectors.",)


def test_a_column_without_room_takes_its_note_along(sketch: Report) -> None:
    section = slices(sketch)
    assert section is not None
    assert section.table is not None
    wide, narrow = section.table, fit(section.table, 40, gap=2)
    assert wide.notes == (
        "Others: what all other queries keep.",
        "q: the share of false alarms among slices with a q up to this one.",
    )
    assert narrow.notes == ()


def test_an_index_that_would_pass_alone_says_with_what_it_shares_the_error(sketch: Report) -> None:
    why = "would pass by itself, but 2 indexes and efforts share the error of 5%"
    rows = [
        replace(index(dim, "SQ8", 0.3370, 14, 1.2, verdict), reason=why)
        for dim, verdict in ((512, "inconclusive"), (256, "not_tested"))
    ]
    section = indexes(with_rows(sketch, *rows))
    assert section is not None
    assert section.table is not None
    cells = {column.title: column.cells for column in section.table.columns}
    shown = [verdict for name, verdict in zip(cells["index"], cells["verdict"], strict=True) if name == "SQ8"]
    assert sorted(shown) == ["not proven, would pass alone", "not reached, would pass alone"]
    assert section.notes[1:] == ("Would pass alone: 2 indexes and efforts share the error of 5%.",)


def test_the_pareto_front_holds_what_nothing_else_beats(sketch: Report) -> None:
    bare = replace(sketch, candidates=tuple(row for row in sketch.candidates if row.index == "exact"))
    report = with_rows(
        bare,
        index(256, "HNSW32", 0.3360, 72, 0.4),  # fastest
        index(256, "SQ8", 0.3370, 14, 1.2),  # smallest
        index(512, "SQ8", 0.3400, 28, 2.4),  # best
        index(512, "HNSW16", 0.3390, 140, 2.5),  # beaten by 512 SQ8 in everything
        index(256, "LSH", 0.3410, 2, 0.1, "fail"),  # the best of all by its figures, and too low by another measure
        index(256, "PQ8", 0.3409, 1, 0.1, "inconclusive"),
    )
    expected = {"256:float32:HNSW32": ["p99"], "256:float32:SQ8": ["size", "p99"], "512:float32:SQ8": ["size", "p99"]}
    assert {str(configuration): fronts for configuration, fronts in pareto(report).items()} == expected
    section = indexes(report)
    assert section is not None
    assert section.table is not None
    verdicts = {column.title: column.cells for column in section.table.columns}["verdict"]
    assert verdicts == ("ok, best by p99", "ok, best by size and p99", "ok, best by size and p99", "ok", "too low", "not proven")


def test_only_flat_indexes_need_no_section(sketch: Report) -> None:
    assert indexes(sketch) is None


def test_controls_stand_beside_the_prefix_of_their_size(sketch: Report) -> None:
    rows = [control("pca", 256, 0.995), control("pca", 128, 0.97), control("random-0", 128, 0.94)]
    rows += [control("random-0", 256, 0.98), control("random-1", 256, 0.97), control("random-2", 256, 0.99)]
    section = controls(with_rows(sketch, *rows))
    assert section is not None
    assert section.table is not None
    assert [(column.title, column.cells) for column in section.table.columns] == [
        ("dim", ("256", "128")),
        ("prefix", ("99.0%", "95.7%")),
        ("pca", ("99.5%", "97.0%")),
        ("random", ("98.0% ±1.0", "94.0%")),
    ]
    answers = {256: "cannot tell", 128: "better"}
    tested = [
        RandomControl(dim=dim, kept=0.9, kept_by_random=0.8, low=0.01, high=0.2, margin=0.05, answer=answer)
        for dim, answer in answers.items()
    ]
    told = controls(replace(with_rows(sketch, *rows), controls=tuple(tested)))
    assert told is not None
    (note,) = told.notes
    assert note.startswith(
        "Against random axes, where those lose 5% or more, the prefix may be either at 256: the queries cannot tell;"
    )
    assert note.endswith(" it is better at 128 (proven against each of the 3 draws of them, not a further one).")


def finding(value: str, *, q: float | None, kept: float, declared: bool = True) -> SliceRow:
    return SliceRow(
        field="type",
        value=value,
        declared=declared,
        dim=256,
        retain=0.98,
        queries=41,
        kept=kept,
        kept_by_others=0.99,
        at_least=kept - 0.03,
        at_most=kept + 0.03,
        p_value=q,
        q_value=q,
    )


def test_slices_that_stand_out_come_first_and_a_lower_unproven_one_does_not_pass_for_worst(sketch: Report) -> None:
    found = [finding("lucky", q=0.5, kept=0.90), finding("numeric", q=0.001, kept=0.93), finding("tiny", q=None, kept=0.5)]
    report = replace(sketch, slices=tuple(found))
    section = slices(report)
    assert section is not None
    assert section.table is not None
    assert section.table.columns[0].cells == ("type=numeric", "type=tiny", "type=lucky")
    assert section.table.columns[-1].cells == ("hit", "-", "-")
    assert worst_slice(report) == "Worst hit: type=numeric keeps 93.0% (41 queries)."
    assert section.notes == ("Of 2 slices searched, 1 is hit harder than the other queries (false discoveries held at 5%).",)


def test_the_page_prints_the_digits_that_decide_in_both_tables_of_slices(sketch: Report) -> None:
    near = SliceRow(field="type", value="near", dim=256, queries=300, kept=0.97996, at_least=0.9, at_most=0.99, q_value=0.9)
    page = render(replace(sketch, slices=(near,)), Format.HTML)
    assert page.count("97.996%") == 2, "the heat map, and every slice"
    assert "98.0%</td>" not in page.partition("Every slice")[2]


def test_where_full_size_is_kept_the_slices_of_the_next_size_are_shown(sketch: Report) -> None:
    full = replace(sketch, slices=(finding("numeric", q=0.001, kept=0.93),), verdict=replace(sketch.verdict, dimension=768))
    section = slices(full)
    assert section is not None
    assert section.title.startswith("Slices at 256 dimensions")
    assert worst_slice(full) == ""  # of what is shipped, nothing is lost


def test_many_slices_are_cut_and_counted(sketch: Report) -> None:
    report = replace(sketch, slices=tuple(finding(f"v{i:02}", q=1.0, kept=0.9 + i / 1000) for i in range(30)))
    section = slices(report)
    assert section is not None
    assert section.table is not None
    assert len(section.table.rows) == 8
    assert section.notes[-1] == "22 more in report.json."


def run_data() -> RunData:
    nothing = np.zeros((1, 3), np.int64)
    return RunData(
        ranks=Ranks((Configuration("prefix", 256),), 10, nothing, nothing),
        qrels=Qrels(np.array([0, 1, 3]), np.array([4, 5, 6]), np.array([1, 2, 0])),
        query_ids=("q1", "q2"),
        query_texts=("how?", "why " * 40),
        document_ids={5: "d5", 6: "d6", 7: "d7"},
        document_titles={5: "Five", 6: "Six"},
    )


def test_losing_queries_are_named_with_the_documents_that_moved(sketch: Report) -> None:
    losing = [LosingQuery(1, 1.0, 0.25, left=(5,), came=(6, 7, 4, 9))]
    rows = loser_rows(losing, run_data(), dim=256, measure=Measure("nDCG", 10), excerpts={})
    assert [(d.id, d.title, d.grade) for d in rows[0].left] == [("d5", "Five", 2)]
    assert [(d.id, d.title, d.grade) for d in rows[0].came_in] == [
        ("d6", "Six", 0),
        ("d7", "", None),
        ("row 4", "", None),
        ("row 9", "", None),
    ]
    section = losers(replace(sketch, losers=rows))
    assert section is not None
    assert section.title == "Queries that lose most at 256 dimensions (nDCG@10)"
    item = section.items[0]
    assert item.text.startswith("1.00 -> 0.25  why why")
    assert item.text.endswith("… [q2]")
    assert item.details == ("left: Five [d5] (grade 2)", "came in: Six [d6] (grade 0); [d7]; 2 more")


def test_an_index_that_is_not_certified_lies_on_no_front(sketch: Report) -> None:
    best = replace(index(256, "IVF64,Flat", 0.3410, 1, 0.1, "inconclusive"), certified=False)
    report = with_rows(sketch, index(256, "HNSW32", 0.3360, 72, 0.4), best)
    section = indexes(report)
    assert section is not None
    assert section.table is not None
    cells = {column.title: column.cells for column in section.table.columns}
    assert dict(zip(cells["index"], cells["verdict"], strict=True))["IVF64,Flat"] == "not certified"
    assert best.configuration not in pareto(report)
    certified = replace(best, certified=True, verdict="pass")
    assert pareto(with_rows(report, certified))[best.configuration] == ["size", "p99"]


def test_small_slices_are_counted_and_not_shown_unless_they_are_below_their_margin(sketch: Report) -> None:
    def row(value: str, queries: int, **more: object) -> SliceRow:
        return SliceRow(field="type", value=value, dim=256, queries=queries, kept=0.9, at_least=0.8, **more)  # type: ignore[arg-type]

    rows = (row("many", 20), row("few", 19), row("failed", 5, verdict="fail", retain=0.95, declared=True))
    section = slices(replace(sketch, slices=rows))
    assert section is not None
    assert section.table is not None
    cells = {column.title: column.cells for column in section.table.columns}
    assert cells["slice"] == ("type=failed", "type=many")
    assert cells[""][0] == "below its margin of 95%"
    assert section.notes[-1] == "1 slice of fewer than 20 queries not shown: so few say little of a slice."


def test_a_losing_query_names_the_judged_document_that_fell_with_its_ranks() -> None:
    qrels = Qrels(np.array([0, 3]), np.array([7, 8, 9]), np.array([1, 2, 0]))
    ranks = Ranks(
        (Configuration("prefix", 8), Configuration("prefix", 4)),
        100,
        np.array([[0, 3, 1], [1, 3, 5]]),
        np.zeros((2, 3), np.int64),
    )
    data = RunData(
        ranks=ranks, qrels=qrels, query_ids=("q",), query_texts=("why",), document_ids={7: "d7"}, document_titles={7: "Seven"}
    )
    (row,) = loser_rows([LosingQuery(0, 1.0, 0.63)], data, dim=4, measure=Measure("nDCG", 10), excerpts={})
    assert [(one.id, one.rank_at_full, one.rank) for one in row.fell] == [("d7", 1, 2)], "d9 is not relevant, d8 did not move"
    section = losers(replace(_bare(), losers=(row,)))
    assert section is not None
    assert section.items[0].details == ("fell: Seven [d7] from rank 1 to 2",)


def _bare() -> Report:
    verdict = verdict_row(dimension=4, proven=4, measured=4, retain=0.9, kept=1, at_least=1, queries=1, sentence="")
    return Report(status="pass", verdict=verdict, candidates=())


@pytest.mark.parametrize(("q_value", "hit"), [(0.05, True), (0.0501, False), (None, False)])
def test_a_slice_is_hit_where_its_false_discoveries_are_held_at_alpha(sketch: Report, q_value: float | None, hit: bool) -> None:
    row = replace(sketch.slices[0], q_value=q_value)
    assert view.proven_hit(row, sketch) == hit
    assert view.proven_hit(row, replace(sketch, verdict=replace(sketch.verdict, alpha=0.1))) == (q_value is not None)


@pytest.mark.parametrize(("sizes", "shown"), [(16, 16), (17, 4)])
def test_up_to_sixteen_sizes_are_all_in_the_table(sketch: Report, sizes: int, shown: int) -> None:
    """Of seventeen from 768 to 256: full size, its half, the answer, and the one above that."""
    full = sketch.candidates[0]
    rows = tuple(replace(full, dim=768 - 32 * i, verdict=full.verdict if i == 0 else "pass") for i in range(sizes))
    assert len(view.shown(replace(sketch, candidates=rows))) == shown


def test_shares_with_one_answer_are_named_together(sketch: Report) -> None:
    def said(*dimensions: int) -> str:
        rows = [
            SmallestRow(retain=share, dimension=dim, configuration=str(dim), bytes_per_vector=4 * dim)
            for share, dim in zip((0.99, 0.98, 0.95, 0.9), dimensions, strict=True)
        ]
        return other_shares(replace(sketch, verdict=replace(sketch.verdict, smallest=tuple(rows))))

    assert said(768, 768, 256, 128) == "Smallest proven if 99% or 98% is asked: all 768; if 95%: 256; if 90%: 128."
    assert said(768, 768, 768, 768) == "Smallest proven if 99%, 98%, 95% or 90% is asked: all 768."
    one = replace(sketch, candidates=tuple(row for row in sketch.candidates if row.dim == 768))
    assert other_shares(one) == "", "one size has one answer"


def test_the_page_says_on_hover_what_a_heading_means(sketch: Report) -> None:
    page = render(sketch, Format.HTML)
    for heading, meaning in (
        ("at least", "the lower limit of the share kept: what is proven"),
        ("q", "the share of false alarms to expect among all slices that stand out as much as this one"),
        ("others", "the share that all other queries keep"),
        (
            "same top 10",
            "how many of full size&#39;s first documents are among the first here too, judged or not",
        ),
    ):
        assert re.search(f'<th[^>]* title="{re.escape(meaning)}">{heading}</th>', page), heading


def without_losers(report: Report, dim: int) -> Report:
    rows = [
        replace(row, measures={"nDCG@10": replace(row.measures["nDCG@10"], lost=0)}) if row.dim == dim and row.measures else row
        for row in report.candidates
    ]
    return replace(report, candidates=tuple(rows))


def test_queries_without_a_loser_say_what_they_cannot_exclude(sketch: Report) -> None:
    """About 3 in 648: were a share p of all queries to lose everything, none of 648 would be met with chance (1 - p)^648."""
    note = "None of 648 queries loses at 512; up to 0.5% of all may still lose everything there."
    assert note in view.sizes(without_losers(sketch, 512)).notes
    assert not any("may still lose" in one for one in view.sizes(sketch).notes)
    clustered = without_losers(replace(sketch, verdict=replace(sketch.verdict, clusters=60)), 512)
    assert "None of 60 clusters of queries loses at 512; up to 4.9% of all may still lose everything there." in (
        view.sizes(clustered).notes
    )


def test_a_heading_that_no_note_explains_is_explained_where_it_is_shown(sketch: Report) -> None:
    """The page says it on hover; a text says it below the table, and only where it has room for the column."""
    meaning = "Same top 10: how many of full size's first documents are among the first here too, judged or not."
    assert meaning in render(sketch, Format.TEXT, Look(width=120))
    assert meaning in render(sketch, Format.MARKDOWN)
    assert "Same top 10" not in render(sketch, Format.TEXT, Look(width=60))
