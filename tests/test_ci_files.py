"""The action, the workflows and the snippets: valid, free of what a pull request could inject, and they do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from processes import unmeasured
from readme_parts import ROOT, command_of, small_corpus

from mrl_sweep.report.render.ci import MARKER

MadeRun = Callable[..., Path]

ACTION: Final = ROOT / "action.yml"
WORKFLOWS: Final = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / "configs" / "ci" / "github.yml"]
GITLAB: Final = ROOT / "configs" / "ci" / "gitlab.yml"

ZIZMOR: Final = Path(sys.executable).with_name("zizmor")

needs_bash: Final = pytest.mark.skipif(sys.platform == "win32", reason="the action's steps are bash")


def load(path: Path) -> Any:
    """The document; YAML 1.1 reads the key `on` as True."""
    return yaml.safe_load(path.read_text("utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    document = load(path)
    if path == ACTION:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    if path == GITLAB:
        job = load(path)["embedding-gate"]
        return [line for key in ("before_script", "script", "after_script") for line in job[key]]
    return [step["run"] for step in steps(path) if "run" in step]


FILES: Final = [ACTION, *WORKFLOWS, GITLAB]


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_nothing_is_pasted_into_a_script(path: Path) -> None:
    assert [script for script in scripts(path) if "${{" in script] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_line_is_one_that_the_program_accepts(path: Path) -> None:
    lines = [line.strip() for script in scripts(path) for line in script.splitlines()]
    calls = [line for line in lines if re.match(r"(\S*/)?mrl-sweep (?!\")", line)]
    for line in calls:
        _, name, *argv = shlex.split(re.sub(r'"\$\{\w+\[@\]\}"', "", line))
        command_of(name).make_context(name, argv, obj=None)
    assert calls or "mrl-sweep" in path.read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_of_ours_is_a_setting(path: Path) -> None:
    from mrl_sweep.settings.table import SETTINGS

    known = {setting.variable for setting in SETTINGS}
    assert set(re.findall(r"\bMRL_SWEEP_\w+", path.read_text("utf-8"))) <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_triggers_jobs_runners_and_least_rights(path: Path) -> None:
    document = load(path)
    pushed = document[True]["push"]
    assert set(document[True]) == {"push", "pull_request"} or pushed == {"tags": ["v*"]}
    assert document["permissions"]["contents"] == "read"
    assert all(job["runs-on"] and job["steps"] for job in document["jobs"].values())
    assert all(("uses" in step) != ("run" in step) for step in steps(path))


def test_every_input_is_used_and_every_use_is_an_input() -> None:
    document = load(ACTION)
    text = ACTION.read_text("utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(document["inputs"])
    assert all(one["description"] for one in (*document["inputs"].values(), *document["outputs"].values()))
    assert all("shell" in step for step in steps(ACTION) if "run" in step)


def test_the_gate_writes_every_output() -> None:
    document = load(ACTION)
    used = {name for output in document["outputs"].values() for name in re.findall(r"outputs\.([\w-]+)", output["value"])}
    written = set(re.findall(r"\b([\w-]+)=[${]", next(step["run"] for step in steps(ACTION) if step.get("id") == "gate")))
    assert used <= written


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_give_the_action_what_it_takes_and_read_what_it_gives(path: Path) -> None:
    document = load(ACTION)
    uses = [step for step in steps(path) if step.get("uses") in ("./", "OWNER/mrl-sweep@COMMIT")]
    for step in uses:
        assert set(step["with"]) <= set(document["inputs"])
        assert "target" in step["with"]
    if uses:
        assert set(re.findall(r"steps\.gate\.outputs\.([\w-]+)", path.read_text("utf-8"))) <= set(document["outputs"])


def test_what_is_installed_is_there() -> None:
    install = next(step["run"] for step in steps(ACTION) if step["name"] == "Install mrl-sweep")
    assert "$ACTION/constraints.txt" in install
    assert (ROOT / "constraints.txt").is_file()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    asked = [step["with"]["extras"] for path in WORKFLOWS for step in steps(path) if "extras" in step.get("with", {})]
    assert {load(ACTION)["inputs"]["extras"]["default"], *asked} <= set(extras)


def test_make_targets_of_the_workflow_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    called = {name for path in WORKFLOWS for script in scripts(path) for name in re.findall(r"make (\w+)", script)}
    assert called == {"check", "test"}
    assert called <= targets


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_what_others_wrote_is_pinned_to_a_hash(path: Path) -> None:
    uses = [step["uses"] for step in steps(path) if "uses" in step]
    of_others = [use for use in uses if use not in ("./", "OWNER/mrl-sweep@COMMIT")]
    assert [use for use in of_others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use)] == []


@pytest.mark.skipif(not ZIZMOR.is_file(), reason="zizmor is not installed beside this Python")
def test_zizmor_has_nothing_to_say() -> None:
    files = [str(path) for path in (ACTION, *WORKFLOWS)]
    done = subprocess.run([ZIZMOR, "--offline", "--quiet", "--format=plain", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def requirements_of_the_gate() -> dict[str, str]:
    lines = (ROOT / "requirements" / "gate.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_requirements_of_the_gate_are_the_pinned_ones() -> None:
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [name for name, version in requirements_of_the_gate().items() if f"{name}=={version}" not in pinned] == []


LOADED: Final = """
import sys
from importlib.metadata import packages_distributions
from mrl_sweep.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0, ended.code
owners = packages_distributions()
print(*sorted({owner for name in list(sys.modules) for owner in owners.get(name.partition(".")[0], ())}), file=sys.stderr)
"""


@pytest.mark.parametrize("kind", ["text", "github", "junit", "markdown", "html", "json"])
def test_a_finished_run_is_judged_with_these_alone(kind: str, tmp_path: Path, made_run: MadeRun) -> None:
    run = str(made_run({64: [0] * 400, 32: [0] * 399 + [1]}))
    call = [sys.executable, "-c", LOADED, "gate", run, "--dim", "32", "--baseline", run, "--format", kind]
    done = subprocess.run(
        [*call, "--output", str(tmp_path / "out")], env=unmeasured(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {"numpy", "typer"} <= loaded
    assert loaded - {"setuptools", "pip", "mrl-sweep"} <= set(requirements_of_the_gate())


class Job:
    """A runner's shell: the action's gate step with its inputs as the variables that the step names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name, line in {"mrl-sweep": f'"{sys.executable}" -m mrl_sweep "$@"', "python": f'"{sys.executable}" "$@"'}.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\nexec {line}\n")
            (folder / "bin" / name).chmod(0o755)

    def gate(self, **inputs: str) -> tuple[int, str]:
        """The step's exit code and log; a keyword is a variable of the step."""
        step = next(step for step in steps(ACTION) if step.get("id") == "gate")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MRL_SWEEP_")}
        blank = dict.fromkeys(step["env"], "")
        env = {**kept, **blank, "STRICT": "true", "OUT": "the run", "MRL_SWEEP_STORE": ".store", **inputs}
        env |= {
            "FILES": str(self.folder / "files"),
            "BIN": str(self.folder / "bin"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{env['PATH']}",
        }
        env |= {name: str(self.folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(bash, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self.folder / "GITHUB_OUTPUT").read_text("utf-8").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    place = tmp_path / "workspace"
    place.mkdir()
    return Job(place)


@needs_bash
def test_a_gate_that_is_met(job: Job, made_run: MadeRun) -> None:
    run = made_run({64: [0] * 400, 32: [0] * 399 + [1]})
    code, log = job.gate(TARGET=str(run), DIM="32")
    assert code == 0, log
    assert "::notice title=mrl-sweep%3A pass::32 dimensions are acceptable" in log
    files = job.folder / "files"
    assert job.outputs == {
        "exit-code": "0",
        "status": "pass",
        "dimension": "32",
        "run": str(run),
        "junit": str(files / "gate.xml"),
        "comment": str(files / "gate.md"),
    }
    assert {path.name for path in files.iterdir()} == {"gate.xml", "gate.md", "gate.json", "report.html"}
    assert "32 dimensions are acceptable" in (job.folder / "GITHUB_STEP_SUMMARY").read_text("utf-8")


@needs_bash
def test_a_gate_that_is_not_met_fails_the_step_and_leaves_its_files(job: Job, made_run: MadeRun) -> None:
    run = made_run({64: [0] * 200, 32: [50] * 100 + [0] * 100})
    code, log = job.gate(TARGET=str(run), DIM="32", BASELINE="no such run")
    assert code == 1, log
    assert "::error title=mrl-sweep%3A fail::" in log
    assert (job.outputs["exit-code"], job.outputs["status"], job.outputs["dimension"]) == ("1", "fail", "64")
    assert "testsuites" in Path(job.outputs["junit"]).read_text("utf-8")


@needs_bash
def test_a_configuration_is_run_first_in_a_folder_of_the_input_s_name(job: Job) -> None:
    small_corpus(job.folder)
    settings = (
        '[collection]\nsource = "my-corpus"\n[model]\nname = "vectors:my-vectors"\n[sweep]\ndims = [64, 8]\nindex = ["none"]\n'
    )
    (job.folder / "gate.toml").write_text(settings)
    code, log = job.gate(TARGET="gate.toml", MAX_DIM="8", BASELINE="not yet")
    assert code == 1, log
    assert job.outputs["run"] == "the run"
    assert (job.folder / "the run" / "report.json").is_file()


@needs_bash
def test_too_few_queries_end_as_the_input_says(job: Job, made_run: MadeRun) -> None:
    run = made_run({64: [0] * 20, 32: [0] * 20})
    code, log = job.gate(TARGET=str(run), DIM="32", ON_INCONCLUSIVE="warn")
    assert (code, job.outputs["status"]) == (0, "inconclusive")
    assert "::warning title=mrl-sweep%3A not enough evidence::" in log


@needs_bash
def test_what_cannot_be_read_ends_in_2_without_files(job: Job) -> None:
    code, log = job.gate(TARGET="missing.toml")
    assert code == 2
    assert "missing.toml" in log
    assert job.outputs == {"exit-code": "2"}


@needs_bash
def test_inputs_are_never_read_as_commands(job: Job, made_run: MadeRun) -> None:
    run = made_run({64: [0] * 200, 32: [0] * 200}, name="a b; touch owned")
    assert job.gate(TARGET=str(run), DIM="32; touch owned", RETAIN="$(touch owned)")[0] == 2
    assert not (job.folder / "owned").exists()


@needs_bash
@pytest.mark.parametrize(
    ("earlier", "call"),
    [("", "--method POST repos/o/r/issues/7/comments"), ("41", "--method PATCH repos/o/r/issues/comments/41")],
)
def test_the_comment_is_written_once_and_then_replaced(earlier: str, call: str, job: Job) -> None:
    """`gh` is played by a script that knows the id of an earlier comment, or of none, and writes down what it is asked."""
    step = next(step for step in steps(ACTION) if "comment" in step.get("name", ""))
    assert f'startswith("{MARKER}")' in step["run"]
    gh = job.folder / "bin" / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >> calls\ncase "$*" in *--jq*) printf "%s\\n" {earlier};; esac\n')
    gh.chmod(0o755)
    values = {"REPOSITORY": "o/r", "NUMBER": "7", "COMMENT": "gate.md", "GH_TOKEN": "none"}
    env = {**os.environ, **values, "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}"}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    subprocess.run(bash, cwd=job.folder, env=env, check=True)
    asked, written = (job.folder / "calls").read_text("utf-8").splitlines()
    assert "repos/o/r/issues/7/comments --jq" in asked
    assert written == f"api {call} --field body=@gate.md --silent"
