"""Each hint of the readers of collections is followed: its words lead to a collection that is read, or to a later message."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import followed_hints as hints
import pytest
from followed_cases import CASES, Case
from following import Try, parquet
from reread import load_collection
from test_siblings import BEIR, CORPUS, but

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


def changed(tried: Try, files: hints.Files) -> hints.Met:
    """What is told where the corpus changes between two readings."""
    loaded = load_collection(tried.spec)
    hints.saved(tried.folder, files)
    met = hints.met(lambda: list(loaded.documents.texts()))
    assert met, "the change is not seen"
    return met


def meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Try, hints.Met, str]]:
    """What happens while a collection is read: what it is, what is told, and the hint; then, it is read again."""
    table = but(BEIR, "corpus.jsonl", **{"corpus.parquet": parquet(id=["d0", "d1"], text=["a rain", "b"])})
    shorter = parquet(id=["d0"], text=["a rain"])
    judged = "q0\td0\t1\n"
    for number, (files, after) in enumerate(((BEIR, {"corpus.jsonl": CORPUS + "\n"}), (table, {"corpus.parquet": shorter}))):
        place = hints.saved(folder / f"changed{number}", {**files, "qrels/test.tsv": judged})
        tried = Try(place, str(place))
        yield tried, changed(tried, after), "run again when nothing writes to it"
    options = LoadOptions(mapped_bytes=0)
    tried = Try(hints.saved(folder / "small", BEIR), str(folder / "small"), options=options)
    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", no_space)
        met = hints.met(tried.load)
    assert met
    yield tried, met, "set (TMPDIR) to a larger folder"


def no_space(**_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_every_hint_of_the_room_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    given = []
    for number, case in enumerate(CASES.values()):
        met = situation(case, tmp_path / str(number))[1]
        places.append(met.place)
        given.append(met.error.hint)
    for tried, met, hint in meanwhile(tmp_path, monkeypatch):
        places.append(met.place)
        assert re.search(hint, met.error.hint), met.error.hint
        assert hints.met(tried.load) is None
    here = [site for site in hints.sites("collection") if site.path.name != "catalogues.py"]
    assert hints.unfollowed(here, places, {}) == []
    assert [what for _, what, hint in _NO_LINES if not any(hint.partition("{")[0] in one for one in given)] == []
