"""The smallest proven size and configuration at several shares, side by side."""

from __future__ import annotations

import numpy as np

from mrl_sweep.decision.grid import decide_grid, grid_by_share, smallest_at
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.types import Configuration, Measure, Scores

NDCG = Measure("nDCG", 10)
KEPT = {768: 1.0, 512: 0.997, 256: 0.985, 128: 0.93, 64: 0.7}


def scores(n: int = 1_000) -> Scores:
    """Each size keeps its share; one bit of 768 keeps 96%, of 512 92%."""
    noise = np.where(np.arange(n) % 2, 0.01, -0.01)
    cells = {Configuration.exact_prefix(dim): share for dim, share in KEPT.items()}
    cells |= {Configuration("prefix", dim, precision="rabitq"): share for dim, share in ((768, 0.96), (512, 0.92))}
    values = np.array([0.8 * (share + noise * (share < 1)) for share in cells.values()])
    return Scores(tuple(cells), (NDCG,), values[:, None], np.ones((1, n), bool))


BYTES = {c: c.dim // 8 + 8 if c.precision == "rabitq" else 4 * c.dim for c in scores(1).candidates}


def test_each_share_has_the_answer_of_its_own_decision() -> None:
    answers = smallest_at(Question(scores(), Policy()), {})
    assert [(a.retain, a.dimension, str(a.configuration)) for a in answers] == [
        (0.99, 512, "512"),
        (0.98, 256, "256"),
        (0.95, 256, "256"),
        (0.9, 128, "128"),
    ]
    for answer in answers:
        assert decide(Question(scores(), Policy(retain=answer.retain))).proven == answer.dimension


def test_with_codes_the_fewest_bytes_stand_beside_the_smallest_size() -> None:
    _, *answers = smallest_at(Question(scores(), Policy()), BYTES)
    assert [(a.dimension, str(a.configuration)) for a in answers] == [(256, "256"), (256, "768:rabitq"), (128, "512:rabitq")]


def test_nothing_proven_is_full_size() -> None:
    answer, *_ = smallest_at(Question(scores(40), Policy()), BYTES)
    assert (answer.dimension, str(answer.configuration)) == (768, "768")


def test_it_is_by_bound_whatever_decides() -> None:
    by_mean, by_bound = (Question(scores(40), Policy(decide_by=by)) for by in (DecideBy.MEAN, DecideBy.BOUND))
    assert smallest_at(by_mean, {}) == smallest_at(by_bound, {})


def test_the_grid_s_answer_at_any_share_is_found_between_the_places_where_it_changes() -> None:
    rows = grid_by_share(Question(scores(), Policy(retain=0.9555)), BYTES)
    assert [row.retain for row in rows] == sorted(row.retain for row in rows)
    assert rows[-1].retain == 1.0
    for share in (0.8, 0.851, 0.9, 0.9555, 0.97, 0.985, 0.999, 1.0):
        row = next(row for row in rows if row.retain >= share)
        assert row.configuration == str(decide_grid(Question(scores(), Policy(retain=share)), BYTES).smallest or ""), share
    assert len({row.configuration for row in rows}) == len(rows) >= 3
