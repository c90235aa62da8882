"""Escapes other people's text for each place that shows it: ids, titles, queries and fields may hold anything."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the reading direction of what follows, which can make a line say another thing than it holds."""

_BREAK: Final = "\u200b"
"""Zero-width space: breaks a word that some page would turn into a mention, without showing."""

_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_[]~$|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})
_MARKDOWN_LINK: Final = re.compile(
    r"(?:(?<=^[@#])|(?<=[^A-Za-z0-9][@#]))(?=\w)"  # @name, #12
    r"|(?<=@)(?=\w+\.\w)"  # name@host.org
    r"|(?<=:)(?=//|[\w+-]+:)"  # https://, :emoji:
    r"|(?<=www)(?=\.)",
    re.IGNORECASE,
)
_MARKDOWN_START: Final = re.compile(r"^(\d*)((?<!\d)[#+=-](?=[\s#+=-]|$)|(?<=\d)[.)](?=\s|$))")
_GITHUB_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_GITHUB_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def plain(text: str) -> str:
    """Makes text one printable line: controls, ANSI sequences, line breaks, direction marks and lone surrogates are spelled out.

    `a\\x1b[31mb` becomes the eight visible characters `\\x1b[31m` between `a` and `b`.
    """
    if text.isprintable() and not _BIDI.intersection(text):
        return text
    return "".join(_spelled(c) if _acts(c) else c for c in text)


def terminal(text: str, *, encoding: str = "utf-8") -> str:
    """Escapes as `plain` does, and spells out what the encoding of the terminal cannot hold, as `\\u2026`."""
    return plain(text).encode(encoding, "backslashreplace").decode(encoding)


def markdown(text: str) -> str:
    """Escapes text for inline Markdown, at the start of a line or in a table cell: no markup, HTML, link or mention."""
    shown = _MARKDOWN_LINK.sub(_BREAK, plain(text)).translate(_MARKDOWN)
    if shown.startswith(" "):
        shown = f"&#32;{shown[1:]}"
    return _MARKDOWN_START.sub(r"\1\\\2", shown)


def xml(text: str) -> str:
    """Makes text that XML 1.0 can hold; the writer still has to escape `<`, `>` and `&` (`xml.etree` does)."""
    return "".join(c if c not in "\ufffe\uffff" else _spelled(c) for c in plain(text))


def github_data(*lines: str) -> str:
    """Escapes the message of a GitHub workflow command: lines are joined by `%0A`, and none can start a command of its own."""
    return "%0A".join(_no_command(plain(line)).translate(_GITHUB_DATA) for line in lines)


def github_property(text: str) -> str:
    """Escapes a property (`title=…`) of a GitHub workflow command."""
    return _no_command(plain(text)).translate(_GITHUB_PROPERTY)


def github_line(text: str) -> str:
    """Escapes a line of the log so that the runner takes it for text, whatever it begins with."""
    shown = _no_command(plain(text))
    return f"{_BREAK}{shown}" if shown.lstrip().startswith("::") else shown


def _no_command(text: str) -> str:
    """Breaks the runner's old commands (`##[…]`), which are read anywhere in a line."""
    return text.replace("##[", f"#{_BREAK}#[")


def _acts(c: str) -> bool:
    return c in _BIDI or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")


def _spelled(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")
