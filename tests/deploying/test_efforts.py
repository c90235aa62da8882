"""One build, several search efforts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.indexes import measuring
from mrl_sweep.deploying.indexes.building import IndexShelf
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement
from mrl_sweep.deploying.indexes.measuring import measure_points
from mrl_sweep.events import Event, Progress

QUICK = IndexBudget(latency_s=0.01, throughput_s=0.005, share_of_build=0, threads=1)


def points(corpus: Any, spec: str, **options: Any) -> tuple[IndexMeasurement, ...]:
    changes = {name: options.pop(name) for name in ("similarity", "qrels", "own_rows", "depth") if name in options}
    return measure_points(corpus.trial(**changes), 16, spec, **{"budget": QUICK, **options})


def test_probes_go_up_until_nothing_changes(corpus: Any, exact_ranks: Any) -> None:
    found = points(corpus, "IVF32,Flat")
    names = [one.candidate.index for one in found]
    assert names == [f"IVF32,Flat,nprobe={n}" for n in (1, 4, 16, 32)][: len(names)]
    exact = exact_ranks(corpus, (16,)).top.rows[0]
    shares = [np.mean(one.top_rows == exact) for one in found]
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < shares[-1]
    assert len({one.cost.build_s for one in found}) == 1, "built once"


def test_graph_efforts_begin_at_the_default_of_faiss(corpus: Any, exact_ranks: Any) -> None:
    """The effort decides what is found, however many documents are asked for."""
    exact = exact_ranks(corpus, (16,)).top.rows[0]
    found = points(corpus, "HNSW4", depth=100)
    assert [one.candidate.index for one in found] == [f"HNSW4,efSearch={ef}" for ef in (16, 32, 64, 128, 256, 512)][: len(found)]
    shares = [np.mean(one.top_rows[:, :10] == exact) for one in found]
    assert shares[0] < 0.9 < shares[-1]


@pytest.mark.parametrize("spec", ["Flat", "SQ8", "IVF8,Flat,nprobe=2"])
def test_without_a_free_parameter_there_is_one_point(spec: str, corpus: Any) -> None:
    assert [one.candidate.index for one in points(corpus, spec)] == [spec]


def test_two_parameters_are_swept_together_up_to_a_dozen(corpus: Any) -> None:
    found = points(corpus, "IVF8,PQ4x4fs,RFlat")
    assert 2 <= len(found) <= 12
    assert all("nprobe=" in one.candidate.index and "k_factor_rf=" in one.candidate.index for one in found)
    last = np.mean(found[-1].top_rows == found[-2].top_rows)
    assert last > np.mean(found[0].top_rows == found[-1].top_rows)


def test_a_kept_index_is_not_built_again(corpus: Any, tmp_path: Path) -> None:
    shelf = IndexShelf(tmp_path, "digest")
    first = points(corpus, "IVF8,Flat,nprobe=8", shelf=shelf)
    events: list[Event] = []
    second = points(corpus, "IVF8,Flat,nprobe=8", shelf=shelf, on_event=events.append)
    assert not [event for event in events if isinstance(event, Progress) and event.stage.startswith("index ")]
    np.testing.assert_array_equal(second[0].top_rows, first[0].top_rows)
    assert second[0].cost.index_bytes == first[0].cost.index_bytes


def test_a_long_build_buys_no_more_time_than_the_budget_allows() -> None:
    """A build that took an hour, or that a laptop slept through, is shared by its points and capped."""
    assert IndexBudget(most_latency_s=5.0, most_throughput_s=1.0).seconds(3600.0, 4) == (5.0, 1.0)
    assert IndexBudget(share_of_build=4 / 3600).seconds(3600.0, 4) == (1.0, 0.5)
    assert IndexBudget(latency_s=0.3, throughput_s=0.1).seconds(0.0) == (0.3, 0.1)


def test_the_points_of_one_build_share_the_time_that_it_buys(corpus: Any) -> None:
    shares: list[int] = []

    class Watched(IndexBudget):
        def seconds(self, build_s: float, n_points: int = 1) -> tuple[float, float]:
            shares.append(n_points)
            return super().seconds(build_s, n_points)

    found = points(corpus, "IVF32,Flat", budget=Watched(latency_s=0.01, share_of_build=0, threads=1))
    assert len(found) > 1
    assert shares == [4] * len(found), "the efforts that may be tried: 1, 4, 16 and 32 lists"


def test_a_sample_of_the_corpus_gives_every_point_a_second_size(corpus: Any, exact_ranks: Any) -> None:
    rows = np.arange(0, len(corpus.vectors), 4)
    exact = exact_ranks(corpus, (16,))
    found = points(corpus, "IVF8,Flat", exact=exact)
    own = np.arange(len(corpus.queries), dtype=np.int64)
    with_growth = measuring.over_a_sample(found, corpus.trial(own_rows=own), 16, "IVF8,Flat", rows, budget=QUICK)
    last, smaller = with_growth[-1].cost, with_growth[-1].cost.smaller
    assert with_growth[-1].candidate.index == "IVF8,Flat,nprobe=8"
    assert smaller is not None
    assert (smaller.docs, smaller.recall, last.recall) == (len(rows), 1.0, 1.0), "all lists are probed"
    first = with_growth[0].cost
    assert first.recall is not None
    assert first.recall == np.mean(
        [len(set(a[:10]) & set(b[:10])) / 10 for a, b in zip(found[0].top_rows, exact.top.rows[0], strict=True)]
    )
    assert first.recall < 1


def test_a_querys_own_document_is_found_among_the_sample() -> None:
    assert measuring._places(np.array([0, 3, 4, 9, -1]), np.array([0, 4, 8])).tolist() == [0, -1, 1, -1, -1]
