import json
from pathlib import Path

import numpy as np
import pytest
from embedding_helpers import tree, vectors_of

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.store.digests import text_digests
from mrl_sweep.store.layout import RECORD, TRUNCATED, ZERO, header
from mrl_sweep.store.store import Space, Store
from mrl_sweep.types import ModelFacts

IDENTITY = {"provider": "test", "model": "m", "role": "document", "prompt": ""}
FACTS = ModelFacts(dim=8)
LETTERS = list("abcdefghij")


def put(space: Space, texts: list[str], flags: int = 0, dim: int = 8) -> np.ndarray:
    """Writes these texts as one batch, without settling them."""
    space.begin(ModelFacts(dim=dim))
    locations = space.reserve(len(texts))
    records = np.zeros(len(texts), RECORD)
    records["digest"] = text_digests(texts)
    records["flags"] = flags
    space.write(locations, vectors_of(texts, dim), records)
    space.note(text_digests(texts), locations)
    return locations


def stored(root: Path, texts: list[str], **options) -> Space:
    space = Store(root, **options).space(IDENTITY)
    put(space, texts)
    space.finish()
    return space


def read(space: Space, texts: list[str]) -> np.ndarray:
    locations = space.find(text_digests(texts))
    assert (locations >= 0).all()
    vectors = space.vectors(locations)
    return vectors.read(0, len(vectors))


def test_what_was_put_is_found_by_another_process_later(tmp_path):
    stored(tmp_path, LETTERS)
    space = Store(tmp_path).space(IDENTITY)
    assert space.facts == FACTS
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    assert space.find(text_digests(["unknown"])).tolist() == [-1]


@pytest.mark.parametrize(
    "change", [{"prompt": "query: "}, {"role": "query"}, {"model": "n"}, {"revision": "1"}, {"max_length": 8}]
)
def test_whatever_changes_the_vectors_is_part_of_the_key(tmp_path, change):
    stored(tmp_path, LETTERS)
    assert len(Store(tmp_path).space(IDENTITY | change)) == 0
    assert len(Store(tmp_path, dtype="float16").space(IDENTITY)) == 0
    assert len(Store(tmp_path).space(IDENTITY)) == 10


def test_a_shard_is_plain_numpy_and_its_manifest_says_what_it_holds(tmp_path):
    folder = stored(tmp_path, LETTERS).folder
    assert np.array_equal(np.load(folder / "00000.npy", allow_pickle=False), vectors_of(LETTERS))
    index = np.load(folder / "00000.index.npy", allow_pickle=False)
    assert index["row"].tolist() == list(range(10))
    assert np.array_equal(index["digest"], text_digests(LETTERS))
    manifest = json.loads((folder / "00000.json").read_text())
    assert (manifest["rows"], manifest["records"], manifest["dim"], manifest["dtype"]) == (10, 10, 8, "float32")
    assert json.loads((folder / "model.json").read_text())["identity"] == IDENTITY | {"dtype": "float32"}


def test_a_model_known_by_its_content_alone_has_no_name_in_the_folder(tmp_path):
    space = Store(tmp_path).space(IDENTITY | {"model": None})
    assert space.folder.name.startswith("test-document-")


def test_a_hostile_model_name_stays_inside_the_store(tmp_path):
    space = Store(tmp_path / "store").space(IDENTITY | {"model": "../../" + "x" * 300})
    put(space, ["a"])
    space.finish()
    (folder,) = (tmp_path / "store").iterdir()
    assert len(folder.name) < 120
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_float16_takes_half_the_room_and_reads_as_float32(tmp_path):
    space = stored(tmp_path, LETTERS, dtype="float16")
    assert np.load(space.folder / "00000.npy").dtype == np.float16
    assert read(space, LETTERS).dtype == np.float32
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS).astype(np.float16).astype(np.float32))


def test_another_dtype_is_refused(tmp_path):
    with pytest.raises(InputError, match="int8"):
        Store(tmp_path, dtype="int8")


def test_full_shards_are_closed_and_new_ones_begun(tmp_path):
    store = Store(tmp_path, shard_bytes=3 * 8 * 4)
    space = store.space(IDENTITY)
    for i in range(0, 10, 2):
        put(space, LETTERS[i : i + 2])
    space.finish()
    assert [len(np.load(space.folder / f"0000{i}.npy")) for i in range(3)] == [4, 4, 2]
    again = store.space(IDENTITY)
    assert np.array_equal(read(again, LETTERS), vectors_of(LETTERS))
    assert again.vectors(again.find(text_digests(LETTERS))).order is None


def test_a_small_addition_goes_on_with_the_open_shard(tmp_path):
    for letter in LETTERS:
        space = stored(tmp_path, [letter])
    assert sorted(path.name for path in space.folder.iterdir()) == ["00000.index.npy", "00000.json", "00000.npy", "model.json"]
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))


