"""Lists that a live database returned for the judged queries, as one more judged configuration of a finished run.

They come as a TREC run file or as JSON lines of id lists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep import words
from mrl_sweep.deploying.findings import Cost
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline.outlook import AGREEMENT_AT
from mrl_sweep.record import record
from mrl_sweep.report.content.sentence import demand
from mrl_sweep.report.folder import RunData, as_edited, read_report, read_run, write_run
from mrl_sweep.runs.reopen import EarlierRun, Measured, judged_run, recommended
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import NOT_RETRIEVED, Advice, Configuration, IntArray, Measure, Ranks, TopDocuments, full_size

FORMS: Final = (
    'write TREC lines (query Q0 document rank score tag) or JSON lines: {"query_id": "q1", "ids": ["d3", "d7"], "ms": 4.2}'
)
QUERY_KEYS: Final = ("query_id", "qid", "query", "_id", "id")
LIST_KEYS: Final = ("ids", "doc_ids", "documents", "results", "hits")
DOCUMENT_KEYS: Final = ("id", "_id", "doc_id")
TIME_KEYS: Final = ("ms", "latency_ms", "took")


@record(frozen=False)
class Answer:
    """One query's documents, best first; `scores` are empty where the file has none. `ms` is how long the search took."""

    ids: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ms: float | None = None


Returned = Mapping[str, Answer]
"""The answers by query id, in the order of the file."""


def read_returned(path: Path) -> Returned:
    """Reads the answers in a file, whose first line says which form it has. Raises InputError with the line that has neither."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", FORMS) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty", FORMS)
    answers = _json_lines(path, lines) if lines[0][1].lstrip().startswith("{") else _trec_lines(path, lines)
    for query, answer in answers.items():
        if len(set(answer.ids)) < len(answer.ids):
            twice = next(one for i, one in enumerate(answer.ids) if one in answer.ids[:i])
            raise InputError(f"{path}: query {query!r} has document {twice!r} twice", "each document once a query, best first")
    return answers


def _trec_lines(path: Path, lines: Sequence[tuple[int, str]]) -> dict[str, Answer]:
    """Reads TREC lines: documents by score, best first, as trec_eval reads them; the rank column decides nothing."""
    answers: dict[str, Answer] = {}
    for number, line in lines:
        words = line.split()
        try:
            query, _, document, _, score, *_ = words
            value = float(score)
        except ValueError:
            raise InputError(f"{path}:{number}: {line.strip()[:60]!r} is no line of a TREC run file", FORMS) from None
        if not math.isfinite(value):
            raise InputError(f"{path}:{number}: the score {score} is not a number", FORMS)
        answer = answers.setdefault(query, Answer())
        answer.ids.append(document)
        answer.scores.append(value)
    for answer in answers.values():
        order = sorted(range(len(answer.ids)), key=lambda i: -answer.scores[i])
        answer.ids, answer.scores = [answer.ids[i] for i in order], [answer.scores[i] for i in order]
    return answers


def _json_lines(path: Path, lines: Sequence[tuple[int, str]]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for number, line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: {error.msg}", FORMS) from None
        except (ValueError, RecursionError):  # a number of thousands of digits, thousands of brackets
            raise InputError(f"{path}:{number}: a number or a nesting that no answer has", FORMS) from None
        query, listed = _first(entry, QUERY_KEYS), _first(entry, LIST_KEYS)
        if not isinstance(query, str | int) or not isinstance(listed, list):
            raise InputError(f"{path}:{number}: no query id with a list of ids", FORMS)
        if str(query) in answers:
            raise InputError(f"{path}:{number}: query {str(query)!r} stands here twice", "one line a query")
        pairs = [_document(item, f"{path}:{number}") for item in listed]
        ms = _first(entry, TIME_KEYS)
        duration = _finite(ms)
        answer = Answer([name for name, _ in pairs], [], duration if duration is not None and duration >= 0 else None)
        scores = [score for _, score in pairs if score is not None]
        if len(scores) == len(pairs) and scores == sorted(scores, reverse=True):
            answer.scores = scores
        answers[str(query)] = answer
    return answers


def _document(item: Any, where: str) -> tuple[str, float | None]:
    """Reads a document's id, and its score where it is a record that has one. Raises InputError for another thing."""
    score = item.get("score", item.get("_score")) if isinstance(item, dict) else None
    name = _first(item, DOCUMENT_KEYS) if isinstance(item, dict) else item
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise InputError(f"{where}: {str(item)[:60]!r} is no document id", FORMS)
    return str(name), _finite(score)


