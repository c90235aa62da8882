"""What the README and its pages show, taken apart: blocks, what the program prints for them, and how far the two agree.

`python tests/readme_parts.py` runs the README's commands and rewrites what they print, its picture and its lists of options;
with `--lists` it runs nothing and rewrites the lists only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
DOCS: Final = ("transcripts", "deciding", "ci", "deploying", "python", "reference", "performance", "limits")
PAGES: Final = (README, *(ROOT / "docs" / f"{name}.md" for name in DOCS))
"""Read as one text, in this order: the commands of a later page find the runs of an earlier one."""
LEFT_OUT: Final = "..."
"""A line that stands for any number of lines, at most once in what a command prints."""

_FENCE: Final = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKED: Final = re.compile(r"(<!-- made: ([\w -]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_PROSE_WIDTH: Final = 110


def whole_text() -> str:
    """The README and the pages cut from it, one after the other."""
    return "\n".join(page.read_text("utf-8") for page in PAGES)


def blocks(language: str, text: str | None = None) -> list[str]:
    """The bodies of the fenced blocks in a language, in order."""
    return [body for found, body in _FENCE.findall(whole_text() if text is None else text) if found == language]


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as the README types it, and what it says is printed."""

    command: str
    lines: tuple[str, ...]

    @property
    def ends(self) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """The lines before and after those left out; None after, where nothing is."""
        if LEFT_OUT not in self.lines:
            return self.lines, None
        cut = self.lines.index(LEFT_OUT)
        return self.lines[:cut], self.lines[cut + 1 :]

    def again(self, printed: Sequence[str]) -> tuple[str, ...]:
        """What was printed, with as much left out as now."""
        head, tail = self.ends
        if tail is None:
            return tuple(printed)
        return (*printed[: len(head)], LEFT_OUT, *(printed[-len(tail) :] if tail else ()))


