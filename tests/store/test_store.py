from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from embedding_helpers import CountingEmbedder, collection_of, tree, vectors_of
from made_shards import FACTS, IDENTITY, LETTERS, folder_of, put, read, rows_of, shards, stored

from mrl_sweep.embedding import embed
from mrl_sweep.errors import InputError
from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.shard import TRUNCATED, ZERO
from mrl_sweep.store.space import Space, Writer
from mrl_sweep.store.store import Store


def test_what_was_put_is_found_by_another_process_later(tmp_path: Path) -> None:
    stored(tmp_path, LETTERS)
    space = Store(tmp_path).space(IDENTITY)
    assert space.facts == FACTS
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    assert space.find(text_digests(["unknown"])).tolist() == [-1]


@pytest.mark.parametrize(
    "change", [{"prompt": "query: "}, {"role": "query"}, {"model": "n"}, {"revision": "1"}, {"max_length": 8}]
)
def test_whatever_changes_the_vectors_is_part_of_the_key(tmp_path: Path, change: Any) -> None:
    stored(tmp_path, LETTERS)
    for space, there in (
        (Store(tmp_path).space(IDENTITY | change), False),
        (Store(tmp_path, dtype="float16").space(IDENTITY), False),
        (Store(tmp_path).space(IDENTITY), True),
    ):
        assert (space.find(text_digests(LETTERS)) >= 0).all() == there


def test_a_shard_is_an_arrow_file_named_by_its_content(tmp_path: Path) -> None:
    import hashlib

    (shard,) = shards(stored(tmp_path, LETTERS))
    assert shard.stem == hashlib.sha256(shard.read_bytes()).hexdigest()[:32]
    table = pa.ipc.open_file(shard).read_all()
    assert table.column_names == ["vector", "digest", "tokens", "flags"]
    assert table["vector"].type == pa.list_(pa.float32(), 8)
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), vectors_of(LETTERS))
    assert b"".join(table["digest"].to_pylist()) == text_digests(LETTERS).tobytes()


def test_vectors_are_mapped_and_not_copied(tmp_path: Path) -> None:
    stored(tmp_path, LETTERS)
    space = Store(tmp_path).space(IDENTITY)
    (part,) = space.vectors(space.find(text_digests(LETTERS))).parts
    assert isinstance(part, np.memmap)
    assert part.filename is not None
    assert Path(part.filename).suffix == ".arrow"
    assert not part.flags.writeable


def test_the_same_rows_are_the_same_shard_whoever_puts_them(tmp_path: Path) -> None:
    for _ in range(2):
        folder = stored(tmp_path, LETTERS)
    assert len(shards(folder)) == 1
    assert {path.name for path in stored(tmp_path / "b", LETTERS).iterdir()} == {path.name for path in folder.iterdir()}


def test_a_model_known_by_its_content_alone_has_no_name_in_the_folder(tmp_path: Path) -> None:
    assert Path(Store(tmp_path).space(IDENTITY | {"model": None}).objects.place).name.startswith("test-document-")


def test_a_hostile_model_name_stays_inside_the_store(tmp_path: Path) -> None:
    put(Store(tmp_path / "store").space(IDENTITY | {"model": "../../" + "x" * 300}), ["a"])
    (folder,) = (tmp_path / "store").iterdir()
    assert len(folder.name) < 120
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_float16_takes_half_the_room_and_reads_as_float32(tmp_path: Path) -> None:
    stored(tmp_path, LETTERS, dtype="float16")
    space = Store(tmp_path, dtype="float16").space(IDENTITY)
    assert space.vectors(space.find(text_digests(LETTERS))).parts[0].dtype == np.float16
    assert read(space, LETTERS).dtype == np.float32
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS).astype(np.float16).astype(np.float32))


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8"):
        Store(tmp_path, dtype="int8")


@pytest.mark.parametrize("asked", ["abcdefghij", "cdef", "jihg", "aabbcc", "ac", "j", ""])
def test_vectors_come_in_the_order_asked_for(tmp_path: Path, asked: str) -> None:
    stored(tmp_path, LETTERS)
    space = Store(tmp_path).space(IDENTITY)
    vectors = space.vectors(space.find(text_digests(list(asked))))
    assert vectors.shape == (len(asked), 8)
    assert np.array_equal(vectors.read(0, len(asked)), vectors_of(list(asked)) if asked else np.empty((0, 8)))


def test_many_scattered_rows_are_read_through_an_order(tmp_path: Path) -> None:
    texts = [str(i) for i in range(1200)]
    for i in range(0, 1200, 400):
        stored(tmp_path, texts[i : i + 400])
    space = Store(tmp_path).space(IDENTITY)
    asked = texts[1::2] + texts[::2]
    vectors = space.vectors(space.find(text_digests(asked)))
    assert vectors.order is not None
    assert np.array_equal(vectors.read(0, 1200), vectors_of(asked))
    assert np.array_equal(vectors.take([1199, 0, 600]), vectors_of([asked[1199], asked[0], asked[600]]))
    slices = space.vectors(space.find(text_digests(asked)), rows_a_slice=1)  # none of them is too short then
    assert (slices.order, slices.read(0, 1200).tobytes()) == (None, vectors_of(asked).tobytes())


def test_flags_are_kept_beside_the_vectors(tmp_path: Path) -> None:
    space = Store(tmp_path).space(IDENTITY)
    put(space, ["a", "b"], flags=TRUNCATED)
    put(space, ["c"], flags=ZERO)
    again = Store(tmp_path).space(IDENTITY)
    assert again.flags(again.find(text_digests(["c", "a", "b"]))).tolist() == [ZERO, TRUNCATED, TRUNCATED]


