"""How pydocs was made: what becomes a document or a known-item query, how packages are harvested, what its questions ask."""

from __future__ import annotations

import functools
import gzip
import logging
import platform
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from benchmarks.pydocs.entries import (
    DemoQuestion,
    Entry,
    clean,
    grades_of,
    known_items,
    merged,
    read_questions,
    split_summary,
    words,
)
from benchmarks.pydocs.harvest import harvest, harvest_installed, harvest_sources, module_names
from mrl_sweep.demo import FOLDER

ROOT: Final = Path(__file__).parents[1]

SPOKEN: Final = re.compile(r"^(\w[\w.]*) +(\d[\d.]*) ", re.MULTILINE)
"""A package and its version in the collection's NOTICE."""

# --- summaries and known items ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "summary", "rest"),
    [
        ("Do this. And that.", "Do this.", "And that."),
        ("Do this\nover lines.\n\nMore.", "Do this over lines.", "More."),
        ("S.find(sub) -> int\n\nReturn the index.\n\nMore.", "Return the index.", "S.find(sub) -> int\n\nMore."),
        ("f(x)\nReturn it. Then more.", "Return it.", "f(x)\n\nThen more."),
        ("Use e.g. A. B follows.", "Use e.g. A. B follows.", ""),
        ("Open ``it`` with :func:`os.open`.", "Open it with os.open.", ""),
        ("Parameters\n----------\nx : int", "", "Parameters\n----------\nx : int"),
    ],
)
def test_summary_is_the_first_sentence_of_prose(doc: str, summary: str, rest: str) -> None:
    assert split_summary(doc) == (summary, rest)


def test_examples_references_and_addresses_are_no_prose() -> None:
    doc = """Do it <object at 0x7f00>.

    Examples
    --------
    >>> f(1)
    2

    Notes
    -----
    Stays.

    References
    ----------
    .. [1] A book.
    """
    assert clean(doc) == "Do it <object>.\n\nNotes\n-----\nStays."


REST = "Then come " + " ".join(f"word{i}" for i in range(20))


def entry(name: str, doc: str) -> Entry:
    return Entry(name, "function", "python", f"{name}()", doc)


def test_a_shared_summary_has_all_its_objects_as_answers() -> None:
    entries = [entry("a.one", f"Turn this into that here. {REST}"), entry("b.two", f"Turn this into that here. Also {REST}")]
    items, bodies, _ = known_items(entries, kept_whole=frozenset())
    assert [(item.text, item.rows) for item in items] == [("Turn this into that here.", (0, 1))]
    assert bodies == {0: REST, 1: f"Also {REST}"}


@pytest.mark.parametrize(
    ("doc", "reason"),
    [
        (f"Too short. {REST}", "summary too short or too long"),
        (f"It will rename one thing there. {REST}", "summary names its object"),
        ("Turn this into that here. Few words left.", "too little left without the summary"),
        (f"Turn this into that here. {REST} Turn this into that here!", "summary repeated further down"),
        (f"A deprecated way to turn this. {REST}", "alias or deprecated"),
    ],
)
def test_a_summary_that_gives_itself_away_is_not_asked(doc: str, reason: str) -> None:
    items, bodies, unused = known_items([entry("os.rename", doc)], kept_whole=frozenset())
    assert (items, bodies, unused[reason]) == ([], {}, 1)


def test_a_summary_of_many_objects_is_not_asked() -> None:
    entries = [entry(f"a.f{i}", f"Turn this into that here. {REST} {i}") for i in range(5)]
    items, _, unused = known_items(entries, kept_whole=frozenset())
    assert (items, unused["summary shared by many"]) == ([], 5)


def test_documents_kept_whole_are_not_asked_for() -> None:
    items, _, unused = known_items([entry("a.one", f"Turn this into that here. {REST}")], kept_whole=frozenset({0}))
    assert (items, unused["judged by a question"]) == ([], 1)


def test_the_draw_of_known_items_does_not_depend_on_the_others() -> None:
    entries = [entry(f"a.f{i}", f"Turn number {'x' * (i + 1)} into that here. {REST}") for i in range(40)]
    few, _, unused = known_items(entries, kept_whole=frozenset(), limit=10)
    more, _, _ = known_items(entries, kept_whole=frozenset(), limit=20)
    assert unused["not drawn"] == 30
    assert {item.text for item in few} < {item.text for item in more}


def test_equal_texts_under_one_last_name_are_one_document() -> None:
    siblings = [entry("p.A.resize", "Make it larger now."), entry("p.B.resize", "Make it larger now."), entry("p.grow", "Other.")]
    assert list(merged(siblings)) == [
        Entry("p.A.resize", "function", "python", "p.A.resize()", "Make it larger now.", ("p.B.resize",)),
        siblings[2],
    ]


# --- harvesting -------------------------------------------------------------------------------------------------------


