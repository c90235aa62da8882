"""The README and its pages say what the program does: commands are run, lists are the program's, links lead somewhere.

After a change that is meant: `python tests/readme_parts.py` runs the commands again and rewrites what they print.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from readme_parts import (
    BARS,
    MADE,
    PAGES,
    PICTURE,
    ROOT,
    Shell,
    agree,
    bars,
    blocks,
    check,
    command_of,
    made_parts,
    session,
    small_corpus,
    whole_text,
)

TEXT: Final = whole_text()
EXITS: Final = {"0", "1", "4"}


def test_commands_print_what_is_shown(tmp_path: Path) -> None:
    """One session in one test: its commands build on each other, and the demo is run once."""
    shell, wrong = Shell(tmp_path), []
    for shown in [one for block in blocks("console") for one in session(block)]:
        printed = shell.run(shown.command)
        if not check(shown, printed) or str(shell.code) not in EXITS:
            wrong.append("\n".join([f"$ {shown.command}", "shown:", *shown.lines, "printed:", *printed, shell.errors]))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("name", sorted(MADE))
def test_lists_are_the_programs_own(name: str) -> None:
    assert made_parts()[name] == MADE[name]()


def test_performance_is_quoted_from_the_benchmarks() -> None:
    assert made_parts()[BARS] == bars().strip()


def test_every_option_of_every_command_is_told() -> None:
    from mrl_sweep.cli.help_page import HOMES

    missing = {
        (command, option)
        for command in HOMES
        for param in command_of(command).params
        for option in param.opts
        if option.startswith("--") and option != "--help" and f"{option}" not in TEXT
    }
    assert missing == set()


def test_commands_for_the_readers_own_data_are_accepted() -> None:
    calls = [line.partition("  #")[0] for block in blocks("sh") for line in block.splitlines() if line.startswith("mrl-sweep ")]
    assert len(calls) >= 3
    for call in calls:
        _, name, *argv = shlex.split(call)
        command_of(name).make_context(name, argv, obj=None)


def test_settings_shown_are_settings(tmp_path: Path) -> None:
    from mrl_sweep.settings.config import load_config

    for number, block in enumerate(blocks("toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, "utf-8")
        assert load_config(file, environ={}).origins


def test_notebook_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one place, as a reader would; the last figures are compared with the report that was written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRL_SWEEP_STORE", str(tmp_path / ".store"))
    small_corpus(tmp_path)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    report, by_query = names["report"], names["by_query"]
    assert report.verdict.sentence in printed.getvalue()
    ranks = [list(found).index(i) + 1 for i, found in enumerate(names["best"]) if i in found]
    rotated = report.candidate(32, basis="pca").measures["nDCG@10"].mean
    assert sum(1 / np.log2(np.array(ranks) + 1)) / 40 == pytest.approx(rotated, abs=1e-9)
    means = by_query.mean()
    for row in report.candidates:
        if row.index == "exact" and row.basis == "prefix":
            assert means[row.dim] == pytest.approx(row.measures["nDCG@10"].mean, abs=1e-12)


def anchors(page: Path) -> set[str]:
    lines = page.read_text("utf-8").splitlines()
    return {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines if line[:1] == "#"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = {target for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")) if "://" not in target}
    lost = set()
    for target in targets:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.add(target)
    assert lost == set()


def test_every_page_is_found_from_the_readme() -> None:
    text = PAGES[0].read_text("utf-8")
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in text] == []


def test_the_demo_fits_a_screen() -> None:
    (first,) = (one for block in blocks("console") for one in session(block) if one.command == "mrl-sweep demo --out runs/first")
    assert len(first.lines) <= 35
    assert max(map(len, first.lines)) <= 80
    assert "..." not in first.lines


def test_paths_in_words_exist() -> None:
    named = set(re.findall(r"`((?:configs|tests|mrl_sweep|benchmarks|docs)/[\w./-]*)`", TEXT))
    # Written by `make bench`, and of the reader's own repository.
    named -= {"benchmarks/README.md", "configs/embedding-gate.toml"}
    assert {path for path in named if not (ROOT / path).exists()} == set()


SUPPORT: Final = re.compile(r"^\| (.+?) \| .+ \| (\[tests/.+) \|$", re.MULTILINE)


def test_every_system_has_its_row_and_its_proof() -> None:
    rows = SUPPORT.findall(TEXT)
    told = " ".join(name for name, _ in rows)
    promised = ("trec:", "csv:", "ir:", "hf:", "pydocs", "wordllama", "openai:", "voyage:", "cohere:", "gemini:", "vectors:")
    assert [name for name in promised if f"`{name}" not in told] == []
    for name, proofs in rows:
        files = [ROOT / path for path in re.findall(r"\]\(\.\./(tests/[^)]+)\)", proofs)]
        assert files, name
        word = re.sub(r"\W.*", "", name.strip("`")) if name.startswith("`") else ""
        place = "".join(p.read_text("utf-8") for file in files for p in (file, file.parent / "conftest.py") if p.is_file())
        assert word in place, f"{name} is not mentioned in {proofs}"


def test_exit_codes_are_those_of_the_program() -> None:
    from mrl_sweep import cli, errors
    from mrl_sweep.runs import gate

    table = TEXT.partition("| exit code |")[2].partition("\n\n")[0]
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(", ")}
    faults = {errors.InputError.exit_code, errors.EnvironmentFault.exit_code, cli.BUG, cli.INTERRUPTED, cli.TERMINATED}
    assert told == faults | set(gate.EXIT_CODES.values())


def test_extras_named_are_declared() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    named = {extra for group in re.findall(r"'\.\[([\w,]+)\]'", TEXT) for extra in group.split(",")}
    assert named
    assert named <= extras


def test_gitlab_lines_are_those_of_the_snippet() -> None:
    shown = next(yaml.safe_load(block) for block in blocks("yaml") if block.startswith("script:"))
    snippet = yaml.safe_load((ROOT / "configs" / "ci" / "gitlab.yml").read_text("utf-8"))["embedding-gate"]
    assert shown["script"] == snippet["script"]
    assert shown["allow_failure"] == snippet["allow_failure"]
    assert shown["artifacts"]["reports"] == snippet["artifacts"]["reports"]


def test_the_action_is_called_with_what_it_takes() -> None:
    shown = next(yaml.safe_load(block) for block in blocks("yaml") if block.startswith("- uses:"))
    assert set(shown[0]["with"]) <= set(yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"])


def test_the_picture_is_an_image_and_nothing_else() -> None:
    root = ET.parse(PICTURE).getroot()
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "style", "line", "text", "path", "rect", "circle", "title", "clipPath"}
    assert {"path", "circle"} <= kinds
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or name.endswith("href")]


def test_figures_are_compared_up_to_the_last_digit() -> None:
    assert agree(["  256   0.3008  98.7%   1,024"], ["256 0.3009 98.6% 1,030"])
    assert not agree(["0.3008"], ["0.3031"])
    assert not agree(["256"], ["128"])
    assert agree(["p50 0.3 ms"], ["p50 0.25 ms"])
    assert agree(["p50 0.3 ms ok"], ["p50      - ok"])
    assert not agree(["too low"], ["ok"])
