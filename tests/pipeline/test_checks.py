"""What is refused before anything is read or paid for, from a notebook as from the command line."""

from __future__ import annotations

from typing import Any

import pytest

import mrl_sweep
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline import run as job

NOWHERE = {"collection": "no-such-folder", "model": "wordllama"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "wordllama"}, "no collection given"),
        ({"collection": "no-such-folder"}, "no model given"),
        ({**NOWHERE, "target": "nope"}, "there is no target 'nope'"),
        ({**NOWHERE, "target": "pgvector", "precision": "int8"}, "pgvector 0.8 offers no int8"),
        ({**NOWHERE, "address": "auto"}, "address= is of a Ray cluster, and threads here are to count"),
        ({**NOWHERE, "measure": "Agreement@10"}, "Agreement@10"),
    ],
)
def test_settings_that_no_run_can_follow_are_refused_before_the_collection_is_read(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "load", lambda *_: pytest.fail("the collection was read"))
    with pytest.raises(InputError) as refused:
        mrl_sweep.run(**settings)
    assert message in refused.value.message
    assert refused.value.hint
