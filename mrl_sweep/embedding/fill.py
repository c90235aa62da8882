"""Fills a store's space: embeds the texts whose vectors it lacks, batch by batch, and writes each batch there."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from mrl_sweep.embedding.protocol import Batching, Embedder, Encoded, PartlyEncoded, Role
from mrl_sweep.errors import EnvironmentFault, MrlSweepError
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.files.digests import Uint64Array, first_rows, text_digests
from mrl_sweep.interrupt import held_back
from mrl_sweep.ranking.pass_plan import ZERO_SQUARED_NORM
from mrl_sweep.record import record
from mrl_sweep.store.shard import TRUNCATED, TRUNCATION_KNOWN, UNIT, ZERO, Rows
from mrl_sweep.store.space import Space, Writer
from mrl_sweep.types import IntArray
from mrl_sweep.words import first_offenders, plural, size

WINDOW_CHARACTERS: Final = 32 << 20


def windows(texts: Iterable[str], most: int, most_characters: int = WINDOW_CHARACTERS) -> Iterator[list[str]]:
    """Yields the texts in lists of at most `most`; a list ends sooner with the text that makes `most_characters` full."""
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text)
        if len(window) >= most or characters >= most_characters:
            yield window
            window, characters = [], 0
    if window:
        yield window


def batches(texts: Sequence[str], batching: Batching) -> list[IntArray]:
    """Returns each batch's places in `texts`: longest first where the provider pads, and no more than it takes at a time."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    order = np.argsort(-lengths, kind="stable") if batching.by_length else np.arange(len(texts))
    if batching.characters is None:
        return [order[start : start + batching.texts] for start in range(0, len(order), batching.texts)]
    cuts, room = [0], batching.characters
    for place, length in enumerate(lengths[order].tolist()):
        if place > cuts[-1] and (place - cuts[-1] >= batching.texts or length > room):
            cuts.append(place)
            room = batching.characters
        room -= length
    return [order[low:high] for low, high in itertools.pairwise([*cuts, len(order)]) if high > low]


def encodable(text: str) -> str:
    """Puts U+FFFD in the place of lone surrogates, which JSON can hold and no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


STAGES: Final = {Role.DOCUMENT: "embed documents", Role.QUERY: "embed queries"}
ROUNDS: Final = 8
"""How often a space is filled where shards turn out to be damaged, or are rewritten by others at the same moment."""

_UNIT_TOLERANCE: Final = 1e-3


@record(kw_only=True)
class Filling:
    """A filling describes the texts for a space: `total` of them (None: unknown), of one role, and how a message names the i-th.

    `texts` is called for them once, and again where stored vectors turn out to be damaged. `alone`: no other process has these
    texts, so that batches keep their order whatever others add, and small shards are not rewritten.
    """

    texts: Callable[[], Iterable[str]]
    role: Role
    total: int | None
    name_of: Callable[[int], str]
    on_event: OnEvent = ignore
    alone: bool = False


@record
class Filled:
    """A filled space says where each text's vector lies, how many had to be embedded, and which texts are empty."""

    locations: IntArray
    n_embedded: int
    empty: IntArray


class DiskFault(EnvironmentFault):
    """Says that the store cannot be written; what was put there before is whole."""


@record
class _Job:
    """Holds one batch: its texts, their places in the window, and their digests."""

    rows: IntArray
    texts: list[str]
    digests: Uint64Array

    def only(self, keep: IntArray) -> _Job:
        return _Job(self.rows[keep], [self.texts[i] for i in keep], self.digests[keep])


def fill(space: Space, embedder: Embedder, filling: Filling) -> Filled:
    """Embeds the texts that the space does not hold yet. What was embedded before a fault or an interruption stays.

    Raises EnvironmentFault (a full disk, a provider's fault, values that are not finite), InputError (no such model, texts that
    it refuses) or KeyboardInterrupt.
    """
    n_embedded = 0
    for _ in range(ROUNDS):
        filled = _fill_once(space, embedder, filling)
        n_embedded += filled.n_embedded
        if space.secure(filled.locations):
            return Filled(filled.locations, n_embedded, filled.empty)
    raise EnvironmentFault(
        f"vectors in the store {space.objects.place} are damaged or vanish as often as they are written",
        "look at the disk, or name another folder with --store",
    )


