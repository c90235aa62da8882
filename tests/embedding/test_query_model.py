"""Documents of one model, queries of another: who is asked for what, what is refused, and what is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of

from mrl_sweep.embedding import Role, Store, embed, open_embedder
from mrl_sweep.embedding.embed_collection import dry_run
from mrl_sweep.errors import InputError

TEXTS, QUESTIONS = ["one", "two", "three"], ["which?", "where?"]
COLLECTION = collection_of(TEXTS, QUESTIONS)


def large(**kind: object) -> CountingEmbedder:
    return CountingEmbedder(name="large", **kind)


def lite(**kind: object) -> CountingEmbedder:
    return CountingEmbedder(name="lite", prompt="q: ", **kind)


def test_each_model_is_asked_for_its_own_texts_and_both_are_recorded(tmp_path: Path) -> None:
    documents, queries = large(), lite()
    embeddings = embed(COLLECTION, documents, Store(tmp_path), query_model=queries)
    assert (sorted(documents.asked), sorted(queries.asked)) == (sorted(TEXTS), sorted(QUESTIONS))
    assert np.array_equal(embeddings.documents.read(0, 3), vectors_of(TEXTS))
    assert np.array_equal(embeddings.queries, vectors_of(["q: which?", "q: where?"]))
    model = embeddings.model
    assert (model["name"], model["query_model"]["name"]) == ("large", "lite")
    assert model["identity"] == {
        "document": {"provider": "test", "model": "large", "role": "document", "prompt": ""},
        "query": {"provider": "test", "model": "lite", "role": "query", "prompt": "q: "},
    }


def test_vectors_are_stored_under_the_model_that_made_them(tmp_path: Path) -> None:
    embed(COLLECTION, large(), Store(tmp_path), query_model=lite())
    again, other = lite(), CountingEmbedder(name="other")
    embed(COLLECTION, large(), Store(tmp_path), query_model=again)
    assert again.asked == [], "stored under its own name"
    embed(COLLECTION, large(), Store(tmp_path), query_model=other)
    assert sorted(other.asked) == sorted(QUESTIONS), "another model's vectors are not taken for its own"
    alone = large()
    embed(COLLECTION, alone, Store(tmp_path))
    assert sorted(alone.asked) == sorted(QUESTIONS)


def test_models_of_different_sizes_are_refused_before_a_text_is_embedded(tmp_path: Path) -> None:
    documents, queries = large(), lite(dim=4)
    with pytest.raises(InputError, match=r"different sizes: 8 dimensions in large, 4 in lite"):
        embed(COLLECTION, documents, Store(tmp_path), query_model=queries)
    assert documents.asked == queries.asked == []


@pytest.mark.parametrize("brought", [Role.DOCUMENT, Role.QUERY])
def test_one_side_may_be_vectors_that_exist_already(tmp_path: Path, brought: Role) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    np.save(folder / "docs.npy", vectors_of(TEXTS))
    np.save(folder / "queries.npy", vectors_of(QUESTIONS))
    source, embedder = open_embedder(f"vectors:{folder}"), CountingEmbedder()
    models = (source, embedder) if brought is Role.DOCUMENT else (embedder, source)
    embeddings = embed(COLLECTION, models[0], Store(tmp_path / "store"), query_model=models[1])
    assert np.array_equal(embeddings.documents.read(0, 3), vectors_of(TEXTS))
    assert np.array_equal(embeddings.queries, vectors_of(QUESTIONS))
    assert sorted(embedder.asked) == sorted(QUESTIONS if brought is Role.DOCUMENT else TEXTS)
    providers = {role: identity["provider"] for role, identity in embeddings.model["identity"].items()}
    assert providers == {role: "vectors" if role == brought else "test" for role in ("document", "query")}
    assert list(embeddings.model["sample"]) == ["query" if brought is Role.DOCUMENT else "document"]


def test_brought_vectors_of_another_size_cost_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    np.save(folder / "docs.npy", vectors_of(TEXTS, 6))
    queries = CountingEmbedder()
    with pytest.raises(InputError, match=r"6 dimensions in docs\.npy, 8 in counting"):
        embed(COLLECTION, open_embedder(f"vectors:{folder}"), Store(tmp_path / "store"), query_model=queries)
    assert queries.asked == []


def test_documents_that_are_queries_are_embedded_as_queries_by_their_model(tmp_path: Path) -> None:
    queries = lite()
    collection = replace(collection_of(TEXTS, ["three", "one"]), query_rows=np.array([2, 0]))
    embeddings = embed(collection, large(), Store(tmp_path), query_model=queries)
    assert sorted(queries.asked) == ["one", "three"]
    assert np.array_equal(embeddings.queries, vectors_of(["q: three", "q: one"]))


def test_a_dry_run_prices_each_model_by_its_own_list(tmp_path: Path) -> None:
    collection = collection_of(["x" * 4000, "y" * 4000], ["z" * 400])
    documents, queries = (open_embedder(f"openai:text-embedding-3-{size}") for size in ("large", "small"))
    found = dry_run(collection, documents, Store(tmp_path), query_model=queries)
    assert (found.price_per_million, found.query_price_per_million) == (0.13, 0.02)
    assert found.price == pytest.approx((2000 * 0.13 + 100 * 0.02) / 1e6)
    assert found.model == "openai:text-embedding-3-large, queries by openai:text-embedding-3-small"
