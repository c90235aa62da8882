"""Where settings come from: each source read into a layer of raw values that remember their origin."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.settings.setting import ENVIRONMENT_PREFIX, Setting
from mrl_sweep.settings.table import SETTINGS
from mrl_sweep.words import did_you_mean

SECRET_HINT: Final = "keys are read from the environment only, under the provider's own name"

_suggested = partial(did_you_mean, spelt=repr)
_PACKAGED: Final = frozenset({"pydocs", "wordllama", "-"})


Layer = Mapping[Setting, tuple[Any, str]]
"""Raw values of one source, each with its origin in words."""


def flag_layer(flags: Mapping[str, Any], spelled: str = "") -> Layer:
    """The given options (by name without dashes); None and empty lists are options that were not given."""
    by_key = {setting.key: setting for setting in SETTINGS if setting.key != "name"}
    by_flag = by_key | {setting.flag: setting for setting in SETTINGS}
    layer: dict[Setting, tuple[Any, str]] = {}
    for name, value in flags.items():
        if name not in by_flag:
            raise InputError(f"there is no setting {name!r}", _suggested(name, by_flag))
        if value is None or value == [] or value == ():
            continue
        layer[by_flag[name]] = (value, spelled.format(name) if spelled else by_flag[name].option)
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The `MRL_SWEEP_*` variables. One that names no setting is refused; its value is never shown."""
    by_variable = {setting.variable: setting for setting in SETTINGS}
    layer: dict[Setting, tuple[Any, str]] = {}
    for name in sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX)):
        if name not in by_variable:
            raise InputError(f"{name}: no setting has this name", _secret_hint(name) or _suggested(name, by_variable))
        if environ[name] != "":
            layer[by_variable[name]] = (environ[name], name)
    return layer


def pyproject_layer(path: Path) -> Layer:
    """[tool.mrl-sweep] of a pyproject.toml; nothing where there is no such file or table."""
    if not path.is_file():
        return {}
    text = _read_text(path)
    if "mrl-sweep" not in text:
        return {}
    tables = _parse(text, path).get("tool", {}).get("mrl-sweep", {})
    return _file_layer(tables, path, text, prefix="tool.mrl-sweep.")


def toml_layer(path: Path) -> Layer:
    """The tables of a configuration file. Raises `InputError` with file and line."""
    text = _read_text(path)
    return _file_layer(_parse(text, path), path, text)


def _secret_hint(name: str) -> str:
    return SECRET_HINT if re.search(r"key|token|secret|password", name, re.IGNORECASE) else ""


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "give the path of a TOML file; `mrl-sweep config` shows every setting"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"^(.*?) \(at line (\d+), column (\d+)\)$", str(error))
        line, problem = (
            (match[2], match[1])
            if match
            else (text.rstrip("\n").count("\n") + 1, str(error).replace(" (at end of document)", ""))
        )
        raise InputError(
            f"{path}:{line}: not valid TOML: {problem}", "texts stand between quotes, tables between brackets"
        ) from None
    except (ValueError, RecursionError) as error:  # of tomllib over thousands of digits, or of brackets
        raise InputError(f"{path}: not TOML that can be read: {error}", "`mrl-sweep config` shows every setting") from None


def _file_layer(tables: Mapping[str, Any], path: Path, text: str, prefix: str = "") -> Layer:
    by_place = {(setting.table, setting.key): setting for setting in SETTINGS}
    names = list(dict.fromkeys(setting.table for setting in SETTINGS))
    layer: dict[Setting, tuple[Any, str]] = {}
    for table, values in tables.items():
        if table not in names or not isinstance(values, dict):
            where = _line_of(text, prefix.rstrip("."), table) or _line_of(text, prefix + table, None)
            raise _unknown_table(f"{path}{where}", table, values)
        for key, value in values.items():
            where = f"{path}{_line_of(text, prefix + table, key)}"
            if (table, key) not in by_place:
                raise _unknown_key(where, table, key)
            layer[by_place[table, key]] = (beside(path, by_place[table, key], value), where)
    return layer


def _unknown_table(where: str, table: str, values: object) -> InputError:
    home = next((setting.table for setting in SETTINGS if table in (setting.key, setting.flag)), None)
    tables = list(dict.fromkeys(setting.table for setting in SETTINGS))
    if not isinstance(values, dict):
        if table in tables:
            return InputError(f"{where}: [{table}] is a table", f"write [{table}] on a line of its own, its keys below")
        hint = f"it belongs under [{home}]" if home else _suggested(table, [setting.key for setting in SETTINGS])
        return InputError(f"{where}: the key {table!r} stands outside of any table", _secret_hint(table) or hint)
    return InputError(f"{where}: unknown table [{table}]", _suggested(table, tables) or f"the tables are: {', '.join(tables)}")


def _unknown_key(where: str, table: str, key: str) -> InputError:
    message = f"{where}: unknown key {key!r} in [{table}]"
    elsewhere = next((s for s in SETTINGS if key in (s.key, s.flag) and s.table != table), None)
    keys = [setting.key for setting in SETTINGS if setting.table == table]
    alias = next((s.key for s in SETTINGS if s.table == table and key in (s.flag, s.flag.replace("_", "-"))), None)
    if elsewhere and not alias:
        return InputError(
            message, f"it belongs under [{elsewhere.table}]" + (f" as {elsewhere.key!r}" if key != elsewhere.key else "")
        )
    hint = f"did you mean {alias!r}?" if alias else _suggested(key, keys)
    return InputError(message, _secret_hint(key) or hint or f"the keys of [{table}] are: {', '.join(keys)}")


def beside(path: Path, setting: Setting, value: Any) -> Any:
    """A relative path in a file is meant from that file's folder; names of models and packaged collections are left alone."""
    if isinstance(value, list):
        return [beside(path, setting, item) for item in value]
    if not isinstance(value, str) or value in _PACKAGED or Path(value).is_absolute() or value.startswith("~") or "://" in value:
        return value
    folder = path.parent
    if setting.row.relative == "path":
        return str(folder / value)
    if setting.row.relative == "spec":
        scheme, colon, rest = value.partition(":")
        place, mark, named = (rest if colon else value).partition("?")
        candidate = folder / place
        if is_there(candidate):
            return f"{scheme}:{candidate}{mark}{named}" if colon else f"{candidate}{mark}{named}"
    return value


def _line_of(text: str, table: str, key: str | None) -> str:
    """`:12`, the line where the key (or the table's header, key None) stands; empty where it is written in another way."""
    current = ""
    for number, line in enumerate(text.split("\n"), start=1):
        header = re.fullmatch(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?", line)
        if header:
            current = header[1].replace('"', "").replace("'", "")
            if key is None and current == table:
                return f":{number}"
        elif key is not None and current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f":{number}"
    return ""