def _finite(value: Any) -> float | None:
    """The value as a float; None for what is no number, not finite, or a whole number beyond floats."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _first(entry: Any, keys: Sequence[str]) -> Any:
    return next((entry[key] for key in keys if key in entry), None) if isinstance(entry, dict) else None


@record
class ReturnedRanks:
    """The returned lists as ranks, int64: `above` and `tied` (n_pairs,), `top` (n_queries, depth) rows, -1 beyond a list.

    A document whose row the run does not know has the row `n_documents`: it was returned, and is none of the judged ones.
    `missing` are queries without an answer, `shortest` the length of the shortest list, `times_ms` those that the file has.
    """

    above: IntArray
    tied: IntArray
    top: IntArray
    missing: tuple[str, ...]
    shortest: int
    times_ms: tuple[float, ...]


def ranks_of(returned: Returned, data: RunData, *, own_left_out: bool = False) -> ReturnedRanks:
    """Ranks each judged document in the returned lists, equal scores tied; `own_left_out` drops a query's own document.

    Raises InputError where the file names queries that the run does not have, or no document of the run at all.
    """
    _refuse_strangers(returned, data)
    rows = {name: row for row, name in data.document_ids.items()}
    n_queries, n_pairs = len(data.query_ids), len(data.qrels.rows)
    above, tied = np.full(n_pairs, NOT_RETRIEVED, np.int64), np.zeros(n_pairs, np.int64)
    lists = [list(_places(returned.get(query, Answer()), query if own_left_out else None)) for query in data.query_ids]
    top = np.full((n_queries, max(map(len, lists), default=0)), -1, np.int64)
    for query, places in enumerate(lists):
        standing = {}
        for i, (name, before, beside) in enumerate(places):
            top[query, i] = rows.get(name, data.ranks.n_documents)
            standing[int(top[query, i])] = (before, beside)
        for pair in range(int(data.qrels.offsets[query]), int(data.qrels.offsets[query + 1])):
            above[pair], tied[pair] = standing.get(int(data.qrels.rows[pair]), (NOT_RETRIEVED, 0))
    answered = [len(places) for query, places in zip(data.query_ids, lists, strict=True) if query in returned]
    return ReturnedRanks(
        above,
        tied,
        top,
        missing=tuple(query for query in data.query_ids if query not in returned),
        shortest=min(answered, default=0),
        times_ms=tuple(answer.ms for answer in returned.values() if answer.ms is not None),
    )


def _places(answer: Answer, own: str | None) -> Iterator[tuple[str, int, int]]:
    """Yields each document's id, with how many stand strictly above it and how many others share its score."""
    others = [i for i, name in enumerate(answer.ids) if name != own]
    scores = [answer.scores[i] for i in others] if answer.scores else [-float(i) for i in others]
    first = {score: i for i, score in reversed(list(enumerate(scores)))}
    counts: dict[float, int] = {}
    for score in scores:
        counts[score] = counts.get(score, 0) + 1
    for i, score in zip(others, scores, strict=True):
        yield answer.ids[i], first[score], counts[score] - 1


def _refuse_strangers(returned: Returned, data: RunData) -> None:
    queries = set(data.query_ids)
    strangers = [query for query in returned if query not in queries]
    if strangers:
        named = ", ".join(strangers[:5])
        raise InputError(
            f"{len(strangers):,} of {len(returned):,} queries are none of the run's: {named}",
            "export the answers to the run's own queries, under their ids",
        )
    documents = set(data.document_ids.values())
    if not any(name in documents for answer in returned.values() for name in answer.ids):
        example = next((name for answer in returned.values() for name in answer.ids), "none")
        raise InputError(
            f"no returned document is one that the run knows; the first is {example!r}",
            "store the corpus' own ids in the database (its payload or primary key), and export those",
        )


