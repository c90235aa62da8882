"""A pass that is interrupted anywhere and begun again gives the integers of an undisturbed one, and counts nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.events import Progress
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import RankOptions, rank, rank_in
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.task import Partial
from mrl_sweep.types import Qrels, Similarity, Vectors

DIMS = (2, 5, 8)
N_DOCS = 120
SHARD_BYTES = 4 * 8 * 10


class Memory:
    """A checkpoint in memory; `due` after so many shards."""

    def __init__(self, every: int = 3) -> None:
        self.kept: dict[str, Partial] = {}
        self.saved: list[int] = []
        self.every, self.asked = every, 0

    def load(self, key: Any) -> Any:
        return self.kept.get(key)

    def due(self) -> Any:
        self.asked += 1
        return self.asked % self.every == 0

    def save(self, key: Any, partial: Any) -> None:
        self.kept[key] = partial
        self.saved.append(partial.n_rows)


class Interrupting(PortableKernel):
    """Interrupted, as by Ctrl-C, when it is given the shard that begins at `at`: before or after it is counted."""

    def __init__(self, at: int = -1, *, halfway: bool = False) -> None:
        self.at, self.halfway, self.rows = at, halfway, []

    def tally(self, targets: Any, tally: Any, docs: Any, first_row: Any) -> Any:
        if first_row == self.at and not self.halfway:
            raise KeyboardInterrupt
        self.rows.append(first_row)
        bad = super().tally(targets, tally, docs, first_row)
        if first_row == self.at:
            raise KeyboardInterrupt
        return bad


def make_case(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    docs = rng.integers(-1, 2, (N_DOCS, 8)).astype(np.float32)
    queries = rng.standard_normal((6, 8)).astype(np.float32)
    rows = np.concatenate([rng.choice(N_DOCS, 4, replace=False) for _ in range(6)])
    return Vectors((docs,)), queries, Qrels(np.arange(0, 25, 4), rows, np.ones(24, np.int64))


def assert_same(one: Any, other: Any) -> None:
    for name in ("above", "tied", "zero_prefixes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.top.rows, other.top.rows)
    np.testing.assert_array_equal(one.top.scores, other.top.scores)


@given(
    seed=st.integers(0, 999),
    stops=st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=4),
    threads=st.sampled_from([None, 1, 3]),
    every=st.integers(1, 6),
)
@settings(max_examples=40)
def test_any_interrupts_leave_the_integers_as_they_are(seed: int, stops: list[Any], threads: int | None, every: int) -> None:
    vectors, queries, qrels = make_case(seed)
    undisturbed = rank(vectors, queries, qrels, DIMS, RankOptions(kernel=PortableKernel()))
    memory = Memory(every)
    how: dict[str, Any] = {"shard_bytes": SHARD_BYTES, "checkpoint": memory}
    if threads:
        how["executor"] = LocalThreads(threads)
    for shard, halfway in stops:
        if 10 * shard >= max([0, *memory.saved]):
            with pytest.raises(KeyboardInterrupt):
                rank(vectors, queries, qrels, DIMS, RankOptions(kernel=Interrupting(10 * shard, halfway=halfway), **how))
    assert_same(rank(vectors, queries, qrels, DIMS, RankOptions(kernel=PortableKernel(), **how)), undisturbed)


def test_a_resumed_pass_counts_only_what_is_left() -> None:
    vectors, queries, qrels = make_case(1)
    memory, second, events = Memory(every=3), Interrupting(), []
    with pytest.raises(KeyboardInterrupt):
        rank(vectors, queries, qrels, DIMS, RankOptions(kernel=Interrupting(70), shard_bytes=SHARD_BYTES, checkpoint=memory))
    assert memory.saved == [30, 60]
    memory.every = 10**9
    how = RankOptions(kernel=second, shard_bytes=SHARD_BYTES, checkpoint=memory)
    rank(vectors, queries, qrels, DIMS, how, on_event=events.append)
    assert second.rows == [60, 70, 80, 90, 100, 110]
    assert events[0] == Progress("rank", 70, 120, "documents")
    assert memory.saved == [30, 60, 120]


def test_an_interrupt_between_two_shards_keeps_all_that_was_counted() -> None:
    vectors, queries, qrels = make_case(2)
    memory, done = Memory(every=10**9), []

    def interrupt(event: Any) -> None:
        done.append(event.done)
        if event.done == 50:
            raise KeyboardInterrupt

    how = RankOptions(shard_bytes=SHARD_BYTES, checkpoint=memory)
    with pytest.raises(KeyboardInterrupt):
        rank(vectors, queries, qrels, DIMS, how, on_event=interrupt)
    assert memory.saved == [50]


def test_a_finished_pass_is_kept_only_if_it_was_long() -> None:
    vectors, queries, qrels = make_case(3)
    short, long = Memory(every=10**9), Memory(every=5)
    for memory in (short, long):
        rank(vectors, queries, qrels, DIMS, RankOptions(shard_bytes=SHARD_BYTES, checkpoint=memory))
    assert (short.saved, long.saved) == ([], [50, 100, 120])


def variations() -> Iterator[Any]:
    vectors, queries, qrels = make_case(4)
    other = queries.copy()
    other[2, 3] += 1
    own = np.array([5, -1, -1, -1, -1, -1])
    turned = np.eye(8, dtype=np.float32)[::-1].copy()
    moved = Qrels(qrels.offsets, np.roll(qrels.rows, 1), qrels.grades)
    fewer = Vectors((vectors.parts[0][:-1],))
    yield "queries", (vectors, other, qrels, DIMS), {}, {}
    yield "judgments", (vectors, queries, moved, DIMS), {}, {}
    yield "sizes", (vectors, queries, qrels, (2, 4, 8)), {}, {}
    yield "documents", (fewer, queries, Qrels(qrels.offsets, np.minimum(qrels.rows, 118), qrels.grades), DIMS), {}, {}
    yield "similarity", (vectors, queries, qrels, DIMS), {"similarity": Similarity.DOT}, {}
    yield "own rows", (vectors, queries, qrels, DIMS), {"own_rows": own}, {}
    yield "depth", (vectors, queries, qrels, DIMS), {"depth": 3}, {}
    yield "rotation", (vectors, queries, qrels, DIMS), {}, {"rotation": turned}


@pytest.mark.parametrize(
    ("what", "inputs", "how", "axes"), list(variations()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_counts_of_another_question_are_not_taken_up(what: Any, inputs: tuple[Any, Any, Any, Any], how: Any, axes: Any) -> None:
    vectors, queries, qrels = make_case(4)
    memory = Memory(every=2)
    rank(vectors, queries, qrels, DIMS, RankOptions(shard_bytes=SHARD_BYTES, checkpoint=memory))
    kernel = Interrupting()
    options = RankOptions(kernel=kernel, shard_bytes=SHARD_BYTES, checkpoint=memory, **how)
    rank_in(prefixes(inputs[3], options.similarity, **axes), *inputs[:3], options)
    assert kernel.rows[0] == 0, what
    again = Interrupting()
    rank(vectors, queries, qrels, DIMS, RankOptions(kernel=again, shard_bytes=SHARD_BYTES, checkpoint=memory))
    assert again.rows == []


def test_counts_of_another_shape_are_not_taken_up() -> None:
    vectors, queries, qrels = make_case(5)
    memory = Memory(every=4)
    whole = rank(vectors, queries, qrels, DIMS, RankOptions(shard_bytes=SHARD_BYTES, checkpoint=memory))
    ((key, partial),) = memory.kept.items()
    memory.kept[key] = Partial(((0, 40),), partial.tally._replace(placed=partial.tally.placed[:1]))
    assert_same(rank(vectors, queries, qrels, DIMS, RankOptions(shard_bytes=SHARD_BYTES, checkpoint=memory)), whole)
