"""How a table finds its place in a width: columns leave, words wrap, and no figure and no line is cut."""

from __future__ import annotations

import pytest

from mrl_sweep.report.content.layout import Article, Column, Section, Table, narrowest, widths
from mrl_sweep.report.render import Look, terminal

NAMES = Column(title="index", cells=("Flat", "HNSW32,efSearch=128"), right=False)
FIGURES = Column(title="size", cells=("34.5 MiB", "1,036.0 MiB"))
VERDICTS = Column(title="verdict", cells=("baseline, best by size", "not proven, needs ~17,000 queries"), right=False)
TABLE = Table.of([NAMES, FIGURES, VERDICTS])


@pytest.mark.parametrize(("column", "characters"), [(NAMES, 19), (FIGURES, 11), (VERDICTS, 9)])
def test_a_column_needs_its_figures_whole_and_its_longest_word(column: Column, characters: int) -> None:
    assert narrowest(column) == characters


@pytest.mark.parametrize(
    ("room", "given"),
    [
        (80, [19, 11, 33]),  # all of it
        (60, [19, 11, 26]),  # the verdict wraps
        (43, [19, 11, 9]),  # each word on a line of its own
        (10, [19, 11, 9]),  # what is too wide runs over, whole
    ],
)
def test_words_wrap_between_each_other_and_none_is_broken(room: int, given: list[int]) -> None:
    assert widths(TABLE, room, gap=2) == given


@pytest.mark.parametrize("width", [20, 45, 60, 80])
def test_every_word_of_a_table_is_found_whole_in_the_text(width: int) -> None:
    article = Article(title="t", document={}, closing=("Done.",), sections=(Section(title="Indexes", table=TABLE),))
    text = terminal.render_article(article, Look(width=width))
    assert max(map(len, text.splitlines())) <= max(width, 45)
    words = {word for column in TABLE.columns for cell in column.cells for word in cell.split(" ")}
    assert words - set(text.split()) == set()