def test_members_of_a_private_base_belong_to_the_public_class() -> None:
    by_name = {found.name: found for found in harvest(["socket", "pandas"])}
    assert "socket.socket.connect" in by_name
    assert by_name["pandas.DataFrame.head"].signature == "pandas.DataFrame.head(n)"
    assert "pandas.Series.head" in by_name["pandas.DataFrame.head"].aliases
    assert by_name["pandas.Series.str.split"].kind == "method"


def test_an_inherited_docstring_makes_no_document() -> None:
    names = {found.name for found in harvest(["collections", "builtins"])}
    assert "dict.get" in names
    assert "collections.OrderedDict.get" not in names


def test_modules_are_named_once() -> None:
    assert [name for name, count in Counter(module_names()).items() if count > 1] == []


def test_sources_are_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "planted_package"
    (folder / "_inner").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "__init__.py").write_text('"""A package that was planted."""\nraise RuntimeError("imported")\n')
    (folder / "_inner" / "_deep.py").write_text(
        "class Thing:\n"
        '    """A thing to look at."""\n'
        "    def __init__(self, size, *, colour=None, **rest): ...\n"
        "    @property\n"
        "    def weight(self):\n"
        '        """How heavy it is."""\n'
        "    def _hidden(self):\n"
        '        """Nobody should see this."""\n'
    )
    (folder / "tests" / "test_it.py").write_text('def check():\n    """Not of the public."""\n')
    (folder / "broken.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [(found.name, found.kind, found.signature) for found in harvest_sources(["planted_package", "json"])] == [
        ("planted_package", "module", "planted_package"),
        ("planted_package.Thing", "class", "planted_package.Thing(size, colour, rest)"),
        ("planted_package.Thing.weight", "property", "planted_package.Thing.weight()"),
    ]


def test_the_larger_corpus_adds_what_other_packages_say() -> None:
    names = [found.name for found in harvest_installed(["pluggy", "numpy"])]
    assert names == sorted(set(names))
    assert {name for name in names if name.startswith("pluggy")} == set(names) - {found.name for found in harvest(module_names())}
    assert "pluggy.PluginManager.register" in names


def test_what_another_package_puts_into_a_class_is_not_the_class_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def warning_once(self: logging.Logger, *args: object) -> None:
        """Says a warning once, however often the very same words are given again to this logger."""

    plain = harvest(["logging"])
    warning_once.__module__ = "transformers.utils.logging"
    monkeypatch.setattr(logging.Logger, "warning_once", functools.lru_cache(None)(warning_once), raising=False)
    assert harvest(["logging"]) == plain


def test_what_was_packaged_is_made_again_where_the_same_versions_are_installed(tmp_path: Path) -> None:
    """In a process of its own: what other tests import (torch) puts functions of its own into the standard library."""
    spoken = dict(SPOKEN.findall((FOLDER / "NOTICE").read_text("utf-8")))
    installed = {name: platform.python_version() if name == "Python" else version(name) for name in spoken}
    if sys.platform != "linux" or installed != spoken:
        pytest.skip("pydocs was made of other versions")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.pydocs", str(tmp_path)], cwd=ROOT, check=True, capture_output=True, timeout=1800
    )
    made = {file.relative_to(tmp_path): gzip.decompress(file.read_bytes()) for file in tmp_path.rglob("*.gz")}
    assert made == {file.relative_to(FOLDER): gzip.decompress(file.read_bytes()) for file in FOLDER.rglob("*.gz")}


# --- the questions ----------------------------------------------------------------------------------------------------


def test_questions_are_many_and_asked_in_several_styles() -> None:
    questions = read_questions()
    assert len(questions) >= 400
    styles = Counter(question.style for question in questions)
    assert set(styles) == {"goal", "symptom", "keyword", "comparison", "concept"}
    assert min(styles.values()) >= 25
    assert len({question.topic for question in questions}) == 13


def test_every_question_is_well_formed() -> None:
    questions = read_questions()
    assert len({question.id for question in questions}) == len({question.text for question in questions}) == len(questions)
    for question in questions:
        assert question.text == question.text.strip()
        assert 1 <= len(question.answers) <= 6, question.id
        assert set(question.answers.values()) <= {1, 2}, question.id
        assert 2 in question.answers.values(), question.id


def test_questions_answer_from_what_every_supported_version_has() -> None:
    for question in read_questions():
        for name in question.answers:
            assert name.partition(".")[0] not in {"pyarrow", "pydantic", "rich", "typer", "jinja2", "scipy"}, name


def test_few_questions_hold_the_name_of_their_answer() -> None:
    questions = read_questions()
    told = [
        question.id
        for question in questions
        if any(f" {name.rpartition('.')[2].casefold()} " in f" {' '.join(words(question.text))} " for name in question.answers)
    ]
    assert len(told) < 0.12 * len(questions)


def test_two_names_of_one_object_are_one_answer_with_the_higher_grade() -> None:
    question = DemoQuestion("q", "?", "goal", "files", {"a.old": 1, "a.new": 2})
    assert grades_of(question, {"a.old": 5, "a.new": 5}) == {5: 2}
    with pytest.raises(KeyError, match=r"a\.new"):
        grades_of(question, {"a.old": 5})
