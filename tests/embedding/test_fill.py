from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from embedding_helpers import FILL_QUERY, FILL_TEXTS, CountingEmbedder, collection_of, documents_of, tree, vectors_of

from mrl_sweep.embedding import Batching, Role, Store, embed, known_facts
from mrl_sweep.embedding.fill import batches, encodable, windows
from mrl_sweep.events import Progress
from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.shard import Rows

# --- Cutting ----------------------------------------------------------------------------------------------------------


def test_windows_are_cut_by_number_and_by_length() -> None:
    assert list(windows(["a"] * 7, 3)) == [["a"] * 3, ["a"] * 3, ["a"]]
    assert list(windows(["a" * 9, "b" * 9, "c"], 3, 10)) == [["a" * 9, "b" * 9], ["c"]]
    assert list(windows([], 3)) == []


def test_batches_hold_texts_alike_in_length_where_the_provider_pads() -> None:
    texts = ["aaa", "b", "cccc", "dd"]
    assert [b.tolist() for b in batches(texts, Batching(texts=2))] == [[2, 0], [3, 1]]
    assert [b.tolist() for b in batches(texts, Batching(texts=3, by_length=False))] == [[0, 1, 2], [3]]


def test_batches_respect_a_limit_of_characters_and_let_a_longer_text_go_alone() -> None:
    texts = ["a" * 9, "b" * 4, "c" * 4, "d" * 4, "e"]
    cut = batches(texts, Batching(texts=3, characters=8))
    assert [b.tolist() for b in cut] == [[0], [1, 2], [3, 4]]


def test_lone_surrogates_reach_the_model_as_replacement_characters() -> None:
    assert encodable("a\ud800b") == "a\ufffdb"
    assert encodable("\U0001f600") == "\U0001f600"


# --- Only what is missing ---------------------------------------------------------------------------------------------


def test_vectors_come_in_the_collections_order_and_an_unchanged_rerun_opens_no_model(tmp_path: Path) -> None:
    first = embed(collection_of(FILL_TEXTS), CountingEmbedder(), Store(tmp_path))
    assert np.array_equal(first.documents.read(0, 50), vectors_of(FILL_TEXTS))
    assert np.array_equal(first.queries, vectors_of([FILL_QUERY]))
    assert first.documents.order is None
    again = CountingEmbedder()
    second = embed(collection_of(FILL_TEXTS), again, Store(tmp_path))
    assert (again.asked, again.opened) == ([], 0)
    assert second.documents.read(0, 50).tobytes() == first.documents.read(0, 50).tobytes()
    assert second.trained_dims == (4, 2)
    assert second.model == first.model


def test_one_percent_new_texts_embeds_one_percent(tmp_path: Path) -> None:
    texts = [f"document {i}" for i in range(300)]
    embed(collection_of(texts), CountingEmbedder(), Store(tmp_path))
    texts[17] = "changed"
    texts += ["new a", "new b"]
    second = CountingEmbedder()
    embeddings = embed(collection_of(texts), second, Store(tmp_path))
    assert sorted(second.asked) == ["changed", "new a", "new b"]
    assert np.array_equal(embeddings.documents.read(0, 302), vectors_of(texts))


def test_a_run_that_finds_everything_only_reads(tmp_path: Path) -> None:
    """Also where small shards lie there: others may be reading them. Whoever adds something rewrites them."""
    store = Store(tmp_path)
    space, texts = store.space(CountingEmbedder().identity(Role.DOCUMENT)), [*"abcd"]
    space.begin(CountingEmbedder().facts())
    for text in texts:
        space.put(Rows(vectors_of([text]), text_digests([text]), np.zeros(1, np.uint32), np.zeros(1, np.uint8)))
    embed(collection_of(texts[:3]), CountingEmbedder(), Store(tmp_path))
    before = tree(tmp_path)
    embed(collection_of(texts), CountingEmbedder(), Store(tmp_path))
    assert tree(tmp_path) == before
    embed(collection_of([*texts, "e"]), CountingEmbedder(), Store(tmp_path))
    assert len(list(space.objects.folder.glob("*.arrow"))) == 1


def test_equal_texts_are_embedded_once_also_across_windows(tmp_path: Path) -> None:
    texts = (["same"] * 5 + ["other"]) * 6
    embedder = CountingEmbedder()
    embeddings = embed(collection_of(texts), embedder, Store(tmp_path))
    assert sorted(documents_of(embedder)) == ["other", "same"]
    assert np.array_equal(embeddings.documents.read(0, 36), vectors_of(texts))


def test_the_models_facts_are_asked_of_the_store_first(tmp_path: Path) -> None:
    asked = CountingEmbedder()
    assert known_facts(asked, Store(tmp_path)).dim == 8
    assert asked.opened == 1
    embed(collection_of(FILL_TEXTS), asked, Store(tmp_path))
    again = CountingEmbedder()
    assert known_facts(again, Store(tmp_path)) == asked.facts()
    assert again.opened == 0


def test_another_prompt_embeds_anew(tmp_path: Path) -> None:
    embed(collection_of(FILL_TEXTS), CountingEmbedder(), Store(tmp_path))
    prompted = CountingEmbedder(prompt="search: ")
    embeddings = embed(collection_of(FILL_TEXTS), prompted, Store(tmp_path))
    assert len(documents_of(prompted)) == 50
    assert np.array_equal(embeddings.documents.read(0, 50), vectors_of(["search: " + text for text in FILL_TEXTS]))


def test_progress_counts_what_is_done_and_ends_at_the_total(tmp_path: Path) -> None:
    texts = FILL_TEXTS[:40]
    embed(collection_of(texts[:20]), CountingEmbedder(), Store(tmp_path))
    events = []
    embed(collection_of(texts), CountingEmbedder(), Store(tmp_path), on_event=events.append)
    done = [event.done for event in events if isinstance(event, Progress) and event.stage == "embed documents"]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (16, 40)
    assert {event.total for event in events if isinstance(event, Progress) and event.stage == "embed documents"} == {40}


def test_a_collection_larger_than_a_window_is_streamed(tmp_path: Path) -> None:
    alive = []

    class Streamed(list):
        def __iter__(self) -> Iterator[Any]:
            for text in FILL_TEXTS:
                alive.append(text)
                yield text

    collection = collection_of(FILL_TEXTS)
    embedder = CountingEmbedder()
    seen_at_first_call = []
    real = embedder.encode
    embedder.encode = lambda texts, role: seen_at_first_call.append(len(alive)) or real(texts, role)
    object.__setattr__(collection.documents, "texts", lambda *_: iter(Streamed()))
    embed(collection, embedder, Store(tmp_path))
    assert seen_at_first_call[0] == 16
