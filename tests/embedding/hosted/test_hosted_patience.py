"""How long a vendor is waited for, what is told at once, and what is halved: FAULTS.md rows 38 to 41, 62."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of
from hosted_servers import CANARY, QUERY, TEXTS, Answer, FakeTime, Served, refusal, refuse, served_vectors, serving

from mrl_sweep.embedding import Role, Store, embed
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.protocol import PartlyEncoded
from mrl_sweep.errors import EnvironmentFault, InputError

# --- Waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, 1.0),
        ({}, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(
    provider: Any,
    vendors_own: Callable[..., HostedModel],
    server: Served,
    clock: FakeTime,
    headers: Any,
    seconds: float,
    status: int,
) -> None:
    server.faults = [lambda *_: Answer(status, b"{}", {"content-type": "application/json", **headers})]
    vendors_own(provider).encode(["a"], Role.QUERY)
    assert sum(clock.slept) == seconds


def test_retry_after_as_a_date_is_honoured(vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime) -> None:
    from datetime import UTC, datetime

    date = format_datetime(datetime.fromtimestamp(clock.seconds + 42, UTC), usegmt=True)
    server.faults = [lambda *_: Answer(429, b"", {"Retry-After": date})]
    vendors_own("openai").encode(["a"], Role.QUERY)
    assert clock.slept == [42.0]


def test_googles_retry_delay_is_honoured(vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    body = json.dumps({"error": {"code": 429, "message": "quota", "details": details}}).encode()
    server.faults = [lambda *_: Answer(429, body)]
    vendors_own("gemini").encode(["a"], Role.QUERY)
    assert clock.slept == [34.0]


def test_while_one_call_waits_as_told_the_others_are_held_back(
    vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime
) -> None:
    model = vendors_own("openai")
    server.faults = [lambda *_: Answer(429, b"{}", {"retry-after": "30"})]
    model._gate.hold(clock.now() + 12)
    model.encode(["a"], Role.QUERY)
    assert clock.slept == [12.0, 30.0]


def test_a_wait_beyond_all_patience_is_not_begun(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime
) -> None:
    server.always = refuse(429, "come back tomorrow", retry_after="86400")
    with pytest.raises(EnvironmentFault, match=r"it asks to wait 86,400 s \(1 try\)"):
        vendors_own(provider).encode(["a"], Role.QUERY)
    assert clock.slept == []


def test_waits_in_all_are_bounded(vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime) -> None:
    server.always = refuse(429, "slow down", retry_after="250")
    with pytest.raises(EnvironmentFault, match="3 tries"):
        vendors_own("openai").encode(["a"], Role.QUERY)
    assert clock.slept == [250.0, 250.0]


def test_backing_off_doubles_up_to_a_minute_and_jitter_only_shortens(clock: FakeTime) -> None:
    from mrl_sweep.embedding.hosted.patience import Transient

    fault = Transient("")
    assert [clock.patience().wait_s(fault, n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [clock.patience(chance=lambda: 1.0).wait_s(fault, n) for n in (1, 7)] == [0.5, 30]


def test_a_slow_answer_is_a_time_out_and_tried_again(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    never = threading.Event()
    server.faults = [lambda *_: Answer(hold=never)]
    try:
        vectors = vendors_own(provider, patience={"timeout_s": 0.4}).encode(["a"], Role.QUERY).vectors
    finally:
        never.set()
    assert len(vectors) == 1
    assert len(server.requests) >= 2


def test_where_nobody_listens_the_hint_asks_for_the_server(clock: FakeTime) -> None:
    from mrl_sweep.embedding.hosted.model import open_hosted
    from mrl_sweep.embedding.protocol import ModelOptions

    with serving() as gone:
        url = gone.url
    model = open_hosted("openai", "any", ModelOptions(base_url=f"{url}/v1"), clock.patience())
    with pytest.raises(EnvironmentFault, match=r"openai:any cannot be reached: .*\(4 tries\)") as caught:
        model.facts()
    assert "is the server running" in caught.value.hint


def test_ctrl_c_while_waiting_ends_the_wait(vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime) -> None:
    server.always = refuse(503)
    clock.interrupted = True
    with pytest.raises(EnvironmentFault, match="interrupted while waiting"):
        vendors_own("openai").encode(["a"], Role.QUERY)
    assert len(server.requests) == 1


# --- At once ----------------------------------------------------------------------------------------------------------

KEY_FAULTS = {
    "401": refuse(401, f"Incorrect API key provided: {CANARY}"),
    "403": refuse(403, f"{CANARY} may not"),
    "400 for a key": refuse(400, f"API key not valid: {CANARY}"),
}
MODEL_FAULTS = {
    "404": refuse(404, f"The model `x` does not exist or {CANARY} has no access to it"),
    "400": refuse(400, "Model x is not supported. Supported models are …"),
    "422": refuse(422, "invalid model: x"),
}


@pytest.mark.parametrize("fault", [*KEY_FAULTS, *MODEL_FAULTS])
def test_a_wrong_key_or_model_is_told_at_once_without_the_key(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime, fault: Any
) -> None:
    server.always = {**KEY_FAULTS, **MODEL_FAULTS}[fault]
    with pytest.raises(InputError) as caught:
        vendors_own(provider).encode(TEXTS, Role.DOCUMENT)
    assert caught.value.exit_code == 2
    assert (len(server.requests), clock.slept) == (1, [])
    assert CANARY not in str(caught.value) + caught.value.hint + repr(caught.value.__context__) + repr(caught.value.__cause__)
    assert ("key" if fault in KEY_FAULTS else "--model") in caught.value.message + caught.value.hint


def test_an_account_without_money_is_not_asked_again(
    vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime
) -> None:
    server.always = lambda *_: Answer(429, b'{"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}}')
    with pytest.raises(EnvironmentFault, match="insufficient_quota"):
        vendors_own("openai").encode(["a"], Role.QUERY)
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize("key", ["with space", "line\nfeed", "ключ"])
def test_a_key_that_no_header_can_hold_is_told_without_its_value(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    from hosted_servers import KEYS

    for variable in KEYS:
        monkeypatch.setenv(variable, key)
    with pytest.raises(InputError, match="characters that no API key has") as caught:
        vendors_own(provider).encode(["a"], Role.QUERY)
    assert key not in str(caught.value) + caught.value.hint
    assert server.requests == []


# --- Redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, status: int
) -> None:
    with serving() as other:
        server.always = lambda *_: Answer(status, b"", {"location": f"{other.url}/v1/embeddings"})
        with pytest.raises(InputError, match="which was not followed") as caught:
            vendors_own(provider).encode(["secret text"], Role.QUERY)
        assert other.requests == []
    assert caught.value.exit_code == 2
    assert len(server.requests) == 1
    assert "--base-url" in caught.value.hint


# --- Too long ---------------------------------------------------------------------------------------------------------


def test_texts_that_are_too_long_are_named_and_all_others_kept(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    texts = [text + " long" * 200 if i in (13, 29) else text for i, text in enumerate(TEXTS)]
    server.most_characters = 500
    with pytest.raises(InputError, match=rf"^document d13, d29: too long for {provider}:") as caught:
        embed(collection_of(texts), vendors_own(provider), Store(tmp_path))
    assert caught.value.hint == "shorten or split it"
    assert sorted(server.sent) == sorted(set(TEXTS) - {TEXTS[13], TEXTS[29]}), "every other document, once"
    for row in (13, 29):
        texts[row] = TEXTS[row]
    embed(collection_of(texts), vendors_own(provider), Store(tmp_path))
    assert sorted(server.sent) == sorted([*TEXTS, QUERY]), "nothing was paid twice"


def test_a_batch_that_is_too_large_for_the_server_is_halved(
    local: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    server.most_texts = 8
    embeddings = embed(collection_of(TEXTS), local(), Store(tmp_path))
    np.testing.assert_allclose(embeddings.documents.read(0, 40), served_vectors(TEXTS, 256), rtol=0, atol=1e-7)
    assert sorted(server.sent) == sorted([*TEXTS, QUERY, "size"])


def test_a_text_that_is_refused_for_no_known_reason_is_found_by_halving(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    server.always = lambda request, answer: refusal(400, "no") if TEXTS[5] in request.texts else answer
    with pytest.raises(InputError, match=rf"^document d5: not accepted for {provider}:.*HTTP 400: no"):
        embed(collection_of(TEXTS), vendors_own(provider), Store(tmp_path))
    assert len(server.requests) <= 12


def test_a_server_that_refuses_everything_is_not_asked_about_every_text(
    vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    server.always = refuse(400, "no")
    with pytest.raises(PartlyEncoded):
        vendors_own("openai").encode([f"t{i}" for i in range(256)], Role.DOCUMENT)
    assert len(server.requests) == 9, "256, 128, … 1"


def test_a_text_that_reads_as_the_question_of_size_does_is_a_text(local: Callable[..., HostedModel], server: Served) -> None:
    model = local()
    assert model.full_dim == 256
    server.always = refuse(400, "no")
    with pytest.raises(PartlyEncoded) as caught:
        model.encode(["size"], Role.DOCUMENT)
    assert caught.value.reason.message.startswith("not accepted for openai:wordllama")
