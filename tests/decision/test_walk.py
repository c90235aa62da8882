"""The walk from large to small: outcomes, proven and measured sizes, status, and the faults that end in words."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.decision.judging import Question, judge_each
from mrl_sweep.decision.policy import DecideBy, Policy, falls_short, outcome_by
from mrl_sweep.decision.walk import decide, ladder
from mrl_sweep.embedding.model_families import FAMILIES
from mrl_sweep.errors import InputError
from mrl_sweep.report.content.sentence import sentence
from mrl_sweep.types import Basis, Configuration, Measure, Outcome, Scores, Status, full_size
from mrl_sweep.words import about

NDCG = Measure("nDCG", 10)
RECALL = Measure("R", 100)


def prefix(dim: int) -> Configuration:
    return Configuration(Basis.PREFIX, dim)


def scores_of(
    shares: dict[int, float], *, n: int = 1_000, spread: float = 0.02, measures: tuple[Measure, ...] = (NDCG,)
) -> Scores:
    """Full size 0.8 everywhere; each size keeps its share on the mean, half of the queries `spread` above, half below."""
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    rows = [0.8 * (share + (spread * sign if share != 1 else 0 * sign)) for share in shares.values()]
    values = np.repeat(np.array(rows)[:, None, :], len(measures), axis=1)
    return Scores(tuple(prefix(d) for d in shares), measures, values, np.ones((len(measures), n), bool))


def outcomes(verdict: object) -> dict[int, str]:
    return {j.candidate.dim: str(j.outcome) for j in verdict.judgements}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("at_least", "at_most", "expected"),
    [
        (0.98, 1.0, "pass"),
        (0.98 - 1e-13, 1.0, "pass"),
        (0.9799, 1.0, "inconclusive"),
        (0.9, 0.98, "inconclusive"),
        (0.9, 0.98 - 1e-13, "inconclusive"),
        (0.9, 0.9799, "fail"),
        (None, 0.9799, "fail"),
        (None, 1.0, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_limits_decide_but_for_their_last_bits_and_unknown_ones_do_not(
    at_least: float | None, at_most: float | None, expected: str
) -> None:
    assert str(outcome_by(at_least, at_most, 0.98)) == expected
    assert falls_short(at_most, 0.98) == (expected == "fail")


def test_unless_another_rule_is_given_98_percent_are_to_be_proven_at_5_percent() -> None:
    rule = Policy()
    assert (rule.required, rule.retain, rule.alpha, rule.decide_by) == ((), 0.98, 0.05, DecideBy.BOUND)


def test_an_error_rate_is_below_a_half_and_a_share_at_most_one() -> None:
    assert (Policy(alpha=0.499).alpha, Policy(retain=1.0).retain) == (0.499, 1.0)
    for retain, alpha, said in (
        (0.98, 0.5, "alpha is 0.5"),
        (0.98, 0.0, "alpha is 0"),
        (0.0, 0.05, "retain is 0"),
        (1.01, 0.05, "1.01"),
    ):
        with pytest.raises(InputError, match=said):
            Policy(retain=retain, alpha=alpha)


def test_walk_passes_down_to_the_first_size_that_is_proven_worse() -> None:
    verdict = decide(Question(scores_of({64: 0.9, 128: 0.95, 256: 0.99, 512: 0.995, 768: 1.0}), Policy()))
    assert outcomes(verdict) == {768: "baseline", 512: "pass", 256: "pass", 128: "fail", 64: "fail"}
    assert (verdict.status, verdict.dimension, verdict.proven, verdict.measured) == (Status.PASS, 256, 256, 256)
    assert [j.candidate.dim for j in verdict.judgements] == [768, 512, 256, 128, 64]
    assert verdict.judgements[3].reason.startswith("keeps at most 95.5% of nDCG@10; 98% was asked")
    assert verdict.judgements[4].evidence[NDCG].kept == pytest.approx(0.9)
    assert verdict.judgements[4].reason.startswith("keeps at most 90.5% of nDCG@10"), "too low, though the walk did not reach it"


def test_proven_and_measured_differ_where_the_bound_does_not_hold() -> None:
    verdict = decide(Question(scores_of({64: 0.9, 128: 0.981, 256: 0.99, 768: 1.0}, spread=0.03), Policy()))
    assert outcomes(verdict) == {768: "baseline", 256: "pass", 128: "inconclusive", 64: "fail"}
    assert (verdict.dimension, verdict.proven, verdict.measured) == (256, 256, 128)
    stopped = verdict.judgements[2]
    needed = stopped.evidence[NDCG].queries_needed
    assert needed is not None
    assert needed > 1_000
    assert f"about {about(needed)} judged queries would tell (there are 1,000)" in stopped.reason


def test_nothing_proven_names_full_size_and_what_stopped_the_walk() -> None:
    worse = decide(Question(scores_of({128: 0.9, 256: 0.95, 768: 1.0}), Policy()))
    assert (worse.status, worse.dimension, worse.proven, worse.measured) == (Status.FAIL, 768, None, None)
    unclear = decide(Question(scores_of({128: 0.9, 256: 0.98, 768: 1.0}), Policy()))
    assert (unclear.status, unclear.dimension, unclear.proven, unclear.measured) == (Status.INCONCLUSIVE, 768, None, 256)


def test_a_measure_that_is_not_required_may_count_no_query() -> None:
    """No judgment reaches grade 3: its row is empty, and the size passes by the other measure."""
    one = scores_of({256: 0.99, 768: 1.0})
    strict = Measure("R", 10, 3)
    values = np.concatenate([one.values, np.zeros_like(one.values)], axis=1)
    both = Scores(one.candidates, (NDCG, strict), values, np.concatenate([one.counted, np.zeros_like(one.counted)]))
    passed = decide(Question(both, Policy(required=(NDCG,)))).judgements[1]
    empty = passed.evidence[strict]
    assert (passed.outcome, empty.mean, empty.kept, empty.at_least, empty.lost) == (Outcome.PASS, 0.0, None, None, 0)


def test_no_smaller_size_is_not_green() -> None:
    verdict = decide(Question(scores_of({768: 1.0}), Policy()))
    assert (verdict.status, verdict.dimension, verdict.proven) == (Status.INCONCLUSIVE, 768, None)


def test_dip_stops_the_walk_and_the_size_behind_it_is_named() -> None:
    verdict = decide(Question(scores_of({64: 0.99, 128: 0.95, 256: 0.99, 768: 1.0}), Policy()))
    assert outcomes(verdict) == {768: "baseline", 256: "pass", 128: "fail", 64: "not_tested"}
    assert (verdict.proven, verdict.measured) == (256, 256)
    assert verdict.judgements[3].reason == "would pass by itself, but 128 did not: the walk stops there"


def test_by_mean_the_measured_size_decides() -> None:
    scores = scores_of({64: 0.9, 128: 0.981, 256: 0.99, 768: 1.0}, spread=0.03)
    verdict = decide(Question(scores, Policy(decide_by=DecideBy.MEAN)))
    assert outcomes(verdict) == {768: "baseline", 256: "pass", 128: "pass", 64: "fail"}
    assert (verdict.status, verdict.dimension, verdict.proven, verdict.measured) == (Status.PASS, 128, 256, 128)
    failed = decide(Question(scores_of({256: 0.97996, 768: 1.0}, spread=0.0), Policy(decide_by=DecideBy.MEAN)))
    assert failed.status is Status.FAIL
    assert failed.judgements[1].reason == "keeps 97.996% of nDCG@10; 98% was asked"


def test_exactly_the_margin_passes_by_mean() -> None:
    assert decide(Question(scores_of({256: 0.98, 768: 1.0}, spread=0.0), Policy(decide_by=DecideBy.MEAN))).status is Status.PASS


@pytest.mark.parametrize("decide_by", list(DecideBy))
def test_twenty_nine_queries_certify_nothing(decide_by: DecideBy) -> None:
    shares = {256: 1.0, 768: 1.0}
    few = decide(Question(scores_of(shares, n=29), Policy(decide_by=decide_by)))
    assert (few.status, few.dimension, few.proven, few.measured) == (Status.INCONCLUSIVE, 768, None, 256)
    assert few.judgements[1].reason == "only 29 judged queries; fewer than 30 prove nothing"
    needed = few.judgements[1].evidence[NDCG].queries_needed
    assert needed is not None
    assert needed > 29
    assert few.n_queries == 29


def test_nothing_changed_is_inconclusive_until_there_are_queries_enough() -> None:
    shares = {256: 1.0, 768: 1.0}
    few = decide(Question(scores_of(shares, n=100), Policy()))
    assert few.status is Status.INCONCLUSIVE
    evidence = few.judgements[1].evidence[NDCG]
    assert (evidence.lost, evidence.gained, evidence.unchanged) == (0, 0, 100)
    needed = evidence.queries_needed
    assert needed is not None
    assert decide(Question(scores_of(shares, n=needed), Policy())).status is Status.PASS


def test_every_required_measure_must_pass() -> None:
    scores = scores_of({256: 0.99, 768: 1.0}, measures=(NDCG, RECALL))
    scores.values[0, 1] = 0.8 * 0.9
    assert decide(Question(scores, Policy())).status is Status.PASS
    verdict = decide(Question(scores, Policy(required=(NDCG, RECALL))))
    assert verdict.status is Status.FAIL
    assert verdict.judgements[1].reason.endswith("of R@100; 98% was asked")
    with pytest.raises(InputError, match="AP must pass but was not measured"):
        decide(Question(scores, Policy(required=(Measure("AP"),))))


def test_full_size_that_finds_nothing_has_no_share() -> None:
    scores = scores_of({256: 0.99, 768: 1.0})
    scores.values[:] = 0
    with pytest.raises(InputError, match=r"nDCG@10 is 0 at full size \(768\)"):
        decide(Question(scores, Policy()))


def test_no_counted_query_is_nothing_to_evaluate() -> None:
    scores = scores_of({256: 0.99, 768: 1.0})
    scores.counted[:] = False
    with pytest.raises(InputError, match="nothing to evaluate"):
        decide(Question(scores, Policy()))


def test_uncounted_queries_enter_no_mean() -> None:
    scores = scores_of({256: 0.99, 768: 1.0})
    scores.counted[0, 100:] = False
    scores.values[:, 0, 100:] = 0
    verdict = decide(Question(scores, Policy()))
    assert verdict.n_queries == 100
    assert verdict.judgements[0].evidence[NDCG].mean == pytest.approx(0.8)


def test_an_unfit_size_fails_with_its_reason_and_an_unfit_baseline_fails_all() -> None:
    scores = scores_of({128: 0.99, 256: 0.99, 768: 1.0})
    verdict = decide(Question(scores, Policy(), unfit={prefix(128): "40% of its prefixes are zero"}))
    assert outcomes(verdict) == {768: "baseline", 256: "pass", 128: "fail"}
    assert verdict.judgements[2].reason == "40% of its prefixes are zero"
    collapsed = decide(Question(scores, Policy(), unfit={prefix(768): "collapsed embeddings"}))
    assert (collapsed.status, collapsed.measured) == (Status.FAIL, None)
    assert collapsed.judgements[1].reason == "collapsed embeddings"


def test_clusters_are_the_units_of_evidence() -> None:
    scores = scores_of({256: 0.99, 768: 1.0})
    hundred = np.arange(1_000) // 10
    assert decide(Question(scores, Policy(), clusters=hundred)).judgements[1].evidence[NDCG].unchanged == 0
    few = decide(Question(scores, Policy(), clusters=np.arange(1_000) // 50))
    assert few.status is Status.INCONCLUSIVE
    assert few.judgements[1].reason == "only 20 clusters of judged queries; fewer than 30 prove nothing"


def test_one_size_named_beforehand_needs_no_walk() -> None:
    scores = scores_of({64: 0.99, 128: 0.95, 256: 0.99, 768: 1.0})
    judged = judge_each(Question(scores, Policy()), [prefix(64), prefix(128), prefix(768)])
    assert [one.outcome for one in judged] == [Outcome.PASS, Outcome.FAIL, Outcome.BASELINE]


def test_controls_and_indexes_are_no_part_of_the_ladder() -> None:
    scores = scores_of({256: 0.99, 768: 1.0})
    others = (Configuration(Basis.PCA, 1024), Configuration(Basis.PREFIX, 256, "HNSW32"))
    values = np.concatenate([scores.values, scores.values])
    mixed = Scores((*scores.candidates, *others), scores.measures, values, scores.counted)
    assert full_size(mixed.candidates) == prefix(768)
    assert [j.candidate for j in decide(Question(mixed, Policy())).judgements] == [prefix(768), prefix(256)]
    indexed = decide(Question(mixed, Policy()), [others[1]])
    assert indexed.judgements[1].candidate == others[1]
    with pytest.raises(InputError, match="no exact prefix was ranked"):
        full_size(others)


@pytest.mark.parametrize("wrong", [{"retain": 0.0}, {"retain": 1.01}, {"alpha": 0.5}, {"alpha": 0.0}])
def test_a_rule_that_proves_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Policy(**wrong)  # type: ignore[arg-type]


def test_a_fine_sweep_is_walked_over_sizes_fixed_by_their_dimension() -> None:
    fine = ladder([prefix(dim) for dim in range(8, 256, 8)], 256)
    assert [c.dim for c in fine] == [224, 192, 160, 128, 96, 64, 48, 32, 24, 16, 8]
    assert {c.dim for c in ladder([prefix(dim) for dim in range(32, 256, 32)], 256)} <= {c.dim for c in fine}
    assert [c.dim for c in ladder([prefix(dim) for dim in (200, 20, 100)], 256)] == [200, 100, 20]
    thousand = [c.dim for c in ladder([prefix(dim) for dim in range(10, 1000, 10)], 1000)]
    assert thousand[:4] == [880, 770, 750, 630], "the smallest size at hand that is not below 875, 768, 750, 625"


def test_every_size_that_a_known_family_was_trained_for_is_on_the_ladder() -> None:
    """So a fine sweep also walks the sizes that a vendor names; what is trained beside halvings and eighths is not known yet."""
    fulls = [768, 1024, 1536, 2048, 3072, 4096]
    sizes = [(dim, full) for family in FAMILIES for full in ([family.full] if family.full else fulls) for dim in family.trained]
    assert len(sizes) > 30
    assert [
        (dim, full) for dim, full in sizes if dim not in [c.dim for c in ladder([prefix(d) for d in range(8, full, 8)], full)]
    ] == []


def test_a_dip_between_the_ladders_sizes_does_not_stop_the_walk() -> None:
    shares = dict.fromkeys(range(8, 256, 8), 0.99) | {256: 1.0, 232: 0.95, 96: 0.95}
    verdict = decide(Question(scores_of(shares), Policy()))
    assert verdict.proven == verdict.measured == 128
    by_size = {j.candidate.dim: j for j in verdict.judgements}
    assert by_size[232].outcome is Outcome.FAIL, "its own upper limit lies below the margin"
    assert (by_size[240].outcome, by_size[240].evidence[NDCG].kept) == (Outcome.NOT_TESTED, pytest.approx(0.99))
    assert by_size[240].reason == "would pass by itself, but the walk goes over other sizes, fixed beforehand"
    assert [j.candidate.dim for j in verdict.judgements] == sorted(shares, reverse=True)


def test_ten_clusters_are_never_spoken_of_as_a_thousand_queries() -> None:
    """Counts, reasons and sentences are of the units of evidence, whatever number of queries they hold."""
    scores = scores_of({256: 0.99, 768: 1.0})
    ten = decide(Question(scores, Policy(), clusters=np.arange(1_000) // 100))
    assert (ten.n_queries, ten.n_clusters, ten.n_units) == (1_000, 10, 10)
    assert sentence(ten).startswith(
        "Keep all 768 dimensions for now: 10 clusters of judged queries prove nothing, it takes at least 30"
    )
    forty = decide(Question(scores_of({256: 0.985, 768: 1.0}, spread=0.3), Policy(retain=0.9), clusters=np.arange(1_000) % 40))
    needed = forty.judgements[1].evidence[NDCG].queries_needed
    assert needed is not None
    assert forty.judgements[1].reason.endswith(f"about {needed:,} clusters of judged queries would tell (there are 40)")
    assert "but 40 clusters of judged queries prove only" in sentence(forty)
    assert f"About {needed:,} clusters of judged queries would settle it" in sentence(forty)
    assert decide(Question(scores, Policy())).n_clusters is None


@pytest.mark.parametrize(("sizes", "steps"), [(12, 12), (13, 1)])
def test_up_to_twelve_sizes_are_all_walked_over(sizes: int, steps: int) -> None:
    """Of thirteen between 987 and 999 only the smallest is a step of the ladder that is fixed beforehand."""
    assert len(ladder([prefix(dim) for dim in range(1000 - sizes, 1000)], 1000)) == steps
