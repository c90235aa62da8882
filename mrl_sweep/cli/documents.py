"""What a command says of one collection, or of each of several: one JSON document, one text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple


class Told(NamedTuple):
    """What was found of a collection, as JSON values and in words."""

    name: str
    facts: dict[str, Any]
    text: str


def one_document(told: Sequence[Told]) -> str:
    """The facts themselves where there is one collection, else a list of them by name."""
    facts = told[0].facts if len(told) == 1 else {"collections": [{"name": one.name, **one.facts} for one in told]}
    return json.dumps({"schema_version": 1, **facts}, indent=2) + "\n"


def one_text(told: Sequence[Told]) -> str:
    """The text itself where there is one collection, else each below its name."""
    from mrl_sweep.report.render.escape import plain

    if len(told) == 1:
        return told[0].text + "\n"
    return "\n\n".join(f"{plain(one.name)}\n{one.text}" for one in told) + "\n"
