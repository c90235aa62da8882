"""Progress is for terminals, notes for people, timings for those who ask."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.events import Event, Note, Progress, Stage, Timing

EVENTS: list[Event] = [
    Note("5,183 documents\x1b[31m"),
    Progress("embedding", 10, 100, "texts", "nDCG@10 so far 0.51"),
    Progress("embedding", 100, 100, "texts"),
    Timing("embedding", 1.234),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def heard(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, quiet: int = 0, verbose: int = 0) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with listening(Invocation((), quiet=quiet, verbose=verbose)) as on_event:
        for event in EVENTS:
            on_event(event)
    return stream.getvalue()


def test_in_a_pipe_there_is_no_bar_and_nothing_a_terminal_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, io.StringIO()) == "5,183 documents\\x1b[31m\n"


def test_verbose_tells_how_long_each_stage_took(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, io.StringIO(), verbose=1) == "5,183 documents\\x1b[31m\nembedding: 1.23 s\n"


def test_quiet_says_nothing_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, Terminal(), quiet=1) == ""


def test_a_terminal_shows_stage_count_and_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shown = heard(monkeypatch, Terminal())
    assert "embedding" in shown
    assert "100/100" in shown


def test_a_terminal_says_what_is_done_from_the_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with listening(Invocation(())) as on_event:
        assert stream.getvalue() == "start ..."
        on_event(Stage("start the model"))
        on_event(Note("300 queries"))
    line = "\r\x1b[2K"
    assert stream.getvalue() == f"start ...{line}start the model ...{line}300 queries\nstart the model ...{line}"


def test_markup_in_user_text_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with listening(Invocation(())) as on_event:
        on_event(Progress("reading [/data/x]", 1, 2, "lines", "[/data/y]"))
        on_event(Note("[/data/z]"))
    assert "[/data/z]" in stream.getvalue()


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = (
        "import sys\nfrom mrl_sweep.cli.invocation import Invocation\nfrom mrl_sweep.cli.console import listening\n"
        "from mrl_sweep.events import Progress\n"
        "with listening(Invocation(())) as on_event: on_event(Progress('a', 1, 2, 'b'))\n"
        "print('rich.progress' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