# --- Writing ----------------------------------------------------------------------------------------------------------


def written(space: Space, texts: list[str], order: list[str], flush_s: float = 1.0) -> np.ndarray:
    """Texts one by one, each in a shard of its own at first, found again."""
    space.begin(FACTS)
    writer = Writer(space, flush_s=flush_s)
    for text in texts:
        writer.add(rows_of([text]))
        writer.flush()
        if space.is_full():
            writer.rewrite(text_digests(order))
    writer.rewrite(text_digests(order))
    return read(space, texts)


@pytest.mark.parametrize("flush_s", [1.0, 0.0])
def test_rows_end_in_one_shard_in_the_collections_order_however_they_came(tmp_path: Path, flush_s: float) -> None:
    space = Store(tmp_path).space(IDENTITY)
    assert np.array_equal(written(space, list("cab"), list("abc"), flush_s=flush_s), vectors_of(list("cab")))
    (shard,) = shards(folder_of(space))
    assert pa.ipc.open_file(shard).read_all()["digest"].to_pylist() == [text_digests([t]).tobytes() for t in "abc"]


def test_a_full_shard_is_closed_and_the_next_begun(tmp_path: Path) -> None:
    space = Store(tmp_path, shard_bytes=4 * (8 * 4 + 21)).space(IDENTITY)
    assert np.array_equal(written(space, LETTERS, LETTERS), vectors_of(LETTERS))
    assert sorted(pa.ipc.open_file(shard).read_all().num_rows for shard in shards(folder_of(space))) == [2, 4, 4]
    vectors = space.vectors(space.find(text_digests(LETTERS)))
    assert (vectors.order, len(vectors.parts)) == (None, 3)


def test_paid_batches_are_in_the_store_before_the_next_one_comes_back(tmp_path: Path) -> None:
    space = Store(tmp_path).space(IDENTITY)
    space.begin(FACTS)
    writer = Writer(space, flush_s=0.0)
    for letter in "abc":
        writer.add(rows_of([letter]))
        assert (Store(tmp_path).space(IDENTITY).find(text_digests([letter])) >= 0).all()


def test_rows_wait_for_a_second_at_most(tmp_path: Path) -> None:
    space, now = Store(tmp_path).space(IDENTITY), [0.0]
    space.begin(FACTS)
    writer = Writer(space, flush_s=1.0, clock=lambda: now[0])
    waiting = []
    for i in range(60):
        now[0] += 0.125
        writer.add(rows_of([str(i)]))
        waiting.append(i + 1 - writer.n_safe)
    assert waiting == [1, 2, 3, 4, 5, 6, 7, 0] * 7 + [1, 2, 3, 4]


def test_a_batch_that_cost_the_model_much_does_not_wait(tmp_path: Path) -> None:
    space = Store(tmp_path).space(IDENTITY)
    space.begin(FACTS)
    writer = Writer(space, flush_s=1e9)
    safe = []
    for letter, cost_s in (("a", 0.24), ("b", 0.25), ("c", 0.0), ("d", 7.0)):
        writer.add(rows_of([letter]), cost_s)
        safe.append(writer.n_safe)
    assert safe == [0, 2, 2, 4]


def test_rows_that_fill_a_shard_do_not_wait(tmp_path: Path) -> None:
    space = Store(tmp_path, shard_bytes=4 * (8 * 4 + 21)).space(IDENTITY)
    space.begin(FACTS)
    writer = Writer(space, flush_s=1e9)
    safe = []
    for letter in "abcdefghi":
        writer.add(rows_of([letter]))
        safe.append(writer.n_safe)
    assert safe == [0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_a_row_that_another_shard_held_stays_where_that_one_is_gone_by_now(tmp_path: Path) -> None:
    """Two processes that rewrite at once must not each rely on what the other removes."""
    space = Store(tmp_path).space(IDENTITY)
    space.begin(FACTS)
    for texts in (["a", "b"], ["b", "c"], ["d"]):
        space.put(rows_of(texts))
    space.objects.remove(space.shards[1].name)  # where the table finds b
    Writer(space, flush_s=1.0).rewrite(text_digests(list("abd")))
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), list("abd")), vectors_of(list("abd")))
    assert len(shards(folder_of(space))) == 1


@pytest.mark.parametrize(
    ("full", "there", "left"),
    [(8, ["abc", "a"], [1, 3]), (4, ["abc", "a", "d", "e"], [2, 3]), (4, LETTERS, [1] * 6 + [4])],
    ids=["another process may remove what was there, and count on what this one would", "what a large one holds", "a full one"],
)
def test_rewriting_removes_what_is_safe_elsewhere(tmp_path: Path, full: int, there: list[str], left: list[int]) -> None:
    store = Store(tmp_path, shard_bytes=full * (8 * 4 + 21))
    for texts in there:
        put(store.space(IDENTITY), list(texts))
    store.space(IDENTITY).rewrite(text_digests(LETTERS))
    assert sorted(pa.ipc.open_file(shard).read_all().num_rows for shard in tmp_path.rglob("*.arrow")) == left


def test_small_additions_become_one_shard(tmp_path: Path) -> None:
    texts = []
    for letter in "cabxdbc":
        texts.append(letter)
        embed(collection_of(sorted(texts)), CountingEmbedder(), Store(tmp_path))
    (folder,) = (path for path in tmp_path.iterdir() if "document" in path.name)
    assert len(shards(folder)) == 1
    assert pa.ipc.open_file(shards(folder)[0]).read_all().num_rows == 5, "each text once"
    embed(collection_of(sorted(texts)), CountingEmbedder(), Store(tmp_path / "at-once"))
    assert tree(folder) == tree(tmp_path / "at-once" / folder.name)
