"""Addresses, prompts, families and offline work of hosted models."""

from __future__ import annotations

import builtins
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of, tree
from hosted_servers import CANARY, FakeTime, Served, refuse, served_vectors

from mrl_sweep.embedding import ModelOptions, Role, Store, embed, open_embedder
from mrl_sweep.embedding.hosted.connection import Key, address, hidden
from mrl_sweep.embedding.hosted.model import HostedModel, open_hosted
from mrl_sweep.embedding.model_families import layer_norm
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra

# --- Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
        ("HTTPS://API.Example.COM/v1", "https://api.example.com/v1"),
        (" http://[::1]:80 ", "http://[::1]:80"),
    ],
)
def test_an_address_is_kept_in_one_form(given: str, kept: str) -> None:
    assert address(given).url == kept


@pytest.mark.parametrize(
    "given", ["localhost:8080", "ftp://host/v1", "http://", "https:///v1", "http://host:99999", "http://[::1"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="not an http or https address"):
        address(given)


@pytest.mark.parametrize("given", ["https://user:secret@host/v1", "https://host/v1?api-key=secret", "https://host/v1#secret"])
def test_an_address_with_a_secret_is_refused_and_the_secret_not_repeated(given: str) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder("openai:any", ModelOptions(base_url=given))
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("url", "local", "clear"),
    [
        ("http://localhost:1", True, False),
        ("http://127.0.0.9", True, False),
        ("http://[::1]:1", True, False),
        ("http://10.0.0.1", False, True),
        ("https://api.openai.com/v1", False, False),
        ("http://localhost.evil.example", False, True),
    ],
)
def test_what_is_local_and_what_crosses_a_network_in_clear(url: str, local: bool, clear: bool) -> None:
    assert (address(url).is_local, address(url).in_clear) == (local, clear)


def test_texts_that_cross_a_network_in_clear_are_advised_about(clock: FakeTime) -> None:
    model = open_hosted("voyage", "voyage-4", ModelOptions(base_url="http://10.1.2.3/v1"), clock.patience())
    assert [advice.code for advice in model.facts().warnings] == ["sent-in-clear"]


def test_another_server_is_another_space_and_the_vendors_own_needs_no_address() -> None:
    own = open_embedder("openai:text-embedding-3-small").identity(Role.QUERY)
    same = open_embedder("openai:text-embedding-3-small", ModelOptions(base_url="https://api.openai.com/v1/")).identity(
        Role.QUERY
    )
    other = open_embedder("openai:text-embedding-3-small", ModelOptions(base_url="http://localhost:1/v1")).identity(Role.QUERY)
    assert own == same
    assert own["address"] is None
    assert other["address"] == "http://localhost:1/v1"


def test_the_address_in_the_vendors_own_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:11434/v1")
    assert open_embedder("openai:any").identity(Role.QUERY)["address"] == "http://localhost:11434/v1"


def test_a_local_server_needs_no_key(local: Callable[..., HostedModel], server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    vectors = local().encode(["rivers", "bridges"], Role.DOCUMENT).vectors
    np.testing.assert_allclose(vectors, served_vectors(["rivers", "bridges"], 256), rtol=0, atol=1e-7)
    assert server.requests[-1].document["encoding_format"] == "float"


def test_the_size_of_an_unknown_model_is_asked_once(local: Callable[..., HostedModel], server: Served) -> None:
    model = local()
    assert model.facts().dim == model.full_dim == 256
    assert [request.texts for request in server.requests] == [["size"]]


@pytest.mark.parametrize("provider", ["voyage", "cohere", "gemini"])
def test_an_unknown_model_of_a_vendor_that_cuts_by_default_is_said(local: Callable[..., HostedModel], provider: str) -> None:
    facts = local(provider, "a-new-model").facts()
    assert facts.dim == 256
    assert "default-size" in [advice.code for advice in facts.warnings]


def test_what_openais_own_client_reads_from_the_environment_is_sent(
    vendors_own: Callable[..., HostedModel], server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-2")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: search: new\nnonsense\nX-Cost: 7")
    vendors_own("openai").encode(["a"], Role.QUERY)
    vendors_own("voyage").encode(["a"], Role.QUERY)
    names = ("openai-organization", "openai-project", "x-team", "x-cost", "authorization")
    sent, to_another = ([request.headers.get(name) for name in names] for request in server.requests)
    assert sent == ["org-1", "proj-2", "search: new", "7", f"Bearer {CANARY}"]
    assert to_another == [None, None, None, None, f"Bearer {CANARY}"]


# --- Families and prompts ---------------------------------------------------------------------------------------------


def test_a_familys_prompts_and_layer_norm_are_applied_before_a_server_that_knows_neither(
    local: Callable[..., HostedModel], server: Served
) -> None:
    model = local(model="nomic-embed-text-v1.5")
    vectors = model.encode(["rivers"], Role.QUERY).vectors
    assert server.requests[-1].texts == ["search_query: rivers"]
    np.testing.assert_allclose(vectors, layer_norm(served_vectors(["search_query: rivers"], 256)), rtol=0, atol=1e-6)
    assert model.identity(Role.QUERY)["transform"] == "layer-norm"


def test_a_family_whose_prompt_is_not_known_is_advised_about(local: Callable[..., HostedModel]) -> None:
    advice = {advice.code: advice for advice in local(model="Qwen/Qwen3-Embedding-0.6B").facts().warnings}
    assert "--query-prompt" in advice["prompt-unknown"].hint


def test_a_model_whose_sizes_are_not_prefixes_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InputError, match="separate output heads"):
        open_embedder("openai:stella_en_1.5B_v5", ModelOptions(base_url="http://localhost:1/v1"))


