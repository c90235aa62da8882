"""Writes `docs/codes.md` and `docs/settings.md` from the code: `make docs`; `tests/test_docs.py` holds the pages to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import mrl_sweep
from mrl_sweep import cli, errors
from mrl_sweep.runs.gate import EXIT_CODES
from mrl_sweep.settings.setting import Setting
from mrl_sweep.settings.table import SETTINGS, TABLES

DOCS: Final = Path(__file__).parent
PACKAGE: Final = Path(mrl_sweep.__file__).parent

NOUNS: Final = ("documents", "queries")
"""What `{noun}` in a code stands for: texts of either role are counted alike."""

_GAP: Final = "…"


class Raised(NamedTuple):
    """Advice as a module gives it: its code, and its sentence with `…` for figures and names, empty where it is put together."""

    code: str
    sentence: str
    module: str


def advice() -> list[Raised]:
    """Every code in the package, by name."""
    every = {raised for path in PACKAGE.rglob("*.py") for raised in _of_module(path)}
    return sorted(every)


def _of_module(path: Path) -> Iterator[Raised]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = str(path.relative_to(PACKAGE))
    scopes = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]
    assigned = {call: _names(scope) for scope in scopes for call in _calls(scope)}  # the innermost function wins
    for call, names in assigned.items():
        first = call.args[0] if call.args else None
        code = next((word.value for word in call.keywords if word.arg == "code"), first)
        sentence = call.args[1] if len(call.args) > 1 and code is first else None
        for text in _codes(code):
            yield Raised(text, _text(sentence, names), module)


def _calls(scope: ast.AST) -> Iterator[ast.Call]:
    """Calls of `Advice(code, ...)`, and of `replace(advice, code=...)`."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _gives_code(node):
            yield node


def _gives_code(call: ast.Call) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name == "Advice":
        return bool(call.args) and not isinstance(call.args[0], ast.Starred)
    return name == "replace" and any(word.arg == "code" for word in call.keywords)


def _codes(node: ast.expr | None) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        stem = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return [stem.format(noun) for noun in NOUNS]
    raise ValueError(f"line {getattr(node, 'lineno', '?')}: a code must be a literal, so that it can be listed")


def _names(scope: ast.AST) -> Mapping[str, ast.expr]:
    return {
        target.id: node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _text(node: ast.expr | None, names: Mapping[str, ast.expr]) -> str:
    """The sentence with a gap for each part that is only known when it is said."""
    if isinstance(node, ast.Name) and node.id in names:
        node = names[node.id]
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _GAP for part in node.values)
    return ""


def codes_page() -> str:
    """Every exit code and every advice code."""
    lines = [
        "# Codes",
        "",
        "Made from the code by `make docs`; a test holds this page to it.",
        "",
        "## Exit codes",
        "",
        "Whatever the format:",
        "",
        "| code | when |",
        "|---|---|",
        *(f"| {code} | {when} |" for code, when in exit_codes().items()),
        "",
        "## Advice codes",
        "",
        f"`warnings` of a report hold `code`, `message` and `hint`. `{_GAP}` stands for a figure or a name; where no sentence is",
        "given, it is put together from several parts. Codes are added, never renamed.",
        "",
        "| code | sentence | said in |",
        "|---|---|---|",
    ]
    for (code, sentence), places in groupby(advice(), key=lambda one: (one.code, one.sentence)):
        modules = ", ".join(f"`{one.module}`" for one in places)
        lines.append(f"| `{code}` | {sentence.replace('|', '/')} | {modules} |")
    return "\n".join(lines) + "\n"


def exit_codes() -> dict[int, str]:
    """What the process ends with, and when."""
    gate = {str(status): code for status, code in EXIT_CODES.items()}
    return {
        gate["pass"]: "the job is done; of `gate`: the gate is met",
        gate["fail"]: "`gate`: the gate is not met",
        errors.InputError.exit_code: "usage, configuration or data that cannot be evaluated",
        errors.EnvironmentFault.exit_code: "a provider, a disk, a missing package; work is kept, the same command resumes",
        gate["inconclusive"]: "`gate`: not enough evidence",
        cli.BUG: "a fault of mrl-sweep itself",
        cli.INTERRUPTED: "interrupted (Ctrl-C); the same command resumes",
        cli.TERMINATED: "terminated (SIGTERM); the same command resumes",
    }


def settings_page() -> str:
    """Every setting with its option, key, variable, default and meaning."""
    lines = [
        "# Settings",
        "",
        "Made from the table of settings by `make docs`; a test holds this page to it. Options win over variables, these over",
        "the TOML file that is named, that over `[tool.mrl-sweep]` in pyproject.toml. `mrl-sweep config` prints each value and",
        "where it came from.",
    ]
    for name in TABLES:
        lines += ["", f"## [{name}]", "", "| key | option | variable | default | meaning |", "|---|---|---|---|---|"]
        lines += [_row(setting) for setting in SETTINGS if setting.table == name]
    return "\n".join(lines) + "\n"


def _row(setting: Setting) -> str:
    options = " ".join(f"`{part}`" for name in setting.options.split() for part in name.split("/"))
    help_text = setting.help + (" Repeatable." if setting.repeatable else "")
    cells = (f"`{setting.key}`", options, f"`{setting.variable}`", _default(setting.default), help_text)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _default(value: Any) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(f"`{item}`" for item in (value if isinstance(value, tuple) else (value,)))


PAGES: Final = {"codes.md": codes_page, "settings.md": settings_page}

if __name__ == "__main__":
    for page, made in PAGES.items():
        (DOCS / page).write_text(made(), encoding="utf-8")
