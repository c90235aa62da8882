"""What the Hugging Face hub answers of a model, in our words: a hub of this machine says it."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest
from pytest_httpserver import HTTPServer

from mrl_sweep.embedding import ModelOptions
from mrl_sweep.embedding.local.model_files import find_model
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError

OPTIONS = ModelOptions(revision="v9")


@pytest.fixture
def hub(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", httpserver.url_for("").rstrip("/"))
    return httpserver


@pytest.mark.parametrize(
    ("status", "code", "kind", "said", "hint"),
    [
        (403, "GatedRepo", InputError, "acme/tiny is gated: its licence has to be accepted first", "hf auth login"),
        (404, "RevisionNotFound", InputError, "acme/tiny has no revision 'v9'", "--revision COMMIT"),
        (
            404,
            "RepoNotFound",
            InputError,
            "there is no model acme/tiny (or it is private)",
            "--model FOLDER or --model owner/name",
        ),
        (500, "", EnvironmentFault, "cannot load the model acme/tiny: Server error '500", "later runs need no network"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(
    hub: HTTPServer, status: int, code: str, kind: type[MrlSweepError], said: str, hint: str
) -> None:
    hub.expect_request("/api/models/acme/tiny/revision/v9").respond_with_data(
        "", status=status, headers={"X-Error-Code": code} if code else {}
    )
    with pytest.raises(kind) as refused:
        find_model("acme/tiny", OPTIONS)
    assert str(refused.value).startswith(said)
    assert hint in refused.value.hint


def test_a_name_without_an_owner_is_looked_for_among_sentence_transformers_first(hub: HTTPServer) -> None:
    for name in ("sentence-transformers/tiny", "tiny"):
        hub.expect_request(f"/api/models/{name}").respond_with_data("", status=404, headers={"X-Error-Code": "RepoNotFound"})
    with pytest.raises(InputError, match="there is no model tiny "):
        find_model("tiny", ModelOptions())
    looked_at = [request.path for request, _ in hub.log if request.path.startswith("/api/models/")]
    assert looked_at == ["/api/models/sentence-transformers/tiny", "/api/models/tiny"]


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_no_fault_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFault, match="it is not in the local cache and the hub cannot be reached"):
        find_model("acme/tiny", OPTIONS)
