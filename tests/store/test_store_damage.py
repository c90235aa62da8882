"""A store whose files were damaged, edited, replaced, or may not be written: what is good is used, the rest is made again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of
from made_shards import FACTS, IDENTITY, LETTERS, read, shards, stored

from mrl_sweep.embedding import embed
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.store import Store
from mrl_sweep.types import ModelFacts


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def swap(path: Path, other: bytes) -> None:
    path.write_bytes(other)


def foreign(path: Path) -> None:
    """A whole shard, named by its content, of another model."""
    other = stored(path.parents[2] / "other", LETTERS, dtype="float16")
    path.unlink()
    (shard,) = shards(other)
    (path.parent / shard.name).write_bytes(shard.read_bytes())


DAMAGES = {
    "one bit of a vector": lambda p: flip(p, p.read_bytes().index(vectors_of(LETTERS)[3].tobytes()) + 5),
    "one bit of a digest": lambda p: flip(p, p.read_bytes().index(text_digests(["c"]).tobytes()) + 1),
    "every digest": lambda p: swap(p, p.read_bytes().replace(text_digests(LETTERS).tobytes(), b"x" * 16 * len(LETTERS))),
    "cut off": lambda p: swap(p, p.read_bytes()[:-9]),
    "cut in half": lambda p: swap(p, p.read_bytes()[: p.stat().st_size // 2]),
    "emptied": lambda p: swap(p, b""),
    "another table": lambda p: pa.ipc.new_file(p, pa.schema([("x", pa.int64())])).close(),
    "no Arrow at all": lambda p: swap(p, b"garbage" * 500),
    "another model's": foreign,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_set_aside_and_its_texts_are_embedded_again(tmp_path: Path, damage: Any) -> None:
    root = tmp_path / "store"
    embed(collection_of(LETTERS), CountingEmbedder(), Store(root))
    (folder,) = (path for path in root.iterdir() if "document" in path.name)
    (shard,) = shards(folder)
    stamp = shard.stat()
    DAMAGES[damage](shard)
    for path in shards(folder):
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    second = CountingEmbedder()
    embeddings = embed(collection_of(LETTERS), second, Store(root))
    assert sorted(text for text in second.asked if text != "which one?") == LETTERS
    assert np.array_equal(embeddings.documents.read(0, 10), vectors_of(LETTERS))
    assert [advice.code for advice in embeddings.warnings] == ["store-damaged"]
    assert len(list((folder / "set-aside").iterdir())) == 1
    third = CountingEmbedder()
    assert embed(collection_of(LETTERS), third, Store(root)).warnings == ()
    assert third.asked == []


def test_a_damaged_shard_in_a_folder_that_cannot_be_written_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path, LETTERS)
    DAMAGES["one bit of a vector"](shards(folder)[0])
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    assert (Store(tmp_path).space(IDENTITY).find(text_digests(LETTERS)) < 0).all()


def test_facts_that_were_edited_are_set_aside_and_asked_again(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    (file,) = folder.glob("model-*.json")
    document = json.loads(file.read_text())
    document["facts"]["trained_dims"] = [4]
    file.write_text(json.dumps(document))
    space = Store(tmp_path).space(IDENTITY)
    assert space.facts is None
    assert [advice.code for advice in space.warnings] == ["store-damaged"]
    space.begin(FACTS)
    assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    assert Store(tmp_path).space(IDENTITY).facts == FACTS


def test_newer_facts_take_the_place_of_older_ones(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    newer = ModelFacts(dim=8, max_length=512)
    Store(tmp_path).space(IDENTITY).begin(newer)
    assert len(list(folder.glob("model-*.json"))) == 1
    assert Store(tmp_path).facts(IDENTITY) == newer


def test_a_store_of_the_first_version_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    (folder / "00000.index.npy").write_bytes(b"")
    with pytest.raises(InputError, match="written by the first version of mrl-sweep") as caught:
        Store(tmp_path).space(IDENTITY)
    assert "git checkout" in caught.value.hint


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    np.save(folder / "mine.npy", np.zeros(3))
    (folder / "notes.txt").write_text("x")
    assert np.array_equal(read(Store(tmp_path).space(IDENTITY), LETTERS), vectors_of(LETTERS))
    assert (folder / "mine.npy").exists()


def test_a_draft_of_a_dead_process_is_removed_when_it_is_old(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    for name, age in ((".old.draft", 7200), (".new.draft", 0)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (folder.stat().st_mtime - age,) * 2)
    Store(tmp_path).space(IDENTITY).begin(FACTS)
    assert [path.name for path in folder.glob(".*.draft")] == [".new.draft"]


def test_a_read_only_store_is_read(tmp_path: Path) -> None:
    folder = stored(tmp_path, LETTERS)
    for path in [*folder.iterdir(), folder, tmp_path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        space = Store(tmp_path).space(IDENTITY)
        assert space.secure(space.find(text_digests(LETTERS)))
        assert np.array_equal(read(space, LETTERS), vectors_of(LETTERS))
    finally:
        for path in [tmp_path, folder]:
            path.chmod(0o755)


def test_a_model_that_changed_its_size_under_the_same_name_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, LETTERS)
    with pytest.raises(EnvironmentFault, match="16 dimensions, its stored vectors have 8"):
        Store(tmp_path).space(IDENTITY).begin(ModelFacts(dim=16))


def test_nothing_of_the_room_locks_or_appends() -> None:
    import mrl_sweep.store

    source = "".join(path.read_text() for path in Path(mrl_sweep.store.__file__).parent.glob("*.py"))
    assert not [word for word in ("flock", "lockf", '"ab"', '"a"', '"r+"') if word in source]
