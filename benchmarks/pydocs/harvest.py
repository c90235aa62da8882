"""What packages say of themselves: imported modules are asked, and source files read for a corpus of tens of thousands."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.pydocs.entries import MIN_WORDS, Entry, clean, merged

_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, property)
_CALLABLES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)


def module_names() -> list[str]:
    """The modules that are asked: public, importable anywhere without side effects, in order of preference of their names."""
    return Path(__file__).with_name("modules.txt").read_text(encoding="utf-8").split()


def harvest(modules: Iterable[str]) -> list[Entry]:
    """What these modules and their members say, sorted by name. Errors: ImportError for a module that is not on this system.

    An object that can be reached by several names appears once, under the first name met: modules come in the given order,
    their members in alphabetical order, and classes give their members after all modules were seen.
    """
    seen = _Found()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            seen.module(name, importlib.import_module(name))
        seen.members()
    return seen.entries()


_FIRST_CLASSES: Final = frozenset({"pandas.DataFrame", "pandas.Series"})
"""Classes that name what several classes share: people know `Series.str.split`, not `Index.str.split`."""

_SECOND_NAMES: Final = frozenset({"socket.SocketType"})
"""Public names of a private base class, which would take its members away from the class that people use."""

_HOOKS: Final = frozenset(
    {"pdb.set_trace", "sys.breakpointhook", "sys.displayhook", "sys.excepthook", "sys.unraisablehook", "threading.excepthook"}
    | {"warnings.formatwarning", "warnings.showwarning"}
)
"""Functions that programs put their own in place of: what they say depends on who is running."""

_WRONGLY_LISTED: Final = frozenset({"numpy.lib.stride_tricks"})
"""Modules whose `__all__` was meant for another module (numpy before 2.0)."""


class _Found:
    """The objects met so far, by identity, each under its first name."""

    def __init__(self) -> None:
        self._objects: dict[int, tuple[str, str, Any]] = {}
        self._names: set[str] = set()
        self._aliases: dict[int, list[str]] = {}
        self._classes: list[tuple[str, type]] = []

    def module(self, name: str, module: types.ModuleType) -> None:
        self._note(name, "module", module)
        builtin = name == "builtins"
        listed = set(getattr(module, "__all__", ()))
        for member in sorted(_public_names(module)):
            value = getattr(module, member, None)
            kind = _kind(value)
            full = member if builtin else f"{name}.{member}"
            left_out = full in _SECOND_NAMES or full in _HOOKS
            if kind and not left_out and _belongs(value, name, listed=builtin or member in listed):
                self._note(full, kind, value)

    def members(self) -> None:
        """The members of all classes met, those of nested classes and of private base classes included."""
        public = {id(cls) for _, cls in self._classes}
        self._classes.sort(key=lambda named: named[0] not in _FIRST_CLASSES)
        for name, cls in self._classes:  # grows while nested classes are met
            bases = [base for base in cls.__mro__[1:] if id(base) not in public and base is not object]
            owners = {member: owner for owner in reversed([cls, *bases]) for member in vars(owner)}
            for member in sorted(owners):
                raw = vars(owners[member])[member]
                if not member.startswith("_") and not _is_patched_in(raw, cls):
                    self._member(f"{name}.{member}", raw, cls, member)

    def _member(self, name: str, raw: Any, cls: type, member: str) -> None:
        kind = _kind(raw, in_class=True)
        if kind:
            self._note(name, kind, raw)
            return
        value = getattr(cls, member, None)
        if isinstance(value, type) and value is not raw:  # an accessor, such as Series.str
            self._note(name, "class", value)

    def _note(self, name: str, kind: str, value: Any) -> None:
        key = id(value)
        if key in self._objects:
            self._aliases.setdefault(key, []).append(name)
            return
        if name in self._names:  # `unittest.main` is a class and also a module
            return
        self._names.add(name)
        self._objects[key] = (name, kind, value)
        if isinstance(value, type):
            self._classes.append((name, value))

    def entries(self) -> list[Entry]:
        out: list[Entry] = []
        for key, (name, kind, value) in self._objects.items():
            doc = _own_doc(value)
            if len(doc.split()) >= MIN_WORDS:
                aliases = tuple(sorted(set(self._aliases.get(key, ())) - {name}))
                out.append(Entry(name, kind, _package(name), _signature(name, value), doc, aliases))
        return sorted(merged(out), key=lambda entry: entry.name)


def _public_names(module: types.ModuleType) -> Iterator[str]:
    listed = getattr(module, "__all__", None) if module.__name__ not in _WRONGLY_LISTED else None
    names = listed or vars(module)
    return (name for name in names if not name.startswith("_"))


def _belongs(value: Any, module: str, *, listed: bool) -> bool:
    """Whether a module may speak for an object: it (or its C half) defines it, or it lists one of its own package.

    What another package has put in place of the module's own, as pytest does with `pdb.set_trace`, is not listed.
    """
    home = getattr(value, "__module__", None)
    if not isinstance(home, str):
        return listed or isinstance(value, types.BuiltinFunctionType)
    if _package(home) != _package(module):
        return False
    return listed or home == module or home.startswith((f"{module}.", "_")) or home in _REAL_NAMES.get(module, ())


def _is_patched_in(value: Any, cls: type) -> bool:
    """Whether another package has put a member into a class, as transformers puts `warning_once` into `logging.Logger`."""
    home = getattr(value, "__module__", None)
    if not isinstance(home, str) or isinstance(value, type):
        return False
    return _package(home) not in {_package(owner.__module__) for owner in cls.__mro__}


_REAL_NAMES = {"os.path": ("posixpath", "ntpath", "genericpath"), "os": ("posix", "nt")}


def _kind(value: Any, *, in_class: bool = False) -> str:
    """function, class, method or property; "" for data, which has no docstring of its own."""
    if isinstance(value, type) or type(value).__name__ in _CLASS_LIKE:
        return "class"
    if isinstance(value, types.GenericAlias):
        return ""
    if in_class and isinstance(value, (*_DESCRIPTORS, types.DynamicClassAttribute)):
        return "property"
    if isinstance(value, (*_CALLABLES, staticmethod, classmethod)) or type(value).__name__ in _FUNCTION_LIKE:
        return "method" if in_class else "function"
    return "property" if in_class and type(value).__name__ in _PROPERTY_LIKE else ""


_FUNCTION_LIKE = frozenset(
    {"ufunc", "_ArrayFunctionDispatcher", "cython_function_or_method", "cyfunction", "_lru_cache_wrapper", "CallableDynamicDoc"}
)
_CLASS_LIKE = frozenset({"_SpecialForm", "_TypedCacheSpecialForm"})
_PROPERTY_LIKE = frozenset({"cached_property", "CachedProperty", "cache_readonly"})


def _own_doc(value: Any) -> str:
    """The docstring written for this very object, not one inherited from its type or its base classes."""
    if isinstance(value, type):
        doc = value.__doc__ if "__doc__" in vars(value) else None
        if any(doc == base.__doc__ for base in value.__mro__[1:]):
            doc = None
        if doc is None:
            init = vars(value).get("__init__")
            doc = init.__doc__ if isinstance(init, types.FunctionType) else None
    else:
        value = getattr(value, "__func__", value) if isinstance(value, (classmethod, staticmethod)) else value
        doc = getattr(value, "__doc__", None)
        doc = None if doc is type(value).__doc__ else doc
    return clean(doc) if isinstance(doc, str) else ""


def _signature(name: str, value: Any) -> str:
    """`os.replace(src, dst, src_dir_fd, dst_dir_fd)`: names only, since defaults may differ from machine to machine."""
    if isinstance(value, type):
        parameters = (
            _parameters(vars(value).get("__init__")) or _parameters(vars(value).get("__new__")) or _text_parameters(value)
        )
    else:
        parameters = _parameters(value)
    return f"{name}({', '.join(parameters)})" if parameters is not None else name


def _parameters(value: Any) -> list[str] | None:
    value = getattr(value, "__func__", value)
    try:
        value = inspect.unwrap(value)
    except ValueError:
        return None
    code = getattr(value, "__code__", None)
    if not isinstance(code, types.CodeType):
        return _text_parameters(value)
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return [name for name in code.co_varnames[:count] if name not in {"self", "cls"}]


_PARAMETER = re.compile(r"(?:^|,)\s*\**([A-Za-z_]\w*)")
_NESTED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|'[^']*'|\"[^\"]*\"")


def _text_parameters(value: Any) -> list[str] | None:
    text = getattr(value, "__text_signature__", None)
    if not isinstance(text, str):
        return None
    return [name for name in _PARAMETER.findall(_NESTED.sub("", text.strip()[1:-1])) if name not in {"self", "cls"}]


def _package(name: str) -> str:
    top = name.partition(".")[0]
    return "python" if top in sys.stdlib_module_names or hasattr(builtins, top) else top


_NOT_PUBLIC: Final = frozenset(
    {"conftest", "externals", "setup", "test", "testing", "tests", "third_party", "vendor", "vendored", "mrl_sweep"}
)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def harvest_installed(packages: Iterable[str] | None = None) -> list[Entry]:
    """What all installed packages say, sorted by name: those asked as modules, and the sources of all others (`packages`)."""
    asked = harvest(module_names())
    known = {entry.package for entry in asked}
    others = harvest_sources(top for top in packages or packages_distributions() if top not in known)
    return sorted([*asked, *others], key=lambda entry: entry.name)


def harvest_sources(packages: Iterable[str]) -> list[Entry]:
    """What the public definitions of these packages say, sorted by name.

    A name is where the object is defined without the private parts of the path (`scipy.optimize._minimize.minimize` is
    `scipy.optimize.minimize`); of two such definitions the first in order of paths stays.
    """
    entries: dict[str, Entry] = {}
    for top in sorted(filter(_is_public, packages)):
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
            yield Entry(name, _kind_in_source(node, in_class), package, _signature_in_source(name, node), doc)
        if isinstance(node, ast.ClassDef):
            yield from _definitions(package, name, node.body, in_class=True)


def _kind_in_source(node: _Definition, in_class: bool) -> str:
    if isinstance(node, ast.ClassDef):
        return "class"
    if not in_class:
        return "function"
    decorators = {getattr(decorator, "id", getattr(decorator, "attr", "")) for decorator in node.decorator_list}
    return "property" if any(name.endswith("property") for name in decorators) else "method"


def _signature_in_source(name: str, node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        inits = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        return _signature_in_source(name, inits[0]) if inits else name
    given = node.args
    plain = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [argument.arg for argument in plain if argument is not None and argument.arg not in {"self", "cls"}]
    return f"{name}({', '.join(names)})"
