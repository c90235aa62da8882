from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder
from hosted_servers import FULL, MODELS, Answer, Served, refuse
from test_hosted_faults import each_vector

from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.hosted.verify import verify_api, verify_codes
from mrl_sweep.errors import EnvironmentFault, InputError

TEXTS = [f"text {i} on bridges" for i in range(12)]


@pytest.mark.parametrize("provider", ["openai", "voyage", "cohere", "gemini"])
def test_a_vendor_whose_small_vectors_are_prefixes_is_verified(
    provider: str, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    found = verify_api(vendors_own(provider), TEXTS, 256)
    assert (found.dim, found.full_dim, found.texts) == (256, FULL[MODELS[provider]], 12)
    assert found.least_cosine == pytest.approx(1, abs=1e-6)
    assert found.most_difference < 1e-6
    assert found.equal
    assert found.unit_length
    assert found.advice.code == "api-verified"
    assert [request.dim for request in server.requests] == [None if provider == "openai" else FULL[MODELS[provider]], 256]


def test_vectors_that_are_not_unit_length_are_compared_by_direction_and_it_is_said(
    vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    server.faults = [None, each_vector(lambda row: [value * 3 for value in row])]
    found = verify_api(vendors_own("gemini"), TEXTS, 768)
    assert found.equal
    assert not found.unit_length
    assert found.advice.message.endswith("its own are not of unit length and have to be normalised")


def test_a_vendor_with_separate_heads_differs_and_the_report_says_what_follows(
    vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    server.faults = [None, each_vector(lambda row: row[::-1])]
    found = verify_api(vendors_own("voyage"), TEXTS, 256)
    assert not found.equal
    assert found.advice.code == "api-differs"
    assert "holds for vectors cut by you" in found.advice.hint
    assert found.to_json()["equal"] is False


def test_the_figures_are_those_of_a_direct_computation(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    noise = np.linspace(-0.01, 0.01, 512)
    server.faults = [None, each_vector(lambda row: (np.array(row) + noise).tolist())]
    found = verify_api(vendors_own("cohere"), TEXTS, 512)
    from hosted_servers import served_vectors

    full = served_vectors(TEXTS, 1536)[:, :512].astype(np.float64)
    cut = full / np.linalg.norm(full, axis=1, keepdims=True)
    own = cut + noise
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    assert found.least_cosine == pytest.approx((cut * own).sum(1).min(), abs=1e-6)
    assert found.most_difference == pytest.approx(abs(cut - own).max(), abs=1e-6)


def test_it_asks_in_the_vendors_batches(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    verify_api(vendors_own("openai", batch_size=5), TEXTS, 512)
    assert [len(request.texts) for request in server.requests] == [5, 5, 5, 5, 2, 2]


@pytest.mark.parametrize("dim", [0, -1, 1536, 9999])
def test_a_size_that_is_not_smaller_is_refused(vendors_own: Callable[..., HostedModel], server: Served, dim: int) -> None:
    with pytest.raises(InputError, match="cannot verify 12 texts"):
        verify_api(vendors_own("openai"), TEXTS, dim)
    assert server.requests == []


def test_a_vendor_without_that_size_is_an_error_that_says_so(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    server.faults = [None, refuse(400, "output_dimension must be one of 256, 512, 1024, 2048")]
    with pytest.raises(InputError, match="gives no vectors of 300 dimensions"):
        verify_api(vendors_own("voyage"), TEXTS, 300)


def test_a_vendor_that_ignores_the_size_is_an_error(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    def full(request: Any, _answer: Any) -> Any:
        request.document.pop("dimensions", None)
        return Answer(body=__import__("json").dumps(server._document(request)).encode())

    server.always = full
    with pytest.raises(EnvironmentFault, match="1536 dimensions instead of 256"):
        verify_api(vendors_own("openai"), TEXTS, 256)


def test_a_local_model_has_nothing_to_verify() -> None:
    with pytest.raises(InputError, match="no hosted model"):
        verify_api(CountingEmbedder(), TEXTS, 4)


ASKED = ("float16", "int8", "binary")


@pytest.mark.parametrize("provider", ["voyage", "cohere"])
def test_a_vendors_own_codes_are_those_of_its_vectors(
    provider: str, vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    int8, binary = verify_codes(vendors_own(provider, batch_size=8), TEXTS, 256, ASKED)
    assert (int8.precision, int8.texts, int8.equal, binary.precision, binary.alike) == ("int8", 12, True, "binary", 1.0)
    assert 0.999 < int8.alike < 1
    assert [one.advice.code for one in (int8, binary)] == ["api-codes-verified"] * 2
    assert (
        "its own binary codes are those of the vectors (12 texts at 256 dimensions, 100.0% of the bits)" in binary.advice.message
    )
    name = "output_dtype" if provider == "voyage" else "embedding_types"
    kinds = [np.ravel(request.document[name])[0] for request in server.requests]
    assert kinds == ["float", "int8", "ubinary"] * 2
    assert [request.dim for request in server.requests[:3]] == [FULL[MODELS[provider]], 256, 256]


def test_codes_of_other_vectors_differ_and_the_report_says_what_follows(
    vendors_own: Callable[..., HostedModel], server: Served
) -> None:
    server.faults = [None, each_vector(lambda row: row[::-1])]
    (found,) = verify_codes(vendors_own("voyage"), TEXTS, 256, ["binary"])
    assert 0.3 < found.alike < 0.7
    assert not found.to_json()["equal"]
    assert found.advice.code == "api-codes-differ"
    assert "holds for codes made of full vectors" in found.advice.hint


def test_numbers_that_are_no_codes_are_an_error(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    server.faults = [None, *[each_vector(lambda row: [value + 0.5 for value in row])] * 9]
    with pytest.raises(EnvironmentFault, match="no int8 codes"):
        verify_codes(vendors_own("cohere"), TEXTS, 256, ["int8"])


def test_who_has_no_codes_is_not_asked(vendors_own: Callable[..., HostedModel], server: Served) -> None:
    assert verify_codes(vendors_own("openai"), TEXTS, 256, ASKED) == ()
    assert verify_codes(CountingEmbedder(), TEXTS, 4, ASKED) == ()
    assert verify_codes(vendors_own("voyage"), TEXTS, 256, ["float16"]) == ()
    assert server.requests == []
