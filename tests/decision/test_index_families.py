"""Whatever was measured is judged: each family is walked on its own, an exact index as the search it repeats."""

from __future__ import annotations

import numpy as np

from mrl_sweep.decision.grid import judge_all, only_alone, p_values_of
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.types import Configuration, Judgement, Measure, Outcome, Scores

NDCG = Measure("nDCG", 10)
N = 600
COUNTED = np.ones((1, N), bool)


def scores_of(means: dict[str, float]) -> Scores:
    """Every configuration keeps its share of 0.5, half of the queries a little more, half a little less."""
    wave = np.where(np.arange(N) % 2, 0.01, -0.01)
    values = np.stack([0.5 * share + wave * (share < 1) for share in means.values()])[:, None, :]
    return Scores(tuple(map(Configuration.parse, means)), (NDCG,), values, np.ones((1, N), bool))


def judged(means: dict[str, float], **doubts: str) -> dict[str, Judgement]:
    scores, policy = scores_of(means), Policy(retain=0.95)
    verdict = decide(Question(scores, policy))
    found = judge_all(Question(scores, policy), verdict, doubts={Configuration.parse(name): why for name, why in doubts.items()})
    return {str(configuration): judgement for configuration, judgement in found.items()}


def test_every_row_has_a_verdict_of_its_own_family_and_bounds() -> None:
    found = judged(
        {
            "64": 1.0,
            "32": 0.99,
            "64:float32:LSH": 0.7,
            "32:float32:LSH": 0.99,
            "64:int8": 0.99,
            "32:int8": 0.98,
            "pca:32": 0.9,
            "random-1:32": 0.98,
        }
    )
    assert {name: str(judgement.outcome) for name, judgement in found.items()} == {
        "64": "baseline",
        "32": "pass",
        "64:float32:LSH": "fail",
        "32:float32:LSH": "not_tested",  # behind the stop of its own family, though it would pass by itself
        "64:int8": "pass",
        "32:int8": "pass",
        "pca:32": "fail",
        "random-1:32": "pass",
    }
    assert all(j.evidence[NDCG].at_least is not None for name, j in found.items() if name != "64")
    assert found["32:float32:LSH"].reason == "would pass by itself, but 64 did not: the walk stops there"


def test_an_exact_index_is_judged_as_the_search_it_repeats() -> None:
    found = judged({"64": 1.0, "32": 0.9, "16": 0.99, "64:float32:Flat": 1.0, "32:float32:Flat": 0.9, "16:float32:Flat": 0.99})
    assert [found[f"{dim}:float32:Flat"].outcome for dim in (64, 32, 16)] == [found[str(dim)].outcome for dim in (64, 32, 16)]
    assert found["64:float32:Flat"].outcome is Outcome.BASELINE
    other = judged({"64": 1.0, "32": 0.9, "32:float32:Flat": 0.99})
    assert other["32:float32:Flat"].outcome is Outcome.PASS, "it does not repeat the exact search, so its own scores count"


def test_a_doubt_takes_a_pass_away_and_leaves_a_failure() -> None:
    found = judged(
        {"64": 1.0, "32:float32:PQ8": 0.99, "32:float32:PQ4": 0.8},
        **{"32:float32:PQ8": "not certified", "32:float32:PQ4": "not certified"},
    )
    assert (found["32:float32:PQ8"].outcome, found["32:float32:PQ8"].reason) == (Outcome.INCONCLUSIVE, "not certified")
    assert found["32:float32:PQ4"].outcome is Outcome.FAIL


def test_what_makes_an_exact_search_unfit_makes_its_indexes_unfit() -> None:
    scores, policy = scores_of({"64": 1.0, "32": 0.99, "32:float32:HNSW32": 0.99}), Policy(retain=0.95)
    unfit = {Configuration.parse("32"): "zero prefixes"}
    found = judge_all(Question(scores, policy, unfit=unfit), decide(Question(scores, policy, unfit=unfit)))
    assert {j.outcome for c, j in found.items() if c.dim == 32} == {Outcome.FAIL}
    assert {j.reason for c, j in found.items() if c.dim == 32} == {"zero prefixes"}


