"""The one door to every layout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reread import load_collection

from mrl_sweep.errors import InputError


def test_a_path_needs_no_prefix_and_may_have_one(folder: Callable[..., Path]) -> None:
    path = folder()
    assert load_collection(str(path)).queries == load_collection(f"beir:{path}").queries


@pytest.mark.parametrize("source", ["", "  "])
def test_no_source(source: str) -> None:
    with pytest.raises(InputError, match="no collection is named"):
        load_collection(source)


def test_a_prefix_alone_names_nothing() -> None:
    with pytest.raises(InputError, match="trec: names no collection"):
        load_collection("trec:")


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder") as caught:
        load_collection(str(tmp_path / "a:b"))
    assert "trec:, csv:, ir:, hf: or pydocs" in caught.value.hint


def test_loading_a_beir_folder_imports_nothing_heavy(folder: Callable[..., Path]) -> None:
    code = (
        "import sys; from mrl_sweep.collection import load_collection; load_collection(sys.argv[1])\n"
        "print([m for m in ('pandas', 'pyarrow', 'torch', 'faiss', 'numba', 'scipy', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder())], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"
