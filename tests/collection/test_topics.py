"""TREC topics in the layouts in which they are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrl_sweep.collection.queries import read_topics
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.errors import InputError

OLD = """<top>
<head> Tipster Topic Description
<num> Number:  051
<dom> Domain:  International Economics
<title> Topic:  Airbus Subsidies &amp; Boeing

<desc> Description:

Document will discuss government assistance
to Airbus.

<narr> Narrative:
A relevant document will cite ...
</top>

<top>
<num> Number: 301
<title> International Organized Crime
</top>
"""
CLOSED = "<top>\n<num>MB001</num>\n<title>BBC World Service cuts</title>\n<querytime>Tue</querytime>\n</top>\n"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topics [<!ENTITY a "x">]>
<topics task="x">
  <topic number="1" type="diagnosis"><query>origin  of
     covid</query><question>what is the origin</question></topic>
  <topic number="2"><question>weather</question></topic>
</topics>
"""


def read(tmp_path: Path, content: str, **asked: str) -> list[Query]:
    path = tmp_path / "topics"
    path.write_bytes(content.encode())
    return list(read_topics(path, columns=asked, max_line_bytes=10_000))


def refused(tmp_path: Path, content: str, **asked: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, **asked)
    return caught.value


def test_blocks_with_open_tags(tmp_path: Path) -> None:
    assert read(tmp_path, OLD) == [
        Query("051", "Airbus Subsidies & Boeing", {}, 1),
        Query("301", "International Organized Crime", {}, 16),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_with_closed_tags(tmp_path: Path, end: str) -> None:
    assert [query[:2] for query in read(tmp_path, CLOSED.replace("\n", end))] == [("MB001", "BBC World Service cuts")]


def test_another_part_may_be_the_question(tmp_path: Path) -> None:
    first = OLD.partition("<top>\n<num> Number: 301")[0]
    assert read(tmp_path, first, text="desc")[0].text == "Document will discuss government assistance to Airbus."
    assert read(tmp_path, first, text="narrative")[0].text == "A relevant document will cite ..."
    error = refused(tmp_path, OLD, text="description")
    assert error.message.endswith("topics:16: topic 301 has no description; its parts are title")


def test_xml_topics_with_attributes_as_metadata(tmp_path: Path) -> None:
    assert read(tmp_path, XML) == [Query("1", "origin of covid", {"type": "diagnosis"}, 1), Query("2", "weather", {}, 2)]
    assert [query.text for query in read(tmp_path, XML, text="question")] == ["what is the origin", "weather"]


def test_xml_topics_that_are_plain_text(tmp_path: Path) -> None:
    assert [query[:2] for query in read(tmp_path, '<topics><topic number="1">a 58-year-old</topic></topics>')] == [
        ("1", "a 58-year-old")
    ]


def test_xml_topics_with_the_number_as_an_element(tmp_path: Path) -> None:
    assert [q[:2] for q in read(tmp_path, "<topics>\n<topic><num>4</num><title>t</title></topic></topics>")] == [("4", "t")]


@pytest.mark.parametrize(
    "text",
    [
        "1\twhat is it\n",
        "\ufeffqid\tquery\n1\twhat is it\n",
        '{"qid": 1, "query": "what is it"}\n',
        '{"_id": "1", "text": "what is it"}',
    ],
)
def test_one_line_a_topic(tmp_path: Path, text: str) -> None:
    assert [query[:2] for query in read(tmp_path, text)] == [("1", "what is it")]


def test_other_json_fields_become_metadata(tmp_path: Path) -> None:
    assert read(tmp_path, '{"qid": "1", "query": "q", "lang": "de", "vector": [1]}')[0].metadata == {"lang": "de"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<top>\n<title> x\n</top>\n", "topics:1: this topic has no number"),
        ("<top>\n<num> 1\n</top>\n", "topics:1: topic 1 has no text; its parts are none"),
        (CLOSED + "stray\n", "topics:6: text outside of a topic: stray"),
        (CLOSED + "<top>\n<num> 2\n", "topics:6: this topic has no </top>"),
        ("<topics>\n<topic number='1'>", "topics:2: not XML: "),
        ("<topics></topics>", "topics holds no <topic> element"),
        ("no tabs here\n", "topics:1: not a topic: no tabs here"),
        ("1\ta\tb\n", "topics:1: 3 columns between tabs; expected 2 (id, text)"),
        ("1\ta\n2\tb\tc\n", "topics:2: 3 columns where 2 are expected (id, text)"),
        ('{"qid": "1"}\n', "topics:1: no column is known to hold the text; the columns are qid"),
    ],
)
def test_what_is_no_topic_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text).message


def test_an_empty_file_holds_no_topics(tmp_path: Path) -> None:
    assert read(tmp_path, "\n\n") == []
