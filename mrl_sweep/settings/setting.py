"""A setting: its row in the table of settings, and all that is read off it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, fields
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, Self

from mrl_sweep.record import record
from mrl_sweep.settings.parsing import choice_of, parse_flag

ENVIRONMENT_PREFIX: Final = "MRL_SWEEP_"


@record(kw_only=True, slots=False)
class SettingsTable:
    """A table of a TOML file; `panel` is the heading of its options on a help page."""

    panel: ClassVar[str]

    def __init_subclass__(cls, *, panel: str) -> None:
        cls.panel = panel


@record(kw_only=True)
class Setting:
    """One setting: where it stands in a file (`table` and `key`), and its row, which the field of that table carries.

    `options` are as typed, `--offline/--online` or `-o --output`; `repeatable` ones are lists. A relative path in a file is
    meant from that file's folder: where the value is a `path`, or a `spec` that may name one. `name` is the setting's in
    Python and, in capitals, its variable's; empty, it is the option's.
    """

    table: str
    key: str
    default: Any
    panel: str
    options: str
    metavar: str | None
    parse: Callable[[Any], Any]
    help: str
    repeatable: bool = False
    relative: Literal["", "path", "spec"] = ""
    name: str = ""

    @property
    def path(self) -> str:
        """`table.key`, as origins and the report's manifest spell it."""
        return f"{self.table}.{self.key}"

    @property
    def option(self) -> str:
        """The option as it is typed, without its short form and its opposite: `--offline`."""
        return self.options.split()[-1].partition("/")[0]

    @property
    def flag(self) -> str:
        """The setting's name in Python: `SweepConfig.of(max_memory="4GiB")`."""
        return self.name or self.option.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The name of its environment variable: `MRL_SWEEP_MAX_MEMORY`."""
        return ENVIRONMENT_PREFIX + self.flag.upper()

    @classmethod
    def all_of(cls, name: str, table: type[SettingsTable]) -> Iterator[Self]:
        """Yields the settings of the table of this name, in its order."""
        for one in fields(table):
            yield cls(table=name, key=one.name, default=one.default, panel=table.panel, **one.metadata)


def setting(options: str, metavar: str | None, parse: Callable[[Any], Any], default: Any, help: str, **more: Any) -> Any:
    """Makes a field of a table that carries its row: option, metavar, parser, default, help, and what else `Setting` has."""
    return field(default=default, metadata={"options": options, "metavar": metavar, "parse": parse, "help": help, **more})


def switch(options: str, help: str) -> Any:
    """Makes a field that is false unless switched on; `options` are the switch and its opposite: `--force/--no-force`."""
    return setting(options, None, parse_flag, False, help)


def choice(option: str, kind: type[StrEnum], default: StrEnum, help: str, *, metavar: str = "") -> Any:
    """Makes a field with one of the values of `kind`, which are its metavar unless one is given."""
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
    """Makes a field that holds a tuple: a list in a file, an option that may be repeated."""
    return setting(option, metavar, parse, default, help, repeatable=True, name=name)
