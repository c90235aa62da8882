"""From the latency measured at one corpus to that at another: scaled by the work an index does per query, assumption said."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mrl_sweep.deploying.findings import Finding
from mrl_sweep.deploying.index_spec import parse_index


@dataclass(frozen=True, slots=True)
class Scaled:
    """Latency and throughput at the planned corpus, and the assumption in words."""

    p50_ms: float | None
    p99_ms: float | None
    queries_per_second: float | None
    assumption: str


def scaled_cost(index: str, dim: int, docs: int, findings: Iterable[Finding], n_documents: int) -> Scaled | None:
    """From the finding with this index at this size, else at the nearest size; None where the index was not timed.

    `n_documents` is the corpus of the run. Of several search efforts the one named, else the first. Caches and disks are not
    modelled.
    """
    timed = [finding for finding in findings if uses_index(finding, index) and finding.cost.p50_ms is not None]
    if not timed:
        return None
    nearest = min(timed, key=lambda finding: abs(math.log(finding.configuration.dim / dim)))
    measured, cost = nearest.configuration, nearest.cost
    factor = work(measured.index, dim, docs) / work(measured.index, measured.dim, n_documents)
    return Scaled(
        p50_ms=_times(cost.p50_ms, factor),
        p99_ms=_times(cost.p99_ms, factor),
        queries_per_second=_times(cost.queries_per_second, 1 / factor),
        assumption=(
            f"{index}: latency measured at {n_documents:,} documents on the machine of the run, scaled by the work of a query, "
            f"which {_growth(measured.index)}; caches and disks are not modelled, so measure again before you buy"
        ),
    )


def uses_index(finding: Finding, index: str) -> bool:
    """Whether it was measured with this index: the search parameters too, where `index` names some."""
    if finding.configuration.is_exact or finding.configuration.rescore:
        return False
    wanted, measured = parse_index(index), parse_index(finding.configuration.index)
    return wanted.factory == measured.factory and (not wanted.parameters or wanted.parameters == measured.parameters)


def work(index: str, dim: int, docs: int) -> float:
    """Multiply-adds per query up to a constant: all documents; the probed lists; or, in a graph, the documents' logarithm."""
    spec = parse_index(index)
    if match := re.search(r"IVF(\d+)", spec.factory):
        n_lists, probes = int(match[1]), dict(spec.parameters).get("nprobe", 1)
        return dim * (n_lists + min(probes, n_lists) * docs / n_lists)
    if re.search(r"HNSW|NSG", spec.factory):
        return dim * math.log(max(docs, 2))
    return float(dim * docs)


def _growth(index: str) -> str:
    if "IVF" in index:
        return "grows with the length of the probed lists"
    if re.search(r"HNSW|NSG", index):
        return "grows with the logarithm of the documents"
    return "grows with the documents (exhaustive search)"


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
