"""From the latency measured at one corpus to that at another: scaled by the work an index does per query, assumption said."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mrl_sweep.deploying.index_spec import IndexSpec, parse_index


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPoint:
    """An index as measured: single-query percentiles, batch throughput on all threads, bytes; None where not measured."""

    index: str
    dim: int
    docs: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    queries_per_second: float | None = None
    index_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Scaled:
    """Latency and throughput at the planned corpus, and the assumption in words."""

    p50_ms: float | None
    p99_ms: float | None
    queries_per_second: float | None
    assumption: str


def scale_point(index: str, dim: int, docs: int, points: Sequence[MeasuredPoint]) -> Scaled | None:
    """From the point measured with this index at this size, else at the nearest size; None where the index was not measured.

    Of several search efforts the one named, else the first. Caches and disks are not modelled.
    """
    of_index = [point for point in points if _same(parse_index(index), parse_index(point.index)) and point.p50_ms is not None]
    if not of_index:
        return None
    nearest = min(of_index, key=lambda point: abs(math.log(point.dim / dim)))
    factor = work(nearest.index, dim, docs) / work(nearest.index, nearest.dim, nearest.docs)
    return Scaled(
        p50_ms=_times(nearest.p50_ms, factor),
        p99_ms=_times(nearest.p99_ms, factor),
        queries_per_second=_times(nearest.queries_per_second, 1 / factor),
        assumption=(
            f"{index}: latency measured at {nearest.docs:,} documents on the machine of the run, scaled by the work of a query, "
            f"which {_growth(nearest.index)}; caches and disks are not modelled, so measure again before you buy"
        ),
    )


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


def _same(asked: IndexSpec, measured: IndexSpec) -> bool:
    return asked.factory == measured.factory and (not asked.parameters or asked.parameters == measured.parameters)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
