"""Judgment files are told by their content, and no line is skipped blindly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrl_sweep.collection.reading import qrels
from mrl_sweep.collection.reading.qrels import Judgment, grade_of, read_qrels
from mrl_sweep.errors import InputError

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\ufeff"), min_size=1, max_size=8)


def read(tmp_path: Path, text: str, **options: int) -> list[Judgment]:
    path = tmp_path / "test.tsv"
    path.write_bytes(text.encode())
    return judgments_in(path, **options)


def judgments_in(path: Path, **options: int) -> list[Judgment]:
    """The file's judgments, one by one."""
    return [
        Judgment(block.queries[query], block.documents[document], grade, number)
        for block in read_qrels(path, max_line_bytes=1000, **options)
        for query, document, grade, number in zip(*(column.tolist() for column in block[2:]), strict=True)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "q1\td1\t2\nq2\td2\t0\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t0\n",
        "q1 0 d1 2\nq2 0 d2 0\n",
        "q1\t0\td1\t2\nq2\t0\td2\t0",
        "q1   Q0 \t d1    2\nq2 Q0 d2 0\r\n",
        "\ufeffq1\td1\t2\r\n\r\nq2\td2\t0\r\n",
        "query_id iteration doc_id relevance\nq1 0 d1 2\nq2 0 d2 0\n",
        "corpus-id\tquery-id\tscore\nd1\tq1\t2\nd2\tq2\t0\n",
        "q1\td1\t2.0\nq2\td2\t0.0\n",
        "q1\td1\t+2\nq2\td2\t00\n",
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    assert [judgment[:3] for judgment in read(tmp_path, text)] == [("q1", "d1", 2), ("q2", "d2", 0)]


def test_line_numbers_count_every_line(tmp_path: Path) -> None:
    assert [j.number for j in read(tmp_path, "query-id\tcorpus-id\tscore\n\nq1\td1\t1\n")] == [3]


def test_ids_between_tabs_keep_their_spaces(tmp_path: Path) -> None:
    assert read(tmp_path, "my query\t d 1 \t1\n") == [Judgment("my query", " d 1 ", 1, 1)]


def test_an_id_that_is_a_space_is_a_column(tmp_path: Path) -> None:
    assert read(tmp_path, "q\t0\t \t1\n") == [Judgment("q", " ", 1, 1)]


def test_a_tab_at_the_end_is_no_column(tmp_path: Path) -> None:
    assert read(tmp_path, "q\td\t1\t\n") == [Judgment("q", "d", 1, 1)]


def test_a_judgment_in_the_first_line_is_not_taken_for_a_header(tmp_path: Path) -> None:
    assert read(tmp_path, "query\tdoc\t1\n") == [Judgment("query", "doc", 1, 1)]


@given(st.lists(st.tuples(IDS, IDS, st.integers(-5, 2**31 - 1)), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_what_is_written_with_tabs_is_read_back(
    tmp_path: Path, judgments: list[tuple[str, str, int]], header: bool, trec: bool
) -> None:
    lines = ["\t".join([query, *["0"] * trec, document, str(grade)]) for query, document, grade in judgments]
    top = ["\t".join(["query-id", *["iteration"] * trec, "corpus-id", "score"])] if header else []
    read_back = read(tmp_path, "".join(line + "\n" for line in top + lines))
    assert [judgment[:3] for judgment in read_back] == judgments


LINES = st.sampled_from(
    [
        *(
            "q1\td1\t1\n",
            "q2\td\u00e4\t2\n",
            "q1\td2\t0\r\n",
            "q1 d3 1\n",
            "q1 0 d4 1\n",
            "q1\t0\td5\t1\n",
            "q1  d6 1\n",
            "q1  d7\n",
        ),
        *(" q d8 1\n", "\n", " \n", "\t\t\n", "\t0\td9\t1\n", "q\t\td10\t1\n", "\td11\t1\n", "q\td12\tx\n", "q\td13\t 1 \n"),
        *(
            "query-id\tcorpus-id\tscore\n",
            "\ufeffq1\td14\t1\n",
            "q\rq\td15\t1\n",
            "q\td16\t1",
            f"q\t{'d' * 1000}\t1\n",
            "q\u00a01\td\t1\n",
        ),
    ]
)


def outcome(path: Path, **options: int) -> list[Judgment] | str:
    try:
        return judgments_in(path, **options)
    except InputError as error:
        return str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINES, max_size=6),
    usual=LINES,
    block_bytes=st.sampled_from([1, 20, 10**6]),
    broken=st.booleans(),
    by_arrow=st.booleans(),
)
def test_blocks_hold_what_the_lines_hold(
    tmp_path: Path, lines: list[str], usual: str, block_bytes: int, broken: bool, by_arrow: bool
) -> None:
    path = tmp_path / "test.tsv"
    path.write_bytes((usual * 3 + "".join(lines)).encode() + b"q\td\xff\t1\n" * broken)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qrels, "_plain", lambda *_: None)
        one_by_one = outcome(path, block_bytes=block_bytes)
    assert outcome(path, block_bytes=block_bytes, arrow_bytes=0 if by_arrow else 10**9) == one_by_one


