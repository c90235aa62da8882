"""A setting: its row in the table of settings, and all that is read off it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, Self

from mrl_sweep.settings.parsing import choice_of, parse_flag

ENVIRONMENT_PREFIX: Final = "MRL_SWEEP_"

_ROW: Final = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """What is known of a setting besides its place, which is the table and the name of the field that holds the row.

    `options` are as typed, `--offline/--online` or `-o --output`; `repeatable` ones are lists. A relative path in a file is
    meant from that file's folder: where the value is a `path`, or a `spec` that may name one. `name` is the setting's in
    Python and, in capitals, its variable's; empty, it is the option's.
    """

    options: str
    metavar: str | None
    parse: Callable[[Any], Any]
    help: str
    repeatable: bool = False
    relative: Literal["", "path", "spec"] = ""
    name: str = ""


def setting(options: str, metavar: str | None, parse: Callable[[Any], Any], default: Any, help: str, **more: Any) -> Any:
    """A field with its row in the metadata: option, metavar, parser, default, help."""
    return field(default=default, metadata={_ROW: SettingRow(options=options, metavar=metavar, parse=parse, help=help, **more)})


def switch(options: str, help: str) -> Any:
    """A field that is false unless switched on; `options` are the switch and its opposite: `--force/--no-force`."""
    return setting(options, None, parse_flag, False, help)


def choice(option: str, kind: type[StrEnum], default: StrEnum, help: str, *, metavar: str = "") -> Any:
    """A field with one of the values of `kind`, which are its metavar unless there are too many."""
    return setting(option, metavar or "|".join(kind), choice_of(kind), default, help)


def several(
    option: str,
    metavar: str,
    parse: Callable[[Any], tuple[Any, ...]],
    help: str,
    *,
    default: tuple[Any, ...] = (),
    name: str = "",
) -> Any:
    """A field that holds a tuple: a list in a file, an option that may be repeated."""
    return setting(option, metavar, parse, default, help, repeatable=True, name=name)


@dataclass(frozen=True, kw_only=True)
class SettingsTable:
    """A table of a TOML file; `panel` is the heading of its options on a help page."""

    panel: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its table and key in a file, its row, and all that is read off these."""

    table: str
    key: str
    row: SettingRow
    default: Any
    panel: str

    @property
    def path(self) -> str:
        """`table.key`, as origins and the report's manifest spell it."""
        return f"{self.table}.{self.key}"

    @property
    def option(self) -> str:
        """The option as it is typed, without its short form and its opposite: `--offline`."""
        return self.row.options.split()[-1].partition("/")[0]

    @property
    def flag(self) -> str:
        """The setting's name in Python: `SweepConfig.of(max_memory="4GiB")`."""
        return self.row.name or self.option.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.flag.upper()

    @classmethod
    def all_of(cls, name: str, table: type[SettingsTable]) -> Iterator[Self]:
        """The settings of the table of this name, in its order."""
        for spec in fields(table):
            yield cls(table=name, key=spec.name, row=spec.metadata[_ROW], default=spec.default, panel=table.panel)
