"""What happens when a vendor misbehaves: FAULTS.md rows 22, 26 and 38 to 41."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of, tree
from hosted_servers import CANARY, FULL, MODELS, Answer, FakeTime, Served, refusal, refuse, served_vectors, serving

from mrl_sweep.embedding import Role, Store, embed
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.protocol import PartlyEncoded
from mrl_sweep.errors import EnvironmentFault, InputError

PROVIDERS = ["openai", "voyage", "cohere", "gemini"]
TEXTS = [f"document {i} about {'rivers and bridges ' * (i % 4)}" for i in range(40)]
QUERY = "which one?"


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Any:
    return request.param


# --- Bodies that are no answers ---------------------------------------------------------------------------------------


def edited(change: Any) -> Any:
    def fault(_request: Any, answer: Any) -> Any:
        document = json.loads(answer.body)
        change(document)
        return Answer(body=json.dumps(document).encode())

    return fault


def rows_of(document: Any) -> Any:
    """The list of a vendor's answer that holds one entry a text."""
    if "data" in document:
        return document["data"]
    embeddings = document["embeddings"]
    return next(iter(embeddings.values())) if isinstance(embeddings, dict) else embeddings  # by kind: float, int8, …


def each_vector(change: Any) -> Any:
    """Applies `change` to every vector, whatever the vendor's layout."""

    def apply(document: Any) -> None:
        rows = rows_of(document)
        for i, row in enumerate(rows):
            if isinstance(row, list):
                rows[i] = change(row)
            elif "values" in row:
                row["values"] = change(row["values"])
            elif isinstance(row["embedding"], str):
                values = np.frombuffer(base64.b64decode(row["embedding"]), "<f4").tolist()
                row["embedding"] = base64.b64encode(np.array(change(values), "<f4").tobytes()).decode()
            else:
                row["embedding"] = change(row["embedding"])

    return edited(apply)


def html(_request: Any, _answer: Any) -> Any:
    return Answer(body=b"<!DOCTYPE html><html><body>504</body></html>", headers={"content-type": "text/html"})