@pytest.mark.parametrize("between", ["\t", " "])
@pytest.mark.parametrize("reader", ["_by_arrow", "_by_hand"])
def test_plain_lines_are_read_in_blocks(tmp_path: Path, between: str, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qrels, "_one_by_one", None)
    monkeypatch.setattr(qrels, {"_by_arrow": "_by_hand", "_by_hand": "_by_arrow"}[reader], None)
    text = "".join(between.join((f"q{i}", "0", f"d{i}", str(i % 3))) + "\r\n" for i in range(100))
    arrow_bytes = 0 if reader == "_by_arrow" else 10**9
    assert read(tmp_path, text, arrow_bytes=arrow_bytes) == [Judgment(f"q{i}", f"d{i}", i % 3, i + 1) for i in range(100)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1\td1\t1.7\n", r"test.tsv:1: a grade must be a whole number, this one is \"1.7\""),
        ("q1\td1\t1\nq1\td2\tyes\n", r"test.tsv:2: a grade must be a whole number, this one is \"yes\""),
        ("q1\td1\t1\nq1\td2\t\n", r"test.tsv:2: a grade must be a whole number, this one is empty"),
        ("q1\td1\t1\nq1\td2\t2147483648\n", r"test.tsv:2: the grade 2147483648 is beyond 2,147,483,647"),
        ("q1\td1\t1\nq1\td2\t1e3\n", r"test.tsv:2: a grade must be a whole number"),
        ("q1\td1\t1\nq1\td2\tnan\n", r"test.tsv:2: a grade must be a whole number"),
        ("q1\td1\t1\nquery-id\tcorpus-id\tscore\n", r"test.tsv:2: a grade must be a whole number, this one is \"score\""),
        ("query-id\tpapers\tscore\n", r"test.tsv:1: neither a judgment nor a header that is understood"),
        ("q1\td1\n", r"test.tsv:1: 2 columns, 3 or 4 are needed: q1\\td1"),
        ("q1\td1\t1\nq1\t0\td2\t1\n", r"test.tsv:2: 4 columns where the first line has 3"),
        ("q1 0 d1 1\nq1 d2 1\n", r"test.tsv:2: 3 columns where the first line has 4"),
        ("q1\td1\t1\n\td2\t1\n", r"test.tsv:2: an id is empty"),
    ],
)
def test_what_is_no_judgment_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(("value", "grade"), [(3, 3), (-1, -1), (2.0, 2), ("2", 2), (" 2.0 ", 2), (True, 1)])
def test_grades(value: object, grade: int) -> None:
    assert grade_of(value, "here") == grade


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), None, "", "1,5", "١"])
def test_other_grades_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="here: a grade must be a whole number"):
        grade_of(value, "here")