def _fill_once(space: Space, embedder: Embedder, filling: Filling) -> Filled:
    run = _Run(space, embedder, filling)
    try:
        for window in windows(filling.texts(), embedder.batching.window):
            run.take(window)
        return run.end()
    except DiskFault:
        run.close_pool()
        raise
    except BaseException:
        run.rescue()
        raise


class _Run:
    """Holds the state of one filling: the digests of the texts so far, and, once one is missing, the writer."""

    def __init__(self, space: Space, embedder: Embedder, filling: Filling) -> None:
        self._space, self._embedder, self._filling = space, embedder, filling
        self._digests: list[Uint64Array] = []
        self._n_cut = 0
        """How many windows' texts have been put into large shards, as far as there were enough to fill one."""
        self._empty: list[int] = []
        self._done = 0
        self._n_embedded = 0
        self._writer: Writer | None = None
        self._pool: ThreadPoolExecutor | None = None

    def take(self, window: list[str]) -> None:
        """Embeds the texts of one window that are missing."""
        digests = text_digests(window)
        if self._writer is None and (self._space.find(digests) < 0).any():
            self._writer = self._begin()
        missing = np.flatnonzero(self._space.find(digests) < 0)
        self._digests.append(digests)
        if len(missing) and self._writer is not None:
            self._embed(self._writer, window, digests, missing[first_rows(digests[missing])])
        self._empty += [self._done + i for i, text in enumerate(window) if not text.strip()]
        self._done += len(window)
        self._tell(self._done)

    def end(self) -> Filled:
        """Writes what is left, and returns where each text's vector lies."""
        self.close_pool()
        digests = _joined(self._digests)
        if self._writer is not None:
            with self._disk():
                self._writer.flush()
                if not self._filling.alone:
                    self._writer.rewrite(digests)
        return Filled(self._space.find(digests), self._n_embedded, np.array(self._empty, np.int64))

    def rescue(self) -> None:
        """Writes what came back before an interruption or a fault of the provider."""
        self.close_pool()
        with contextlib.suppress(DiskFault):
            if self._writer is not None:
                with self._disk():
                    self._writer.flush()

    def _begin(self) -> Writer:
        """Opens model and space, which a run that finds everything never does."""
        with self._disk():
            self._space.objects.prepare()
        facts = self._embedder.facts()
        with self._disk():
            self._space.begin(facts)
        batching = self._embedder.batching
        return Writer(self._space, flush_s=0.0 if batching.paid else batching.flush_s)

    def _embed(self, writer: Writer, window: list[str], digests: Uint64Array, missing: IntArray) -> None:
        """Embeds the missing texts of a window: in random order once other processes are seen to add vectors."""
        texts = [encodable(window[i]) for i in missing]
        work = batches(texts, self._embedder.batching)
        jobs = [_Job(missing[b], [texts[i] for i in b], digests[missing[b]]) for b in work]
        done = self._done + int((self._space.find(digests) >= 0).sum())
        with held_back() as stop:
            for job, encoded, cost_s in self._encoded(writer, jobs, stop):
                self._write(writer, job, encoded, cost_s)
                self._n_embedded += len(job.texts)
                done += len(job.texts)
                self._tell(done)
            with self._disk():
                writer.flush()
            stopped = stop()
        if stopped:
            raise KeyboardInterrupt
        if not self._filling.alone and self._space.is_full():
            with self._disk():
                writer.rewrite(_joined(self._digests[self._n_cut :]))
            self._n_cut = len(self._digests)

    def _encoded(self, writer: Writer, jobs: list[_Job], stop: Callable[[], bool]) -> Iterator[tuple[_Job, Encoded, float]]:
        """Yields each batch with its vectors and seconds, in order; after a failure those under way, then raises it.

        As many are under way as the provider takes calls, and one more where an object store would keep a local model waiting.
        """
        waiting: deque[tuple[_Job, Callable[[], tuple[Encoded, float]]]] = deque()
        batching, coming, shuffled = self._embedder.batching, deque(jobs), False
        most = batching.calls + (self._space.objects.remote is not None and not batching.paid)
        failure: Exception | None = None
        while True:
            while failure is None and len(waiting) < most and not stop() and coming:
                if not self._filling.alone and writer.company() and not shuffled:
                    shuffled = True
                    random.shuffle(coming)  # two that work on the same texts in the same order would embed all of them twice
                job = self._still_missing(coming.popleft()) if shuffled else coming.popleft()
                if job.texts:
                    waiting.append((job, self._call(job, alone=most == 1)))
            if not waiting:
                break
            job, result = waiting.popleft()
            try:
                encoded, cost_s = result()
            except PartlyEncoded as part:
                failure = failure or self._blamed(job, part)
                if len(part.rows):
                    yield job.only(part.rows), part.encoded, 0.0
                continue
            except Exception as error:  # raised below, after the calls already under way have come back
                failure = failure or error
                continue
            yield job, encoded, cost_s
        if failure is not None:
            raise failure

    def _blamed(self, job: _Job, part: PartlyEncoded) -> MrlSweepError:
        """Returns the reason, with the names of the refused texts before it."""
        if not part.refused:
            return part.reason
        names = [self._filling.name_of(int(job.rows[place]) + self._done) for place in part.refused]
        message = f"{self._filling.role} {first_offenders(names)}: {part.reason.message}"
        return type(part.reason)(message, part.reason.hint)

    def _call(self, job: _Job, *, alone: bool) -> Callable[[], tuple[Encoded, float]]:
        def encode() -> tuple[Encoded, float]:
            started = time.perf_counter()
            return self._embedder.encode(job.texts, self._filling.role), time.perf_counter() - started

        if alone:
            return encode
        self._pool = self._pool or ThreadPoolExecutor(self._embedder.batching.calls, thread_name_prefix="mrl-sweep encode")
        return self._pool.submit(encode).result

    def _still_missing(self, job: _Job) -> _Job:
        """Returns what is left of a batch after another process has worked on the same texts."""
        return job.only(np.flatnonzero(self._space.find(job.digests) < 0))

    def _write(self, writer: Writer, job: _Job, encoded: Encoded, cost_s: float) -> None:
        """Hands a batch to the writer. Raises EnvironmentFault for vectors of another size, number or not finite."""
        name, vectors = self._embedder.name, encoded.vectors
        if vectors.shape != (len(job.texts), self._space.kind.dim):
            wanted = f"{plural(len(job.texts), 'vector')} of {self._space.kind.dim}"
            raise EnvironmentFault(
                f"{name} returned {' x '.join(map(str, vectors.shape))} values for {wanted}",
                "nothing of this batch was kept; run the same command again to go on",
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            bad = [self._filling.name_of(int(row) + self._done) for row in job.rows[~finite]]
            raise EnvironmentFault(
                f"{name} returned NaN or infinite values for {self._filling.role} {first_offenders(bad)}",
                "look at these texts, or embed in float32; what was embedded before is kept",
            )
        with self._disk():
            writer.add(_rows(job, encoded), cost_s)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Turns what the file system says into a fault that names the folder and the space needed."""
        try:
            yield
        except OSError as error:
            unwritten = self._n_embedded - (self._writer.n_safe if self._writer else 0)
            row_bytes = self._space.kind.row_bytes if self._space.facts else 0
            needed = (max(0, (self._filling.total or 0) - self._done) + unwritten) * row_bytes
            raise DiskFault(
                f"cannot write to the store {self._space.objects.place}: {error.strerror or error}"
                + (f" (needs about {size(needed)})" if needed else ""),
                f"{self._space.objects.remedy} with --store; what was embedded is kept and is not embedded again",
            ) from error

    def _tell(self, done: int) -> None:
        self._filling.on_event(Progress(STAGES[self._filling.role], done, self._filling.total, "texts"))

    def close_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _joined(digests: list[Uint64Array]) -> Uint64Array:
    return np.concatenate([np.empty((0, 2), np.uint64), *digests])


def _rows(job: _Job, encoded: Encoded) -> Rows:
    """Returns what the store keeps of each text: digest, vector, tokens, and whether it was truncated, zero or of unit length."""
    squared = np.einsum("ij,ij->i", encoded.vectors, encoded.vectors)
    flags = ZERO * (squared < ZERO_SQUARED_NORM) + UNIT * (abs(squared - 1) < 2 * _UNIT_TOLERANCE)
    if encoded.truncated is not None:
        flags += TRUNCATION_KNOWN + TRUNCATED * encoded.truncated
    tokens = np.zeros(len(job.texts)) if encoded.tokens is None else encoded.tokens
    return Rows(encoded.vectors, job.digests, tokens.astype(np.uint32), flags.astype(np.uint8))
