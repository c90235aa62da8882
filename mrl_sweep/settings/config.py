"""Every setting of a run as one frozen `SweepConfig`: flags over environment over TOML over pyproject over defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mrl_sweep.errors import InputError
from mrl_sweep.settings.layers import Layer, beside, environment_layer, flag_layer, pyproject_layer, toml_layer
from mrl_sweep.settings.setting import Setting
from mrl_sweep.settings.table import (
    SETTINGS,
    TABLES,
    CollectionTable,
    DecisionTable,
    DeployTable,
    GateTable,
    ModelTable,
    PlanTable,
    RunTable,
    SlicesTable,
    SweepTable,
)
from mrl_sweep.types import AGREEMENT, Measure
from mrl_sweep.words import printable

LABEL_FREE_MEASURES: Final = (Measure(AGREEMENT, 10),)
"""What is measured without judgments, unless a depth is asked for."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Everything a run needs to know, checked. `SweepConfig.of(...)` makes one in a notebook, `load_config` one from files.

    `origins` says by `table.key` where each value that is not a default came from: `--retain`, `MRL_SWEEP_RETAIN`,
    `sweep.toml:12`.
    """

    collection: CollectionTable
    model: ModelTable
    sweep: SweepTable
    decision: DecisionTable
    slices: SlicesTable
    run: RunTable
    gate: GateTable
    deploy: DeployTable
    plan: PlanTable
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """The configuration by the options' names: `SweepConfig.of(collection="pydocs", model="wordllama", dims=[256, 64])`.

        Raises `InputError` for an unknown name or a value that is not accepted.
        """
        return cls._merged([flag_layer(settings, spelled="{}=")])

    def settings(self) -> dict[str, Any]:
        """Every setting as a JSON-able value, by `table.key`. No secret is among them; a password in a URL is blanked."""
        return {setting.path: _jsonable(getattr(getattr(self, setting.table), setting.key)) for setting in SETTINGS}

    def record(self) -> dict[str, Any]:
        """The settings that are no defaults as JSON-able values, by `table.key`, their paths absolute: `recorded` reads them."""
        given = (setting for setting in SETTINGS if setting.path in self.origins)
        return {
            setting.path: beside(Path.cwd() / "record", setting, _jsonable(getattr(getattr(self, setting.table), setting.key)))
            for setting in given
        }

    @classmethod
    def recorded(cls, record: Mapping[str, Any], origin: str) -> Self:
        """The inverse of `record`; `origin` says in messages where it was read. Raises InputError for other values."""
        by_path = {setting.path: setting for setting in SETTINGS}
        if unknown := sorted(record.keys() - by_path.keys()):
            raise InputError(f"{origin}: there is no setting {unknown[0]!r}", "it was written by another version of mrl-sweep")
        return cls._merged([{by_path[path]: (value, origin) for path, value in record.items()}])

    def each(self) -> tuple[Self, ...]:
        """A configuration for each collection, alike in all else."""
        return tuple(self.replaced("collection", "source", source) for source in self.collection.sources)

    def unless_given(self, table: str, key: str, value: Any) -> Self:
        """The same configuration with another default for one setting: a value that came from somewhere stays."""
        return self if f"{table}.{key}" in self.origins else self.replaced(table, key, value)

    def replaced(self, table: str, key: str, value: Any) -> Self:
        """The same configuration with another value of one setting, its origin kept."""
        return replace(self, **{table: replace(getattr(self, table), **{key: value})})

    @classmethod
    def _merged(cls, layers: Sequence[Layer]) -> Self:
        """The configuration of these layers, the last one strongest. Raises one `InputError` for all values that are wrong."""
        written: dict[Setting, tuple[Any, str]] = {}
        for layer in layers:
            written.update(layer)
        values: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        faults: list[InputError] = []
        for setting in SETTINGS:
            if setting in written:
                value, origin = written[setting]
                try:
                    values[setting.table][setting.key] = setting.row.parse(value)
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
    """The configuration from flags > `MRL_SWEEP_*` > the TOML at `path` > `[tool.mrl-sweep]` in ./pyproject.toml > defaults.

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
    """What `mrl_sweep.run` takes: a `SweepConfig` as it is, or the path of a TOML file, or nothing, with settings on top."""
    if isinstance(config, SweepConfig):
        if settings:
            raise InputError("a SweepConfig takes no further settings", "give them to SweepConfig.of(...)")
        return config
    return load_config(None if config is None else Path(config), settings) if config is not None else SweepConfig.of(**settings)


def _where(setting: Setting, origin: str) -> str:
    """`--retain`, `MRL_SWEEP_RETAIN`, `retain=`, or `sweep.toml:12: [decision] retain`."""
    named = origin.startswith(("--", "MRL_SWEEP_")) or origin.endswith("=")
    return origin if named else f"{origin}: [{setting.table}] {setting.key}"


def _one_error(faults: Sequence[InputError]) -> InputError:
    """All that is wrong, one line each; of several, each line holds its own hint."""
    if len(faults) == 1:
        return faults[0]
    lines = [f"{fault.message} ({fault.hint})" if fault.hint else fault.message for fault in faults]
    return InputError("\n".join(lines), f"{len(lines)} settings to mend; `mrl-sweep config` shows all of them")


def _jsonable(value: Any) -> Any:
    """JSON's own types; the user part of a URL, which may hold a password, and a password by name are blanked."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return re.sub(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", re.sub(r"(?<=://)[^/@]*@", "***@", value))
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, StrEnum | Measure | Path):
        return str(value)
    return value