def score_returned(
    path: Path, config: SweepConfig, returned: Returned, *, claimed: str | None, name: str
) -> tuple[EarlierRun, str]:
    """Gives the run with the lists as a configuration of its own, and in a sentence what that keeps and what the index loses.

    They are judged with the run's own evidence, against the exact ranks of the codes that they claim to search.
    `claimed` is those codes (`512:float16`), by default the run's smallest acceptable size; `name` is the index's name
    in the report. With `run.out` the run is also written there. Raises InputError where the run has no exact ranks of it, and
    where it would be written over itself.
    """
    out = config.run.out
    if out is not None and out.resolve() in (path.resolve(), path.parent.resolve()):
        raise InputError(f"will not write to {out}: it is the run", "give --out another folder")
    written, data = read_report(path), read_run(path)
    with as_edited(path):
        twin = _twin(data, claimed or str(written.verdict.dimension))
        one = replace(twin, index=re.sub(r"[^\w.+-]+", "-", name) or "returned")
        if one in data.ranks.candidates:
            raise InputError(f"the run holds {one} already", "give the file another name, or --name NAME")
        ranks = ranks_of(returned, data, own_left_out=written.manifest.get("identical_excluded") is True)
        with_lists = replace(data, ranks=_joined(data.ranks, one, ranks))
        run = recommended(judged_run(written, with_lists, config, {one: _measured(ranks, data)}), written, config)
        sentence = _sentence(run, one, twin, _overlap(data, twin, ranks.top))
        advice = _doubts(ranks, run.policy.required, len(data.query_ids))
    report = replace(run.report, warnings=(*advice, *run.report.warnings))
    return replace(run, report=report if out is None else write_run(out, report, with_lists)), sentence


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


def _measured(ranks: ReturnedRanks, data: RunData) -> Measured:
    """Returns the lists' latency where the file has it, no bytes, and the share of full size's first documents they hold."""
    p50, p99 = np.percentile(ranks.times_ms, [50, 99]).tolist() if ranks.times_ms else (None, None)
    shared = _overlap(data, full_size(data.ranks.candidates), ranks.top)
    return Measured(Cost(p50_ms=p50, p99_ms=p99), {} if shared is None else {AGREEMENT_AT: shared})


def _overlap(data: RunData, exact: Configuration, top: IntArray) -> float | None:
    """Returns the mean share of the exact search's first ten among the lists' first ten; None where it was not kept."""
    if data.ranks.top is None or exact not in data.ranks.candidates or not len(data.query_ids):
        return None
    best = data.ranks.top.rows[data.ranks.candidates.index(exact), :, :AGREEMENT_AT]
    shared = (best[:, :, None] == top[:, None, :AGREEMENT_AT]).any(axis=2) & (best >= 0)
    return float((shared.sum(axis=1) / np.maximum((best >= 0).sum(axis=1), 1)).mean())


def _sentence(run: EarlierRun, one: Configuration, twin: Configuration, overlap: float | None) -> str:
    measure = run.policy.required[0]
    evidence, exact = (run.findings[c].judgement.evidence[measure] for c in (one, twin))
    retain, outcome = run.policy.retain, run.findings[one].judgement.outcome
    verdict = {"pass": "proven", "fail": "too low"}.get(str(outcome), "not proven")
    text = (
        f"{one} keeps {words.percent(evidence.kept, limit=retain)} of {measure}, at least "
        f"{words.percent(evidence.at_least, limit=retain)}; {demand(run.policy)}: {verdict}."
    )
    if exact.kept is not None and evidence.kept is not None:
        text += f" Exact search of the same codes keeps {words.percent(exact.kept)}: "
        loss = exact.kept - evidence.kept
        text += f"the index costs {words.percent(loss)}." if loss > 0 else "the index costs nothing."
    return text + (f" It returns {words.percent(overlap)} of the exact first {AGREEMENT_AT}." if overlap is not None else "")


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
                f"ask the database for at least {words.plural(deepest, 'document')} a query",
            )
        )
    return tuple(advice)
