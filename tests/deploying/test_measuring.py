"""Real indexes measured: what they return goes through the same ranks as an exact search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest

from mrl_sweep.deploying.findings import which_sizes
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement, merge_measurements
from mrl_sweep.deploying.indexes.measuring import check_index, measure_points
from mrl_sweep.errors import InputError
from mrl_sweep.events import Event, Progress
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Qrels, Similarity, TopDocuments

QUICK = IndexBudget(latency_s=0.01, throughput_s=0.005, share_of_build=0, threads=1)


def measured(corpus: Any, dim: int, spec: str, **options: Any) -> IndexMeasurement:
    changes = {name: options.pop(name) for name in ("similarity", "qrels", "own_rows", "depth") if name in options}
    return measure_points(corpus.trial(**changes), dim, spec, **{"budget": QUICK, **options})[0]


def test_flat_searched_in_full_equals_a_full_sort(corpus: Any, exact_ranks: Any) -> None:
    exact = exact_ranks(corpus, (32, 8), depth=10)
    for c, dim in enumerate((32, 8)):
        one = measured(corpus, dim, "Flat")
        found = one.above != NOT_RETRIEVED
        assert not found.all(), "it was searched"
        np.testing.assert_array_equal(one.above[found], exact.above[c][found])
        assert (exact.above[c][~found] >= 10).all()
        np.testing.assert_array_equal(one.top_rows, exact.top.rows[c])
        np.testing.assert_allclose(one.top_scores, exact.top.scores[c], atol=1e-6)


def test_flat_takes_its_ranks_from_the_exact_search_after_a_check(corpus: Any, exact_ranks: Any) -> None:
    exact = exact_ranks(corpus, (32, 8))
    one = measured(corpus, 8, "Flat", exact=exact)
    assert one.advice == ()
    np.testing.assert_array_equal(one.above, exact.above[1])
    np.testing.assert_array_equal(one.top_rows, exact.top.rows[1])


@pytest.mark.parametrize("depth", [3, 10, 30])
def test_an_index_that_returns_all_that_is_nearest_has_whole_recall_however_deep_lists_go(
    corpus: Any, exact_ranks: Any, depth: int
) -> None:
    exact = exact_ranks(corpus, (8,), depth=30)
    assert measured(corpus, 8, "Flat", exact=exact, depth=depth).cost.recall == 1.0
    one = measured(corpus, 8, "IVF8,Flat,nprobe=1", exact=exact, depth=depth)
    k = min(10, depth)
    shares = [len(set(a[:k]) & set(b[:k])) / k for a, b in zip(one.top_rows, exact.top.rows[0], strict=True)]
    assert one.cost.recall == pytest.approx(np.mean(shares))
    assert np.mean(shares) < 1


def test_flat_that_disagrees_with_the_exact_search_is_searched_and_said(corpus: Any, exact_ranks: Any) -> None:
    exact = exact_ranks(corpus, (8,))
    wrong = replace(exact, top=TopDocuments((exact.top.rows + 1) % 2000, exact.top.scores), above=exact.above + 1)
    one = measured(corpus, 8, "Flat", exact=wrong)
    assert [advice.code for advice in one.advice] == ["flat-check"]
    found = one.above != NOT_RETRIEVED
    assert not found.all(), "it was searched"
    np.testing.assert_array_equal(one.above[found], exact.above[0][found])


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ("HNSW32,efSearch=16", 0.95),
        ("SQ8", 0.95),
        ("SQfp16", 0.99),
        ("IVF8,Flat,nprobe=8", 1.0),
        ("IVF8,Flat,nprobe=1", 0.4),
        ("LSH", 0.2),
    ],
)
def test_other_indexes_return_what_they_find(spec: str, least: float, corpus: Any, exact_ranks: Any) -> None:
    exact = exact_ranks(corpus, (32,))
    one = measured(corpus, 32, spec, exact=exact)
    assert one.candidate == Configuration("prefix", 32, spec)
    assert (one.above == NOT_RETRIEVED).any(), "it was searched"
    same = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(one.top_rows, exact.top.rows[0], strict=True)])
    assert same >= least
    returned = (one.top_rows == corpus.qrels.rows[::2, None]).any(axis=1)
    found = one.above[::2] != NOT_RETRIEVED
    np.testing.assert_array_equal(found[returned], True)
    assert found.sum() == returned.sum() or spec == "LSH", "only ties go on beyond the list"


def test_bytes_are_those_of_an_index_made_by_hand(corpus: Any) -> None:
    rows = corpus.vectors.read(0, 2000)[:, :8]
    index = faiss.index_factory(8, "SQ8", faiss.METRIC_INNER_PRODUCT)
    rows = np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    index.train(rows)
    index.add(rows)
    assert measured(corpus, 8, "SQ8").cost.index_bytes == len(faiss.serialize_index(index))


def test_own_documents_are_left_out(new_corpus: Any, exact_ranks: Any) -> None:
    corpus = new_corpus(300, 16, 300)
    own = np.arange(300)
    corpus = replace(
        corpus, queries=corpus.vectors.read(0, 300), qrels=Qrels(np.arange(301), (own + 1) % 300, np.ones(300, np.int64))
    )
    exact = exact_ranks(corpus, (16,), own_rows=own)
    for spec in ("Flat", "HNSW32"):
        one = measured(corpus, 16, spec, own_rows=own)
        assert not (one.top_rows == own[:, None]).any()
        found = one.above != NOT_RETRIEVED
        assert found.sum() >= (exact.above < 10).sum() * 0.98
        if spec == "Flat":
            np.testing.assert_array_equal(one.above[found], exact.above[0][found])


def test_a_judged_document_missing_from_the_corpus_is_never_found(corpus: Any) -> None:
    qrels = Qrels(corpus.qrels.offsets, np.where(np.arange(120) % 2, corpus.qrels.rows, -1), corpus.qrels.grades)
    one = measured(corpus, 32, "Flat", qrels=qrels)
    assert (one.above[::2] == NOT_RETRIEVED).all()


def test_more_asked_for_than_documents(new_corpus: Any) -> None:
    corpus = new_corpus(3, 8, 5)
    for spec in ("Flat", "SQ8", "HNSW32", "LSH"):
        one = measured(corpus, 8, spec, depth=50)
        assert one.top_rows.shape == (5, 50)
        assert (one.top_rows[:, 3:] == -1).all()
        assert (one.above < 3).all()


def test_sign_codes_tie_and_the_tie_is_counted_whole(new_corpus: Any) -> None:
    """Two bits a document: four kinds. Every document of the query's kind ties, not only those that FAISS lists first."""
    corpus = new_corpus(400, 2, 20, judged=1)
    one = measured(corpus, 2, "LSH", depth=5)
    signs = corpus.vectors.read(0, 400) >= 0
    distance = (signs[None] != (corpus.queries >= 0)[:, None]).sum(axis=2)
    mine = distance[np.arange(20), corpus.qrels.rows]
    nearest = distance.min(axis=1)
    top = mine == nearest
    assert top.any()
    np.testing.assert_array_equal(one.above[top], 0)
    np.testing.assert_array_equal(one.tied[top], (distance == nearest[:, None]).sum(axis=1)[top] - 1)
    assert (one.above[~top] == NOT_RETRIEVED).all()


