"""The sentence: each case says its number, its uncertainty, the limit, and what would settle it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mrl_sweep.report.content.sentence import sentence
from mrl_sweep.types import Configuration, Evidence, Judgement, Measure, Outcome, Status, Verdict

NDCG = Measure("nDCG", 10)
BASE = Judgement(Configuration("prefix", 768), Outcome.BASELINE, {NDCG: Evidence(0.34, 1.0, None, None, 0, 0, 648)})


def judged(
    dim: int,
    outcome: Outcome,
    kept: float,
    least: float | None,
    most: float | None,
    *,
    needed: int | None = None,
    reason: str = "",
) -> Judgement:
    evidence = Evidence(0.34 * kept, kept, least, most, 41, 37, 570, provable_loss=0.01, queries_needed=needed)
    return Judgement(Configuration("prefix", dim), outcome, {NDCG: evidence}, reason)


def verdict(
    *judgements: Judgement,
    dimension: int,
    proven: int | None = None,
    measured: int | None = None,
    decide_by: str = "bound",
    retain: float = 0.98,
    n_queries: int = 648,
) -> Verdict:
    status = Status.PASS if dimension < 768 else Status.FAIL
    return Verdict(status, dimension, proven, measured, NDCG, retain, 0.05, decide_by, (BASE, *judgements), n_queries)


PASS_256 = judged(256, Outcome.PASS, 0.9903, 0.9821, 0.9985)
FAIL_256 = judged(256, Outcome.FAIL, 0.957, 0.944, 0.969, reason="keeps at most 96.9% of nDCG@10, below 98%")
OPEN_256 = judged(256, Outcome.INCONCLUSIVE, 0.984, 0.961, 1.007, needed=1234, reason="keeps between 96.1% and 100.7%")


def test_a_proven_size_is_named_with_its_bound_the_limit_and_the_saving() -> None:
    told = sentence(verdict(PASS_256, dimension=256, proven=256, measured=256), shrink=3.0)
    assert told == (
        "Use 256 dimensions: it keeps 99.0% of nDCG@10, at least 98.2% with 95% confidence; you asked for 98%. "
        "The index shrinks 3.0x."
    )


def test_a_share_that_nobody_chose_is_called_the_default() -> None:
    chosen = verdict(PASS_256, dimension=256, proven=256, measured=256)
    assert sentence(replace(chosen, by_default=True)) == (
        "Use 256 dimensions: it keeps 99.0% of nDCG@10, at least 98.2% with 95% confidence; 98% is the default (--retain)."
    )
    kept = replace(verdict(FAIL_256, dimension=768), by_default=True)
    assert sentence(kept).endswith("at most 96.9% with 95% confidence; 98% is the default (--retain).")
    assert "you asked for 98%" in sentence(replace(kept, by_default=False))


def test_a_smaller_measured_size_is_told_apart_from_the_proven_one() -> None:
    lower = judged(128, Outcome.INCONCLUSIVE, 0.983, 0.97, 0.996, needed=1234)
    told = sentence(verdict(PASS_256, lower, dimension=256, proven=256, measured=128))
    assert told.endswith(
        "you asked for 98%. Measured, 128 keeps 98.3% too, but that is not proven: about 1,300 judged queries would settle it."
    )


def test_measured_only_says_so_and_gives_the_bound() -> None:
    measured = judged(256, Outcome.PASS, 0.983, 0.9712, 0.995)
    assert sentence(verdict(measured, dimension=256, measured=256, decide_by="mean")) == (
        "Use 256 dimensions: it keeps 98.3% of nDCG@10 as measured on 648 judged queries; you asked for 98%. "
        "Measured, not proven: with 95% confidence it keeps at least 97.1%."
    )


def test_by_mean_a_larger_proven_size_is_named_too() -> None:
    larger, smaller = judged(512, Outcome.PASS, 0.999, 0.99, 1.0), judged(256, Outcome.PASS, 0.983, 0.9712, 0.995)
    assert sentence(verdict(larger, smaller, dimension=256, proven=512, measured=256, decide_by="mean")).endswith(
        " Proven is 512."
    )


def test_by_mean_a_size_that_is_also_proven_needs_no_warning() -> None:
    told = sentence(verdict(PASS_256, dimension=256, proven=256, measured=256, decide_by="mean"))
    assert told == "Use 256 dimensions: it keeps 99.0% of nDCG@10, at least 98.2% with 95% confidence; you asked for 98%."


def test_a_first_size_that_is_proven_worse_is_the_reason_to_keep_all() -> None:
    assert sentence(verdict(FAIL_256, dimension=768)) == (
        "Keep all 768 dimensions: 256 keeps 95.7% of nDCG@10, at most 96.9% with 95% confidence; you asked for 98%."
    )


def test_a_first_size_without_enough_evidence_says_what_would_settle_it() -> None:
    assert sentence(verdict(OPEN_256, dimension=768, measured=256)) == (
        "Keep all 768 dimensions for now: 256 keeps 98.4% of nDCG@10, but 648 judged queries prove only 96.1% with 95% "
        "confidence; you asked for 98%. About 1,300 judged queries would settle it."
    )


def test_a_smaller_measured_size_is_named_when_even_the_first_is_unproven() -> None:
    lower = judged(128, Outcome.NOT_TESTED, 0.9801, 0.95, 1.0, needed=99)
    told = sentence(verdict(OPEN_256, lower, dimension=768, measured=128))
    assert told.endswith("would settle it. Measured, 128 keeps 98.0% too, but that is not proven.")


def test_without_a_number_of_queries_none_is_invented() -> None:
    told = sentence(verdict(judged(256, Outcome.INCONCLUSIVE, 0.98, 0.961, 1.0), dimension=768))
    assert told.endswith("It lies so near the margin that more judged queries are unlikely to tell.")
    zero = sentence(verdict(judged(256, Outcome.INCONCLUSIVE, 0.98, 0.961, 1.0, needed=0), dimension=768))
    assert zero == told
    assert not re.search(r"\b0 (judged )?quer", told)


@pytest.mark.parametrize(("n", "words"), [(12, "12 judged queries prove nothing"), (1, "1 judged query proves nothing")])
def test_fewer_than_thirty_queries_are_named_as_the_reason(n: int, words: str) -> None:
    told = sentence(
        verdict(judged(256, Outcome.INCONCLUSIVE, 0.999, 0.99, 1.0, needed=30), dimension=768, measured=256, n_queries=n)
    )
    assert told == f"Keep all 768 dimensions for now: {words}, it takes at least 30; 256 keeps 99.9% of nDCG@10."


def test_another_measure_or_a_defect_that_stops_a_size_is_given_as_the_reason() -> None:
    stopped = judged(256, Outcome.FAIL, 0.999, 0.99, 1.0, reason="keeps at most 90.0% of R@10, below 98%")
    assert sentence(verdict(stopped, dimension=768)) == (
        "Keep all 768 dimensions: 256 does not pass (keeps at most 90.0% of R@10, below 98%)."
    )


def test_by_mean_a_first_size_below_the_limit_is_told_without_a_bound() -> None:
    measured = judged(256, Outcome.FAIL, 0.957, 0.944, 0.969, reason="keeps 95.7% of nDCG@10, below 98%")
    told = sentence(verdict(measured, dimension=768, decide_by="mean"))
    assert told == "Keep all 768 dimensions: 256 keeps 95.7% of nDCG@10 as measured; you asked for 98%."


def test_with_only_the_full_size_there_is_nothing_to_choose() -> None:
    assert sentence(verdict(dimension=768)) == "Keep all 768 dimensions: no smaller size was tried."


def test_an_undefined_share_is_said() -> None:
    undefined = Judgement(Configuration("prefix", 256), Outcome.INCONCLUSIVE, {NDCG: Evidence(0.0, None, None, None, 0, 0, 648)})
    assert "nDCG@10 is 0 at full size" in sentence(verdict(undefined, dimension=768))


def test_the_printed_numbers_imply_the_verdict() -> None:
    just_below = judged(256, Outcome.INCONCLUSIVE, 0.99, 0.97996, 1.0, needed=700)
    assert "prove only 97.996% with" in sentence(verdict(just_below, dimension=768))
    worse = judged(256, Outcome.FAIL, 0.97, 0.96, 0.9799999)
    assert "at most 97.99999% with" in sentence(verdict(worse, dimension=768))
    enough = judged(256, Outcome.PASS, 0.99, 0.98, 1.0)
    assert "at least 98.0% with" in sentence(verdict(enough, dimension=256, proven=256))


def test_the_limit_and_confidence_are_printed_as_they_were_asked() -> None:
    told = sentence(replace(verdict(PASS_256, dimension=256, proven=256, retain=0.975), alpha=0.01))
    assert told.endswith("at least 98.2% with 99% confidence; you asked for 97.5%.")


def test_controls_and_indexes_are_no_sizes_to_ship() -> None:
    control = Judgement(Configuration("pca", 512), Outcome.PASS, FAIL_256.evidence)
    index = Judgement(Configuration("prefix", 512, "HNSW32"), Outcome.PASS, FAIL_256.evidence)
    assert sentence(verdict(control, index, FAIL_256, dimension=768)) == sentence(verdict(FAIL_256, dimension=768))


def test_a_fine_sweep_is_told_by_the_walk_and_not_by_a_size_beside_it() -> None:
    """720 lies beside the ladder of sixteen sizes, whose first step is 672: as in the sweep of its steps alone."""
    first = judged(672, Outcome.INCONCLUSIVE, 1.002, 0.974, 1.03, needed=620)
    rest = [judged(dim, Outcome.NOT_TESTED, 0.9, 0.85, 0.985) for dim in range(48, 768, 48) if dim != 672]
    fine = replace(verdict(first, *rest, dimension=768, measured=672), status=Status.INCONCLUSIVE)
    coarse = replace(verdict(first, dimension=768, measured=672), status=Status.INCONCLUSIVE)
    assert sentence(fine) == sentence(coarse)
    assert sentence(fine).startswith(
        "Keep all 768 dimensions for now: 672 keeps 100.2% of nDCG@10, but 648 judged queries prove only"
    )
