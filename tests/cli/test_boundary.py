"""Every ending of the command becomes one exit code, one message, and no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from processes import unmeasured

from mrl_sweep import cli
from mrl_sweep.__main__ import start
from mrl_sweep.cli.help_page import HOMES, PROGRAM, help_page
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.cli.program import program
from mrl_sweep.errors import EnvironmentFault, InputError

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def ending(monkeypatch: pytest.MonkeyPatch, argv: list[str], error: BaseException | None = None, code: int = 0) -> int:
    """The exit code of main() when the command itself ends like this."""

    def call(_: Invocation) -> int:
        if error is not None:
            raise error
        return code

    monkeypatch.setattr(cli, "_call", call)
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("code", [0, 1, 4])
def test_a_verdict_passes_through(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    assert ending(monkeypatch, [], code=code) == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("bad", "mend it"), 2, "error: bad\nhint: mend it\n"),
        (EnvironmentFault("full", "make room"), 3, "error: full\nhint: make room\n"),
        (
            OSError(28, "No space left on device", "store/a.npy"),
            3,
            "error: No space left on device: store/a.npy\nhint: make room or choose another folder: the same command resumes\n",
        ),
        (
            ModuleNotFoundError("No module named 'scipy.special'", name="scipy.special"),
            3,
            (
                "error: scipy is not installed, and this needs it\n"
                "hint: pip install scipy; requirements/gate.txt has what judging a finished run needs, and no more\n"
            ),
        ),
        (MemoryError(), 3, "error: out of memory\nhint: give a lower --max-memory or fewer --threads\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\nhint: what is done is kept: the same command resumes\n"),
        (
            ZeroDivisionError("division by zero"),
            70,
            (
                "error: this is a fault of mrl-sweep, not of your data: ZeroDivisionError: division by zero\n"
                "hint: please report it with the output of the same command and --debug; stored work is kept\n"
            ),
        ),
    ],
)
def test_an_error_is_told_and_coded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    assert ending(monkeypatch, [], error) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", said)


def test_debug_shows_the_traceback_before_the_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, ["run", "--debug"], ZeroDivisionError("why")) == 70
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "error: this is a fault of mrl-sweep, not of your data: ZeroDivisionError: why" in err


def test_with_json_an_error_is_the_one_document_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, ["run", "--format=json"], InputError("bad", "mend it")) == 2
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "status": "error",
        "error": {"message": "bad", "hint": "mend it", "exit_code": 2},
    }


def test_sigterm_ends_as_ctrl_c_does_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(_: Invocation) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal must have ended this")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_call", call)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["cnfig"], "error: no such command 'cnfig'\nhint: did you mean 'config'?\n"),
        (["config", "--retian", "1"], "error: no such option: --retian\nhint: did you mean --retain?\n"),
        (["run", "--colection", "x"], "error: no such option: --colection\nhint: did you mean --collection?\n"),
        (
            ["gate", "--collection", "x"],
            "error: no such option: --collection\nhint: it belongs to run, embed, demo, check, config; `",
        ),
        (["gate", "run", "--qps", "3"], "error: no such option: --qps\nhint: it belongs to plan; `mrl-sweep gate --help` shows"),
        (
            ["config", "--dims"],
            "error: option '--dims' requires an argument\nhint: `mrl-sweep config --help` shows what is accepted\n",
        ),
        (["config", "--retain", "2%"], "error: --retain: 2% reads as what may be lost, not as what must be kept\nhint: to lose"),
        (["config", "--format", "xml"], "error: --format: 'xml' is not accepted\nhint: write one of: text, json, markdown,"),
        (
            ["demo", "--accept", "small-corpus,few-querys"],
            "error: --accept: 'few-querys' is no code of a warning\nhint: did you mean 'few-queries'? docs/codes.md lists them\n",
        ),
        (["config", "absent.toml"], "error: cannot read absent.toml: No such file or directory\nhint: "),
        (["run"], "error: no collection given\nhint: give --collection FOLDER, or --collection pydocs"),
        (["run", "--collection", "pydocs"], "error: no model given\nhint: give --model NAME (openai:, voyage:"),
        (["report", "absent"], "error: cannot read absent"),
    ],
)
def test_usage_errors_end_with_2_and_a_hint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert (ended.value.code, captured.out) == (2, "")


def test_no_command_at_all_shows_the_help_and_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "Usage: mrl-sweep" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\nfrom mrl_sweep.cli import main\n"
        f"try: main({argv!r})\nexcept SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'rich', 'pydantic', 'numpy', 'pandas', 'faiss', 'numba', 'torch', 'scipy', 'pyarrow', 'jinja2'}\n"
        "heavy |= {'sentence_transformers'}\n"
        "print('\\nloaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nloaded: []\n")


@pytest.mark.parametrize("words", ["mrl-sweep ru", "mrl-sweep run --dim"])
def test_completion_imports_nothing_heavy_and_answers(words: str) -> None:
    code = (
        "import sys\nfrom mrl_sweep.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "print('loaded:', sorted({'numpy', 'pandas', 'faiss', 'numba', 'torch', 'scipy'} & set(sys.modules)))"
    )
    env = {**os.environ, "_MRL_SWEEP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines() == [{"ru": "run", "--dim": "--dims"}[words.split()[-1]], "loaded: []"]


def test_the_module_runs_as_the_command_does(process: Command) -> None:
    done = process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "mrl-sweep 0.1.0\n", "")


def test_the_installed_command_starts_where_the_module_does() -> None:
    project = tomllib.loads((Path(cli.__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"mrl-sweep": f"mrl_sweep.__main__:{start.__name__}"}


def test_a_command_that_is_called_is_read_alone_and_as_in_the_whole_program() -> None:
    whole: Any = typer.main.get_command(program(["--help"]))
    assert list(whole.commands) == list(HOMES)
    for name in HOMES:
        alone: Any = typer.main.get_command(program([name, "--help"]))
        assert list(alone.commands) == [name]
        assert [param.opts for param in alone.commands[name].params] == [param.opts for param in whole.commands[name].params]
    misspelt: Any = typer.main.get_command(program(["rum"]))
    assert list(misspelt.commands) == list(HOMES)


def test_help_puts_each_option_in_its_panel_and_breaks_none_at_a_hyphen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["gate", "--help"])
    page = capsys.readouterr().out
    panels = [line for line in page.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert panels == ["Arguments:", "Decision:", "Run:", "Gate:", "Talk:", "Options:"]
    assert "  --max-dim N             Some size up to N must be acceptable.\n" in page
    assert "  --on-inconclusive fail|warn|pass\n                          Where the queries cannot tell: exit 4" in page


def test_a_reader_that_goes_away_is_no_news(tmp_path: Path) -> None:
    for argv in ("run --help", "config", "config --format json"):
        reading = subprocess.run(
            f"{sys.executable} -m mrl_sweep {argv} | true; echo ${{PIPESTATUS[0]}}",
            shell=True,
            executable="/bin/bash",
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        assert (reading.stdout, reading.stderr) == ("0\n", "")


def test_a_full_disk_on_stdout_is_an_environment_fault(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mrl_sweep", "config"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        3,
        "error: cannot write the output: No space left on device\nhint: free some space, or give -o a file elsewhere\n",
    )


@pytest.mark.parametrize("columns", ["20", "60", "80", "200"])
def test_the_first_help_page_is_the_one_that_typer_would_write(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    command = typer.main.get_command(program())
    with pytest.raises(typer.Exit):
        command.make_context(PROGRAM, ["--help"])
    assert help_page() == capsys.readouterr().out


def test_the_first_help_page_needs_no_parser() -> None:
    code = "import sys\nfrom mrl_sweep.cli import main\ntry: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print(sorted({'typer', 'numpy', 'tomllib'} & sys.modules.keys()))"],
        capture_output=True,
        text=True,
        check=True,
        env=unmeasured(),
    )
    assert done.stdout.splitlines()[-1] == "[]"