def test_a_query_without_direction_ties_with_everything(corpus: Any) -> None:
    queries = corpus.queries.copy()
    queries[3, :8] = 0
    one = measured(replace(corpus, queries=queries), 8, "HNSW32")
    assert one.above[6:8].tolist() == [0, 0]
    assert one.tied[6:8].tolist() == [1999, 1999]


def test_too_few_documents_to_train_is_refused_with_the_number(new_corpus: Any) -> None:
    with pytest.raises(InputError, match=r"IVF64,Flat needs >= 2,496 training vectors .* the corpus has 50"):
        measured(new_corpus(50, 8, 3), 8, "IVF64,Flat")


def test_fewer_than_advised_is_said_not_certified_and_silent(new_corpus: Any, capfd: pytest.CaptureFixture[str]) -> None:
    one = measured(new_corpus(300, 8, 3), 8, "IVF16,PQ4x4")
    assert not one.cost.certified
    assert [(advice.code, advice.message) for advice in one.advice] == [
        ("index-training", "IVF16,PQ4x4 at 8 needs >= 624 training vectors and had 300: not certified")
    ]
    assert capfd.readouterr() == ("", "")


def test_an_impossible_index_is_refused_before_any_work() -> None:
    check_index("HNSW32,efSearch=64", 64, similarity=Similarity.COSINE, n_documents=10)
    with pytest.raises(InputError, match="no search parameter nprobe"):
        check_index("HNSW32,nprobe=64", 64, similarity=Similarity.COSINE, n_documents=10)
    with pytest.raises(InputError, match="needs >= 39,936"):
        check_index("IVF1024,Flat", 64, similarity=Similarity.COSINE, n_documents=1000)
    with pytest.raises(InputError, match="there is no document"):
        check_index("Flat", 64, similarity=Similarity.COSINE, n_documents=0)


