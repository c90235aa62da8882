"""Other people's text comes back from independent parsers as text, in every format."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mrl_sweep.report.render import escape

anything = st.text(st.characters(exclude_categories=()), max_size=30)
signs = st.text("ab1 |\\`*_[]()<>!#~&;@:/.%-+=\n\r\x1b\x00", max_size=20)


class Words(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - html.parser calls it so
        self.tags.append(tag)


def parsed(html: str) -> Words:
    words = Words()
    words.feed(html)
    words.close()
    return words


@given(text=anything)
def test_plain_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    shown = escape.plain(text)
    assert {unicodedata.category(c) for c in shown}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert shown.splitlines() in ([shown], [])
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def test_plain_text_spells_out_what_it_takes_away() -> None:
    assert escape.plain("a\x1b[31mb\nc\ud800\u202e\u2028é漢\u3000") == "a\\x1b[31mb\\nc\\ud800\\u202e\\u2028é漢\u3000"


def test_a_terminal_gets_only_what_its_encoding_holds() -> None:
    assert escape.terminal("naïve 漢", encoding="ascii") == "na\\xefve \\u6f22"
    assert escape.terminal("naïve 漢", encoding="latin-1") == "naïve \\u6f22"


@given(text=anything | signs)
@example(text="    code")
@example(text="1) list")
@example(text="- list")
@example(text="===")
@example(text="a|b\\|c\\")
@example(text="&lt;b&gt;")
def test_markdown_shows_the_text_itself_in_a_table_and_at_the_start_of_a_line(text: str) -> None:
    safe = escape.markdown(text)
    wanted = escape.plain(text).strip(" ")
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for page, before in ((f"| h | i |\n| --- | --- |\n| {safe} | end |\n", ["h", "i"]), (f"{safe}\n", []), (f"- {safe}\n", [])):
        words = parsed(markdown.render(page))
        assert set(words.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li"}
        cells = [*before, wanted, "end"] if before else [wanted]
        found = "".join(words.text.split())
        assert found.replace("\u200b", "") == "".join("".join(cells).split()).replace("\u200b", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@admin", "@\u200badmin"),
        ("see #12", "see #\u200b12"),
        ("https://x.org", "https:\u200b//x.org"),
        ("a@x.org", "a@\u200bx.org"),
        (":smile:", ":\u200bsmile:"),
        ("www.x.org", "www\u200b.x.org"),
        ("nDCG@10, R@100", "nDCG@10, R@100"),
        ("a: b, 99.0%", "a: b, 99.0%"),
    ],
)
def test_markdown_makes_no_mention_link_or_emoji_of_it(text: str, shown: str) -> None:
    assert escape.markdown(text) == shown


@given(text=anything)
def test_xml_can_hold_every_text(text: str) -> None:
    root = ElementTree.Element("a", b=escape.xml(text))
    root.text = escape.xml(text)
    back = ElementTree.fromstring(ElementTree.tostring(root, encoding="unicode"))
    assert (back.text or "", back.get("b")) == (escape.xml(text), escape.xml(text))


def runner_reads(line: str) -> tuple[str, dict[str, str], str] | None:
    """A workflow command as GitHub's runner parses it, None for a plain line."""
    match = re.match(r"\s*::([\w-]+)(?: ([^:]*))?::(.*)$", line, re.DOTALL)
    if match is None:
        return None

    def plain(text: str) -> str:
        for code, sign in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
            text = text.replace(code, sign)
        return text

    pairs = (pair.split("=", 1) for pair in (match[2] or "").split(",") if "=" in pair)
    return match[1], {key: plain(value) for key, value in pairs}, plain(match[3])


@given(title=anything | signs, message=anything | signs)
@example(title="a,b=c::d", message="%0A::error::x\n::set-output name=a::b")
def test_a_github_command_holds_the_text_and_starts_no_other(title: str, message: str) -> None:
    line = f"::warning title={escape.github_property(title)}::{escape.github_data(message, 'second')}"
    assert "\n" not in line
    assert "\r" not in line
    assert "##[" not in line
    read = runner_reads(line)
    assert read is not None
    assert read[0] == "warning"
    assert read[1]["title"].replace("\u200b", "") == escape.plain(title).replace("\u200b", "")
    assert read[2].replace("\u200b", "") == escape.plain(message).replace("\u200b", "") + "\nsecond"


@given(text=anything | signs | st.just("::error::x") | st.just("  ::stop-commands::t"))
def test_a_line_of_the_github_log_is_never_a_command(text: str) -> None:
    line = escape.github_line(text)
    assert runner_reads(line) is None
    assert "##[" not in line
