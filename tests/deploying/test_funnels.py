"""Bounds of shortlist-and-rerank against funnels simulated document by document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.deploying.funnels import Funnel, bound_ranks, cheapest_proven, funnel_grid, parse_funnel
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Measure, Qrels, Ranks, TopDocuments

SMALL, LARGE = 8, 32
MEASURES = [
    parse_measure(text) for text in ("nDCG@3", "nDCG@10", "R@5", "P@4", "RR@10", "RR", "AP@6", "AP", "Success@2", "R(rel=2)@5")
]


class World:
    """Scores of every document at two sizes, few different ones, so that much ties; judgments with grades and gaps."""

    def __init__(
        self, seed: int, *, levels: int, graded: bool = True, n_documents: int = 30, n_queries: int = 12, own: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        self.n = n_documents
        shape = (n_queries, n_documents)
        shared = rng.standard_normal(shape)
        self.scores = {dim: np.round((shared + rng.standard_normal(shape)) * levels).astype(np.float32) for dim in (SMALL, LARGE)}
        if own:
            for scores in self.scores.values():
                scores[np.arange(n_queries), np.arange(n_queries)] = -np.inf
        judged = [rng.choice(n_documents, rng.integers(1, 8), replace=False) for _ in range(n_queries)]
        rows = np.concatenate(judged)
        self.qrels = Qrels(
            np.cumsum([0, *map(len, judged)]),
            np.where(rng.random(len(rows)) < 0.1, -1, rows),
            rng.integers(0, 4, len(rows)) if graded else np.ones(len(rows), np.int64),
        )
        self.rng = rng

    def ranked(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of, rows = self.qrels.queries, self.qrels.rows
        mine = np.where(rows >= 0, scores[of, rows], -np.inf)
        above = np.where(np.isfinite(mine), (scores[of] > mine[:, None]).sum(axis=1), NOT_RETRIEVED)
        return above, np.where(np.isfinite(mine), (scores[of] == mine[:, None]).sum(axis=1) - 1, 0)

    def ranks(self, depth: int | None) -> Ranks:
        pairs = [self.ranked(self.scores[dim]) for dim in (SMALL, LARGE)]
        lists = [np.argsort(-self.scores[dim], axis=1, kind="stable")[:, :depth] for dim in (SMALL, LARGE)]
        values = [np.take_along_axis(self.scores[dim], rows, axis=1) for dim, rows in zip((SMALL, LARGE), lists, strict=True)]
        rows = [np.where(np.isfinite(v), r, -1) for r, v in zip(lists, values, strict=True)]
        top = None if depth is None else TopDocuments(np.stack(rows), np.stack(values))
        candidates = (Configuration("prefix", SMALL), Configuration("prefix", LARGE))
        return Ranks(candidates, self.n, np.stack([a for a, _ in pairs]), np.stack([t for _, t in pairs]), top)

    def funnel(self, shortlist: int) -> tuple[np.ndarray, np.ndarray]:
        """A real funnel: ties at the cut are broken at random."""
        noise = self.rng.random(self.scores[SMALL].shape)
        order = np.lexsort((noise, -self.scores[SMALL]), axis=1)
        reranked = np.full_like(self.scores[LARGE], -np.inf)
        members = order[:, :shortlist]
        np.put_along_axis(reranked, members, np.take_along_axis(self.scores[LARGE], members, axis=1), axis=1)
        return self.ranked(reranked)


def values(ranks: Ranks, qrels: Qrels, measure: Measure, pairs: np.ndarray | None = None) -> np.ndarray:
    return score(ranks, qrels, [measure], pairs=pairs).values[:, 0]


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([1, 3, 1000]),
    graded=st.booleans(),
    depth=st.sampled_from([None, 1, 5, 12, 30]),
    shortlist=st.sampled_from([1, 3, 5, 6, 12, 20, 29, 30, 50]),
    own=st.booleans(),
)
def test_every_funnel_lies_between_its_bounds(
    seed: int, levels: int, graded: bool, depth: int | None, shortlist: int, own: bool
) -> None:
    world = World(seed, levels=levels, graded=graded, own=own)
    funnel = Funnel(SMALL, shortlist, LARGE)
    above, tied = world.funnel(shortlist)
    real = Ranks((funnel.configuration,), world.n, above[None], tied[None])
    for measure in MEASURES:
        worst, best, pairs = bound_ranks(world.ranks(depth), world.qrels, [funnel], measure)
        actual = values(real, world.qrels, measure)
        assert (values(worst, world.qrels, measure, pairs) <= actual + 1e-12).all(), measure
        assert (actual <= values(best, world.qrels, measure, pairs) + 1e-12).all(), measure


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("shortlist", [4, 10, 29])
def test_with_whole_lists_and_no_ties_the_bounds_meet(shortlist: int, graded: bool) -> None:
    world = World(7, levels=10**5, graded=graded)
    funnel = Funnel(SMALL, shortlist, LARGE)
    above, tied = world.funnel(shortlist)
    real = Ranks((funnel.configuration,), world.n, above[None], tied[None])
    for measure in MEASURES:
        worst, best, pairs = bound_ranks(world.ranks(30), world.qrels, [funnel], measure)
        np.testing.assert_allclose(values(worst, world.qrels, measure, pairs), values(real, world.qrels, measure), atol=1e-12)
        np.testing.assert_allclose(values(best, world.qrels, measure, pairs), values(real, world.qrels, measure), atol=1e-12)


def test_a_shortlist_of_everything_is_the_large_size_itself() -> None:
    world = World(3, levels=2)
    ranks = world.ranks(30)
    for measure in MEASURES:
        exact = values(ranks, world.qrels, measure)[1]
        worst, best, pairs = bound_ranks(ranks, world.qrels, [Funnel(SMALL, 30, LARGE)], measure)
        for bound in (worst, best):
            np.testing.assert_allclose(values(bound, world.qrels, measure, pairs)[0], exact, atol=1e-12)


def test_a_hand_made_case() -> None:
    """Two relevant documents: one third at the small size, one fifth; a shortlist of 3 keeps the first alone."""
    qrels = Qrels(np.array([0, 2]), np.array([10, 20]), np.array([1, 1]))
    candidates = (Configuration("prefix", SMALL), Configuration("prefix", LARGE))
    ranks = Ranks(candidates, 100, np.array([[2, 4], [1, 0]]), np.zeros((2, 2), np.int64))
    worst, best, _ = bound_ranks(ranks, qrels, [Funnel(SMALL, 3, LARGE), Funnel(SMALL, 5, LARGE)], parse_measure("nDCG@10"))
    assert worst.candidates == tuple(map(Configuration.parse, ("8:float32:exact:rescore=3@32", "8:float32:exact:rescore=5@32")))
    assert worst.above.tolist() == [[0, NOT_RETRIEVED], [1, 0]], "the document above it at the large size is not on the shortlist"
    assert best.above.tolist() == [[0, NOT_RETRIEVED], [1, 0]]


@pytest.mark.parametrize(("small", "above"), [([10, 7, 8], 1), ([10, 8, 7], 0)])
def test_what_scores_above_the_last_of_a_list_as_long_as_the_shortlist_is_on_it(small: list[int], above: int) -> None:
    """Document 7 stands before the judged one at the large size; the last of the list may tie with documents behind it."""
    qrels, candidates = (
        Qrels(np.array([0, 1]), np.array([10]), np.array([1])),
        [Configuration("prefix", d) for d in (SMALL, LARGE)],
    )
    top = TopDocuments(np.array([[small], [[7, 10, 9]]]), np.array([[[3.0, 2.0, 1.0]], [[3.0, 2.0, 1.0]]], np.float32))
    ranks = Ranks(tuple(candidates), 100, np.array([[0], [1]]), np.zeros((2, 1), np.int64), top)
    worst, best, _ = bound_ranks(ranks, qrels, [Funnel(SMALL, 3, LARGE)], parse_measure("RR@10"))
    assert (worst.above.tolist(), best.above.tolist()) == ([[1]], [[above]])


def test_a_document_of_low_gain_that_may_be_absent_pushes_no_better_one_down() -> None:
    """The gain 1 document ties across the cut: absent, it leaves first place to the gain 3 one, worth more than both found."""
    qrels = Qrels(np.array([0, 2]), np.array([10, 20]), np.array([1, 3]))
    candidates = (Configuration("prefix", SMALL), Configuration("prefix", LARGE))
    ranks = Ranks(candidates, 100, np.array([[2, 0], [0, 1]]), np.array([[5, 0], [0, 0]]))
    graded, binary = (
        bound_ranks(ranks, qrels, [Funnel(SMALL, 3, LARGE)], parse_measure(text)).best for text in ("nDCG@10", "AP")
    )
    assert graded.above.tolist() == [[0, 0]]
    assert binary.above.tolist() == [[0, 1]], "of equal gain, both found is best"


def test_the_grid_holds_each_pair_of_sizes_with_useful_shortlists() -> None:
    grid = funnel_grid([64, 256, 128], 300, cutoff=60)
    assert [str(funnel) for funnel in grid] == ["64:100:128", "64:100:256", "128:100:256"]
    assert funnel_grid([64, 256], 10**6, cutoff=100, shortlists=(50, 100)) == (Funnel(64, 100, 256),)


def test_a_funnel_is_a_configuration_and_the_other_way_round() -> None:
    funnel = Funnel(64, 200, 768)
    assert str(funnel.configuration) == "64:float32:exact:rescore=200@768"
    assert Funnel.of(funnel.configuration) == funnel
    assert Funnel.of(Configuration.parse("64:binary:exact:rescore=4x@768")) is None
    assert Configuration.read("prefix", 768, "64:200:768") == funnel.configuration, "as reports of schema 1 wrote it"


def test_cost_counts_the_scan_and_the_reranking() -> None:
    funnel = Funnel(64, 200, 768)
    assert funnel.operations(10_000) == 10_000 * 64 + 200 * 768
    assert funnel.hot_bytes(10_000) == 10_000 * 64 * 4


def test_the_cheapest_is_searched_from_safe_to_cheap_and_pairs_share_alpha() -> None:
    funnels = [Funnel(64, k, 256) for k in (50, 100, 200)] + [Funnel(128, k, 256) for k in (50, 100)]
    asked: list[tuple[str, float]] = []

    def proven(f: int, share: float) -> bool:
        asked.append((str(funnels[f]), share))
        return str(funnels[f]) != "64:100:256"

    assert cheapest_proven(funnels, 10_000, proven) == Funnel(64, 200, 256)
    assert ("64:50:256", 0.5) not in asked, "the walk stops at the first that fails"
    assert {share for _, share in asked} == {0.5}
    assert cheapest_proven(funnels, 10_000, lambda *_: False) is None


def test_funnels_print_as_they_are_written() -> None:
    assert str(parse_funnel(" 64:200:768 ")) == "64:200:768"
    for text in ("64:200", "64:200:64", "0:5:64", "64:0:128", "a:b:c", "768:200:64"):
        with pytest.raises(InputError, match="funnel"):
            parse_funnel(text)


def whole(case: Ranks, pairs: np.ndarray, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """(above, tied) of all judged pairs: those that no shortlist reaches are not retrieved."""
    above, tied = np.full((len(case.candidates), n_pairs), NOT_RETRIEVED), np.zeros((len(case.candidates), n_pairs), np.int64)
    above[:, pairs], tied[:, pairs] = case.above, case.tied
    return above, tied


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([1, 3, 1000]),
    depth=st.sampled_from([None, 1, 5, 12, 30]),
    own=st.booleans(),
    measure=st.sampled_from(MEASURES),
)
def test_funnels_bounded_together_are_bounded_as_each_alone(
    seed: int, levels: int, depth: int | None, own: bool, measure: Measure
) -> None:
    """Together, pairs are told apart that alone no shortlist reaches."""
    world = World(seed, levels=levels, own=own)
    funnels = [Funnel(SMALL, shortlist, LARGE) for shortlist in (3, 12, 29)]
    together = bound_ranks(world.ranks(depth), world.qrels, funnels, measure)
    for f, funnel in enumerate(funnels):
        alone = bound_ranks(world.ranks(depth), world.qrels, [funnel], measure)
        for several, one in ((together.worst, alone.worst), (together.best, alone.best)):
            for ours, own_one in zip(
                whole(several, together.pairs, len(world.qrels.rows)), whole(one, alone.pairs, len(world.qrels.rows)), strict=True
            ):
                np.testing.assert_array_equal(ours[f], own_one[0])