@pytest.mark.parametrize("asked", ["abcdefghij", "cdef", "jihg", "aabbcc", "ac", "j", ""])
def test_vectors_come_in_the_order_asked_for(tmp_path, asked):
    space = stored(tmp_path, LETTERS)
    vectors = space.vectors(space.find(text_digests(list(asked))))
    assert vectors.shape == (len(asked), 8)
    assert np.array_equal(vectors.read(0, len(asked)), vectors_of(list(asked)) if asked else np.empty((0, 8)))


def test_many_scattered_rows_are_read_through_an_order(tmp_path):
    texts = [str(i) for i in range(1200)]
    store = Store(tmp_path, shard_bytes=500 * 8 * 4)
    space = store.space(IDENTITY)
    for i in range(0, 1200, 100):
        put(space, texts[i : i + 100])
    space.finish()
    asked = texts[1::2] + texts[::2]
    vectors = space.vectors(space.find(text_digests(asked)))
    assert vectors.order is not None
    assert np.array_equal(vectors.read(0, 1200), vectors_of(asked))
    assert np.array_equal(vectors.take([1199, 0, 600]), vectors_of([asked[1199], asked[0], asked[600]]))


def test_flags_are_kept_beside_the_vectors(tmp_path):
    space = Store(tmp_path).space(IDENTITY)
    put(space, ["a", "b"], flags=TRUNCATED)
    put(space, ["c"], flags=ZERO)
    space.finish()
    for some in (space, Store(tmp_path).space(IDENTITY)):
        assert some.flags(some.find(text_digests(["c", "a", "b"]))).tolist() == [ZERO, TRUNCATED, TRUNCATED]


# --- Damage -----------------------------------------------------------------------------------------------------------


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


ROWS_BEGIN = len(header(np.dtype("<f4"), (0, 8)))
DAMAGES = {
    "one bit of a row": (lambda f: flip(f / "00000.npy", ROWS_BEGIN + 3 * 32 + 5), 9),
    "rows cut off": (lambda f: (f / "00000.npy").write_bytes((f / "00000.npy").read_bytes()[: ROWS_BEGIN + 7 * 32 + 3]), 7),
    "rows emptied": (lambda f: (f / "00000.npy").write_bytes(b""), 0),
    "rows of another shape": (lambda f: np.save(f / "00000.npy", np.zeros((10, 4), np.float32)), 0),
    "rows of another type": (lambda f: np.save(f / "00000.npy", np.zeros((10, 8), np.float64)), 0),
    "rows of another model": (lambda f: np.save(f / "00000.npy", np.ones((10, 8), np.float32)), 0),
    "rows no numpy at all": (lambda f: (f / "00000.npy").write_bytes(b"garbage" * 50), 0),
    "one bit of a digest": (lambda f: flip(f / "00000.index.npy", 256 + 2 * 40 + 1), 9),
    "index cut off": (lambda f: (f / "00000.index.npy").write_bytes((f / "00000.index.npy").read_bytes()[: 256 + 4 * 40 + 9]), 4),
    "index gone": (lambda f: (f / "00000.index.npy").unlink(), 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_set_aside_and_what_is_sound_is_kept(tmp_path, damage):
    folder = stored(tmp_path, LETTERS).folder
    hurt, kept = DAMAGES[damage]
    hurt(folder)
    space = Store(tmp_path).space(IDENTITY)
    found = space.find(text_digests(LETTERS)) >= 0
    assert found.sum() == kept
    sound = [letter for letter, there in zip(LETTERS, found, strict=True) if there]
    if sound:
        assert np.array_equal(read(space, sound), vectors_of(sound))
    assert [advice.code for advice in space.warnings] == ["store-damaged"]
    assert len(list((folder / "set-aside").glob("*-00000.npy"))) == 1
    put(space, [letter for letter in LETTERS if letter not in sound])
    space.finish()
    mended = Store(tmp_path).space(IDENTITY)
    assert np.array_equal(read(mended, LETTERS), vectors_of(LETTERS))
    assert mended.warnings == []


def test_an_edit_that_keeps_size_and_time_is_seen_where_the_glance_falls(tmp_path):
    folder = stored(tmp_path, LETTERS).folder
    stamp = (folder / "00000.json").stat().st_mtime_ns
    flip(folder / "00000.npy", ROWS_BEGIN)
    import os

    os.utime(folder / "00000.npy", ns=(stamp, stamp))
    assert (Store(tmp_path).space(IDENTITY).find(text_digests(LETTERS)) >= 0).tolist() == [False] + [True] * 9


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b'{"format": 99}', b"\xff\xfe"])
def test_a_manifest_gone_or_broken_costs_a_look_at_every_row_and_no_vector(tmp_path, content):
    folder = stored(tmp_path, LETTERS).folder
    before = tree(folder)
    (folder / "00000.json").unlink()
    if content is not None:
        (folder / "00000.json").write_bytes(content)
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))
    assert tree(folder) == before


def test_the_model_facts_gone_are_written_anew(tmp_path):
    folder = stored(tmp_path, LETTERS).folder
    before = tree(folder)
    (folder / "model.json").write_bytes(b"{")
    space = Store(tmp_path).space(IDENTITY)
    assert space.facts is None
    space.begin(FACTS)
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    assert tree(folder) == before


