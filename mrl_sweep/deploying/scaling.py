"""Latency, throughput and recall of an index at a larger corpus, with their bands, from measurements at two corpus sizes.

Caches, disks and the shape of a graph decide how a search grows, so its growth is measured and not derived: the same index over
a sample of the corpus gives an exponent, and the scatter of the exponents of all its sizes and efforts gives the band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from mrl_sweep.deploying.findings import Cost, Finding
from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.record import record
from mrl_sweep.types import EXACT

FARTHEST: Final = 50
"""Beyond so many times the run's documents no latency and no recall is given, as no quality is."""

TIMING_NOISE: Final = 0.1
"""The share by which equal measurements differ on one machine."""

WIDTH: Final = 2.0
"""Standard errors on either side of a band."""


@record
class Band:
    """A band holds a figure at the planned corpus and the ends between which it may lie."""

    value: float
    low: float
    high: float


@record(kw_only=True)
class Outlook:
    """An outlook says what an index does at the planned corpus; None is "not known", `note` why, or what the figures rest on."""

    p50_ms: Band | None = None
    p99_ms: Band | None = None
    queries_per_second: Band | None = None
    recall: Band | None = None
    note: str = ""


def outlook(finding: Finding, docs: int, findings: Iterable[Finding], n_documents: int, n_queries: int) -> Outlook:
    """Projects latency, throughput and recall to `docs` documents, from the run's `n_documents` and the sample of them.

    `n_queries` is how many queries the recall was measured on. At the run's own size the figures are the measured ones.
    """
    cost, times = finding.cost, docs / n_documents
    one = finding.configuration
    index = f"shortlist {one.rescore}" if one.index == EXACT else parse_index(one.index).factory
    whole = Band(1.0, 1.0, 1.0) if parse_index(index).is_flat else None
    peers = [one for one in findings if _alike(one, finding)]
    if docs == n_documents:
        recall = whole or (None if cost.recall is None else _recall_here(cost.recall, n_queries))
        return Outlook(**_speeds(finding, peers, 1.0, 0.0, 0.0), recall=recall, note=f"{index}: as measured in the run")
    if cost.smaller is None:
        missing = "latency" if cost.recall is None or whole else "latency and no recall"
        note = (
            f"{index}: no {missing} at {docs:,} documents: it was measured at one corpus size; --project-docs in the run adds one"
        )
        return Outlook(recall=whole, note=note if cost.p50_ms is not None else "")
    if times > FARTHEST:
        return Outlook(
            recall=whole, note=f"{index}: no latency and no recall beyond {FARTHEST} times the run's {n_documents:,} documents"
        )
    exponent, error = _growth(peers, n_documents)
    note = (
        f"{index}: latency measured at {cost.smaller.docs:,} and {n_documents:,} documents grows as their number to the power "
        f"{exponent:.2f} (from {max(0.0, exponent - WIDTH * error):.2f} to {exponent + WIDTH * error:.2f})"
    )
    recall = whole or _recall_there(cost, docs, n_documents, n_queries)
    return Outlook(**_speeds(finding, peers, times, exponent, error), recall=recall, note=note)


def _alike(one: Finding, other: Finding) -> bool:
    """Tells whether two findings are of one structure over one kind of code, whatever their sizes and efforts."""
    a, b = one.configuration, other.configuration
    same = (a.basis, a.precision, a.rescore) == (b.basis, b.precision, b.rescore)
    return same and a.index != EXACT and parse_index(a.index).factory == parse_index(b.index).factory


def _effort(finding: Finding) -> int:
    """Estimates how much a search does: the product of its parameters (probes, candidates)."""
    return math.prod(value for _, value in parse_index(finding.configuration.index).parameters)


def _speeds(finding: Finding, peers: Sequence[Finding], times: float, exponent: float, error: float) -> dict[str, Band | None]:
    """Projects latency and throughput, so that a search that does less work is never the slower one: noise decides nothing."""
    harder = [
        one for one in peers if one.configuration.dim >= finding.configuration.dim and _effort(one) >= _effort(finding)
    ] or [finding]

    def best(of: Callable[[Cost], float | None], pick: Callable[[Iterable[float]], float]) -> float | None:
        return None if of(finding.cost) is None else pick(value for one in harder if (value := of(one.cost)) is not None)

    return {
        "p50_ms": _grown(best(lambda cost: cost.p50_ms, min), times, exponent, error),
        "p99_ms": _grown(best(lambda cost: cost.p99_ms, min), times, exponent, error),
        "queries_per_second": _grown(best(lambda cost: cost.queries_per_second, max), 1 / times, exponent, error),
    }


def _grown(value: float | None, times: float, exponent: float, error: float) -> Band | None:
    """Multiplies the value by the corpus' growth to the power of the exponent; more documents are never less work."""
    if value is None:
        return None
    ends = [value * times ** max(0.0, exponent + side * WIDTH * error) for side in (-1, 1)]
    return Band(value * times**exponent, min(ends), max(ends))


def _growth(peers: Sequence[Finding], n_documents: int) -> tuple[float, float]:
    """Fits the exponent with which latency grows with the documents, and its error: the peers' scatter, at least the noise's."""
    exponents, errors = [], []
    for one in peers:
        smaller, p50 = one.cost.smaller, one.cost.p50_ms
        if smaller is not None and smaller.p50_ms and p50:
            span = math.log(n_documents / smaller.docs)
            exponents.append(math.log(p50 / smaller.p50_ms) / span)
            errors.append(math.sqrt(2) * TIMING_NOISE / span)
    if not exponents:
        return 1.0, 1.0
    scatter = float(np.std(exponents, ddof=1)) if len(exponents) > 1 else 0.0
    return max(0.0, float(np.mean(exponents))), max(scatter, float(np.mean(errors)))


def _recall_here(recall: float, n_queries: int) -> Band:
    """Returns the measured recall with the error of its queries."""
    error = WIDTH * _error(1 - recall, n_queries)
    return Band(recall, max(0.0, recall - error), min(1.0, recall + error))


def _recall_there(cost: Cost, docs: int, n_documents: int, n_queries: int) -> Band | None:
    """Lets the lost share grow as a power of the documents; the band holds the errors of both measurements, carried as far."""
    smaller = cost.smaller
    if smaller is None or smaller.recall is None or cost.recall is None:
        return None
    least = 0.5 / n_queries
    lost, lost_before = max(1 - cost.recall, least), max(1 - smaller.recall, least)
    reach = math.log(docs / n_documents) / math.log(n_documents / smaller.docs)
    power = max(0.0, math.log(lost / lost_before)) * reach
    errors = [_error(share, n_queries) / share for share in (lost, lost_before)]
    error = WIDTH * math.hypot(errors[0] * (1 + reach), errors[1] * reach)
    low, high = (1 - lost * math.exp(power + side * error) for side in (1, -1))
    value = 1 - lost * math.exp(power) if cost.recall < 1 else 1.0
    return Band(min(1.0, max(0.0, value)), max(0.0, low), min(1.0, max(high, value)))


def _error(share: float, n_queries: int) -> float:
    """Returns the standard error of a share over the queries; where no query differs, that of half a query."""
    share = min(max(share, 0.5 / n_queries), 1 - 0.5 / n_queries)
    return math.sqrt(share * (1 - share) / n_queries)