def test_dot_products_are_not_normalised(corpus: Any) -> None:
    one = measured(corpus, 8, "Flat", similarity=Similarity.DOT)
    scores = corpus.queries[:, :8] @ corpus.vectors.read(0, 2000)[:, :8].T
    np.testing.assert_array_equal(one.top_rows[:, 0], scores.argmax(axis=1))


def test_progress_goes_to_the_end_and_threads_come_back(corpus: Any) -> None:
    events: list[Event] = []
    before = faiss.omp_get_max_threads()
    one = measured(corpus, 8, "HNSW32", on_event=events.append, budget=replace(QUICK, threads=2))
    progress = [event for event in events if isinstance(event, Progress)]
    assert ("index HNSW32 at 8", 2000, 2000) in [(event.stage, event.done, event.total) for event in progress]
    assert one.cost.threads == 2
    assert faiss.omp_get_max_threads() == before


def test_measurements_join_the_exact_ranks(corpus: Any, exact_ranks: Any) -> None:
    exact = exact_ranks(corpus, (32, 8), depth=20)
    one = measured(corpus, 8, "SQ8")
    both = merge_measurements(exact, [one])
    assert both.candidates == (Configuration("prefix", 32), Configuration("prefix", 8), Configuration("prefix", 8, "SQ8"))
    np.testing.assert_array_equal(both.above[:2], exact.above)
    np.testing.assert_array_equal(both.above[2], one.above)
    np.testing.assert_array_equal(both.top.rows[2, :, :10], one.top_rows)
    assert (both.top.rows[2, :, 10:] == -1).all()
    assert merge_measurements(exact, []) is exact


def test_a_dozen_sizes_are_all_worth_an_index() -> None:
    assert which_sizes([64, 128, 256, 256], 128) == (256, 128, 64)
    assert which_sizes(range(1, 13), None) == tuple(range(12, 0, -1))
    assert which_sizes(range(1, 14), 7) == (13, 7, 6)


def test_of_many_sizes_only_those_that_matter() -> None:
    every_8 = range(8, 769, 8)
    assert which_sizes(every_8, 200) == (768, 384, 200, 192, 96, 48, 24)
    assert which_sizes(every_8, 312) == (768, 384, 312, 304, 192, 96, 48, 24)
    assert which_sizes(every_8, None) == (768, 384, 192, 96, 48, 24)
    assert which_sizes(every_8, 8) == (768, 384, 192, 96, 48, 24, 8)
