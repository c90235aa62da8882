from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from embedding_helpers import CountingEmbedder, collection_of, tree

from mrl_sweep.embedding import Batching, ModelOptions, Store, embed, open_embedder
from mrl_sweep.embedding.embed_collection import dry_run
from mrl_sweep.errors import InputError

TEXTS = ["twelve chars", "eight ch", "eight ch", "été"]


@pytest.fixture(autouse=True)
def vendors_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def test_it_counts_what_would_be_sent_without_opening_or_writing_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = dry_run(collection_of(TEXTS, ["which?"]), open_embedder("openai:text-embedding-3-large"), Store(tmp_path / "store"))
    assert (found.documents.texts, found.documents.to_embed, found.documents.stored) == (4, 3, 0)
    assert found.documents.characters == 12 + 8 + 3
    assert found.documents.tokens == 7, "25 bytes, 4 a token, rounded up"
    assert (found.queries.to_embed, found.queries.tokens) == (1, 2)
    assert found.price_per_million == 0.13
    assert found.price == pytest.approx(9 * 0.13 / 1e6)
    assert found.documents.share_stored == 0
    assert not (tmp_path / "store").exists()


def test_what_is_stored_is_not_counted_again_and_prompts_count(tmp_path: Path) -> None:
    embedder = CountingEmbedder(prompt="search: ")
    embed(collection_of(TEXTS[:1], ["which?"]), embedder, Store(tmp_path))
    before = tree(tmp_path)
    found = dry_run(collection_of(TEXTS, ["which?", "new"]), CountingEmbedder(prompt="search: "), Store(tmp_path))
    assert (found.documents.stored, found.documents.to_embed, found.documents.characters) == (1, 2, 2 * 8 + 8 + 3)
    assert (found.queries.stored, found.queries.to_embed) == (1, 1)
    assert found.documents.share_stored == 1 / 4
    assert tree(tmp_path) == before


def test_texts_repeated_across_windows_are_sent_once(tmp_path: Path) -> None:
    embedder = CountingEmbedder(batching=Batching(window=3))
    found = dry_run(collection_of(["a", "b", "c"] * 5 + ["d"]), embedder, Store(tmp_path))
    assert (found.documents.texts, found.documents.to_embed) == (16, 4)


def test_it_agrees_with_the_run_that_follows(tmp_path: Path) -> None:
    texts = [f"text {i % 17}" for i in range(40)]
    found = dry_run(collection_of(texts), CountingEmbedder(), Store(tmp_path))
    embedder = CountingEmbedder()
    embed(collection_of(texts), embedder, Store(tmp_path))
    assert len(embedder.asked) == found.documents.to_embed + found.queries.to_embed == 18
    after = dry_run(collection_of(texts), CountingEmbedder(), Store(tmp_path))
    assert (after.documents.to_embed, after.documents.share_stored, after.tokens) == (0, 1.0, 0)


def test_the_users_price_goes_before_the_table(tmp_path: Path) -> None:
    found = dry_run(
        collection_of(["x" * 4000]), open_embedder("openai:text-embedding-3-small"), Store(tmp_path), price_per_million=10
    )
    assert found.price == pytest.approx((1000 + 3) * 10 / 1e6)
    assert found.price_from == "your figure"


@pytest.mark.parametrize("price", [-1, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(tmp_path: Path, price: Any) -> None:
    with pytest.raises(InputError, match="is not a price"):
        dry_run(collection_of(TEXTS), CountingEmbedder(), Store(tmp_path), price_per_million=price)


def test_another_server_has_no_list_price(tmp_path: Path) -> None:
    elsewhere = open_embedder("openai:text-embedding-3-small", ModelOptions(base_url="http://localhost:8080/v1"))
    found = dry_run(collection_of(TEXTS), elsewhere, Store(tmp_path))
    assert found.price is None
    assert found.price_from == "price not known: --price-per-million FIGURE"


def test_a_list_price_says_from_when_it_is(tmp_path: Path) -> None:
    collection = collection_of([f"{i:04}" * 1000 for i in range(500)], ["q" * 400])
    found = dry_run(collection, open_embedder("openai:text-embedding-3-large"), Store(tmp_path))
    assert (found.tokens, found.price) == (500_100, pytest.approx(0.065013))
    assert found.price_from == "list price of May 2026, which may have changed"


def test_vectors_that_exist_already_send_nothing(tmp_path: Path) -> None:
    found = dry_run(collection_of(TEXTS), open_embedder(f"vectors:{tmp_path}"), Store(tmp_path))
    assert (found.documents.texts, found.documents.to_embed, found.documents.share_stored, found.price) == (4, 0, 1.0, None)
