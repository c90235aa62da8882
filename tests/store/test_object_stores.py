"""A store in an object store: real servers on this machine, of S3 and of Google's."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of
from pyarrow.fs import FileSelector

from mrl_sweep.embedding import Batching, Encoded, Role, Store, embed
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files.digests import text_digests
from mrl_sweep.files.object_store import connect, is_googles
from mrl_sweep.settings.paths import copies_of
from mrl_sweep.store.objects import Objects
from mrl_sweep.types import Embeddings

TEXTS = [f"text {'x' * (i * 7 % 23)} {i}" for i in range(100)]


def documents(embedder: CountingEmbedder) -> list[str]:
    return [text for text in embedder.asked if text in set(TEXTS)]


def filled(address: str, **options: Any) -> tuple[CountingEmbedder, Embeddings]:
    embedder = CountingEmbedder(**options)
    embeddings = embed(collection_of(TEXTS), embedder, Store(address))
    assert np.array_equal(embeddings.documents.read(0, len(TEXTS)), vectors_of(TEXTS))
    return embedder, embeddings


def every_object(address: str) -> list[str]:
    """All that lies below an address, by the path that the service calls it."""
    store = connect(address)
    return sorted(info.path for info in store.files.get_file_info(FileSelector(store.path, True, True)) if info.is_file)


def damage(address: str, *paths: str, at: int = -2000) -> None:
    """Turns one byte of these objects."""
    files = connect(address).files
    for path in paths:
        with files.open_input_stream(path) as stream:
            data = bytearray(stream.read())
        data[at] ^= 1
        with files.open_output_stream(path) as stream:
            stream.write(bytes(data))


def objects(address: str) -> Objects:
    space = Store(address).space(CountingEmbedder().identity(Role.DOCUMENT))
    assert space.objects.remote is not None
    return space.objects


def shard_names(address: str) -> list[str]:
    return [name for name in objects(address).names() if name.endswith(".arrow")]


def test_vectors_are_put_whole_and_found_by_another_machine(address: str) -> None:
    filled(address)
    assert len(shard_names(address)) == 1
    shutil.rmtree(copies_of(address))
    second, embeddings = filled(address)
    assert (second.asked, second.opened) == ([], 0)
    assert isinstance(embeddings.documents.parts[0], np.memmap), "mapped from the copy that was fetched"


def test_what_was_fetched_once_is_not_fetched_again(s3: Any) -> None:
    address, weather = s3
    filled(address)
    weather.calm()
    filled(address)
    assert not [request for request in weather.requests if request.startswith("GET") and ".arrow" in request]


def test_only_digests_are_read_where_no_vector_is_needed(s3: Any) -> None:
    address, weather = s3
    texts = [f"text {i}" for i in range(4000)]
    embed(collection_of(texts), CountingEmbedder(dim=256), Store(address))
    shutil.rmtree(copies_of(address))
    weather.calm()
    space = Store(address).space(CountingEmbedder().identity(Role.DOCUMENT))
    assert (space.find(text_digests(texts)) >= 0).all()
    assert not list(copies_of(address).rglob("*.arrow"))


def test_a_store_that_answers_503_now_and_then_gives_the_same(s3: Any) -> None:
    address, weather = s3
    weather.every = 6
    first, _ = filled(address, batching=Batching(texts=25, paid=True))
    assert len(documents(first)) == len(TEXTS)
    shutil.rmtree(copies_of(address))
    assert filled(address)[0].asked == []
    assert len(weather.requests) > 20


def test_a_service_that_is_busy_for_long_is_asked_again_each_time(s3: Any) -> None:
    """More refusals than a client of the AWS repeats in its life by the strategy that it calls standard."""
    address, weather = s3
    store, weather.every = connect(address), 2
    assert {store.size("nothing") for _ in range(120)} == {None}
    assert len(weather.requests) >= 240


def test_a_write_that_is_lost_is_written_again(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address, _ = s3
    put = objects(address)
    real, lost = put.remote.files, []

    class Losing:
        def open_output_stream(self, path: str) -> Any:
            if path.endswith(".arrow") and not lost:
                lost.append(path)
                return real.open_output_stream(path + ".elsewhere")
            return real.open_output_stream(path)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr("mrl_sweep.store.store.connect", lambda place: replace(connect(place), files=Losing()))
    filled(address)
    assert lost
    monkeypatch.undo()


def test_a_damaged_object_is_set_aside_and_its_texts_are_embedded_again(address: str) -> None:
    filled(address)
    (name,) = shard_names(address)
    where = objects(address)
    path = f"{where.remote.path}/{name}"
    damage(address, path, at=where.remote.files.open_input_stream(path).read().index(vectors_of(TEXTS)[3].tobytes()))
    shutil.rmtree(copies_of(address))
    second, embeddings = filled(address)
    assert sorted(documents(second)) == sorted(TEXTS)
    assert [advice.code for advice in embeddings.warnings] == ["store-damaged"]
    assert where.remote.files.get_file_info(f"{where.remote.path}/set-aside/{name}").is_file


def test_a_damaged_copy_is_fetched_again_and_the_object_left_alone(address: str) -> None:
    filled(address)
    for copy in copies_of(address).rglob("*.arrow"):
        copy.write_bytes(b"garbage" * 100)
    second, embeddings = filled(address)
    assert second.asked == []
    assert embeddings.warnings == ()


@pytest.mark.parametrize("paid", [False, True])
def test_a_model_goes_on_while_a_batch_is_put(s3: Any, paid: bool) -> None:
    """A hosted one does not: nothing of it is asked for before what was paid for is safe."""
    address, weather = s3
    going_on, put = threading.Event(), []

    class Watched(CountingEmbedder):
        def encode(self, texts: Sequence[str], role: Role) -> Encoded:
            if len(self.asked) == 20:
                going_on.set()
            return super().encode(texts, role)

    def wait(request: str) -> None:
        if request.startswith("PUT") and ".arrow" in request and not put:
            put.append(going_on.wait(0.2 if paid else 20))

    weather.listener = wait
    embedder = Watched(batching=Batching(texts=20, paid=paid, flush_s=0.0))
    embed(collection_of(TEXTS), embedder, Store(address))
    assert put == [not paid]


def test_small_shards_are_rewritten_into_one(address: str) -> None:
    for end in (40, 80, len(TEXTS)):
        embed(collection_of(TEXTS[:end]), CountingEmbedder(batching=Batching(texts=20, paid=True)), Store(address))
        assert len(shard_names(address)) == 1
    shutil.rmtree(copies_of(address))
    assert filled(address)[0].asked == []


def test_an_object_that_is_gone_is_removed_without_a_word(address: str) -> None:
    store = connect(address)
    store.remove("nothing")
    assert (store.size("nothing"), store.names()) == (None, [])


@pytest.mark.parametrize(("service", "where"), [("s3", "the AWS_* variables"), ("gs", "`gcloud auth application-default login`")])
def test_a_bucket_that_is_not_there_is_told_in_one_line(service: str, where: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(service)
    nowhere = f"{service}://no-such-bucket/x"
    with pytest.raises(EnvironmentFault, match=rf"cannot (use|write to) the store {nowhere}") as refused:
        filled(nowhere)
    assert where in refused.value.hint
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("variable", ["STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT"])
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_a_gs_address_is_a_bucket_of_googles_and_the_path_in_it(variable: str, endpoint: str) -> None:
    store = connect("gs://bucket/some/prefix/", {variable: endpoint})
    assert (store.files.type_name, store.path, store.address) == ("gcs", "bucket/some/prefix", "gs://bucket/some/prefix")
    assert store.below("space").address == "gs://bucket/some/prefix/space"
    assert connect("gs://anonymous@bucket/x", {"GCE_METADATA_ROOT": "127.0.0.1:9"}).path == "bucket/x"


@pytest.fixture
def silent() -> Iterator[str]:
    """The host of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_an_address_of_google_takes_no_options() -> None:
    with pytest.raises(EnvironmentFault, match=r"gs://bucket/x\?retry=1: what follows the question mark is no part of"):
        connect("gs://bucket/x?retry=1", {})


