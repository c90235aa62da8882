"""What is kept when filling a store is disturbed: by providers, signals, disks and other runs."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import FILL_TEXTS, CountingEmbedder, collection_of, documents_of, tree, vectors_of

from mrl_sweep.embedding import Batching, Encoded, Role, Store, embed
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.shard import Rows
from mrl_sweep.store.space import Space

# --- Faults -----------------------------------------------------------------------------------------------------------


@dataclass
class FailingEmbedder(CountingEmbedder):
    """Does something else at the n-th batch."""

    at: int = 3
    instead: Any = None
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        with self.lock:
            self.calls += 1
            mine = self.calls
        if mine == self.at:
            result = self.instead(self, texts, role)
            if result is not None:
                return result
        return super().encode(texts, role)


def fail(error: Any) -> Any:
    def instead(*_: Any) -> None:
        raise error

    return instead


def resumes_as_if_undisturbed(tmp_path: Path, disturbed_error: Any, embedder: CountingEmbedder) -> CountingEmbedder:
    """Runs into the fault, runs again, and compares every byte of the store with that of a run without the fault."""
    with pytest.raises(disturbed_error):
        embed(collection_of(FILL_TEXTS), embedder, Store(tmp_path / "a"))
    second = CountingEmbedder(batching=embedder.batching)
    embed(collection_of(FILL_TEXTS), second, Store(tmp_path / "a"))
    embed(collection_of(FILL_TEXTS), CountingEmbedder(batching=embedder.batching), Store(tmp_path / "b"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert sorted(documents_of(embedder) + documents_of(second)) == sorted(FILL_TEXTS)
    return second


@pytest.mark.parametrize("at", [1, 2, 5, 12, 13])
def test_after_a_providers_fault_each_text_is_sent_once_and_the_bytes_are_as_if_undisturbed(tmp_path: Path, at: int) -> None:
    embedder = FailingEmbedder(at=at, instead=fail(EnvironmentFault("time-out")))
    resumes_as_if_undisturbed(tmp_path, EnvironmentFault, embedder)


@pytest.mark.parametrize("at", [1, 4, 9])
def test_calls_under_way_when_one_fails_are_kept(tmp_path: Path, at: int) -> None:
    embedder = FailingEmbedder(batching=Batching(texts=4, calls=3, window=16), at=at, instead=fail(EnvironmentFault("reset")))
    resumes_as_if_undisturbed(tmp_path, EnvironmentFault, embedder)


def test_calls_at_a_time_give_the_same_bytes_as_one_after_the_other(tmp_path: Path) -> None:
    embed(collection_of(FILL_TEXTS), CountingEmbedder(), Store(tmp_path / "a"))
    embed(collection_of(FILL_TEXTS), CountingEmbedder(batching=Batching(texts=4, calls=4, window=16)), Store(tmp_path / "b"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def interrupted_by(number: Any) -> Any:
    def instead(*_: Any) -> None:
        signal.raise_signal(number)

    return instead


def test_ctrl_c_finishes_the_batch_and_the_same_call_goes_on(tmp_path: Path) -> None:
    embedder = FailingEmbedder(at=2, instead=interrupted_by(signal.SIGINT))
    second = resumes_as_if_undisturbed(tmp_path, KeyboardInterrupt, embedder)
    assert len(documents_of(embedder)) == 8, "the batch in flight was finished"
    assert len(documents_of(second)) == 42
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_sigterm_hears_it_after_the_batch(tmp_path: Path) -> None:
    class Terminated(BaseException):
        pass

    def handler(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        embedder = FailingEmbedder(at=2, instead=interrupted_by(signal.SIGTERM))
        resumes_as_if_undisturbed(tmp_path, Terminated, embedder)
        assert len(documents_of(embedder)) == 8
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_is_obeyed_at_once(tmp_path: Path) -> None:
    def twice(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    embedder = FailingEmbedder(at=2, instead=twice)
    with pytest.raises(KeyboardInterrupt):
        embed(collection_of(FILL_TEXTS), embedder, Store(tmp_path))
    assert len(embedder.asked) == 4


def test_values_that_are_not_finite_stop_the_run_and_name_the_ids(tmp_path: Path) -> None:
    texts = ["a" * (9 - i) for i in range(9)]
    broken = vectors_of(texts[4:8])
    broken[1, 3], broken[2, 0] = np.nan, np.inf
    embedder = FailingEmbedder(at=2, instead=lambda *_: Encoded(broken))
    with pytest.raises(EnvironmentFault, match="counting returned NaN or infinite values for document d5, d6"):
        embed(collection_of(texts), embedder, Store(tmp_path))
    second = CountingEmbedder()
    embed(collection_of(texts), second, Store(tmp_path))
    assert documents_of(second) == texts[4:]


@pytest.mark.parametrize("shape", [(3, 8), (4, 7), (5, 8), (32,)])
def test_a_batch_of_another_count_or_size_is_refused_whole(tmp_path: Path, shape: tuple[int, ...]) -> None:
    embedder = FailingEmbedder(at=2, instead=lambda *_: Encoded(np.zeros(shape, np.float32)))
    with pytest.raises(EnvironmentFault, match="for 4 vectors of 8"):
        embed(collection_of(FILL_TEXTS), embedder, Store(tmp_path))
    second = CountingEmbedder()
    embed(collection_of(FILL_TEXTS), second, Store(tmp_path))
    assert len(documents_of(second)) == 46


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_with_what_is_needed_and_the_store_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: Any
) -> None:
    real, calls = Space.put, []

    def put(self: Any, rows: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise OSError(number, "No space left on device")
        return real(self, rows)

    monkeypatch.setattr(Space, "put", put)
    paid = Batching(texts=4, paid=True, window=16)
    with pytest.raises(EnvironmentFault, match=r"cannot write to the store .*: No space left on device \(needs about") as caught:
        embed(collection_of(FILL_TEXTS), CountingEmbedder(batching=paid), Store(tmp_path))
    assert "--store" in caught.value.hint
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".draft")]
    assert len(calls) == 6, "nothing is written after it"
    monkeypatch.setattr(Space, "put", real)
    second = CountingEmbedder()
    embeddings = embed(collection_of(FILL_TEXTS), second, Store(tmp_path))
    assert len(documents_of(second)) == 50 - 20
    assert np.array_equal(embeddings.documents.read(0, 50), vectors_of(FILL_TEXTS))


def test_a_disk_that_has_no_room_for_rewriting_keeps_the_small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(collection_of(FILL_TEXTS[:20]), CountingEmbedder(), Store(tmp_path))

    real = Space.put

    def put(self: Any, rows: Any) -> Any:
        if len(rows.flags) == 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, rows)

    monkeypatch.setattr(Space, "put", put)
    embeddings = embed(collection_of(FILL_TEXTS), CountingEmbedder(), Store(tmp_path))
    assert len(embeddings.documents.parts) > 1
    assert np.array_equal(embeddings.documents.read(0, 50), vectors_of(FILL_TEXTS))


def test_a_store_that_cannot_be_made_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    embedder = CountingEmbedder()
    with pytest.raises(EnvironmentFault, match=r"cannot use the store .*: Not a directory"):
        embed(collection_of(FILL_TEXTS), embedder, Store(tmp_path / "file"))
    assert embedder.opened == 0, "told before a model is opened"


# --- Company ----------------------------------------------------------------------------------------------------------

PAID = Batching(texts=4, paid=True, window=16)


def test_two_runs_that_share_a_store_embed_nothing_twice_that_the_other_has_put(tmp_path: Path) -> None:
    """The second run starts, works and ends while the first is in its third batch."""
    other = CountingEmbedder(batching=PAID)

    def company(*_: Any) -> None:
        embed(collection_of(FILL_TEXTS), other, Store(tmp_path))

    first = FailingEmbedder(at=3, instead=company, batching=PAID)
    embeddings = embed(collection_of(FILL_TEXTS), first, Store(tmp_path))
    assert np.array_equal(embeddings.documents.read(0, 50), vectors_of(FILL_TEXTS))
    assert len(documents_of(other)) in (42, 46, 50), "all but what the first had on disk by then: two batches at most"
    assert len(documents_of(first)) == 12, "nothing after the batch in flight"
    third = CountingEmbedder()
    assert np.array_equal(embed(collection_of(FILL_TEXTS), third, Store(tmp_path)).documents.read(0, 50), vectors_of(FILL_TEXTS))
    assert third.asked == []


def test_runs_that_take_turns_batch_by_batch_share_the_work(tmp_path: Path) -> None:
    """Three runs over the same texts, one batch each in turn: little is embedded twice."""
    texts = [f"text {i}" for i in range(400)]
    n, turn, ready = 3, [0], threading.Condition()
    done: set[int] = set()

    class InTurn(CountingEmbedder):
        me = 0

        def encode(self, texts: Sequence[str], role: Role) -> Any:
            with ready:
                ready.wait_for(lambda: turn[0] == self.me)
                return super().encode(texts, role)

    def pass_on(me: Any) -> None:
        with ready:
            turn[0] = next((who % n for who in range(me + 1, me + n) if who % n not in done), me)
            ready.notify_all()

    def work(me: Any, results: Any) -> None:
        model = InTurn(batching=PAID)
        model.me = me
        real = model.encode

        def encode(some: Any, role: Role) -> Any:
            encoded = real(some, role)
            pass_on(me)
            return encoded

        model.encode = encode  # type: ignore[assignment]
        try:
            results[me] = (model, embed(collection_of(texts), model, Store(tmp_path)))
        finally:
            with ready:
                done.add(me)
            pass_on(me)

    results: dict = {}
    threads = [threading.Thread(target=work, args=(me, results), daemon=True) for me in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asked = [text for model, _ in results.values() for text in documents_of(model)]
    assert set(asked) == set(texts)
    assert len(asked) < 2 * len(texts), "three that did not see each other would embed three times as many"
    for _, embeddings in results.values():
        assert np.array_equal(embeddings.documents.read(0, len(texts)), vectors_of(texts))


def test_a_run_that_another_one_rewrites_under_its_feet_reads_anew(tmp_path: Path) -> None:
    """Between the last batch and the look at the shards, another process puts the same rows elsewhere and removes the shard."""
    embed(collection_of(FILL_TEXTS[:30]), CountingEmbedder(), Store(tmp_path))
    other = CountingEmbedder()
    real, once = Space.secure, []

    def secure(self: Any, locations: Any) -> Any:
        if not once:
            once.append(1)
            space = Store(tmp_path).space(other.identity(Role.DOCUMENT))
            rows = vectors_of(FILL_TEXTS)
            (old,) = [name for name in space.objects.names() if name.endswith(".arrow")]
            space.put(Rows(rows, text_digests(FILL_TEXTS), np.zeros(50, np.uint32), np.zeros(50, np.uint8)))
            space.objects.remove(old)
        return real(self, locations)

    Space.secure, before = secure, real
    try:
        embeddings = embed(collection_of(FILL_TEXTS), CountingEmbedder(), Store(tmp_path))
    finally:
        Space.secure = before
    assert np.array_equal(embeddings.documents.read(0, 50), vectors_of(FILL_TEXTS))
