"""Every setting of a run as one frozen `SweepConfig`: flags over environment over TOML over pyproject over defaults."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.record import record
from mrl_sweep.settings.parsing import format_size, parse_size
from mrl_sweep.settings.setting import ENVIRONMENT_PREFIX, Setting
from mrl_sweep.settings.table import SETTINGS, TABLES, Tables
from mrl_sweep.types import AGREEMENT, Measure
from mrl_sweep.words import did_you_mean, printable

LABEL_FREE_MEASURES: Final = (Measure(AGREEMENT, 10),)
"""The measures of a run without judgments, unless others are given."""

SECRET_HINT: Final = "keys are read from the environment only, under the provider's own name"

_suggested = partial(did_you_mean, spelt=repr)
_PACKAGED: Final = frozenset({"pydocs", "wordllama", "-"})

Layer = Mapping[Setting, tuple[Any, str]]
"""Raw values of one source, each with its origin in words."""


@record(kw_only=True, slots=False)
class SweepConfig(Tables):
    """Everything a run needs to know, checked. `SweepConfig.of(...)` makes one in a notebook, `load_config` one from files.

    `origins` says by `table.key` where each value that is not a default came from: `--retain`, `MRL_SWEEP_RETAIN`,
    `sweep.toml:12`.
    """

    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """Makes the configuration by option names: `SweepConfig.of(collection="pydocs", model="wordllama", dims=[256, 64])`.

        Raises `InputError` for an unknown name or a value that is not accepted.
        """
        return cls._merged([flag_layer(settings, spelled="{}=")])

    def settings(self) -> dict[str, Any]:
        """Returns every setting as a JSON-able value, by `table.key`. No secret is among them; passwords are blanked."""
        return {setting.path: self._jsonable(setting) for setting in SETTINGS}

    def to_json(self) -> str:
        """Returns one document: `{"settings": [{"key": "decision.retain", "value": 0.98, "origin": "default"}, …]}`."""
        rows = [{"key": path, "value": value, "origin": self._origin(path)} for path, value in self.settings().items()]
        return json.dumps({"schema_version": 1, "settings": rows}, indent=2) + "\n"

    def to_toml(self) -> str:
        """Returns TOML with each value's origin as a comment; a setting without a value is commented out."""
        values, blocks = self.settings(), []
        for table, rows in groupby(SETTINGS, key=lambda setting: setting.table):
            assigned = [(_assignment(one, values[one.path]), self._origin(one.path)) for one in rows]
            width = max(len(text) for text, _ in assigned)
            blocks.append("\n".join([f"[{table}]", *(f"{text:<{width}}  # {origin}" for text, origin in assigned)]))
        return "\n\n".join(blocks) + "\n"

    def _origin(self, path: str) -> str:
        return self.origins.get(path, "default")

    def record(self) -> dict[str, Any]:
        """Returns the settings that have an origin as JSON-able values, by `table.key`, paths absolute: `recorded` reads them."""
        file = Path.cwd() / "record"
        return {one.path: beside(file, one, self._jsonable(one)) for one in SETTINGS if one.path in self.origins}

    def _jsonable(self, setting: Setting) -> Any:
        return _jsonable(getattr(getattr(self, setting.table), setting.key))

    @classmethod
    def recorded(cls, record: Mapping[str, Any], origin: str) -> Self:
        """Reads what `record` returned; `origin` says in messages where it was read. Raises InputError for other values."""
        by_path = {setting.path: setting for setting in SETTINGS}
        if unknown := sorted(record.keys() - by_path.keys()):
            raise InputError(f"{origin}: there is no setting {unknown[0]!r}", "it was written by another version of mrl-sweep")
        return cls._merged([{by_path[path]: (value, origin) for path, value in record.items()}])

    def each(self) -> tuple[Self, ...]:
        """Returns a configuration for each collection, alike in all else."""
        return tuple(self.replaced("collection", "source", source) for source in self.collection.sources)

    def unless_given(self, table: str, key: str, value: Any) -> Self:
        """Returns the same configuration with another default for one setting: a value that has an origin stays."""
        return self if f"{table}.{key}" in self.origins else self.replaced(table, key, value)

    def replaced(self, table: str, key: str, value: Any) -> Self:
        """Returns the same configuration with another value of one setting, its origin kept."""
        return replace(self, **{table: replace(getattr(self, table), **{key: value})})

    @classmethod
    def _merged(cls, layers: Sequence[Layer]) -> Self:
        """Merges these layers, the last one strongest. Raises one `InputError` for all values that are wrong."""
        written: dict[Setting, tuple[Any, str]] = {}
        for layer in layers:
            written.update(layer)
        values: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        faults: list[InputError] = []
        for setting in SETTINGS:
            if setting in written:
                value, origin = written[setting]
                try:
                    values[setting.table][setting.key] = setting.parse(value)
                except InputError as fault:
                    faults.append(InputError(f"{_where(setting, origin)}: {fault.message}", fault.hint))
                except (ValueError, ArithmeticError):  # numbers of five thousand digits, or beyond what a float holds
                    shown = printable(str(value), 40)
                    faults.append(InputError(f"{_where(setting, origin)}: {shown} is out of range", "write a smaller number"))
        if faults:
            raise _one_error(faults)
        tables = {name: table(**values[name]) for name, table in TABLES.items()}
        origins = {setting.path: origin for setting, (_, origin) in written.items()}
        config = cls(**tables, origins=MappingProxyType(origins))  # type: ignore[arg-type]
        return config.unless_given("decision", "measures", LABEL_FREE_MEASURES) if config.collection.label_free else config


