"""One server a test, one clock that only sleeping moves, and keys that must never be seen again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hosted_servers import CANARY, FULL, KEYS, MODELS, PROVIDERS, FakeTime, Served, serving

from mrl_sweep.embedding.hosted.model import HostedModel, open_hosted
from mrl_sweep.embedding.hosted.vendors import VENDORS
from mrl_sweep.embedding.protocol import ModelOptions


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GOOGLE_API_KEY", "COHERE_API_KEY", "OPENAI_BASE_URL", "CO_API_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(variable, raising=False)
    for variable in KEYS:
        monkeypatch.setenv(variable, CANARY)


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def local(server: Served, clock: FakeTime) -> Callable[..., HostedModel]:
    """A model behind --base-url: WordLlama's own 256 dimensions."""

    def open_it(
        provider: str = "openai", model: str = "wordllama", *, patience: dict | None = None, **options: Any
    ) -> HostedModel:
        base = server.url + ("/v1" if provider in ("openai", "voyage") else "")
        return open_hosted(provider, model, ModelOptions(base_url=base, **options), clock.patience(**(patience or {})))

    return open_it


@pytest.fixture
def vendors_own(server: Served, clock: FakeTime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HostedModel]:
    """The vendor itself, as far as the model can tell: its own address is the server's."""
    server.model_dims = dict(FULL)
    server.default_dims = {"voyage-4": 1024}

    def open_it(provider: str, *, patience: dict | None = None, **options: Any) -> HostedModel:
        base = server.url + ("/v1" if provider in ("openai", "voyage") else "")
        monkeypatch.setattr(VENDORS[provider], "url", base)
        return open_hosted(provider, MODELS[provider], ModelOptions(**options), clock.patience(**(patience or {})))

    return open_it


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Any:
    return request.param
