"""Each hint of the readers of collections is followed: its words lead to a collection that is read, or to a later message."""

from __future__ import annotations

import re
from pathlib import Path

import followed_hints as hints
import pytest
from followed_cases import CASES, Case, Try

from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.collection.reading.lines import _NO_LINES


def situation(case: Case, folder: Path) -> tuple[Try, hints.Met]:
    tried = Try(hints.saved(folder, case.files), case.spec.format(folder))
    named = dict(case.tried)
    tried = tried._replace(split=named.pop("split", None), options=LoadOptions(**named))
    met = hints.met(tried.load)
    assert met, "the situation is read"
    return tried, met


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    return tmp_path / "c"


@pytest.mark.parametrize("name", CASES)
def test_the_hint_leads_on(home: Path, name: str) -> None:
    case = CASES[name]
    tried, met = situation(case, home)
    assert re.search(case.says, met.error.message), met.error.message
    match = re.search(case.hint, met.error.hint)
    assert match, met.error.hint
    after = hints.met(case.follow(tried, match).load)
    if case.then:
        assert after
        assert re.search(case.then, after.error.message), after.error.message
    else:
        assert after is None, after


REASONS: dict[str, str] = {}
"""Hints that are not followed here: a piece of the call, and why."""


def test_every_hint_of_the_room_is_followed_or_has_a_reason(tmp_path: Path) -> None:
    places = []
    given = []
    for number, case in enumerate(CASES.values()):
        met = situation(case, tmp_path / str(number))[1]
        places.append(met.place)
        given.append(met.error.hint)
    assert hints.unfollowed(hints.sites("collection"), places, REASONS) == []
    assert [what for _, what, hint in _NO_LINES if not any(hint.partition("{")[0] in one for one in given)] == []