def test_without_credentials_of_google_a_run_says_so_at_once(tmp_path: Path) -> None:
    """No file is named, `gcloud` left none, and the machine is none of Google's."""
    with pytest.raises(EnvironmentFault) as refused:
        connect("gs://bucket/x", {"HOME": str(tmp_path), "APPDATA": str(tmp_path), "GCE_METADATA_ROOT": "127.0.0.1:9"})
    assert refused.value.message == "cannot reach the store gs://bucket/x: no credentials of Google are found"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in refused.value.hint


def test_a_machine_is_googles_where_its_metadata_server_says_so(silent: str, httpserver: Any) -> None:
    httpserver.expect_request("/", headers={"Metadata-Flavor": "Google"}).respond_with_data(
        "", headers={"Metadata-Flavor": "Google"}
    )
    assert is_googles(f"{httpserver.host}:{httpserver.port}")
    httpserver.clear()
    httpserver.expect_request("/").respond_with_data("another cloud's")
    assert not is_googles(f"{httpserver.host}:{httpserver.port}")
    assert not is_googles(silent, answer_s=0.1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "Cannot open credentials file"), ("{}", "Unsupported credential type"), ("?", "does not contain")],
)
def test_credentials_of_google_that_are_none_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, reason: str
) -> None:
    file = tmp_path / "credentials.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(EnvironmentFault, match=f"cannot use the store gs://bucket/x: [^\n]*{reason}") as refused:
        filled("gs://bucket/x")
    assert "`gcloud auth application-default login`" in refused.value.hint
    assert not any(noise in refused.value.message for noise in ("\n", "metadata"))


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    from mrl_sweep.settings.parsing import parse_store

    assert parse_store(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert parse_store("s3://bucket/prefix/") == "s3://bucket/prefix"
    assert parse_store("folder") == Path("folder")


def test_another_machine_opens_the_vectors_of_a_task_by_their_address(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another cache folder, and nothing in it."""
    from mrl_sweep.execution.places import places_of, unreadable

    places = places_of(filled(address)[1].documents)
    assert all(name.startswith(address) for name in places.files)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    assert unreadable([*places.files.items()]) == []
    assert np.array_equal(places.open([(0, len(TEXTS))]).read(0, len(TEXTS)), vectors_of(TEXTS))
    (place,) = places.files
    assert unreadable([(place, 10**9), (f"{address}/space/gone.arrow", 1)]) == [place, f"{address}/space/gone.arrow"]


def test_a_run_over_an_object_store_reports_what_a_run_over_a_folder_does(address: str, tmp_path: Path, reported: Any) -> None:
    """Also a second one, which embeds nothing, and a third on a machine that has no copies and finds a damaged object."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    words = ["apple", "bridge", "candle", "desert", "engine", "forest", "garden", "harbour", "island", "jungle"]
    texts = [" ".join(words[(i * k + k) % 10] for k in range(1, 6)) + f" {i}" for i in range(60)]
    (folder / "corpus.jsonl").write_text("".join(f'{{"_id": "d{i}", "text": "{t}"}}\n' for i, t in enumerate(texts)))
    (folder / "queries.jsonl").write_text("".join(f'{{"_id": "q{i}", "text": "{t[:14]}"}}\n' for i, t in enumerate(texts[:40])))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(40)))
    same = ["run", "--collection", str(folder), "--model", "wordllama", "--dims", "256,64", "--index", "none", "--format", "json"]
    here = reported(*same, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "a"))
    for state, codes in (("cold", set()), ("warm", set()), ("damaged", {"store-damaged"})):
        if state == "damaged":
            damage(address, *(name for name in every_object(address) if "-document-" in name and name.endswith(".arrow")))
            shutil.rmtree(copies_of(address))
        before = every_object(address)
        there = reported(*same, "--store", address, "--out", str(tmp_path / state))
        assert (there["candidates"], there["verdict"]) == (here["candidates"], here["verdict"])
        assert {one["code"] for one in there["warnings"]} - {one["code"] for one in here["warnings"]} == codes
        assert (every_object(address) == before) == (state == "warm")
