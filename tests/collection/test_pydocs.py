"""The packaged collection: real text, an honest question set, the same bytes every time."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from mrl_sweep.collection import load_collection
from mrl_sweep.demo.corpus import corpus
from mrl_sweep.demo.entries import DemoQuestion, read_questions, resolve, words
from mrl_sweep.demo.harvest import harvest
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

DIGEST = """
import hashlib, sys
from mrl_sweep.collection import load_collection
c = load_collection("pydocs")
h = hashlib.sha256()
for part in (c.documents.ids, c.documents.texts(), c.queries.ids, c.queries.texts):
    for text in part:
        h.update(text.encode("utf-8", "surrogatepass") + b"\\0")
h.update(c.qrels.offsets.tobytes() + c.qrels.rows.tobytes() + c.qrels.grades.tobytes())
print(h.hexdigest(), sorted({"torch", "sentence_transformers", "transformers", "faiss"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def pydocs() -> Collection:
    return load_collection("pydocs")


def answers(collection: Collection, query: str) -> dict[str, int]:
    at = collection.queries.ids.index(query)
    start, stop = collection.qrels.offsets[at : at + 2]
    rows, grades = collection.qrels.rows[start:stop], collection.qrels.grades[start:stop]
    return {collection.documents.ids[int(row)]: int(grade) for row, grade in zip(rows, grades, strict=True)}


def text_of(collection: Collection, name: str) -> str:
    row = list(collection.documents.ids).index(name)
    return next(iter(collection.documents.texts(row, row + 1)))


# --- the whole collection ---------------------------------------------------------------------------------------------


def test_there_are_thousands_of_documents_with_names_of_their_own(pydocs: Collection) -> None:
    ids = list(pydocs.documents.ids)
    assert len(ids) > 8000
    assert ids == sorted(set(ids))
    assert {"os.replace", "pandas.DataFrame.merge", "str.split", "numpy.ndarray.reshape", "json.dumps", "collections"} <= set(ids)


def test_a_document_is_its_name_its_call_and_its_docstring(pydocs: Collection) -> None:
    assert text_of(pydocs, "os.replace").startswith(
        "os.replace os.replace(src, dst, src_dir_fd, dst_dir_fd)\nRename a file or directory, overwriting the destination."
    )
    row = list(pydocs.documents.ids).index("os.replace")
    assert pydocs.documents.titles([row]) == ["os.replace"]


def test_private_tests_and_vendored_names_stay_out(pydocs: Collection) -> None:
    for name in pydocs.documents.ids:
        assert not any(part.startswith("_") for part in name.split(".")), name
        assert not {"tests", "idlelib", "lib2to3", "turtledemo"} & set(name.split(".")), name


def test_a_summary_that_asks_is_not_in_the_documents_it_asks_for(pydocs: Collection) -> None:
    texts = list(pydocs.documents.texts())
    asked = 0
    for query, text, metadata in zip(range(len(pydocs.queries)), pydocs.queries.texts, pydocs.queries.metadata, strict=True):
        if metadata["style"] == "known-item":
            sentence = f" {' '.join(words(text))} "
            for row in pydocs.qrels.rows[pydocs.qrels.offsets[query] : pydocs.qrels.offsets[query + 1]]:
                asked += 1
                assert sentence not in f" {' '.join(words(texts[row]))} ", (text, pydocs.documents.ids[int(row)])
    assert asked >= 1000


def test_a_known_item_is_not_asked_by_its_name(pydocs: Collection) -> None:
    for query, text in zip(pydocs.queries.ids, pydocs.queries.texts, strict=True):
        if query.startswith("known-item:"):
            own = " ".join(words(query.rpartition(".")[2].removeprefix("known-item:").replace("_", " ")))
            assert f" {own} " not in f" {' '.join(words(text))} ", query


def test_no_query_is_asked_twice_with_other_answers(pydocs: Collection) -> None:
    repeated = [text for text, count in Counter(map(words, pydocs.queries.texts)).items() if count > 1]
    assert repeated == []


def test_every_judged_object_is_there_in_this_environment(pydocs: Collection) -> None:
    assert corpus(installed=False).absent == 0
    assert "pydocs-absent" not in {remark.code for remark in pydocs.warnings}
    assert (pydocs.qrels.rows >= 0).all()


def test_documents_that_answer_a_question_keep_their_summary(pydocs: Collection) -> None:
    known: set[int] = set()
    judged: set[int] = set()
    for query, row in zip(pydocs.qrels.queries, pydocs.qrels.rows, strict=True):
        (known if pydocs.queries.metadata[query]["style"] == "known-item" else judged).add(int(row))
    assert known.isdisjoint(judged)


def test_splits_share_the_documents_and_divide_the_queries(pydocs: Collection) -> None:
    items = load_collection("pydocs", split="known-item")
    questions = load_collection("pydocs", split="questions")
    assert list(items.documents.ids) == list(questions.documents.ids) == list(pydocs.documents.ids)
    assert items.queries.ids + questions.queries.ids == pydocs.queries.ids
    assert {metadata["style"] for metadata in items.queries.metadata} == {"known-item"}
    assert "known-item" not in {metadata["style"] for metadata in questions.queries.metadata}
    assert load_collection("pydocs", split="test").queries.ids == pydocs.queries.ids


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        load_collection("pydocs", split="train")
    assert caught.value.message == "pydocs has no split train"
    assert caught.value.hint == "--split test or --split known-item or --split questions"


def test_queries_say_how_they_ask_and_of_what(pydocs: Collection) -> None:
    for metadata in pydocs.queries.metadata:
        assert metadata["kind"] in {"class", "function", "method", "module", "property"}
        assert metadata["package"] in pydocs.facts["versions"]
        assert ("topic" in metadata) == (metadata["style"] != "known-item")


def test_versions_of_python_and_of_every_package_are_recorded(pydocs: Collection) -> None:
    versions = pydocs.facts["versions"]
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["numpy"] == np.__version__
    assert "unknown" not in versions.values()


def test_processes_with_other_hashes_and_surroundings_give_the_same_bytes_and_need_no_model() -> None:
    surroundings = (
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4711", "LC_ALL": "C", "TZ": "Asia/Tokyo", "COLUMNS": "40"},
    )
    command = [sys.executable, "-c", DIGEST]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more}) for more in surroundings
    ]
    one, other = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert one == other
    assert one.strip().endswith(" []")


