"""Output of a command: to stdout, or to a file that is checked before work starts and replaced in one step at its end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from mrl_sweep.cli.console import colours, write_line
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.errors import InputError
from mrl_sweep.settings.parsing import choice_of
from mrl_sweep.types import Format
from mrl_sweep.words import printable

if TYPE_CHECKING:
    from mrl_sweep.report.content.layout import Article
    from mrl_sweep.report.document import Report
    from mrl_sweep.settings.config import SweepConfig


FORMAT_OF: Final = {".json": "json", ".md": "markdown", ".html": "html", ".htm": "html", ".xml": "junit"}
"""The format that a file's name asks for where `--format` says nothing."""


class Output:
    """Shows a report or an article in the format asked for, on stdout or in the file that was checked for it.

    `file` None is stdout.
    """

    def __init__(self, invocation: Invocation, file: Path | None) -> None:
        self._invocation = invocation
        self.file = file
        self._format = choice_of(Format)(invocation.format)

    def show(self, document: Report | Article) -> None:
        """Writes the rendering; with `-o` it goes to the file, and a person still reads the sentence on stderr."""
        from mrl_sweep.report.render import Look, render

        talk = self._invocation
        kind = self._format
        if kind is Format.GITHUB:
            append_summary(render(document, Format.MARKDOWN))
        if self.file is not None:
            self.write(render(document, kind, Look(show=talk.show)))
            if talk.quiet < 2:
                write_line(sentence(document), sys.stderr)
        elif kind is not Format.TEXT:
            self.write(render(document, kind, Look(show=talk.show)))
        elif talk.quiet < 2:
            self.write(sentence(document) if talk.quiet else text_of(document, sys.stdout, talk.show))

    def write(self, text: str) -> None:
        """Writes the text as it is."""
        from mrl_sweep.files import write_text

        if self.file is None:
            write_line(text)
        else:
            write_text(self.file, text)


def prepare_output(
    invocation: Invocation, settings: SweepConfig, inputs: Iterable[Path], formats: Sequence[str] | None = None
) -> Output:
    """Returns the output of this call. Raises InputError where it cannot be written, is an input, or has none of `formats`."""
    file = _checked(invocation, settings.run.output, inputs)
    if formats is not None and invocation.format not in formats:
        raise InputError(f"there is no {invocation.format} format here", f"--format {', '.join(formats)}")
    return Output(invocation, file)


def formats_of(names: Collection[str]) -> Sequence[str] | None:
    """Returns the formats of an article on several runs; None for one run, whose report has all formats."""
    from mrl_sweep.report.render import SEVERAL_FORMATS

    return SEVERAL_FORMATS if len(names) > 1 else None


def one_document(reports: Mapping[str, Report]) -> Report | Article:
    """Returns the report itself where there is one alone, else the article on those of several collections."""
    if len(reports) == 1:
        return next(iter(reports.values()))
    from mrl_sweep.report.collections import several_article, together

    return several_article(together(reports))


def files_of(*runs: Path) -> list[Path]:
    """Lists the files of finished runs, which renderings may lie beside but never replace."""
    from mrl_sweep.report.exports import SCORES_FILE
    from mrl_sweep.report.folder import RANKS_FILE, REPORT_FILE

    folders = (run if run.is_dir() else run.parent for run in runs)
    return [folder / name for folder in folders for name in (REPORT_FILE, RANKS_FILE, SCORES_FILE)]


def _checked(invocation: Invocation, file: Path | None, inputs: Iterable[Path]) -> Path | None:
    """Returns the file that `-o` names, None for stdout (also `-`). Raises InputError where it cannot be written or is an input.

    Where no format was asked for, the file's name decides. A folder among `inputs` stands for every file that is in it
    (FAULTS 55, 58).
    """
    if file is None or str(file) == "-":
        return None
    from mrl_sweep.files import is_in_place

    try:
        if not is_in_place(file):
            _check_replaceable(file, inputs)
        elif file.exists() and not os.access(file, os.W_OK):
            raise InputError(f"cannot write {file}: permission denied", "give -o another file")
    except (OSError, RuntimeError) as error:  # pathlib tells a loop of links as a RuntimeError
        reason = getattr(error, "strerror", None) or "it is a loop of links"
        raise InputError(f"cannot write {printable(str(file))}: {reason}", "give -o another file") from error
    if not invocation.format_given and file.suffix.lower() in FORMAT_OF:
        invocation.format = FORMAT_OF[file.suffix.lower()]
    return file


def _check_replaceable(file: Path, inputs: Iterable[Path]) -> None:
    """Raises InputError where an ordinary file cannot be written or replaced."""
    if file.is_dir():
        raise InputError(f"cannot write {file}: it is a folder", "give -o a file")
    for path in inputs if file.exists() else ():
        if path.resolve() in (file.resolve(), *file.resolve().parents):
            raise InputError(f"will not write {file}: it belongs to the input {path}", "give -o another file")
    folder = file.resolve().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {file}: there is no folder {file.parent}", "make it first, or give -o another file")
    if not os.access(folder, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise InputError(f"cannot write {file}: permission denied", "give -o a file in a folder of yours")


def sentence(document: Report | Article) -> str:
    """Returns the sentence of the gate, or else of the verdict; of an article its closing sentences, a line each."""
    from mrl_sweep.report.content.layout import Article
    from mrl_sweep.report.render import escape

    if isinstance(document, Article):
        return "\n".join(map(escape.plain, document.closing))
    return escape.plain((document.gate or document.verdict).sentence)


def text_of(document: Report | Article, stream: TextIO, show: Collection[str]) -> str:
    """Renders the text as this stream can show it: in the terminal's width, with colour or without, in the stream's encoding."""
    from mrl_sweep.report.render import Look, render

    width = shutil.get_terminal_size((80, 24)).columns
    return render(document, Format.TEXT, Look(width=width, color=colours(stream), encoding=stream.encoding or "utf-8", show=show))


def append_summary(text: str) -> None:
    """Appends to the summary page, the file that GitHub names for it, where there is one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        with Path(page).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
