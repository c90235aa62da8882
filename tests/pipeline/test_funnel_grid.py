"""The shortlists that funnels are tried with follow from the measures that must pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_evaluation import evaluated

from mrl_sweep.decision.policy import Policy
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.pipeline.outlook import bounded_funnels
from mrl_sweep.types import Configuration, Qrels, Ranks


@pytest.mark.parametrize(
    ("measures", "shortest"),
    [(["RR"], 100), (["RR@10"], 20), (["nDCG@100"], 100), (["RR", "R@200"], 200), (["AP", "RR@50"], 50)],
)
def test_a_shortlist_is_as_long_as_the_longest_cutoff_or_a_hundred_where_none_has_one(measures: list[str], shortest: int) -> None:
    n_queries = 12
    qrels = Qrels(np.arange(n_queries + 1), np.arange(n_queries), np.ones(n_queries, np.int64))
    sizes = (Configuration.exact_prefix(64), Configuration.exact_prefix(32))
    ranks = Ranks(sizes, 10_000, np.zeros((2, n_queries), np.int64), np.zeros((2, n_queries), np.int64))
    required = [parse_measure(text) for text in measures]
    evaluation = replace(evaluated(score(ranks, qrels, required), Policy(required=tuple(required))), ranks=ranks, qrels=qrels)
    funnels = [one.funnel for one in bounded_funnels(evaluation, ())]
    assert funnels[0].shortlist == shortest
    assert {(funnel.small, funnel.large) for funnel in funnels} == {(32, 64)}