def load_config(
    path: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> SweepConfig:
    """Reads the configuration: flags > `MRL_SWEEP_*` > the TOML at `path` > `[tool.mrl-sweep]` in ./pyproject.toml > defaults.

    `flags` are by option name (`{"retain": "98%"}`), None or an empty list meaning "not given". Relative paths in a file are
    relative to that file's folder, those of flags and environment to the working folder. Raises `InputError` with file and key.
    """
    layers = [pyproject_layer(Path("pyproject.toml"))]
    if path is not None:
        layers.append(toml_layer(path))
    layers.append(environment_layer(os.environ if environ is None else environ))
    layers.append(flag_layer(flags or {}))
    return SweepConfig._merged(layers)


def as_config(config: SweepConfig | Path | str | None = None, **settings: Any) -> SweepConfig:
    """Returns the configuration of `mrl_sweep.run`: a `SweepConfig` as it is; a TOML file's or the default, settings on top."""
    if isinstance(config, SweepConfig):
        if settings:
            raise InputError("a SweepConfig takes no further settings", "give them to SweepConfig.of(...)")
        return config
    return SweepConfig.of(**settings) if config is None else load_config(Path(config), settings)


def _where(setting: Setting, origin: str) -> str:
    """`--retain`, `MRL_SWEEP_RETAIN`, `retain=`, or `sweep.toml:12: [decision] retain`."""
    named = origin.startswith(("--", "MRL_SWEEP_")) or origin.endswith("=")
    return origin if named else f"{origin}: [{setting.table}] {setting.key}"


def _one_error(faults: Sequence[InputError]) -> InputError:
    """Joins all that is wrong in one error, one line each; of several, each line holds its own hint."""
    if len(faults) == 1:
        return faults[0]
    lines = [f"{fault.message} ({fault.hint})" if fault.hint else fault.message for fault in faults]
    return InputError("\n".join(lines), f"{len(lines)} settings to mend; `mrl-sweep config` shows all of them")


def _jsonable(value: Any) -> Any:
    """Returns a value of JSON's types; the user part of a URL, which may hold a password, and a password by name are blanked."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return re.sub(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", re.sub(r"(?<=://)[^/@]*@", "***@", value))
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, StrEnum | Measure | Path):
        return str(value)
    return value


def _assignment(setting: Setting, value: Any) -> str:
    if value is None:
        return f"# {setting.key} ="
    text = format_size(value) if setting.parse is parse_size else value
    # TOML spells strings, numbers, truth values and arrays as JSON does.
    return f"{setting.key} = {json.dumps(text, ensure_ascii=False)}"


def flag_layer(flags: Mapping[str, Any], spelled: str = "") -> Layer:
    """Returns the given options (by name without dashes), not None or empty lists. Raises InputError for an unknown name."""
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
    """Reads the `MRL_SWEEP_*` variables. Raises InputError for one that names no setting; its value is never shown."""
    by_variable = {setting.variable: setting for setting in SETTINGS}
    layer: dict[Setting, tuple[Any, str]] = {}
    for name in sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX)):
        if name not in by_variable:
            raise InputError(f"{name}: no setting has this name", _secret_hint(name) or _suggested(name, by_variable))
        if environ[name] != "":
            layer[by_variable[name]] = (environ[name], name)
    return layer


def pyproject_layer(path: Path) -> Layer:
    """Reads [tool.mrl-sweep] of a pyproject.toml; empty where there is no such file or table. Raises as `toml_layer`."""
    if not path.is_file():
        return {}
    text = _read_text(path)
    if "mrl-sweep" not in text:
        return {}
    tables = _parse(text, path).get("tool", {}).get("mrl-sweep", {})
    return _file_layer(tables, path, text, prefix="tool.mrl-sweep.")


def toml_layer(path: Path) -> Layer:
    """Reads the tables of a configuration file. Raises `InputError` with file and line."""
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
    layer: dict[Setting, tuple[Any, str]] = {}
    for table, values in tables.items():
        if table not in TABLES or not isinstance(values, dict):
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
    if not isinstance(values, dict):
        if table in TABLES:
            return InputError(f"{where}: [{table}] is a table", f"write [{table}] on a line of its own, its keys below")
        hint = f"it belongs under [{home}]" if home else _suggested(table, [setting.key for setting in SETTINGS])
        return InputError(f"{where}: the key {table!r} stands outside of any table", _secret_hint(table) or hint)
    return InputError(f"{where}: unknown table [{table}]", _suggested(table, TABLES) or f"the tables are: {', '.join(TABLES)}")


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
    """Puts a relative path of a file below that file's folder; leaves names of models and packaged collections alone."""
    if isinstance(value, list):
        return [beside(path, setting, item) for item in value]
    if not isinstance(value, str) or value in _PACKAGED or Path(value).is_absolute() or value.startswith("~") or "://" in value:
        return value
    folder = path.parent
    if setting.relative == "path":
        return str(folder / value)
    if setting.relative == "spec":
        scheme, colon, rest = value.partition(":")
        place, mark, named = (rest if colon else value).partition("?")
        candidate = folder / place
        if is_there(candidate):
            return f"{scheme}:{candidate}{mark}{named}" if colon else f"{candidate}{mark}{named}"
    return value


def _line_of(text: str, table: str, key: str | None) -> str:
    """Returns `:12`, the line of the key (or of the table's header, key None); empty where it is written in another way."""
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
