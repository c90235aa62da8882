"""The packaged collection: real text, an honest question set, the same everywhere."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Final

import pytest
from reread import load_collection

from benchmarks.pydocs.entries import words
from mrl_sweep.collection import LoadOptions
from mrl_sweep.demo import FOLDER
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

PACKAGES: Final = {"python", "numpy", "pandas", "pyarrow", "jinja2", "pydantic", "rich", "typer", "platformdirs"}


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
        assert metadata["package"] in PACKAGES
        assert ("topic" in metadata) == (metadata["style"] != "known-item")


def test_a_question_is_judged_by_its_file(pydocs: Collection) -> None:
    assert answers(pydocs, "q001") == {
        "os.rename": 2,
        "os.replace": 2,
        "pathlib.Path.rename": 2,
        "pathlib.Path.replace": 2,
        "shutil.move": 1,
    }


def test_every_machine_has_the_same_texts_and_judgments(pydocs: Collection) -> None:
    digest = hashlib.sha256()
    for texts in (pydocs.documents.ids, pydocs.documents.texts(), pydocs.queries.ids, pydocs.queries.texts):
        for text in texts:
            digest.update(text.encode() + b"\0")
    assert digest.hexdigest() == "8483324c3b9b44a2293c2acda56e2e666cad64948e8de574a8614a2e2e69dbac"
    assert pydocs.facts["judgments_digest"] == "32a3bdd0bcda5d232f1a74044595e44f"


def test_a_report_names_it_and_not_where_it_is_installed(pydocs: Collection) -> None:
    unjudged = load_collection("pydocs", options=LoadOptions(label_free=True))
    for found in (pydocs, unjudged):
        assert (found.name, found.facts["source"]) == ("pydocs", "pydocs")
        assert "site-packages" not in repr(found.facts)
        assert "mrl_sweep" not in repr(found.facts)
    assert unjudged.queries.ids == pydocs.queries.ids


def test_whose_words_they_are_is_said_beside_them() -> None:
    notice = (FOLDER / "NOTICE").read_text("utf-8")
    assert {package for package in PACKAGES if package not in notice.casefold()} == set()
    named = set(re.findall(r"\b(?:PSF-2\.0|BSD-3-Clause|Apache-2\.0|MIT)\b", notice))
    assert {f"{licence}.txt" for licence in named} == {path.name for path in (FOLDER / "licenses").iterdir()}