def session(body: str) -> list[Shown]:
    """The commands of a console block: a line that begins with `$ `, then what it prints."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block begins with a command"
    return [
        Shown(command, tuple(line.rstrip() for line in output.rstrip("\n").split("\n")) if output.strip() else ())
        for command, _, output in (part.partition("\n") for part in parts[1:])
    ]


class Shell:
    """Runs the README's commands in one empty folder with its own store; `$ echo $?` prints the last exit code."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code, self.errors = folder, 0, ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MRL_SWEEP_")}
        self._env = {**kept, "MRL_SWEEP_STORE": str(folder / ".store"), "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}

    def run(self, command: str) -> list[str]:
        """The lines that a command prints to stdout."""
        if command == "echo $?":
            return [str(self.code)]
        program, *argv = shlex.split(command)
        assert program == "mrl-sweep", f"the README may only run mrl-sweep: {command}"
        ended = subprocess.run(
            [sys.executable, "-m", "mrl_sweep", *argv],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            encoding="utf-8",
            timeout=1800,  # of seconds that others may have
            check=False,
        )
        self.code, self.errors = ended.returncode, ended.stderr
        return [line.rstrip() for line in ended.stdout.rstrip("\n").split("\n")] if ended.stdout.strip() else []


def small_corpus(folder: Path) -> None:
    """`my-corpus` and `my-vectors` as the README's notebook names them: 40 queries, each with its own document."""
    import numpy as np

    generator = np.random.default_rng(0)
    documents = generator.standard_normal((200, 64)).astype(np.float32)
    corpus, vectors = folder / "my-corpus", folder / "my-vectors"
    (corpus / "qrels").mkdir(parents=True)
    vectors.mkdir()
    (corpus / "corpus.jsonl").write_text("".join(json.dumps({"_id": f"d{i}", "text": f"text {i}"}) + "\n" for i in range(200)))
    (corpus / "queries.jsonl").write_text("".join(json.dumps({"_id": f"q{i}", "text": f"query {i}"}) + "\n" for i in range(40)))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(40))]
    (corpus / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    np.save(vectors / "docs.npy", documents)
    np.save(vectors / "queries.npy", documents[:40] + 0.9 * generator.standard_normal((40, 64)).astype(np.float32))


def agree(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether two texts are the same but for spacing and times, which a busy machine leaves out (`-`).

    Numbers may differ in their last digit (other processors add in another order), and counts by one in a hundred.
    """
    left, right = (_NUMBER.split(_plain(lines)) for lines in (shown, printed))
    if left != right:
        return False
    pairs = zip(_NUMBER.findall(_plain(shown)), _NUMBER.findall(_plain(printed)), strict=True)
    return all(_close(a, b) for a, b in pairs)


def _plain(lines: Sequence[str]) -> str:
    text = re.sub(r"\s+", " ", " ".join(lines)).strip()
    return re.sub(r"[\d.,]+ (ms|s|µs)(?!\w)", "-", text)


def _close(a: str, b: str) -> bool:
    digits = len(a.partition(".")[2])
    x, y = (float(number.replace(",", "")) for number in (a, b))
    allowed = 2 * 10.0**-digits if digits else max(1.0, 0.01 * max(abs(x), abs(y))) if max(x, y) > 20 else 0.0
    return abs(x - y) <= allowed + 1e-12


def check(shown: Shown, printed: Sequence[str]) -> bool:
    """Whether the program prints what is shown."""
    head, tail = shown.ends
    if tail is None:
        return agree(head, printed)
    return agree(head, printed[: len(head)]) and agree(tail, printed[len(printed) - len(tail) :])


def command_of(name: str) -> Any:
    """The command as click knows it."""
    import typer

    from mrl_sweep.cli.program import program

    found: Any = typer.main.get_command(program())
    return found.commands[name]


def options_text(name: str, without: str | None = None) -> str:
    """A command's options by group, as its help has them; without those that another command has as well."""
    known = {opt for param in command_of(without).params for opt in param.opts} if without else set()
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in command_of(name).params:
        if param.param_type_name == "option" and param.opts[0] not in known and param.name != "help":
            groups.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(_option_row(param))
    width = max(len(left) for rows in groups.values() for left, _ in rows) + 2
    lines = [" ".join(["mrl-sweep", name, "[OPTIONS]", *_arguments(name)])]
    for group, rows in groups.items():
        lines += ["", group, *(line for left, right in rows for line in _wrapped(left, right, width))]
    return "\n".join(lines)


def _arguments(name: str) -> Iterator[str]:
    for param in command_of(name).params:
        if param.param_type_name == "argument":
            yield param.metavar if param.required else f"[{param.metavar}]"


def _option_row(param: Any) -> tuple[str, str]:
    names = ", ".join(sorted(param.opts, key=len))
    if param.secondary_opts:
        names += " / " + ", ".join(param.secondary_opts)
    takes = param.metavar if param.metavar and not param.is_flag and not param.count else ""
    return f"  {names} {takes}".rstrip(), param.help or ""


def _wrapped(left: str, right: str, width: int) -> list[str]:
    import textwrap

    lines = textwrap.wrap(right, _PROSE_WIDTH - width) or [""]
    return [f"{left:<{width}}{lines[0]}".rstrip(), *(" " * width + line for line in lines[1:])]


def commands_text() -> str:
    """Every command with its help line."""
    import typer

    from mrl_sweep.cli.program import program

    found: Any = typer.main.get_command(program())
    rows = [
        (" ".join(["mrl-sweep", name, *_arguments(name)]), " ".join((command.help or "").split()))
        for name, command in found.commands.items()
    ]
    width = max(len(left) for left, _ in rows) + 2
    return "\n".join(line for left, right in rows for line in _wrapped(left, right, width))


MADE: Final[dict[str, Callable[[], str]]] = {
    "commands": commands_text,
    "options of run": lambda: options_text("run"),
    "options of gate": lambda: options_text("gate", without="run"),
    "options of embed": lambda: options_text("embed", without="run"),
    "options of plan": lambda: options_text("plan", without="run"),
    "options of score": lambda: options_text("score", without="run"),
}
"""What stands between `<!-- made: NAME -->` and `<!-- end -->`, as plain text."""

BENCHMARKS: Final = ROOT / "benchmarks" / "README.md"


def bars() -> str:
    """The bars and the machine they were measured on, from what `make bench` wrote; nothing before it was run."""
    if not BENCHMARKS.is_file():
        return ""
    text = BENCHMARKS.read_text("utf-8")
    when = next((line for line in text.splitlines() if re.match(r"\d{4}-\d{2}-\d{2}\. ", line)), "")
    table = re.search(r"^## The bars\n\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    return f"{table[1]}\n\nMeasured {when}\n" if table else ""


def _made(name: str) -> str:
    """A generated part as it stands in the page."""
    return bars() if name == BARS else f"```text\n{MADE[name]()}\n```\n"


BARS: Final = "bars"


CURVE: Final = "curve"
PICTURE: Final = ROOT / "docs" / "curve.svg"
FINE_SWEEP: Final = (
    "mrl-sweep run --collection pydocs --model wordllama --dims every:8 --basis pca --basis random "
    "--index none --retain 95% --out runs/fine"
)


def curve(shell: Shell) -> str:
    """Draws a real fine sweep into the picture's file, as `report.plot()` does; returns what stands below it."""
    from mrl_sweep.report.folder import read_report

    shell.run(FINE_SWEEP)
    read_report(shell.folder / "runs" / "fine").plot().save(PICTURE)
    sentence = " ".join(shell.run("mrl-sweep report runs/fine --quiet"))
    return (
        f"![Share of nDCG@10 kept, by dimensions: WordLlama on pydocs]({PICTURE.relative_to(ROOT)})\n\n> {sentence}\n\n"
        f"```sh\n{FINE_SWEEP}\n```\n"
    )


def made_parts(text: str | None = None) -> dict[str, str]:
    """The generated parts as the README has them, without their fences."""
    found = _MARKED.findall(whole_text() if text is None else text)
    return {name: body.strip().removeprefix("```text\n").removesuffix("\n```") for _, name, body, _ in found}


def with_lists(text: str) -> str:
    """A page with the lists of commands and options as the program has them now."""
    return _MARKED.sub(lambda m: m[0] if m[2] == CURVE else f"{m[1]}{_made(m[2])}{m[4]}", text)


def with_figures(text: str, shell: Shell) -> str:
    """A page with everything that its commands print, and its picture, as they are now."""
    for body in blocks("console", text):
        lines: list[str] = []
        for shown in session(body):
            lines += [f"$ {shown.command}", *shown.again(shell.run(shown.command))]
        text = text.replace(f"```console\n{body}```", "```console\n" + "\n".join(lines) + "\n```")
    return _MARKED.sub(lambda m: f"{m[1]}{curve(shell)}{m[4]}" if m[2] == CURVE else m[0], text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        shell_of_all = Shell(Path(place))
        for file in PAGES:
            page = with_lists(file.read_text("utf-8"))
            if "--lists" not in sys.argv:
                page = with_figures(page, shell_of_all)
            file.write_text(page, "utf-8")
