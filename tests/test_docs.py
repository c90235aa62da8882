"""The pages of `docs/` say what the code does: lists are made from it, paths exist, cited rows are there."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from mrl_sweep.types import ADVICE_CODES

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = [*sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]

OF_THE_READER: Final = {"docs.ids.txt", "corpus/"}
"""Files and folders that a page names in the reader's own folder."""


def load_make() -> Any:
    spec = importlib.util.spec_from_file_location("docs_make", DOCS / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE: Final = load_make()


@pytest.mark.parametrize("page", MAKE.PAGES)
def test_lists_are_made_from_the_code(page: str) -> None:
    """After a change that is meant: `make docs`."""
    assert (DOCS / page).read_text("utf-8") == MAKE.PAGES[page]()


def test_every_code_that_the_source_holds_is_listed() -> None:
    """An oracle of another kind: text that looks like a code behind `Advice(`."""
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "mrl_sweep").rglob("*.py"))
    plain = set(re.findall(r'\bAdvice\(\s*"([a-z-]+)"', sources))
    listed = {one.code for one in MAKE.advice()}
    assert len(plain) > 30
    assert plain <= listed
    assert {"empty-queries", "truncated-documents", "zero-queries", "no-projection"} <= listed
    assert sorted(listed) == sorted(ADVICE_CODES), "`--accept` takes what stands in types/common.py"


def test_exit_codes_are_those_that_the_help_page_names() -> None:
    from typer.testing import CliRunner

    from mrl_sweep.cli.program import program

    help_page = " ".join(CliRunner().invoke(program(), ["--help"], env={"COLUMNS": "200"}).output.split())
    named = help_page.partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"\b\d+\b", named)} == set(MAKE.exit_codes()) == {0, 1, 2, 3, 4, 70, 130, 143}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = {link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link}
    assert {link for link in links if not (page.parent / link).exists()} == set()
    paths = {path for path in re.findall(r"`([\w./-]+)`", text) if re.search(r"/|\.(py|md|toml|txt|yml)$", path)}
    places = (ROOT, ROOT / "mrl_sweep", ROOT / "mrl_sweep" / "embedding", page.parent)
    known = {path for path in paths if any((place / path).exists() for place in places)}
    known |= {path for path in paths if list((ROOT / "mrl_sweep").rglob(path.rstrip("/")))}
    assert paths - known == OF_THE_READER & paths


def test_every_row_that_code_or_tests_cite_is_in_the_table_of_faults() -> None:
    rows = set(re.findall(r"^\| (\d+) \|", (DOCS / "faults.md").read_text("utf-8"), flags=re.MULTILINE))
    sources = [path.read_text("utf-8") for folder in ("mrl_sweep", "tests") for path in (ROOT / folder).rglob("*.py")]
    cited = {
        row
        for text in sources
        for cite in re.findall(r"FAULTS (\d+(?:(?:, | and )\d+)*)", text)
        for row in re.findall(r"\d+", cite)
    }
    assert cited == rows


def test_every_fault_of_the_table_has_tests_that_exist() -> None:
    text = (DOCS / "faults.md").read_text("utf-8")
    rows = set(re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)) - {"55"}  # with the commands that write
    listed = dict(re.findall(r"^\* (\d+): (.+)$", text, flags=re.MULTILINE))
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert rows == set(listed)
    assert [name for names in listed.values() for name in re.findall(r"`(\w+)`", names) if f"def {name}(" not in tests] == []
    kinds = text.partition("## Situations by kind")[2]
    assert len(set(re.findall(r"^\* (K\d+),", kinds, flags=re.MULTILINE))) == 10
    assert [name for name in re.findall(r"`(test_\w+)`", kinds) if f"def {name}(" not in tests] == []


def test_the_rooms_of_the_architecture_are_those_of_the_tree() -> None:
    table = re.search(r"^## The rooms\n(.*?)^## ", (DOCS / "architecture.md").read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert table
    named = set(
        re.findall(r"`(\w+)/?`", "\n".join(line.split("|")[1] for line in table[1].splitlines() if line.startswith("| `")))
    )
    here = ROOT / "mrl_sweep"
    rooms = {path.name for path in here.iterdir() if (path / "__init__.py").exists()}
    ground = {path.stem for path in here.glob("*.py")} - {"__init__", "__main__", "api"}
    assert named == rooms | ground


def test_the_version_has_one_source() -> None:
    import mrl_sweep

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "mrl_sweep/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", mrl_sweep.__version__)
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
    checks = [step.get("run", "") for step in release["jobs"]["build"]["steps"]]
    assert any("mrl_sweep.__version__" in run and "GITHUB_REF_NAME" in run for run in checks)


def test_what_the_architecture_names_is_there() -> None:
    """Files by any end of their path, and constants, classes and functions where the page says that they stand."""
    page = (DOCS / "architecture.md").read_text("utf-8")
    files = [path.relative_to(ROOT).as_posix() for top in ("mrl_sweep", "tests", "docs") for path in (ROOT / top).rglob("*.*")]
    named = set(re.findall(r"`([\w/]+\.(?:py|toml))`", page))
    assert {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)} == set()
    standing = re.findall(r"`(\w+)`\s+(?:of|in)\s+`([\w/]+\.py)`", page)
    assert len(standing) >= 6
    for name, place in standing:
        texts = [(ROOT / file).read_text("utf-8") for file in files if f"/{file}".endswith(f"/{place}")]
        assert any(re.search(rf"^(class |def )?{name}\b", text, flags=re.MULTILINE) for text in texts), f"{name} of {place}"