def test_a_maximum_length_is_not_silently_ignored() -> None:
    with pytest.raises(InputError, match="maximum length"):
        open_embedder("openai:any", ModelOptions(max_length=512))


@pytest.mark.parametrize("name", ["../../escape", "x" * 300, "a/b\\c", "..", "модель"])
def test_a_models_name_never_becomes_a_path(local: Callable[..., HostedModel], tmp_path: Path, name: str) -> None:
    embed(collection_of(["a text"]), local(model=name), Store(tmp_path / "store"))
    assert {path.split("/")[0] for path in tree(tmp_path)} == {"store"}
    assert all(len(part) <= 100 for path in tree(tmp_path) for part in path.split("/"))


def test_a_models_name_goes_escaped_into_geminis_path(local: Callable[..., HostedModel], server: Served) -> None:
    local("gemini", "odd?name=x#y").encode(["a"], Role.QUERY)
    assert server.requests[-1].path == "/v1beta/models/odd%3Fname%3Dx%23y:batchEmbedContents"


# --- Offline, missing packages ----------------------------------------------------------------------------------------


def test_offline_a_stored_collection_is_read_and_nothing_else_is_sent(
    vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = collection_of(["one", "two"])
    embed(collection, vendors_own("cohere"), Store(tmp_path))
    n = len(server.requests)
    monkeypatch.setattr("mrl_sweep.embedding.hosted.connection.Address.is_local", False)
    monkeypatch.delenv("CO_API_KEY")
    again = embed(collection, vendors_own("cohere", offline=True), Store(tmp_path))
    assert len(again.documents) == 2
    with pytest.raises(EnvironmentFault, match="--offline"):
        embed(collection_of(["one", "three"]), vendors_own("cohere", offline=True), Store(tmp_path))
    assert len(server.requests) == n


@pytest.mark.parametrize(("provider", "package"), [("openai", "httpx2"), ("voyage", "httpx2")])
def test_a_missing_package_names_the_extra(
    vendors_own: Callable[..., HostedModel], monkeypatch: pytest.MonkeyPatch, provider: str, package: str
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package and "hosted" in str((args[0] or {}).get("__name__", "")):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=package) as caught:
        vendors_own(provider).encode(["a"], Role.QUERY)
    assert caught.value.hint == "pip install 'mrl-sweep[hosted]'"


def test_opening_a_hosted_model_imports_no_client() -> None:
    import subprocess

    code = (
        "import sys; from mrl_sweep.embedding import open_embedder;"
        "m = open_embedder('openai:text-embedding-3-small'); m.facts();"
        "print([n for n in ('httpx2', 'torch', 'sentence_transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_only_on_purpose() -> None:
    key = Key(CANARY)
    assert CANARY not in f"{key} {key!r} {[key]} {vars(type(key)).get('__slots__')}"
    assert key.reveal() == CANARY
    assert hidden(f"bad key {CANARY}\n\x1b[31m", key) == "bad key [key] \\x1b[31m"


def test_a_vendors_long_words_are_cut(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    server.always = refuse(404, "x" * 5000)
    with pytest.raises(InputError) as caught:
        vendors_own("openai").encode(["a"], Role.QUERY)
    assert len(caught.value.message) < 400


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_while_every_call_waits_ends_the_run_at_once_and_keeps_what_came_back(
    vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    """Real waits: the vendor asks for five minutes; the signal comes when the first call has been told so."""
    from mrl_sweep.interrupt import pause

    texts = [f"document {i}" for i in range(20)]
    told = threading.Event()

    def wait(seconds: Any) -> Any:
        told.set()
        return pause(seconds)

    server.faults = [None, *[refuse(429, "slow down", retry_after="300")] * 30]
    model = vendors_own("openai", patience={"sleep": wait}, batch_size=5)
    main = threading.get_ident()

    def interrupt() -> None:
        told.wait(20)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        embed(collection_of(texts), model, Store(tmp_path))
    assert len(server.sent) == 5
    server.faults = []
    embed(collection_of(texts), vendors_own("openai", batch_size=5), Store(tmp_path))
    assert sorted(server.sent) == sorted([*texts, "which one?"])


def test_the_identity_and_facts_are_json(local: Callable[..., HostedModel]) -> None:
    model = local(model="nomic-embed-text-v1.5", revision="2")
    assert json.loads(json.dumps(model.identity(Role.DOCUMENT)))["revision"] == "2"
    assert json.loads(json.dumps(model.facts().to_json()))["details"]["name"] == "nomic-embed-text-v1.5"
