"""What happens when a vendor misbehaves: FAULTS.md rows 22, 26 and 38 to 41."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of, tree
from hosted_servers import FULL, MODELS, QUERY, TEXTS, Answer, FakeTime, Served, refuse, served_vectors

from mrl_sweep.embedding import Role, Store, embed
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.errors import EnvironmentFault, InputError

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
