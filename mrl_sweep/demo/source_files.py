"""Reads what packages say of themselves from their source files, without importing them: for corpora of tens of thousands."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Collection, Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mrl_sweep.demo.entries import MIN_WORDS, Entry, clean, merged

_NOT_PUBLIC: Final = frozenset(
    {"conftest", "externals", "setup", "test", "testing", "tests", "third_party", "vendor", "vendored", "mrl_sweep"}
)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def harvest_sources(*, exclude: Collection[str] = ()) -> list[Entry]:
    """What the public definitions of every installed package but `exclude` say, sorted by name.

    A name is where the object is defined without the private parts of the path (`scipy.optimize._minimize.minimize` is
    `scipy.optimize.minimize`); of two such definitions the first in order of paths stays.
    """
    tops = sorted(top for top in packages_distributions() if top not in exclude and _is_public(top))
    entries: dict[str, Entry] = {}
    for top in tops:
        for module, path in _modules(top):
            for entry in _entries(top, module, path):
                entries.setdefault(entry.name, entry)
    return sorted(merged(entries.values()), key=lambda entry: entry.name)


def _modules(top: str) -> Iterator[tuple[str, Path]]:
    """The public modules of a package on disk, in order of paths; those in a zip or without source are passed over."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None or top in sys.stdlib_module_names:
        return
    if not spec.submodule_search_locations:
        if spec.origin and spec.origin.endswith(".py"):
            yield top, Path(spec.origin)
        return
    for root in map(Path, spec.submodule_search_locations):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            named = [part for part in parts if part != "__init__"]
            if all(map(_is_public, named)):
                yield ".".join([top, *(part for part in named if not part.startswith("_"))]), path


def _is_public(part: str) -> bool:
    return part not in _NOT_PUBLIC and not part.startswith(("test_", "_vendor")) and not part.endswith(("_test", "_tests"))


def _entries(package: str, module: str, path: Path) -> Iterator[Entry]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):  # templates, other versions' syntax
        return
    if not path.stem.startswith("_") or path.stem == "__init__":
        doc = clean(ast.get_docstring(tree, clean=False) or "")
        if len(doc.split()) >= MIN_WORDS:
            yield Entry(module, "module", package, module, doc)
    yield from _definitions(package, module, tree.body, in_class=False)


def _definitions(package: str, owner: str, body: list[ast.stmt], *, in_class: bool) -> Iterator[Entry]:
    for node in body:
        if not isinstance(node, _Definition) or node.name.startswith("_"):
            continue
        name = f"{owner}.{node.name}"
        doc = clean(ast.get_docstring(node, clean=False) or "")
        if len(doc.split()) >= MIN_WORDS:
            yield Entry(name, _kind(node, in_class), package, _signature(name, node), doc)
        if isinstance(node, ast.ClassDef):
            yield from _definitions(package, name, node.body, in_class=True)


def _kind(node: _Definition, in_class: bool) -> str:
    if isinstance(node, ast.ClassDef):
        return "class"
    if not in_class:
        return "function"
    decorators = {getattr(decorator, "id", getattr(decorator, "attr", "")) for decorator in node.decorator_list}
    return "property" if any(name.endswith("property") for name in decorators) else "method"


def _signature(name: str, node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        inits = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        return _signature(name, inits[0]) if inits else name
    given = node.args
    plain = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [argument.arg for argument in plain if argument is not None and argument.arg not in {"self", "cls"}]
    return f"{name}({', '.join(names)})"
