"""Collections whose texts are read again from their source: here no corpus is small enough to stay in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mrl_sweep import collection
from mrl_sweep.collection import LoadOptions
from mrl_sweep.types import Collection


def load_collection(source: str, *, options: LoadOptions | None = None, **others: Any) -> Collection:
    """As `mrl_sweep.collection.load_collection`."""
    return collection.load_collection(source, options=replace(options or LoadOptions(), held_characters=0), **others)
