"""What is refused before anything is read or paid for, from a notebook as from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_vectors import write_steep_collection

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


def test_a_measure_of_whole_rankings_is_refused_beside_an_index_before_anything_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index returns a list: an exact HNSW would "lose" what lies behind it."""
    write_steep_collection(tmp_path)
    monkeypatch.setattr(job, "embed_texts", lambda *_: pytest.fail("something was embedded"))
    with pytest.raises(InputError) as refused:
        mrl_sweep.run(collection=str(tmp_path), model=f"vectors:{tmp_path}", dims=[48, 16], measure="AP", index="HNSW32")
    assert (
        refused.value.message
        == "AP looks at the whole ranking, and HNSW32 returns a list: what lies behind it would count as lost"
    )
