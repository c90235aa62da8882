"""Reports to render: the one of the README's sketch, a fine sweep, and one whose every name is an attack."""

from __future__ import annotations

import pytest
from made_evaluation import verdict_row

from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, DocumentRow, GateRow, LoserRow, VerdictRow
from mrl_sweep.types import Advice, Evidence, SliceRow

MIB = 1024 * 1024
HOSTILE = (
    "]]>|<script>alert(1)</script>\n::error::x%0A##[error]y `*_[a](http://b.c) @admin #1 =HYPERLINK(1)\x1b[31m\x00\u202e\ud800,"
)


def _row(dim: int, verdict: str, mean: float, kept: float, least: float | None, most: float | None) -> CandidateRow:
    base = verdict == "baseline"
    ndcg = Evidence(
        mean=mean,
        kept=kept,
        at_least=least,
        at_most=most,
        lost=0 if base else 41,
        gained=0 if base else 37,
        unchanged=648 if base else 570,
        provable_loss=None if base else 0.0123,
    )
    return CandidateRow(
        basis="prefix",
        dim=dim,
        index="exact",
        verdict=verdict,
        bytes_per_vector=4 * dim,
        measures={"nDCG@10": ndcg, "R@100": Evidence(mean=mean + 0.2, kept=kept)},
        agreement={"10": 1.0 if base else kept - 0.05},
        reason="keeps at most 96.9% of nDCG@10, below 98%" if verdict == "fail" else "",
    )


def _flat(dim: int, index_mib: float, p50_ms: float) -> CandidateRow:
    return CandidateRow(
        basis="prefix",
        dim=dim,
        index="Flat",
        verdict="not_tested",
        bytes_per_vector=4 * dim,
        measures={},
        index_bytes=round(index_mib * MIB),
        build_s=0.1,
        latency_ms={"p50": p50_ms, "p99": 2 * p50_ms},
        queries_per_second=1000 / p50_ms,
    )


@pytest.fixture
def sketch() -> Report:
    """The run of CONVENTIONS' sketch: 256 of 768 dimensions."""
    table = [
        (768, "baseline", 0.3412, 1.0, None, None, 168.9, 11.2),
        (512, "pass", 0.3405, 0.998, 0.993, 1.003, 112.6, 7.4),
        (256, "pass", 0.3379, 0.9903, 0.9821, 0.9985, 56.3, 3.9),
        (128, "fail", 0.3265, 0.957, 0.944, 0.969, 28.1, 1.9),
        (64, "not_tested", 0.2981, 0.874, 0.853, 0.895, 14.1, 0.94),
    ]
    verdict = verdict_row(
        sentence="Use 256 dimensions: it keeps 99.0% of nDCG@10, at least 98.2% with 95% confidence; you asked for 98%. "
        "The index shrinks 3.0x."
    )
    return Report(
        status="pass",
        verdict=verdict,
        candidates=tuple(_row(*line[:6]) for line in table) + tuple(_flat(line[0], line[6], line[7]) for line in table),
        slices=(
            SliceRow(
                field="type",
                value="numeric",
                dim=256,
                queries=41,
                kept=0.931,
                at_least=0.9,
                at_most=0.962,
                q_value=0.01,
                kept_by_others=0.994,
            ),
            SliceRow(field="type", value="name", dim=256, queries=307, kept=0.995, at_least=0.98, at_most=1.01, q_value=0.9),
        ),
        warnings=(Advice("judged-low", "12% of the top 10 at 256 dimensions are not judged", "judge them too"),),
        excluded={"queries without a relevant judgment": 3},
        manifest={
            "collection": {"name": "fiqa", "documents": 57638, "queries": 648},
            "model": {"name": "nomic-embed-text-v1.5"},
            "similarity": "cosine",
            "versions": {"mrl-sweep": "0.1.0"},
        },
    )


@pytest.fixture
def hostile(sketch: Report) -> Report:
    """The same verdict, with an attack in every place that other people's text can reach."""
    document = DocumentRow(id=HOSTILE, title=HOSTILE, grade=1)
    bad_slice = SliceRow(field=HOSTILE, value=HOSTILE, dim=256, queries=41, kept=0.931, at_least=0.9, at_most=0.962, q_value=0.01)
    loser = LoserRow(
        query_id=HOSTILE, text=HOSTILE, dim=256, measure="nDCG@10", full=1.0, value=0.0, left=(document,), came_in=(document,)
    )
    return Report(
        status="fail",
        verdict=sketch.verdict,
        candidates=sketch.candidates,
        slices=(bad_slice,),
        warnings=(Advice("code", HOSTILE, HOSTILE),),
        excluded={HOSTILE: 3},
        manifest={
            "collection": {"name": HOSTILE, "documents": 57638, "queries": 648},
            "model": {"name": HOSTILE},
            "similarity": HOSTILE,
            "created": HOSTILE,
        },
        losers=(loser,),
        gate=GateRow(
            question=HOSTILE,
            status="fail",
            exit_code=1,
            dim=128,
            sentence=f"128 is too low: {HOSTILE}",
            failures=(HOSTILE, "second"),
        ),
    )


@pytest.fixture
def fine(sketch: Report) -> Report:
    """A sweep of 96 sizes, every 8: kept = 1 - (1 - d/768)^4 / 2, decided at 480."""
    rows = []
    for dim in range(768, 0, -8):
        kept = 1 - (1 - dim / 768) ** 4 / 2
        base, low = dim == 768, kept - 0.01
        verdict = "baseline" if base else "pass" if low >= 0.98 else "fail" if kept + 0.01 < 0.98 else "inconclusive"
        rows.append(_row(dim, verdict, 0.34 * kept, kept, None if base else low, None if base else kept + 0.01))
    dimension = min(row.dim for row in rows if row.verdict == "pass")
    verdict_row = VerdictRow(
        dimension=dimension,
        proven=dimension,
        measured=min(row.dim for row in rows if (row.measures["nDCG@10"].kept or 0) >= 0.98),
        measure="nDCG@10",
        retain=0.98,
        alpha=0.05,
        decide_by="bound",
        kept=0.99,
        at_least=0.98,
        queries=648,
        sentence=f"Use {dimension} dimensions.",
    )
    return Report(status="pass", verdict=verdict_row, candidates=tuple(rows), manifest=sketch.manifest)
