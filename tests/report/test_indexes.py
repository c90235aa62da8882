"""Funnels, budgets and larger corpora, as a person reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mrl_sweep.deploying.bill import PlanRequest, PlanRow
from mrl_sweep.deploying.plan import Plan
from mrl_sweep.report.content.indexes import budgets, funnels, span
from mrl_sweep.report.content.layout import Section
from mrl_sweep.report.content.sections import projections
from mrl_sweep.report.content.view import model_name
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import BudgetRow, FunnelRow, ProjectionRow
from mrl_sweep.report.plan import plan_article
from mrl_sweep.report.render import Format, Look, render


def cells(section: Section | None) -> dict[str, tuple[str, ...]]:
    assert section is not None
    assert section.table is not None
    return {column.title: column.cells for column in section.table.columns}


def funnel(small: int, shortlist: int, operations: int, **more: object) -> FunnelRow:
    return FunnelRow(
        small=small,
        shortlist=shortlist,
        large=768,
        measure="nDCG@10",
        kept_low=0.985,
        kept_high=1.001,
        at_least=0.981,
        operations=operations,
        full_operations=12_000,
        hot_bytes=1024 * 1024,
        **more,  # type: ignore[arg-type]
    )


def test_the_recommended_funnel_comes_first_then_measured_then_proven_ones(sketch: Report) -> None:
    rows = (
        funnel(32, 100, 500, verdict="inconclusive"),
        funnel(64, 200, 1000, verdict="pass"),
        funnel(64, 500, 1500, verdict="pass", measured_kept=0.999, latency_ms={"p50": 0.5, "p99": 1.25}),
        funnel(32, 500, 800, verdict="pass", recommended=True),
    )
    section = funnels(replace(sketch, funnels=rows))
    shown = cells(section)
    assert shown["funnel"] == ("500 at 32, then 768", "500 at 64, then 768", "200 at 64, then 768", "100 at 32, then 768")
    assert shown["work"] == ("15.0x less", "8.0x less", "12.0x less", "24.0x less")
    assert shown["keeps"][0] == "98.5% or more", "an upper bound beyond full size says nothing"
    assert shown["measured"] == ("-", "99.9%", "-", "-")
    assert shown["verdict"] == ("proven, least work", "proven", "proven", "not proven")
    assert section is not None
    assert section.table is not None
    assert section.table.chosen == 0


def test_each_budget_has_its_best_configuration_or_none(sketch: Report) -> None:
    rows = (
        BudgetRow(budget="2 ms, 1 GiB", dim=256, index="HNSW32", kept=0.985, size_bytes=80 * 1024 * 1024, p99_ms=0.5),
        BudgetRow(budget="0.01 ms"),
    )
    shown = cells(budgets(replace(sketch, budgets=rows)))
    assert shown["dim"] == ("256", "-")
    assert shown["index"] == ("HNSW32", "nothing is within")
    assert shown["size"] == ("80.0 MiB", "-")
    assert "precision" not in shown
    coded = BudgetRow(budget="1 GiB", dim=64, index="exact", configuration="64:int8:exact:rescore=4x", kept=0.99, size_bytes=1024)
    named = cells(budgets(replace(sketch, budgets=(*rows, coded))))
    assert (named["precision"], named["index"][2]) == (("float32", "-", "int8"), "exact, rescore 4x")


def projected(dim: int, value: float, kept: float, acceptable: bool | None, holds_up_to: int | None) -> ProjectionRow:
    return ProjectionRow(
        dim=dim,
        measure="nDCG@10",
        documents=10_000_000,
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        kept=kept,
        kept_low=kept - 0.02,
        kept_high=kept + 0.02,
        acceptable=acceptable,
        holds_up_to=holds_up_to,
    )


def test_a_projection_stands_beside_the_figures_at_hand(sketch: Report) -> None:
    rows = (
        projected(128, 0.15, 0.60, None, None),
        projected(256, 0.22, 0.88, False, 2_000_000),
        projected(512, 0.248, 0.992, True, None),
    )
    (section,) = projections(replace(sketch, projections=rows))
    assert section.title == "At 10,000,000 documents (nDCG@10)"
    shown = cells(section)
    assert shown["dim"] == ("512", "256", "128")
    assert shown["here"] == ("0.3405", "0.3379", "0.3265")
    assert shown["there"] == ("0.2480", "0.2200", "0.1500")
    assert shown["band"][1] == "0.2100-0.2300"
    assert shown["holds up to"] == ("-", "2,000,000", "-")
    assert shown["verdict"] == ("acceptable", "too low", "not proven")
    assert section.notes[0] == "There 512 dimensions are the smallest acceptable size; here it is 256."


def test_of_codes_the_acceptable_ones_are_shown_and_the_others_counted(sketch: Report) -> None:
    size = projected(512, 0.248, 0.992, True, None)
    codes = (replace(size, configuration="512:int8"), replace(size, configuration="512:binary", acceptable=None))
    report = replace(sketch, projections=(size, *codes))
    (section,), (every,) = projections(report), projections(report, whole=True)
    assert cells(section)["dim"] == ("512", "512:int8")
    assert section.notes[-1] == "1 code of these that is not acceptable there: --format html."
    assert cells(every)["dim"] == ("512", "512:int8", "512:binary")
    assert every.notes[-1].startswith("Modelled")


def plan_row(dim: int, precision: str, *, acceptable: bool | None, at_least: float) -> PlanRow:
    size = dim * {"float32": 4, "int8": 1}[precision]
    return PlanRow(
        configuration=f"{dim}:{precision}:Flat", dim=dim, precision=precision, index="Flat", docs=1000, acceptable=acceptable,
        kept=at_least, at_least=at_least, vector_bytes=size, index_bytes=size, memory_bytes=size, disk_bytes=size, embed_s=None,
        embed_price=None, p50_ms=None, p99_ms=None, queries_per_second=None, replicas=1, machines=None, monthly_cost=None,
        quality=at_least, reason="" if acceptable else "not proven",
    )  # fmt: skip


def test_it_is_said_what_becomes_there_of_the_fewest_bytes_proven_here(sketch: Report) -> None:
    row = ProjectionRow(documents=10_000, measure="nDCG@10", dim=256, value=0.3, kept=0.99, acceptable=True)
    code = "256:binary:exact:rescore=4x"
    there = replace(row, configuration=code, kept_low=0.9312, kept_high=0.9871, acceptable=None)
    unknown = f"Whether the 32 bytes of {code} hold there is not known: its shortlist is not projected."
    unproven = f"The 32 bytes of {code} are not proven there: kept 93.1% - 98.7% of nDCG@10."
    for named, rows, said in ((code, (row,), unknown), (code, (row, there), unproven), ("256", (row,), "")):
        verdict = replace(sketch.verdict, configuration=named, bytes_per_vector=32)
        (section,) = projections(replace(sketch, verdict=verdict, projections=rows))
        assert [note for note in section.notes if code in note] == [said] * bool(said)
    too_low = replace(there, measure="R@10", acceptable=False, kept_low=0.4, kept_high=0.5)
    (section,) = projections(replace(sketch, verdict=replace(verdict, configuration=code), projections=(row, there, too_low)))
    assert f"The 32 bytes of {code} are too low there: kept 40.0% - 50.0% of R@10." in section.notes


def test_a_long_plan_keeps_full_size_the_cheapest_acceptable_rows_and_what_nearly_is() -> None:
    rows = [
        plan_row(dim, precision, acceptable=dim > 64, at_least=dim / 1000)
        for precision in ("float32", "int8")
        for dim in range(160, 0, -16)
    ]
    article = plan_article({"": Plan(rows=tuple(rows), request=PlanRequest(docs=1000), assumptions=())})
    (section,) = article.sections
    shown = list(zip(cells(section)["dim"], cells(section)["precision"], strict=True))
    assert shown == [("160", "float32"), *((str(dim), "int8") for dim in (160, 144, 128, 112, 96, 80, 64, 48, 32, 16))]
    assert section.table is not None
    assert section.table.chosen == shown.index(("80", "int8"))
    assert section.left_out == 9
    assert "9 more rows: --format html." in render(article, Format.TEXT)
    assert render(article, Format.HTML).count("<tr class=") == 20


def test_what_is_left_out_for_one_reason_is_named_together() -> None:
    left_out = tuple(f"HNSW32 at {dim}:int8: its bytes are not known" for dim in (512, 256, 128, 64, 32))
    plan = Plan(
        rows=(plan_row(64, "float32", acceptable=True, at_least=0.9),),
        request=PlanRequest(docs=1000),
        assumptions=(),
        left_out=left_out,
    )
    (section,) = plan_article({"": plan}).sections
    assert [item.text for item in section.items] == [
        "left out: HNSW32 at 512:int8, HNSW32 at 256:int8, HNSW32 at 128:int8 and 2 more: its bytes are not known"
    ]


def test_what_is_said_alike_of_several_indexes_is_said_once() -> None:
    assumptions = ("memory holds one index", "Flat: no latency: why", "HNSW32: another", "HNSW32: no latency: why")
    row = plan_row(64, "float32", acceptable=True, at_least=0.9)
    (section,) = plan_article({"": Plan(rows=(row,), request=PlanRequest(docs=1000), assumptions=assumptions)}).sections
    assert [item.text for item in section.items] == [
        "memory holds one index",
        "Flat, HNSW32: no latency: why",
        "HNSW32: another",
    ]


def test_corpora_of_several_sizes_have_a_section_each(sketch: Report) -> None:
    one = projected(256, 0.22, 0.88, False, None)
    report = replace(sketch, projections=(one, replace(one, documents=1000, modelled=False)))
    assert [section.title for section in projections(report)] == [
        "At 10,000,000 documents (nDCG@10)",
        "At 1,000 documents (nDCG@10)",
    ]
    assert projections(report)[1].notes == ("Exact.",)


def test_all_of_it_is_in_every_rendering(sketch: Report) -> None:
    report = replace(
        sketch,
        funnels=(funnel(64, 200, 1000, verdict="pass", recommended=True),),
        projections=(projected(512, 0.248, 0.992, True, None),),
        budgets=(BudgetRow(budget="2 ms"),),
    )
    for format in (Format.TEXT, Format.MARKDOWN, Format.HTML):
        shown = render(report, format, Look(width=120, show=["funnels"]))
        funnels = "A shortlist of 200 at 64" if format is Format.MARKDOWN else "Funnels: shortlist"
        budget = "within each budget" if format is Format.MARKDOWN else "nothing is within"
        for words in ("10,000,000 documents", funnels, budget):
            assert words in shown


def test_a_comment_stays_short_and_names_what_the_page_has(sketch: Report) -> None:
    """A section is folded into it where there is room, and else named."""
    rows = tuple(projected(dim, 0.248, 0.992, True, None) for dim in (768, 512, 256, 128, 64))
    long, short = (replace(sketch, budgets=(BudgetRow(budget="2 ms"),), projections=p) for p in (rows, ()))
    comment = render(long, Format.MARKDOWN)
    assert comment.count("\n") <= 30
    assert comment.endswith("; At 10,000,000 documents (nDCG@10).\n")
    assert "nothing is within" in render(replace(short, warnings=(), excluded={}), Format.MARKDOWN)


def test_one_limit_alone_says_which_it_is() -> None:
    assert [span(*limits) for limits in ((0.9, 0.95), (0.9, None), (None, 0.95), (None, None))] == [
        "90.0% - 95.0%",
        "at least 90.0%",
        "at most 95.0%",
        "-",
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/data/models/e5", "e5"),
        ("./models/e5/", "e5"),
        ("vectors:runs/mine", "vectors:mine"),
        ("intfloat/e5-base", "intfloat/e5-base"),
        ("openai:text-embedding-3-small", "openai:text-embedding-3-small"),
        ("wordllama", "wordllama"),
    ],
)
def test_a_model_in_a_folder_is_named_without_its_place(name: str, shown: str) -> None:
    assert model_name(name) == shown
