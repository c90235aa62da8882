"""A planted answer, from vectors to the named slice: one topic carries its meaning in the tail dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.slices import Slice, biggest_losers, search_slices, topic_slices
from mrl_sweep.decision.walk import decide
from mrl_sweep.measures.score import score
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.types import Basis, Configuration, Measure, Qrels, Vectors

N_DOCUMENTS, N_QUERIES, DIM = 1_500, 300, 96
NDCG = Measure("nDCG", 10)


@pytest.mark.parametrize("seed", range(3))
def test_the_topic_in_the_tail_is_named_and_random_slices_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # every query looks for one document of its own; documents are told apart by the head, those of topic 3 by the tail alone
    topic = rng.integers(0, 8, N_DOCUMENTS)
    documents = rng.normal(size=(N_DOCUMENTS, DIM)).astype(np.float32)
    tail = topic == 3
    documents[~tail, 64:] *= 0.1
    documents[tail, :64] = rng.normal(size=64) + 0.02 * rng.normal(size=(int(tail.sum()), 64))
    wanted = rng.permutation(N_DOCUMENTS)[:N_QUERIES]
    queries = (documents[wanted] + 0.3 * rng.normal(size=(N_QUERIES, DIM))).astype(np.float32)
    qrels = Qrels(np.arange(N_QUERIES + 1), wanted, np.ones(N_QUERIES, np.int64))

    ranks = rank(Vectors((documents,)), queries, qrels, (64, 96), RankOptions(kernel=PortableKernel()))
    scores = score(ranks, qrels, [NDCG])
    small = Configuration(Basis.PREFIX, 64)
    texts = [f"{'astronomy' if t == 3 else f'subject{t}'} question" for t in topic[wanted]]
    random = [Slice("random", str(i), rng.random(N_QUERIES) < 0.15) for i in range(200)]
    found = search_slices(Question(scores, Policy()), [*topic_slices(topic[wanted], texts), *random])

    assert decide(Question(scores, Policy())).proven is None
    hits = [f for f in found if f.q_value is not None and f.q_value <= 0.05]
    worst = min((f for f in hits if f.dim == small.dim), key=lambda f: f.kept or 0.0)
    assert (worst.field, worst.value.split(",")[0]) == ("topic", "astronomy")
    assert worst.kept is not None
    assert worst.kept < 0.5
    assert sum(f.field == "random" for f in hits) <= 0.05 * len(hits) + 1
    losers = biggest_losers(scores, small, measure=NDCG, ranks=ranks)
    assert all(topic[wanted[q.query]] == 3 for q in losers)
    assert all(q.left and q.came for q in losers)
