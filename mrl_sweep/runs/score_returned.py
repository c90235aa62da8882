"""What a live database returned, as one more judged configuration of a finished run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from mrl_sweep import words
from mrl_sweep.errors import InputError
from mrl_sweep.report.content.sentence import demand
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.folder import RunData, as_edited, read_report, read_run
from mrl_sweep.runs.reopen import EarlierRun, judged_run
from mrl_sweep.runs.returned import Returned, ReturnedRanks, ranks_of
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Advice, Configuration, IntArray, Measure, Ranks, TopDocuments

OVERLAP_AT: Final = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """The run with the returned lists as a configuration of its own; `sentence` says what that keeps and what the index loses."""

    run: EarlierRun
    configuration: Configuration
    sentence: str


def score_returned(path: Path, config: SweepConfig, returned: Returned, *, claimed: str | None, name: str) -> Scored:
    """The lists judged with the run's own evidence, against the exact ranks of the codes they claim to search.

    `claimed` is that configuration (`512:float16`), by default the run's smallest acceptable size; `name` is the index's name
    in the report. Raises InputError where the run has no exact ranks of it.
    """
    written, data = read_report(path), read_run(path)
    with as_edited(path):
        twin = _twin(data, claimed or str(written.verdict.dimension))
        one = replace(twin, index=re.sub(r"[^\w.+-]+", "-", name) or "returned")
        if one in data.ranks.candidates:
            raise InputError(f"the run holds {one} already", "give the file another name, or --name NAME")
        ranks = ranks_of(returned, data, own_left_out=written.manifest.get("identical_excluded") is True)
        run = judged_run(_with_row(written, one, ranks, data, twin), replace(data, ranks=_joined(data.ranks, one, ranks)), config)
        measure = run.policy.required[0]
        advice = _doubts(ranks, run.policy.required, len(data.query_ids))
        run = replace(run, report=replace(run.report, warnings=(*advice, *run.report.warnings)))
        return Scored(run, one, _sentence(run, one, twin, measure, _overlap(data, twin, ranks.top)))


def _twin(data: RunData, claimed: str) -> Configuration:
    exact = [c for c in data.ranks.candidates if c.is_exact]
    try:
        wanted = Configuration.parse(claimed)
    except ValueError as error:
        raise InputError(str(error), "--codes 512:float16") from None
    if wanted.exact not in exact:
        raise InputError(
            f"the run has no exact ranks of {wanted.exact}", f"--codes takes one of {', '.join(map(str, exact[:12]))}"
        )
    return wanted.exact


def _joined(ranks: Ranks, one: Configuration, returned: ReturnedRanks) -> Ranks:
    """The run's ranks with those of the returned lists behind them."""
    top = None
    if ranks.top is not None:
        rows = np.full((1, *ranks.top.rows.shape[1:]), -1, np.int64)
        width = min(rows.shape[2], returned.top.shape[1])
        rows[0, :, :width] = returned.top[:, :width]
        rows[rows == ranks.n_documents] = -1
        top = TopDocuments(
            np.concatenate([ranks.top.rows, rows]),
            np.concatenate([ranks.top.scores, np.where(rows >= 0, -np.arange(rows.shape[2]), -np.inf).astype(np.float32)]),
        )
    zero = None if ranks.zero_prefixes is None else np.append(ranks.zero_prefixes, 0)
    above, tied = np.vstack([ranks.above, returned.above]), np.vstack([ranks.tied, returned.tied])
    return Ranks((*ranks.candidates, one), ranks.n_documents, above, tied, top, zero)


def _with_row(written: Report, one: Configuration, ranks: ReturnedRanks, data: RunData, twin: Configuration) -> Report:
    """The report with a row for the lists: their latency where the file has it, nothing of bytes."""
    beside = next(row for row in written.candidates if row.configuration == twin)
    full = max((c for c in data.ranks.candidates if c.is_exact_prefix), key=lambda c: c.dim)
    shared = _overlap(data, full, ranks.top)
    p50, p99 = np.percentile(ranks.times_ms, [50, 99]) if ranks.times_ms else (None, None)
    row = CandidateRow(
        basis=one.basis,
        dim=one.dim,
        index=one.index,
        precision=one.precision,
        verdict="not_tested",
        bytes_per_vector=beside.bytes_per_vector,
        measures={},
        agreement={} if shared is None else {str(OVERLAP_AT): shared},
        latency_ms={"p50": None if p50 is None else float(p50), "p99": None if p99 is None else float(p99)},
    )
    return replace(written, candidates=(*written.candidates, row))


def _overlap(data: RunData, exact: Configuration, top: IntArray) -> float | None:
    """The mean share of the exact search's first ten that the lists hold among their first ten; None where it was not kept."""
    if data.ranks.top is None or exact not in data.ranks.candidates or not len(data.query_ids):
        return None
    best = data.ranks.top.rows[data.ranks.candidates.index(exact), :, :OVERLAP_AT]
    shared = (best[:, :, None] == top[:, None, :OVERLAP_AT]).any(axis=2) & (best >= 0)
    return float((shared.sum(axis=1) / np.maximum((best >= 0).sum(axis=1), 1)).mean())


def _sentence(run: EarlierRun, one: Configuration, twin: Configuration, measure: Measure, overlap: float | None) -> str:
    evidence, exact = (run.findings[c].judgement.evidence[measure] for c in (one, twin))
    retain, outcome = run.policy.retain, run.findings[one].judgement.outcome
    verdict = {"pass": "proven", "fail": "too low"}.get(str(outcome), "not proven")
    text = (
        f"{one} keeps {words.percent(evidence.kept, limit=retain)} of {measure}, at least "
        f"{words.percent(evidence.at_least, limit=retain)}; {demand(retain, by_default=run.policy.by_default)}: {verdict}."
    )
    if exact.kept is not None and evidence.kept is not None:
        text += f" Exact search of the same codes keeps {words.percent(exact.kept)}: "
        loss = exact.kept - evidence.kept
        text += f"the index costs {words.percent(loss)}." if loss > 0 else "the index costs nothing."
    return text + (f" It returns {words.percent(overlap)} of the exact first {OVERLAP_AT}." if overlap is not None else "")


def _doubts(ranks: ReturnedRanks, required: tuple[Measure, ...], n_queries: int) -> tuple[Advice, ...]:
    advice = []
    if ranks.missing:
        named = ", ".join(ranks.missing[:5])
        advice.append(
            Advice(
                "returned-missing",
                f"{len(ranks.missing):,} of {n_queries:,} queries have no answer in the file: they find nothing: {named}",
                "export every judged query of the run",
            )
        )
    deepest = max((measure.cutoff or 0 for measure in required), default=0)
    if ranks.shortest < deepest:
        advice.append(
            Advice(
                "returned-short",
                f"some lists hold {ranks.shortest:,} documents; the measure looks at {deepest:,}: what lies deeper is lost",
                f"ask the database for at least {deepest:,} documents a query",
            )
        )
    return tuple(advice)
