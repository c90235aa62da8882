"""What every vendor's model must do, asked over HTTP from a server that speaks as the vendor does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of, tree
from hosted_servers import CANARY, FULL, MODELS, Served, served_vectors

from mrl_sweep.embedding import Batching, Role, Store, embed, open_embedder
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.hosted.vendors import VENDORS, Vendor
from mrl_sweep.embedding.hosted.wire import EmbedRequest, by_index, member
from mrl_sweep.embedding.protocol import Embedder
from mrl_sweep.errors import InputError

PROVIDERS = ["openai", "voyage", "cohere", "gemini"]
TEXTS = [f"document {i} about {'rivers and bridges ' * (i % 4)}" for i in range(40)]


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_it_is_an_embedder_and_opening_it_asks_nothing(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider)
    assert isinstance(model, Embedder)
    assert model.name == f"{provider}:{MODELS[provider]}"
    assert json.loads(json.dumps(model.identity(Role.QUERY)))["role"] == "query"
    assert server.requests == []


def test_full_size_is_asked_for_once_and_known_without_asking(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider)
    assert model.facts().dim == FULL[MODELS[provider]]
    assert server.requests == []
    vectors = model.encode(["a text", "another"], Role.DOCUMENT).vectors
    (request,) = server.requests
    assert vectors.shape == (2, FULL[MODELS[provider]])
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert request.dim == (None if provider == "openai" else FULL[MODELS[provider]])


def test_vectors_are_those_served_in_the_texts_order(provider: Any, vendors_own: Callable[..., HostedModel]) -> None:
    model = vendors_own(provider)
    vectors = model.encode(TEXTS, Role.DOCUMENT).vectors
    np.testing.assert_allclose(vectors, served_vectors(TEXTS, vectors.shape[1]), rtol=0, atol=1e-7)


def test_each_role_is_told_the_vendor_and_lies_in_its_own_space(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider)
    model.encode(["a"], Role.QUERY)
    model.encode(["a"], Role.DOCUMENT)
    told = [
        (r.document["requests"][0].get("taskType") if provider == "gemini" else r.document.get("input_type"))
        for r in server.requests
    ]
    assert (
        told
        == {
            "openai": [None, None],
            "voyage": ["query", "document"],
            "cohere": ["search_query", "search_document"],
            "gemini": ["RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"],
        }[provider]
    )
    assert model.identity(Role.QUERY) != model.identity(Role.DOCUMENT)


def test_the_key_goes_into_the_header_and_nowhere_else(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider)
    model.encode(["a"], Role.QUERY)
    (request,) = server.requests
    header = {"gemini": "x-goog-api-key"}.get(provider, "authorization")
    assert request.headers[header] == (CANARY if provider == "gemini" else f"Bearer {CANARY}")
    assert CANARY not in request.path + json.dumps(request.document)
    assert CANARY not in repr(model) + repr(vars(model)) + json.dumps([dict(model.identity(r)) for r in Role])
    assert CANARY not in json.dumps(model.facts().to_json())


def test_an_empty_text_is_not_sent_and_its_vector_is_zero(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider)
    vectors = model.encode(["", "words", "  \n"], Role.DOCUMENT).vectors
    assert [request.texts for request in server.requests] == [["words"]]
    assert [bool(row.any()) for row in vectors] == [False, True, False]
    assert not model.encode([""], Role.DOCUMENT).vectors.any()


def test_a_prompt_given_by_the_user_stands_before_each_text(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    model = vendors_own(provider, query_prompt="q: ", document_prompt="d: ")
    model.encode(["a"], Role.QUERY)
    model.encode(["a"], Role.DOCUMENT)
    assert [request.texts for request in server.requests] == [["q: a"], ["d: a"]]


def test_through_the_store_nothing_is_sent_twice_and_a_second_run_sends_nothing(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    collection = collection_of([*TEXTS, TEXTS[0], ""], ["rivers?", "bridges?"])
    first = embed(collection, vendors_own(provider, batch_size=7), Store(tmp_path))
    assert sorted(server.sent) == sorted([*TEXTS, "rivers?", "bridges?"])
    assert max(len(request.texts) for request in server.requests) == 7
    n = len(server.requests)
    second = embed(collection, vendors_own(provider, batch_size=7), Store(tmp_path))
    assert len(server.requests) == n
    assert second.documents.read(0, 42).tobytes() == first.documents.read(0, 42).tobytes()
    dim = FULL[MODELS[provider]]
    np.testing.assert_allclose(first.documents.read(0, 40), served_vectors(TEXTS, dim), rtol=0, atol=1e-7)
    assert first.model["provider"] == provider
    assert [(advice.code, advice.message) for advice in first.warnings if "document" in advice.code] == [
        ("empty-documents", "1 document has no text: d41"),
        ("zero-documents", "1 document has a zero vector and scores 0 for every query: d41"),
    ]


def test_trained_sizes_come_from_the_family(provider: Any, vendors_own: Callable[..., HostedModel]) -> None:
    assert (
        vendors_own(provider).facts().trained_dims
        == {
            "openai": (768, 512, 384, 192, 96, 48),
            "voyage": (1024, 512, 256),
            "cohere": (1024, 512, 256),
            "gemini": (1536, 768, 384, 192),
        }[provider]
    )


def test_the_vendors_own_client_calls_the_size_so(provider: Any, vendors_own: Callable[..., HostedModel]) -> None:
    names = {
        "openai": "dimensions",
        "voyage": "output_dimension",
        "cohere": "output_dimension",
        "gemini": "output_dimensionality",
    }
    assert vendors_own(provider).facts().details["size_parameter"] == names[provider]


def test_without_a_key_it_says_which_variable_and_asks_nobody(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hosted_servers import KEYS

    for variable in KEYS:
        monkeypatch.delenv(variable)
    with pytest.raises(InputError, match="no API key for") as caught:
        vendors_own(provider).encode(["a"], Role.QUERY)
    assert "_API_KEY=" in caught.value.hint
    assert server.requests == []


def test_canary_in_no_file_of_the_store(provider: Any, vendors_own: Callable[..., HostedModel], tmp_path: Path) -> None:
    embed(collection_of(TEXTS[:3]), vendors_own(provider), Store(tmp_path))
    files = tree(tmp_path)
    assert len(files) == 4
    assert not [name for name, content in files.items() if CANARY.encode() in content or CANARY in name]


class Acme(Vendor):
    """All that a new vendor takes."""

    provider = "acme"
    title = "Acme"
    key_variables = ("ACME_API_KEY",)
    models = r"acme-"
    well_known = ("acme-large",)
    batching = Batching(texts=8)
    size_option = "dimensions"

    def document(self, request: EmbedRequest) -> tuple[str, dict[str, Any]]:
        return "embeddings", {"model": self.model, "input": list(request.texts), **self.options(request)}

    def rows(self, answer: Any, request: EmbedRequest) -> Any:
        return by_index(member(answer, "data"), len(request.texts))


def test_a_new_vendor_is_one_class_and_its_place_in_the_list(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acme, "url", f"{server.url}/v1", raising=False)
    monkeypatch.setitem(VENDORS, "acme", Acme)
    monkeypatch.setenv("ACME_API_KEY", CANARY)
    model = open_embedder("acme:acme-large")
    assert isinstance(model, HostedModel)
    np.testing.assert_allclose(model.encode(TEXTS, Role.DOCUMENT).vectors, served_vectors(TEXTS, 256), rtol=0, atol=1e-7)
    assert server.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
    for typed, meant in (
        ("acme-large", "acme:acme-large"),
        ("acme_large", "acme:acme-large"),
        ("acne:acme-large", "acme:acme-large"),
    ):
        with pytest.raises(InputError) as caught:
            open_embedder(typed)
        assert meant in caught.value.hint


def test_every_vendor_is_named_where_a_model_is_asked_for() -> None:
    docs = Path(__file__).parents[3] / "docs"
    settings, reference = (docs / "settings.md").read_text(), (docs / "reference.md").read_text()
    assert [name for name in VENDORS if f"{name}:" not in settings or f"| `{name}:MODEL` |" not in reference] == []
