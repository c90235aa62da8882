"""The front and the budget, by hand and against the definition: only what was judged acceptable is ever the best."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.deploying.findings import Cost, Finding
from mrl_sweep.deploying.tenants import Budget, choose_within, pareto_front
from mrl_sweep.types import Configuration, Evidence, Judgement, Measure, Outcome

NDCG = Measure("nDCG", 10)


def point(
    name: str, quality: float, size: int | None, ms: float | None = 1.0, outcome: Outcome = Outcome.PASS, reason: str = ""
) -> Finding:
    judgement = Judgement(Configuration("prefix", 64, name), outcome, {NDCG: Evidence(mean=quality)}, reason)
    return Finding(judgement=judgement, cost=Cost(index_bytes=size, p99_ms=ms))


A, B, C, D = point("A", 0.50, 100, 9.0), point("B", 0.45, 40, 2.0), point("C", 0.45, 50, 1.0), point("D", 0.30, 60, None)


def by_quality(finding: Finding) -> float:
    return finding.judgement.evidence[NDCG].mean


def test_the_front_holds_what_nothing_beats_cheapest_first() -> None:
    assert pareto_front([A, B, C, D], lambda one: one.cost.index_bytes, by_quality) == (B, A)
    assert pareto_front([A, B, C, D], lambda one: one.cost.p99_ms, by_quality) == (C, A)


def test_what_was_not_measured_is_on_no_front() -> None:
    assert pareto_front([D], lambda one: one.cost.p99_ms, by_quality) == ()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_the_set_of_undominated_values(drawn: list[tuple[int, int]]) -> None:
    undominated = {(q, s) for q, s in drawn if not any((b >= q and c < s) or (b > q and c <= s) for b, c in drawn)}
    front = pareto_front(drawn, lambda one: one[1], lambda one: one[0])
    assert set(front) == undominated
    assert len(front) == len(undominated)


def test_the_best_within_a_budget() -> None:
    points = [A, B, C, D]
    assert choose_within(points, Budget(size_bytes=99), NDCG).best == B, "of equal quality the smaller"
    assert choose_within(points, Budget(p99_ms=1.5), NDCG).best == C
    assert choose_within(points, Budget(), NDCG).best == A
    nothing = choose_within(points, Budget(size_bytes=45, p99_ms=1.5), NDCG)
    assert (nothing.best, nothing.within, nothing.reason) == (None, 0, "nothing that was measured is within it")


def test_what_is_not_acceptable_is_never_the_best_whatever_it_scores() -> None:
    bad = point("bad", 0.9, 10, 0.1, Outcome.FAIL, "keeps at most 91% of R@100; 95% was asked")
    unproven = point("open", 0.8, 10, 0.1, Outcome.INCONCLUSIVE, "not certified")
    unreached = point("behind", 0.7, 10, 0.1, Outcome.NOT_TESTED)
    assert choose_within([bad, unproven, unreached, B], Budget(size_bytes=40), NDCG).best == B
    none = choose_within([bad, unproven, unreached, B], Budget(size_bytes=39), NDCG)
    assert (none.best, none.within) == (None, 3)
    assert none.reason == (
        "none of the 3 configurations within it is acceptable: the best, 64:float32:bad, "
        "keeps at most 91% of R@100; 95% was asked"
    )


def test_an_unmeasured_cost_meets_no_limit() -> None:
    assert not Budget(p99_ms=100).holds(D)
    assert Budget(size_bytes=60).holds(D)


def test_what_passes_only_by_itself_is_not_chosen_among_several() -> None:
    why = "passes by itself, but what is chosen among 3 kinds of configuration shares the error of 5%"
    alone = replace(A, only_alone=why)
    assert (alone.acceptable, alone.may_be_chosen) == (True, False)
    assert choose_within([alone, B], Budget(), NDCG).best == B
    none = choose_within([alone, point("bad", 0.9, 10, 0.1, Outcome.FAIL)], Budget(), NDCG)
    assert (none.best, none.reason) == (
        None,
        f"none of the 2 configurations within it is named: the best, {A.configuration}, {why}",
    )