def one_near_the_margin(*indexes: str) -> dict[str, Judgement]:
    """Sizes of the first index that are proven at 5% and not at half of it; the other indexes lose a third."""
    noise = 0.1 * np.random.default_rng(2).standard_normal(N)
    noise -= noise.mean()
    rows = {"64": np.full(N, 0.5), "32": np.full(N, 0.5)}
    rows |= {f"{dim}:float32:{indexes[0]}": 0.4832 + noise for dim in (64, 32)}
    rows |= {f"{dim}:float32:{index}": 0.33 + noise for dim in (64, 32) for index in indexes[1:]}
    scores, policy = (
        Scores(tuple(map(Configuration.parse, rows)), (NDCG,), np.stack([*rows.values()])[:, None], COUNTED),
        Policy(retain=0.95),
    )
    p = p_values_of(Question(scores, policy), [Configuration.parse(f"64:float32:{indexes[0]}")])
    assert 0.025 < p[0] < 0.05
    return {str(c): j for c, j in judge_all(Question(scores, policy), decide(Question(scores, policy))).items()}


def test_indexes_share_alpha_and_what_passes_alone_says_so() -> None:
    alone, shared = one_near_the_margin("HNSW32"), one_near_the_margin("HNSW32", "LSH")
    assert [str(alone[f"{dim}:float32:HNSW32"].outcome) for dim in (64, 32)] == ["pass", "pass"]
    assert [str(shared[f"{dim}:float32:HNSW32"].outcome) for dim in (64, 32)] == ["inconclusive", "not_tested"]
    assert {shared[f"{dim}:float32:HNSW32"].reason for dim in (64, 32)} == {
        "would pass by itself, but 2 indexes and efforts share the error of 5%"
    }
    assert shared["64:float32:LSH"].outcome is Outcome.FAIL
    assert shared["32"].outcome is Outcome.PASS
    assert alone["64:float32:HNSW32"].evidence == shared["64:float32:HNSW32"].evidence


def test_an_exact_index_takes_no_part_of_alpha() -> None:
    """Flat repeats the exact search, whose answer is the verdict's."""
    found = one_near_the_margin("HNSW32")
    noise = 0.1 * np.random.default_rng(2).standard_normal(N)
    noise -= noise.mean()
    rows = {"64": np.full(N, 0.5), "32": np.full(N, 0.5), "32:float32:Flat": np.full(N, 0.5), "32:float32:HNSW32": 0.4832 + noise}
    scores, policy = (
        Scores(tuple(map(Configuration.parse, rows)), (NDCG,), np.stack([*rows.values()])[:, None], COUNTED),
        Policy(retain=0.95),
    )
    beside_flat = judge_all(Question(scores, policy), decide(Question(scores, policy)))
    assert beside_flat[Configuration.parse("32:float32:HNSW32")] == found["32:float32:HNSW32"]


def test_an_exact_index_that_fails_keeps_no_part_of_alpha() -> None:
    """One family near the margin has all of it although Flat, which fails as the exact search does, hands nothing on."""
    noise = 0.1 * np.random.default_rng(2).standard_normal(N)
    noise -= noise.mean()
    low, near = 0.33 + noise, 0.4832 + noise
    rows = {"64": np.full(N, 0.5), "32": low, "32:float32:Flat": low, "64:float32:HNSW32": near}
    scores, policy = (
        Scores(tuple(map(Configuration.parse, rows)), (NDCG,), np.stack([*rows.values()])[:, None], COUNTED),
        Policy(retain=0.95),
    )
    found = judge_all(Question(scores, policy), decide(Question(scores, policy)))
    assert [str(j.outcome) for j in found.values()] == ["baseline", "fail", "fail", "pass"]


def test_what_is_chosen_among_several_families_shares_alpha() -> None:
    """Two codes proven at 5% each and not at a third of it; sizes that lose nothing; PCA is no family that is shipped."""
    noise = 0.1 * np.random.default_rng(2).standard_normal(N)
    noise -= noise.mean()
    near = 0.4832 + noise
    rows = {"64": np.full(N, 0.5), "32": np.full(N, 0.5), "32:int8": near, "32:int4": near, "pca:32": near}

    def alone(*names: str) -> dict[str, str]:
        values = np.stack([rows[name] for name in names])[:, None]
        scores, policy = Scores(tuple(map(Configuration.parse, names)), (NDCG,), values, COUNTED), Policy(retain=0.95)
        found = judge_all(Question(scores, policy), decide(Question(scores, policy)))
        assert {str(j.outcome) for j in found.values()} == {"baseline", "pass"}
        return {str(c): why for c, why in only_alone(Question(scores, policy), found).items()}

    why = "passes by itself, but what is chosen among 3 kinds of configuration shares the error of 5%"
    assert alone("64", "32", "32:int8", "32:int4", "pca:32") == {"32:int8": why, "32:int4": why}
    assert alone("64", "32:int8", "pca:32") == {}, "one kind has all of it"
    assert alone("64", "32", "32:int8") == {}, "what the sizes prove to their end is handed on"