def test_files_of_other_names_are_left_alone(tmp_path):
    folder = stored(tmp_path, LETTERS).folder
    np.save(folder / "mine.npy", np.zeros(3))
    (folder / "notes.txt").write_text("x")
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))
    assert (folder / "mine.npy").exists()


def test_touched_files_are_checked_once_and_then_trusted_again(tmp_path, monkeypatch):
    from mrl_sweep.store import shard

    folder = stored(tmp_path, LETTERS).folder
    (folder / "00000.npy").touch()
    checked = []
    real = shard.sound_records
    monkeypatch.setattr(shard, "sound_records", lambda records, rows: checked.append(len(records)) or real(records, rows))
    assert len(Store(tmp_path).space(IDENTITY)) == 10
    assert len(Store(tmp_path).space(IDENTITY)) == 10
    assert checked[:1] == [10]
    assert len(checked) == 2


def test_a_read_only_store_is_read(tmp_path):
    folder = stored(tmp_path, LETTERS).folder
    for path in [*folder.iterdir(), folder, tmp_path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))
    finally:
        for path in [tmp_path, folder]:
            path.chmod(0o755)


# --- Kills ------------------------------------------------------------------------------------------------------------


def killed_after(tmp_path: Path, texts: list[str], batch: int) -> Space:
    """A space whose process died: batches written, nothing settled, the lock gone with the process."""
    space = Store(tmp_path).space(IDENTITY)
    for i in range(0, len(texts), batch):
        put(space, texts[i : i + batch])
    space.abandon()
    return space


def test_a_kill_loses_nothing_that_was_written(tmp_path):
    folder = killed_after(tmp_path, LETTERS, 5).folder
    assert not (folder / "00000.json").exists()
    assert np.load(folder / "00000.npy").shape == (0, 8), "an unsettled file must not look complete"
    space = Store(tmp_path).space(IDENTITY)
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    assert space.warnings == []


@pytest.mark.parametrize("cut", [1, 39, 40, 41, 80, 199])
def test_an_index_cut_in_mid_batch_loses_that_batch_only(tmp_path, cut):
    folder = killed_after(tmp_path, LETTERS, 5).folder
    index = folder / "00000.index.npy"
    index.write_bytes(index.read_bytes()[:-cut])
    space = Store(tmp_path).space(IDENTITY)
    assert (space.find(text_digests(LETTERS)) >= 0).tolist() == [True] * 5 + [False] * 5
    put(space, LETTERS[5:])
    space.finish()
    other = tmp_path / "undisturbed"
    undisturbed = Store(other).space(IDENTITY)
    put(undisturbed, LETTERS[:5])
    put(undisturbed, LETTERS[5:])
    undisturbed.finish()
    assert tree(folder) == tree(undisturbed.folder)


def test_rows_that_never_reached_the_disk_are_not_believed(tmp_path):
    folder = killed_after(tmp_path, LETTERS, 5).folder
    rows = folder / "00000.npy"
    data = rows.read_bytes()
    rows.write_bytes(data[: ROWS_BEGIN + 8 * 32] + bytes(2 * 32))
    assert (Store(tmp_path).space(IDENTITY).find(text_digests(LETTERS)) >= 0).tolist() == [True] * 8 + [False] * 2


def test_a_kill_between_creating_a_shard_and_its_index_leaves_nothing_in_the_way(tmp_path):
    folder = stored(tmp_path, LETTERS[:5]).folder
    (folder / "00001.npy").write_bytes(b"")
    space = Store(tmp_path).space(IDENTITY)
    put(space, LETTERS[5:])
    space.finish()
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))


# --- Company ----------------------------------------------------------------------------------------------------------


def test_two_writers_take_a_shard_each_and_see_each_other(tmp_path):
    first, second = (Store(tmp_path).space(IDENTITY) for _ in range(2))
    put(first, ["a", "b"])
    put(second, ["c"])
    assert second.company()
    put(first, ["d"])
    assert second.company()
    assert (second.find(text_digests(list("abcd"))) >= 0).all()
    assert not second.refresh()
    first.finish()
    put(second, ["e"])
    second.finish()
    assert np.array_equal(read(second, list("abcde")), vectors_of(list("abcde")))
    assert not second.company()
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), list("abcde")), vectors_of(list("abcde")))


def test_a_shard_that_is_being_written_is_never_set_aside(tmp_path):
    stored(tmp_path, LETTERS[:5])
    writing = Store(tmp_path).space(IDENTITY)
    put(writing, LETTERS[5:])
    flip(writing.folder / "00000.npy", ROWS_BEGIN)
    reader = Store(tmp_path).space(IDENTITY)
    assert (reader.find(text_digests(LETTERS)) >= 0).tolist() == [False] + [True] * 9
    assert not (writing.folder / "set-aside").exists()
    writing.abandon()


def test_a_model_that_changed_its_size_under_the_same_name_is_refused(tmp_path):
    stored(tmp_path, LETTERS)
    with pytest.raises(EnvironmentFault, match="16 dimensions, its stored vectors have 8"):
        Store(tmp_path).space(IDENTITY).begin(ModelFacts(dim=16))
