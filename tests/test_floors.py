"""Imports run downwards only, packages on one floor leave each other alone, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mrl_sweep

ROOT = Path(mrl_sweep.__file__).parent

FLOORS = (
    ("types", "record", "errors", "events", "interrupt", "words"),
    ("files",),
    ("ranking", "measures", "decision"),
    ("projection", "settings"),
    ("collection", "store", "deploying"),
    ("report",),
    ("embedding", "execution", "demo"),
    ("pipeline", "api"),
    ("runs",),
    ("cli", "__main__", "__init__"),
)
"""From the ground up; a room may use those below it."""

OWNERS: dict[str, set[str]] = {
    "faiss": {"deploying", "ranking"},  # ranking trains and reads its codes
    "torch": {"embedding", "ranking"},
    "sentence_transformers": {"embedding"},
    "numba": {"ranking"},
    "pydantic": set(),  # importing it takes a tenth of a second, as long as ranking a small collection
    "typer": {"cli"},
    "jinja2": {"report"},
    "psycopg": {"deploying", "embedding"},
    "difflib": {"words"},  # what is near is said in one way
}
"""Libraries that only these rooms import."""

PURE = ("ranking", "measures", "decision", "projection")
FORBIDDEN_IN_PURE = {"pathlib", "io", "time", "datetime", "logging", "random", "os", "socket", "subprocess", "pandas", "rich"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything the module imports, except for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(n) for node in ast.walk(tree) if is_type_checking(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "mrl_sweep")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def floor_of(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_one_floor_and_every_floor_is_of_rooms() -> None:
    named = [room for rooms in FLOORS for room in rooms]
    assert len(named) == len(set(named))
    assert {room_of(path) for path in modules()} == set(named)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """At import time: what is imported inside a function comes later, and may lead back."""
    uses = {name_of(path): set(imported_at_once(path)) for path in modules()}
    assert TopologicalSorter({name: used & uses.keys() - {name} for name, used in uses.items()}).prepare() is None


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_at_once(path: Path) -> Iterator[str]:
    """The modules of this package that a module imports in its body; `from package import module` is that module."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = {name for name in names if (ROOT.parent / name.replace(".", "/")).with_suffix(".py").exists()}
            yield from inner or {node.module or ""}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "mrl_sweep" or len(parts) == 1 or parts[1] == "__version__":
            continue
        other = parts[1]
        if other == room:
            continue
        assert floor_of(other) <= floor_of(room), f"{room} imports {name}, which lies above it"
        if 1 < floor_of(room) < 6:
            same_floor = floor_of(other) == floor_of(room)
            assert not same_floor, f"{room} imports {name} on its own floor"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_with_their_owners(path: Path) -> None:
    for name in imported(path):
        library = name.split(".")[0]
        assert room_of(path) in OWNERS.get(library, {room_of(path)}), f"{path.name} imports {library}"


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in PURE], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_first_floor_is_pure(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & FORBIDDEN_IN_PURE


LONGEST = 400
"""No page has more lines than this; most have a hundred to two hundred and fifty."""

FRAGMENT = 60
FRAGMENTS = {"mrl_sweep.api"}
"""Modules of fewer lines than `FRAGMENT` that a single other one imports. It may shrink: a subject is read on one page."""


def test_no_page_is_too_long_to_read() -> None:
    lines = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in modules()}
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}


def test_a_module_that_one_other_imports_is_a_subject_and_no_fragment() -> None:
    importers: dict[str, set[str]] = {name_of(path): set() for path in modules()}
    for path in modules():
        for name in imported_anywhere(path) & importers.keys() - {name_of(path)}:
            importers[name].add(name_of(path))
    short = {name_of(p) for p in modules() if p.name != "__init__.py" and p.read_text(encoding="utf-8").count("\n") < FRAGMENT}
    assert {name for name in short if len(importers[name]) == 1} <= FRAGMENTS


def imported_anywhere(path: Path) -> set[str]:
    """The modules of this package that a module imports, in its body or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in named if (ROOT.parent / name.replace(".", "/")).with_suffix(".py").exists()}
            names.add(node.module or "")
    return names


def test_no_two_classes_share_a_name() -> None:
    nodes = [node for path in modules() for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    assert {name for name in classes if classes.count(name) > 1} == set()


def test_rows_of_a_report_are_made_on_one_page() -> None:
    """Each row says in one place what it is made of; working state holds none."""
    pages = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in modules()}
    rows = {node.name for node in ast.walk(pages["mrl_sweep.report.document_rows"]) if isinstance(node, ast.ClassDef)}
    made = {
        (name, node.func.id)
        for name, page in pages.items()
        for node in ast.walk(page)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in rows
    }
    assert {name for name, _ in made} == {"mrl_sweep.report.content.build", "mrl_sweep.report.content.indexes"}
    assert {row for name, row in made if not name.endswith("build")} == {"FunnelShare"}, "where a row has no share, an empty one"


SAME_IDEA = {"compare", "parts", "plan", "run"}
"""Modules of one name in two rooms that hold the same idea: the figures of it, its step of the run, its words, its command."""


def test_modules_of_one_name_hold_one_idea() -> None:
    names = [path.stem for path in modules() if path.name != "__init__.py"]
    assert {name for name in names if names.count(name) > 1} == SAME_IDEA


VAGUE = {"told", "asked", "known", "found", "here", "looked_at"}
"""Names that say nothing of what they hold."""


def test_a_name_says_what_it_holds() -> None:
    assert {f"{name_of(path)}: {name}" for path in modules() for name in names_given(path) if name in VAGUE} == set()


def names_given(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by their name alone, and collects only the first."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_every_package_is_pinned_once() -> None:
    """pip refuses two pins of one package, and says no more than that something conflicts."""
    lines = (ROOT.parent / "constraints.txt").read_text("utf-8").split()
    names = [line.partition("==")[0].lower().replace("_", "-") for line in lines]
    assert {name for name in names if names.count(name) > 1} == set()


PATCHED = {
    "cli._call",
    "collection.reading.qrels._one_by_one",
    "collection.reading.qrels._plain",
    "execution.places._will_need",
}
"""Private functions of the package that tests replace. It may shrink: what a test changes is a parameter."""


def test_no_test_changes_a_constant_or_a_private_name() -> None:
    assert {name for path in Path(__file__).parent.rglob("*.py") for name in patched(path)} <= PATCHED


def patched(path: Path) -> Iterator[str]:
    """What `setattr` of pytest's monkeypatch gets in this file, if it is `UPPER_CASE` or `_private` and the package's."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = {
        alias.asname or alias.name: f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if str(node.module if isinstance(node, ast.ImportFrom) else alias.name).startswith("mrl_sweep")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            first, second = [ast.unparse(arg).strip("'\"") for arg in node.args[:2]]
            name = first if isinstance(node.args[0], ast.Constant) else f"{ours.get(first, '')}.{second}"
            last = name.rpartition(".")[2]
            if name.startswith("mrl_sweep.") and (last.isupper() or re.match("_[a-zA-Z]", last)):
                yield name.removeprefix("mrl_sweep.")
