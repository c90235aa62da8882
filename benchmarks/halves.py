"""What one half of the queries proves, measured in the other half: `python -m benchmarks.halves RUN [--group :]`.

RUN is a finished run with codes. Random halves; with `--group` also halves of whole groups of queries, whose ids begin alike up
to that text: all ways to part them where there are few. Besides, samples of half the size are drawn with replacement, for which
all queries together are the truth.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from mrl_sweep.decision.grid import decide_grid
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.findings import bytes_in_memory
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration, FloatArray, IntArray, Scores, full_size

TRIES: Final = 1000


class Halves:
    """A run's scores by its first measure: what a part of the queries proves, and what another part measures."""

    def __init__(self, folder: Path) -> None:
        run = reopen(folder, SweepConfig.of())
        cells = [c for c in run.scores.candidates if c.basis == Basis.PREFIX and c.index == EXACT]
        self.cells = tuple(c for c in cells if c.precision != FLOAT32 or not c.rescore)
        counted = run.scores.counted[0]
        self.values = run.scores.values[[run.scores.candidates.index(c) for c in self.cells], 0][:, counted]
        self.names = [name for name, used in zip(run.data.query_ids, counted, strict=True) if used]
        self.measure, self.retain = run.scores.measures[0], run.policy.retain
        self.full = self.cells.index(full_size(self.cells))
        self.bytes_of = {c: bytes_in_memory(c) for c in self.cells}

    def proven(self, queries: IntArray) -> Configuration | None:
        """The proven configuration of the fewest bytes."""
        counted = np.ones((1, len(queries)), bool)
        scores = Scores(self.cells, (self.measure,), self.values[:, None, queries], counted)
        return decide_grid(Question(scores, Policy(required=(self.measure,), retain=self.retain)), self.bytes_of).smallest

    def share(self, cell: Configuration, queries: IntArray) -> float:
        """What the queries measure it to keep."""
        values: FloatArray = self.values[:, queries].mean(axis=1)
        return float(values[self.cells.index(cell)] / values[self.full])

    def tell(self, what: str, parts: Iterable[tuple[IntArray, IntArray]]) -> None:
        """Print how often what the first part proves is measured to hold in the second, and by which configuration."""
        shares = [(cell, self.share(cell, rest)) for one, rest in parts if (cell := self.proven(one)) is not None]
        holds = Counter(str(cell) for cell, share in shares if share >= self.retain)
        print(f"{what}: {holds.total()} of {len(shares)} hold")
        for name, n in Counter(str(cell) for cell, _ in shares).most_common():
            there = np.mean([share for cell, share in shares if str(cell) == name])
            print(f"  {name}: {holds[name]} of {n}, {there:.1%} there on the mean")


def random_halves(n: int, generator: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    for _ in range(TRIES):
        order = generator.permutation(n)
        yield order[: n // 2], order[n // 2 :]


def group_halves(groups: list[str]) -> Iterator[tuple[IntArray, IntArray]]:
    names = sorted(set(groups))
    for chosen in itertools.islice(itertools.combinations(names, len(names) // 2), TRIES):
        inside = np.isin(groups, chosen)
        yield np.flatnonzero(inside), np.flatnonzero(~inside)


def samples(n: int, generator: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    for _ in range(TRIES):
        yield generator.integers(0, n, n // 2), np.arange(n)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--group", help="what ends the part of a query id that its group shares")
    given = parser.parse_args()
    halves = Halves(given.run)
    everything = len(halves.names)
    halves.tell("random halves", random_halves(everything, np.random.default_rng(0)))
    if given.group:
        halves.tell("halves of whole groups", group_halves([name.partition(given.group)[0] for name in halves.names]))
    halves.tell("samples of half the size, against all queries", samples(everything, np.random.default_rng(0)))
