"""Every vendor reads every server's answer alike: what can never work is not asked again, and its words are seen once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from answers import SHAPES, SOURCES, Shape, elsewhere
from hosted_servers import Answer, FakeTime, Fault, Served

from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.hosted.replies import Meaning, complaint_of, meaning_of
from mrl_sweep.embedding.hosted.wire import Reply
from mrl_sweep.embedding.protocol import PartlyEncoded, Role
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError

VENDORS = ("openai", "voyage", "cohere", "gemini")
TEXTS = ["one", "two", "three"]


def body_of(shape: Shape) -> bytes:
    return shape.body.encode() if isinstance(shape.body, str) else json.dumps(shape.body).encode()


def sent(shape: Shape) -> Fault:
    return lambda *_: Answer(shape.status, body_of(shape), {"content-type": "application/json", **dict(shape.headers)})


def name_of(shape: Shape) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{shape.server}-{shape.status}-{body_of(shape).decode()}")[:80]


@pytest.mark.parametrize("shape", [*SHAPES, *elsewhere()], ids=name_of)
def test_an_answer_means_what_its_server_means(shape: Shape) -> None:
    complaint = complaint_of(Reply(shape.status, {}, body_of(shape)))
    assert complaint is not None
    assert meaning_of(complaint, shape.status, waits="retry-after" in dict(shape.headers)) is shape.meaning


def test_a_vector_without_numbers_names_its_text_and_is_not_waited_for(
    vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime
) -> None:
    """Ollama, vLLM and Infinity answer 500 where they cannot write NaN as JSON, and will whenever they are asked."""

    def fault(request: Any, answer: Answer) -> Answer:
        words = {"error": "failed to encode response: json: unsupported value: NaN"}
        return Answer(500, json.dumps(words).encode()) if "two" in request.texts else answer

    model = vendors_own("openai", patience={"attempts": 3})
    server.always = fault
    _, refused = ended(model)
    assert (refused, clock.slept) == ([1], [])


def test_a_web_page_is_told_by_its_title() -> None:
    page = b"<!doctype html><html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
    complaint = complaint_of(Reply(400, {}, page))
    assert complaint is not None
    assert complaint.words == "400 The plain HTTP request was sent to HTTPS port"
    assert meaning_of(complaint, 400) is Meaning.ADDRESS


def test_the_servers_that_people_ask_have_public_sources_of_their_answers() -> None:
    asked_for = [
        "OpenAI",
        "Voyage",
        "Cohere",
        "Gemini",
        "TEI",
        "vLLM",
        "llama.cpp",
        "Ollama",
        "Infinity",
        "LocalAI",
        "OpenRouter",
    ]
    assert {*asked_for, "LM Studio"} <= SOURCES.keys() & {shape.server for shape in SHAPES}


def ended(model: HostedModel) -> tuple[MrlSweepError, list[int]]:
    with pytest.raises((MrlSweepError, PartlyEncoded)) as caught:
        model.encode(TEXTS, Role.DOCUMENT)
    if isinstance(caught.value, PartlyEncoded):
        return caught.value.reason, list(caught.value.refused)
    assert isinstance(caught.value, MrlSweepError)
    return caught.value, []


FIRST = {shape.meaning: shape for shape in reversed(SHAPES)}
PAIRS = [
    (shape, vendor)
    for i, shape in enumerate(SHAPES)
    for j, vendor in enumerate(VENDORS)
    if i % len(VENDORS) == j or shape is FIRST[shape.meaning]
]
"""Every vendor with one answer of each meaning, and every answer with one vendor: what it means is decided in one place."""


@pytest.mark.parametrize(("shape", "vendor"), PAIRS, ids=lambda value: value if isinstance(value, str) else name_of(value))
def test_every_vendor_acts_on_it_alike(
    vendors_own: Callable[..., HostedModel], server: Served, clock: FakeTime, shape: Shape, vendor: str
) -> None:
    model = vendors_own(vendor, patience={"attempts": 3})
    server.always = sent(shape)
    fault, refused = ended(model)
    kinds: dict[Meaning, tuple[type[MrlSweepError], int]] = {
        Meaning.WAIT: (EnvironmentFault, 3),
        Meaning.TOO_LONG: (InputError, 5),
        Meaning.REFUSED: (InputError, 3),
        Meaning.EMPTY: (EnvironmentFault, 1),
        Meaning.MEMORY: (EnvironmentFault, 3),
        Meaning.OPTION: (InputError, 2 if "encoding_format" in body_of(shape).decode() else 1),
    }
    kind, requests = kinds.get(shape.meaning, (InputError, 1))
    assert (type(fault), len(server.requests)) == (kind, requests), fault.message
    assert len(clock.slept) == (2 if shape.meaning is Meaning.WAIT else 0)
    if shape.meaning is Meaning.TOO_LONG:
        assert refused == [0, 1, 2], "every text that is too long is named at once"
    if shape.says:
        assert fault.message.count(shape.says) == 1


def without(option: str) -> Fault:
    """A server that knows no such option."""

    def fault(request: Any, answer: Answer) -> Answer:
        refusal = {"detail": [{"type": "extra_forbidden", "loc": ["body", option], "msg": "Extra inputs are not permitted"}]}
        return Answer(422, json.dumps(refusal).encode()) if option in request.document else answer

    return fault


def test_a_server_that_refuses_encoding_format_is_asked_once_more_without_it(local: Any, server: Served, clock: FakeTime) -> None:
    server.always = without("encoding_format")
    model = local()
    assert model.encode(TEXTS, Role.DOCUMENT).vectors.shape == (3, 256)
    asked = len(server.requests)
    model.encode(["four"], Role.DOCUMENT)
    assert (asked, len(server.requests), clock.slept) == (3, 4, []), "one more call for the first question, none later"


def dropped(*places: int) -> Fault:
    """A gateway that leaves out the index of these entries."""

    def fault(_request: Any, answer: Answer) -> Answer:
        document = json.loads(answer.body)
        for place in places:
            document["data"][place].pop("index")
        return Answer(body=json.dumps(document).encode())

    return fault


@pytest.mark.parametrize("vendor", ["openai", "voyage"])
def test_a_dropped_zero_index_is_zero(vendors_own: Callable[..., HostedModel], server: Served, vendor: str) -> None:
    model = vendors_own(vendor)
    right = model.encode(TEXTS, Role.DOCUMENT).vectors
    server.always = dropped(0)
    assert (model.encode(TEXTS, Role.DOCUMENT).vectors == right).all()


@pytest.mark.parametrize("places", [(1,), (0, 1), (0, 1, 2)])
def test_other_missing_indices_are_refused(
    vendors_own: Callable[..., HostedModel], server: Served, places: tuple[int, ...]
) -> None:
    model = vendors_own("openai", patience={"garbled": 1})
    server.always = dropped(*places)
    fault, _ = ended(model)
    assert isinstance(fault, EnvironmentFault)
