"""Partial counts: what a long pass has counted so far, so that an interrupted one goes on where it was. Counts add up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final, NamedTuple, Protocol

import numpy as np

from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.ranking.pass_plan import Tally, Targets, empty_tally, merge

RULES: Final = "1"
"""Raised whenever the same documents would be counted otherwise: counts of different rules must never be added."""

Shard = tuple[int, int]
"""Document rows from, to."""

Work = Callable[[Iterator[Shard]], Tally]


class Executor(Protocol):
    """Runs `work` on one or more workers that share `shards`, and returns a tally of each.

    Shards are drawn in order, each once. Where it raises KeyboardInterrupt, no worker is at work any more.
    """

    def __call__(self, work: Work, shards: Iterator[Shard]) -> list[Tally]: ...


class Partial(NamedTuple):
    """The tally of the first `done` documents."""

    done: int
    tally: Tally


class Checkpoint(Protocol):
    """Where partial counts are kept between two runs of the same pass, and how often."""

    def load(self, key: str) -> Partial | None:
        """What was kept under this key."""
        ...

    def due(self) -> bool:
        """Whether enough work has been done since the last time to be worth keeping."""
        ...

    def save(self, key: str, partial: Partial) -> None:
        """Keep it instead of what was kept under this key."""
        ...


class Book:
    """What the workers of a pass have counted: a tally each, and the number of documents that are wholly counted.

    The workers share the floor of the best documents, so that none judges what another has already surpassed.
    """

    def __init__(self, targets: Targets, depth: int, n_documents: int, on_event: OnEvent = ignore) -> None:
        self.targets, self.depth, self.n_documents, self.done = targets, depth, n_documents, 0
        self.tallies: list[Tally] = []
        self.floor = empty_tally(targets, depth).floor
        self._on_event, self._lock = on_event, Lock()

    def open_tally(self) -> Tally:
        """A worker's own, with nothing counted."""
        tally = empty_tally(self.targets, self.depth, self.floor)
        self.tallies.append(tally)
        return tally

    def add(self, n: int) -> None:
        """A worker has counted n documents more; the listener is told by one worker at a time."""
        with self._lock:
            self.done += n
            self._on_event(Progress("rank", self.done, self.n_documents, "documents"))


def tally_all(book: Book, rows_each: int, work: Work, executor: Executor, checkpoint: Checkpoint | None) -> Tally:
    """The tally of all documents, in shards of `rows_each`; what the checkpoint holds is not counted again.

    An interrupt keeps the shards that were finished, unless one is half counted: then it is as at the last saving.
    """
    key = pass_key(book) if checkpoint else ""
    total = kept(book, checkpoint, key)
    book.done = total.done
    book.floor = total.tally.floor
    while total.done < book.n_documents:
        steps = _Steps(total.done, book.n_documents, rows_each, checkpoint)
        book.tallies.clear()
        try:
            tallies = executor(work, iter(steps))
        except KeyboardInterrupt:
            if checkpoint and total.done < book.done == steps.drawn:
                checkpoint.save(key, Partial(book.done, merge([total.tally, *book.tallies])))
            raise
        total = Partial(steps.drawn, merge([total.tally, *tallies]))
        if checkpoint and (steps.begin or steps.paused):
            checkpoint.save(key, total)
    return total.tally


def kept(book: Book, checkpoint: Checkpoint | None, key: str) -> Partial:
    """What the checkpoint holds of this pass, or nothing counted yet."""
    empty = Partial(0, empty_tally(book.targets, book.depth))
    found = checkpoint.load(key) if checkpoint else None
    if found is None or not 0 < found.done <= book.n_documents:
        return empty
    fits = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(found.tally, empty.tally, strict=True))
    return found if fits else empty


class _Steps:
    """The shards from `begin` onwards, `drawn` so far; `paused` when it is time to keep the counts."""

    def __init__(self, begin: int, n_documents: int, rows_each: int, checkpoint: Checkpoint | None) -> None:
        self.begin = self.drawn = begin
        self.paused = False
        self._n_documents, self._rows_each, self._checkpoint = n_documents, rows_each, checkpoint

    def __iter__(self) -> Iterator[Shard]:
        while self.drawn < self._n_documents:
            if self._checkpoint and self.drawn > self.begin and self._checkpoint.due():
                self.paused = True
                return
            start, self.drawn = self.drawn, min(self.drawn + self._rows_each, self._n_documents)
            yield start, self.drawn


def pass_key(book: Book) -> str:
    """A digest of all that decides the counts, save the documents: queries as rotated, judgments' scores, sizes, similarity."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{RULES} {book.n_documents} {book.depth} {book.targets.cosine}".encode())
    for field in book.targets[:-1]:
        array = np.ascontiguousarray(field)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
