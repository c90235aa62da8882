"""The memory that a pass takes besides the page cache, and the threads and shards that a budget leaves room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from mrl_sweep.ranking.task import TURNED_AT_ONCE

SMALLEST_SHARD: Final = 2**20
COPIES: Final = 3
"""Of a shard at most: rows gathered or read from two files, as float32, and turned. Of a training sample: read, cut, turned."""

_WORK_BYTES: Final = 16 * 2**20
"""Of a thread: a block of scores in float32 and float64, what the kernel derives from it, the product's own buffers."""

_PAIRS_AT_ONCE: Final = 4096

_TURNED_BYTES: Final = 40
"""Of a number that is turned: itself, its square in float64, its code, what that stands for, and what becomes of them."""


class Room(NamedTuple):
    """What fits: this many threads with shards of so many bytes."""

    n_threads: int
    shard_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSize:
    """How much is counted: `n_pairs` judgments of `n_queries` queries at `n_sizes` sizes, the best `depth` documents kept.

    Of a grid `n_sizes` are those of its widest pass, and the ranks of all `n_kept` configurations are held; `n_trained` documents
    train codes or a rotation, and the lists of `n_rescored` codes are ordered again together (0: there are none).
    """

    n_queries: int
    n_pairs: int
    n_sizes: int
    dim: int
    depth: int
    n_kept: int = 0
    n_trained: int = 0
    n_rescored: int = 0

    @property
    def fixed_bytes(self) -> int:
        """Whatever the number of threads: queries, thresholds and their tables, counts and ranks, the training sample."""
        pairs, best = self.n_sizes * self.n_pairs, self.n_sizes * self.n_queries * self.depth
        plan = 16 * self.dim * min(self.n_pairs, _PAIRS_AT_ONCE) + 16 * self.dim * self.n_queries
        kept = self.n_kept * (40 * self.n_pairs + 30 * self.n_queries * self.depth)
        again = 100 * self.n_rescored * self.n_queries * self.depth
        return plan + 104 * pairs + 80 * best + kept + again + 4 * COPIES * self.dim * self.n_trained

    @property
    def thread_bytes(self) -> int:
        """Of each thread, without its shard: its counts, its best documents twice while they are merged, its work arrays."""
        turned = _TURNED_BYTES * self.dim * min(self.n_trained, TURNED_AT_ONCE)
        return 24 * self.n_sizes * self.n_pairs + 48 * self.n_sizes * self.n_queries * self.depth + turned + _WORK_BYTES

    def needed_bytes(self, n_threads: int = 1, shard_bytes: int = SMALLEST_SHARD) -> int:
        """Everything together."""
        return self.fixed_bytes + n_threads * (self.thread_bytes + COPIES * shard_bytes)

    def room(self, budget_bytes: int, n_threads: int, shard_bytes: int) -> Room | None:
        """The most threads up to n_threads, then the largest shards up to shard_bytes, within the budget; None: not even one."""
        smallest = min(SMALLEST_SHARD, shard_bytes)
        for threads in range(n_threads, 0, -1):
            if self.needed_bytes(threads, smallest) <= budget_bytes:
                left = budget_bytes - self.needed_bytes(threads, 0)
                return Room(threads, min(shard_bytes, left // (COPIES * threads)))
        return None
