"""What the first version of mrl-sweep has stored is carried over once."""

import json
from pathlib import Path

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of

from mrl_sweep.embedding import Role, Store, embed
from mrl_sweep.store.digests import text_digests
from mrl_sweep.store.first_version import RECORD, _checksums

TEXTS = [f"text {i}" for i in range(20)]


def first_store(root: Path, *, settled: bool = True) -> Path:
    """A folder as the first version left it; not `settled`: its process was killed, so that the header counts no rows."""
    embedder = CountingEmbedder()
    folder = Path(Store(root).space(embedder.identity(Role.DOCUMENT)).place)
    folder.mkdir(parents=True)
    rows, records = vectors_of(TEXTS), np.zeros(20, RECORD)
    records["digest"], records["row"] = text_digests(TEXTS), np.arange(20)
    records["checksum"] = _checksums(rows, text_digests(TEXTS), records["row"])
    np.save(folder / "00000.npy", rows)
    np.save(folder / "00000.index.npy", records)
    if not settled:
        data = (folder / "00000.npy").read_bytes()
        (folder / "00000.npy").write_bytes(data.replace(b"(20, 8), } ", b"(0, 8), }  "))
    (folder / "00000.json").write_text("{}")
    (folder / "model.json").write_text(json.dumps({"facts": embedder.facts().to_json()}))
    return folder


@pytest.mark.parametrize("settled", [True, False])
def test_nothing_is_embedded_again_and_the_old_files_are_gone(tmp_path, settled):
    folder = first_store(tmp_path, settled=settled)
    embedder = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), embedder, Store(tmp_path))
    assert [text for text in embedder.asked if text in TEXTS] == []
    assert np.array_equal(embeddings.documents.read(0, 20), vectors_of(TEXTS))
    assert {path.suffix for path in folder.iterdir()} == {".arrow", ".json"}
    assert not (folder / "model.json").exists()


def test_rows_that_are_not_sound_are_left_behind(tmp_path):
    folder = first_store(tmp_path)
    data = bytearray((folder / "00000.npy").read_bytes())
    data[128 + 3 * 32] ^= 1
    (folder / "00000.npy").write_bytes(bytes(data[:-8]))
    embedder = CountingEmbedder()
    embed(collection_of(TEXTS), embedder, Store(tmp_path))
    assert {text for text in embedder.asked if text in TEXTS} == set(TEXTS), "numpy cannot map a file that is cut"


def test_a_flipped_bit_costs_its_row(tmp_path):
    folder = first_store(tmp_path)
    data = bytearray((folder / "00000.npy").read_bytes())
    data[128 + 3 * 32] ^= 1
    (folder / "00000.npy").write_bytes(bytes(data))
    embedder = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), embedder, Store(tmp_path))
    assert [text for text in embedder.asked if text in TEXTS] == ["text 3"]
    assert np.array_equal(embeddings.documents.read(0, 20), vectors_of(TEXTS))