def cut(_request: Any, answer: Any) -> Any:
    return Answer(body=answer.body, cut=len(answer.body) // 2)


def cut_json(_request: Any, answer: Any) -> Any:
    return Answer(body=answer.body[: len(answer.body) // 2])


def reset(_request: Any, _answer: Any) -> Any:
    return Answer(reset=True)


PASSING_FAULTS = {
    "429": refuse(429, "slow down"),
    "500": refuse(500),
    "502 page": lambda *_: Answer(502, b"<html>bad gateway</html>", {"content-type": "text/html"}),
    "503": refuse(503),
    "529": refuse(529, "overloaded"),
    "reset": reset,
    "cut body": cut,
    "cut JSON": cut_json,
    "HTML": html,
    "empty body": lambda *_: Answer(body=b""),
    "JSON of another kind": lambda *_: Answer(body=b"[1, 2]"),
    "no vectors": edited(lambda d: rows_of(d).clear()),
    "one vector too few": edited(lambda d: rows_of(d).pop()),
    "one vector too many": edited(lambda d: rows_of(d).append(rows_of(d)[0])),
    "NaN": each_vector(lambda row: [float("nan"), *row[1:]]),
    "infinite": each_vector(lambda row: [float("inf"), *row[1:]]),
    "other size": each_vector(lambda row: row[:-1]),
    "empty vectors": each_vector(lambda _: []),
}


@pytest.mark.parametrize("fault", PASSING_FAULTS)
def test_a_fault_that_passes_is_waited_out(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime, fault: Any
) -> None:
    server.faults = [PASSING_FAULTS[fault], PASSING_FAULTS[fault]]
    model = vendors_own(provider)
    vectors = model.encode(TEXTS[:3], Role.DOCUMENT).vectors
    np.testing.assert_allclose(vectors, served_vectors(TEXTS[:3], FULL[MODELS[provider]]), rtol=0, atol=1e-7)
    assert len(server.requests) == 3
    assert clock.slept == [1.0, 2.0], "backed off, each wait twice the one before"


@pytest.mark.parametrize("fault", ["429", "500", "reset", "cut body", "HTML", "one vector too few", "other size"])
def test_a_fault_that_lasts_ends_in_3_and_the_work_is_kept(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime, fault: str, tmp_path: Path
) -> None:
    server.faults = [None, *[PASSING_FAULTS[fault]] * 50]
    with pytest.raises(EnvironmentFault) as caught:
        embed(collection_of(TEXTS), one_at_a_time(vendors_own(provider, batch_size=10)), Store(tmp_path))
    assert caught.value.exit_code == 3
    assert "run the same command again" in caught.value.hint
    assert len(server.requests) in (5, 9), "bounded"
    assert sum(clock.slept) < 600
    server.faults = []
    embed(collection_of(TEXTS), one_at_a_time(vendors_own(provider, batch_size=10)), Store(tmp_path))
    assert sorted(server.sent) == sorted([*TEXTS, QUERY])


def one_at_a_time(model: Any) -> Any:
    """The same model, one call after the other: which batch meets the fault is then no matter of chance."""
    from dataclasses import replace

    model._vendor.batching = replace(model._vendor.batching, calls=1)
    return model


def test_after_a_failure_in_the_middle_the_bytes_are_those_of_an_undisturbed_run(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    """Four calls at a time; the disturbed run stops for good in its third request, the second run sends only what is missing."""
    server.faults = [None, None, refuse(403, "key revoked"), None, None, None]
    with pytest.raises(InputError):
        embed(collection_of(TEXTS), vendors_own(provider, batch_size=5), Store(tmp_path / "a"))
    paid = list(server.sent)
    assert 5 <= len(paid) < 40
    embed(collection_of(TEXTS), vendors_own(provider, batch_size=5), Store(tmp_path / "a"))
    assert sorted(server.sent) == sorted([*TEXTS, QUERY]), "each text was answered exactly once"
    embed(collection_of(TEXTS), vendors_own(provider, batch_size=5), Store(tmp_path / "b"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


# --- By index ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["openai", "voyage"])
def test_a_shuffled_answer_is_placed_by_index(vendors_own: Callable[..., HostedModel], server: Served, vendor: str) -> None:
    server.always = edited(lambda d: d["data"].reverse())
    vectors = vendors_own(vendor).encode(TEXTS, Role.DOCUMENT).vectors
    np.testing.assert_allclose(vectors, served_vectors(TEXTS, vectors.shape[1]), rtol=0, atol=1e-7)
    assert len(server.requests) == 1


def set_index(value: Any) -> Any:
    return edited(lambda d: d["data"][1].update(index=value))


@pytest.mark.parametrize("vendor", ["openai", "voyage"])
@pytest.mark.parametrize(
    "fault",
    [
        set_index(0),
        set_index(3),
        set_index(-1),
        set_index("1"),
        set_index(None),
        set_index(True),
        edited(lambda d: d["data"][1].pop("index")),
    ],
    ids=["repeated", "too large", "negative", "text", "null", "bool", "missing"],
)
def test_a_wrong_index_is_refused_and_asked_again(
    vendors_own: Callable[..., HostedModel], server: Served, vendor: str, fault: Any
) -> None:
    server.faults = [fault]
    vectors = vendors_own(vendor).encode(TEXTS[:3], Role.DOCUMENT).vectors
    np.testing.assert_allclose(vectors, served_vectors(TEXTS[:3], vectors.shape[1]), rtol=0, atol=1e-7)
    assert len(server.requests) == 2


def test_values_that_stay_nan_name_their_documents(
    provider: Any, vendors_own: Callable[..., HostedModel], server: Served, tmp_path: Path
) -> None:
    def poison(request: Any, answer: Any) -> Any:
        document = json.loads(answer.body)
        for i, text in enumerate(request.texts):
            if text in (TEXTS[17], TEXTS[21]):
                rows = rows_of(document)
                one = {"data": [rows[i]]} if "data" in document else {"embeddings": [rows[i]]}
                body = each_vector(lambda row: [float("nan"), *row[1:]])(request, Answer(body=json.dumps(one).encode())).body
                rows[i] = rows_of(json.loads(body))[0]
        return Answer(body=json.dumps(document).encode())

    server.always = poison
    with pytest.raises(EnvironmentFault, match=r"^document d17, d21: .*NaN or infinite"):
        embed(collection_of(TEXTS), vendors_own(provider), Store(tmp_path))


def test_another_size_midway_is_refused(local: Callable[..., HostedModel], server: Served, tmp_path: Path) -> None:
    """A server of unknown size: the first answer fixes it, whatever comes later."""
    server.faults = [None, None, *[each_vector(lambda row: row[:128])] * 10]
    with pytest.raises(EnvironmentFault, match="answered with 128 dimensions instead of 256"):
        embed(collection_of(TEXTS), one_at_a_time(local(batch_size=10)), Store(tmp_path))


def test_two_sizes_in_one_batch_are_refused(local: Callable[..., HostedModel], server: Served) -> None:
    model = local()
    assert model.full_dim == 256
    server.always = edited(lambda d: d["data"][0].update(embedding=[1.0]))
    with pytest.raises(EnvironmentFault, match="1 and 256 dimensions in one batch"):
        model.encode(TEXTS[:3], Role.DOCUMENT)


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
    from mrl_sweep.embedding.hosted.wire import Transient

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
