"""Growth read from two corpus sizes: power laws worked out by hand, bands that hold them, silence where nothing is known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mrl_sweep.deploying.findings import Cost, Finding, Smaller
from mrl_sweep.deploying.scaling import Band, outlook
from mrl_sweep.types import Configuration, Judgement, Outcome


def timed(configuration: str, **cost: Any) -> Finding:
    return Finding(judgement=Judgement(Configuration.parse(configuration), Outcome.PASS, {}, ""), cost=Cost(**cost))


def after(docs: int, p50_ms: float = 1.0, recall: float | None = None) -> Smaller:
    return Smaller(docs=docs, p50_ms=p50_ms, recall=recall)


def test_latency_follows_the_power_law_of_its_two_sizes() -> None:
    """Doubled by four times the documents: a square root, so sixteen times as many cost four times as much."""
    one = timed("64:float32:HNSW32,efSearch=16", p50_ms=2.0, p99_ms=3.0, queries_per_second=100.0, smaller=after(250))
    ahead = outlook(one, 16_000, [one], 1000, 100)
    assert ahead.p50_ms is not None
    assert ahead.p50_ms.value == pytest.approx(8.0)
    assert ahead.p99_ms is not None
    assert ahead.p99_ms.value == pytest.approx(12.0)
    assert ahead.queries_per_second is not None
    assert ahead.queries_per_second.value == pytest.approx(25.0)
    error = math.sqrt(2) * 0.1 / math.log(4)
    assert ahead.p50_ms.low == pytest.approx(2 * 16 ** (0.5 - 2 * error))
    assert ahead.p50_ms.high == pytest.approx(2 * 16 ** (0.5 + 2 * error))


def test_the_scatter_of_sizes_and_efforts_widens_the_band() -> None:
    peers = [timed(f"{dim}:float32:Flat", p50_ms=4.0, smaller=after(250, p50)) for dim, p50 in ((64, 1.0), (32, 4.0))]
    ahead = outlook(peers[0], 4000, peers, 1000, 100)
    assert ahead.p50_ms is not None
    scatter = math.sqrt(0.5)  # of exponents 1 and 0, whose mean is a half
    assert ahead.p50_ms.value == pytest.approx(8.0)
    assert ahead.p50_ms.high == pytest.approx(4 * 4 ** (0.5 + 2 * scatter))
    assert ahead.p50_ms.low == pytest.approx(4.0), "more documents are never faster"


def test_at_the_size_of_the_run_the_figures_are_those_measured() -> None:
    one = timed("64:float32:HNSW32,efSearch=16", p50_ms=2.0, recall=0.9)
    ahead = outlook(one, 1000, [one], 1000, 100)
    assert ahead.p50_ms == Band(2.0, 2.0, 2.0)
    assert ahead.recall is not None
    assert (ahead.recall.value, ahead.recall.low) == (0.9, pytest.approx(0.9 - 2 * math.sqrt(0.09 / 100)))


@pytest.mark.parametrize(("docs", "smaller"), [(2000, None), (50_001, after(250))])
def test_nothing_is_said_of_one_size_alone_or_of_a_corpus_too_far(docs: int, smaller: Smaller | None) -> None:
    one = timed("64:float32:HNSW32,efSearch=16", p50_ms=2.0, recall=0.9, smaller=smaller)
    ahead = outlook(one, docs, [one], 1000, 100)
    assert (ahead.p50_ms, ahead.queries_per_second, ahead.recall) == (None, None, None)
    assert ahead.note.startswith("HNSW32: no latency and no recall")


def test_what_an_index_loses_grows_as_it_grew() -> None:
    """From 1% to 2% by four times the documents: 4% at four times as many again; few queries leave a wide band."""
    one = timed("64:float32:HNSW32,efSearch=16", p50_ms=1.0, recall=0.98, smaller=after(250, recall=0.99))
    many, few = (outlook(one, 4000, [one], 1000, n).recall for n in (10**8, 1000))
    assert many is not None
    assert few is not None
    assert many.value == few.value == pytest.approx(0.96)
    assert many.low == pytest.approx(0.96, abs=0.001)
    assert few.low < 0.9 < few.high


def test_a_flat_index_loses_nothing_anywhere() -> None:
    one = timed("64:float32:Flat", p50_ms=1.0)
    assert outlook(one, 10**9, [one], 1000, 100).recall == Band(1.0, 1.0, 1.0)