def test_stripped_docstrings_are_an_input_error() -> None:
    code = (
        "from mrl_sweep.errors import InputError\nfrom mrl_sweep.collection import load_collection\n"
        "try:\n    load_collection('pydocs')\nexcept InputError as error:\n    print(error.message, '|', error.hint)"
    )
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "pydocs is made of docstrings, and this Python strips them | run without -OO and without PYTHONOPTIMIZE=2"
    )


def test_the_larger_corpus_adds_what_other_packages_say(monkeypatch: pytest.MonkeyPatch, pydocs: Collection) -> None:
    monkeypatch.setattr("mrl_sweep.demo.harvest.packages_distributions", lambda: {"pluggy": ["pluggy"]})
    larger = corpus.__wrapped__(installed=True)
    names = [found.name for found in larger.entries]
    assert names == sorted(set(names))
    assert set(names) - set(pydocs.documents.ids) == {name for name in names if name.startswith("pluggy")}
    assert "pluggy.PluginManager.register" in names
    assert larger.facts["versions"]["pluggy"] == version("pluggy")


def test_what_another_package_puts_into_a_class_is_not_the_class_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def warning_once(self: logging.Logger, *args: object) -> None:
        """Says a warning once, however often the very same words are given again to this logger."""

    plain, _ = harvest(["logging"])
    warning_once.__module__ = "transformers.utils.logging"
    monkeypatch.setattr(logging.Logger, "warning_once", functools.lru_cache(None)(warning_once), raising=False)
    assert harvest(["logging"])[0] == plain


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


def test_a_question_is_judged_by_its_file(pydocs: Collection) -> None:
    assert answers(pydocs, "q001") == {
        "os.rename": 2,
        "os.replace": 2,
        "pathlib.Path.rename": 2,
        "pathlib.Path.replace": 2,
        "shutil.move": 1,
    }


def test_answers_resolve_once_and_absent_ones_are_counted() -> None:
    question = DemoQuestion("q", "?", "goal", "files", {"a.old": 1, "a.new": 2, "a.gone": 2})
    assert resolve([question], {"a.old": 5, "a.new": 5}) == ([(question, {5: 2})], 1)


def test_a_question_that_loses_its_answers_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus(installed=False)
    first = next(asked for asked in whole.queries if not asked.is_known_item)
    asked = tuple(replace(query, grades={}) if query is first else query for query in whole.queries)
    poorer = replace(whole, queries=asked, absent=5)
    monkeypatch.setattr("mrl_sweep.demo.corpus.corpus", lambda **_: poorer)
    found = load_collection("pydocs", split="questions")
    assert len(found.queries) == len(read_questions()) - 1
    assert found.excluded == {"judgments_of_absent_objects": 5, "questions_without_answer": 1}
    assert [(remark.code, remark.message) for remark in found.warnings] == [
        (
            "pydocs-absent",
            "5 judged objects are not in these versions of Python and its packages; 1 question is left out",
        )
    ]
    assert load_collection("pydocs", split="known-item").excluded == {}
