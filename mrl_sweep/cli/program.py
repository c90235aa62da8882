"""The program as typer has it: its commands, their options, read off the table of settings, and typer's errors in our words.

Options only carry what was typed: the settings parse it, so that flag, environment and file are read by one reader with one set
of errors. typer would import pydantic to turn texts into texts, which takes longer than a warm gate.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mrl_sweep import __version__
from mrl_sweep.cli.help_page import EPILOG, HELP, HOMES, PROGRAM, PURPOSE, row_lines
from mrl_sweep.settings.setting import Setting
from mrl_sweep.settings.table import SETTINGS
from mrl_sweep.words import nearest

C = TypeVar("C", bound=Callable[..., Any])

ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="CONFIG.toml", help="Settings; every option below may stand there.", show_default=False)
]

OUTPUT: Final = ("run.format", "run.output")
EMBED: Final = (
    "collection",
    "model",
    "run.store",
    "run.store_dtype",
    "run.offline",
    "run.strict",
    "run.executor",
    "run.address",
    *OUTPUT,
)
JUDGED: Final = ("decision", "slices", "run.accept", *OUTPUT)
"""Settings of a command on finished runs."""

SWEEP: Final = ("collection", "model", "sweep", "decision", "slices", "deploy", "run")
GATE: Final = (*JUDGED, "gate", "run.strict", "run.store", "run.offline", "run.out", "run.threads")
SCORE: Final = (*JUDGED, "run.out")
PLAN: Final = (*JUDGED, "plan", "model.price_per_million", "deploy.target", "deploy.budget_ms", "deploy.budget_gib")


def _talk(names: str, help_text: str, **more: Any) -> Any:
    return typer.Option(*names.split(), help=help_text, rich_help_panel="Talk", show_default=False, **more)


TALK: Final[dict[str, Any]] = {
    "quiet": Annotated[int, _talk("-q --quiet", "Only the verdict; -qq: nothing, the exit code tells.", metavar="", count=True)],
    "verbose": Annotated[int, _talk("-v --verbose", "Every section, and how long each stage took.", metavar="", count=True)],
    "show": Annotated[
        str | None,
        _talk("--show", "Parts of the text in full: indexes, funnels, slices, losers, controls, warnings; all.", metavar="NAMES"),
    ],
    "debug": Annotated[bool, _talk("--debug", "Show the traceback of an error.")],
}
"""Options that say how much is printed, not what is done; they are no settings."""


def settings_of(*places: str) -> Iterator[Setting]:
    """Yields the settings of these places, whole tables (`decision`) or single rows (`run.store`), in table order."""
    yield from (setting for setting in SETTINGS if setting.table in places or setting.path in places)


def takes(*places: str) -> Callable[[C], C]:
    """Gives a command the options of these settings; they are made where typer is to read them (`with_options`)."""

    def note(command: C) -> C:
        vars(command)["options_of"] = places
        return command

    return note


def with_options(command: C) -> C:
    """Gives the command its options in the place of `**flags`: keyword parameters, which typer can read."""
    if "__signature__" in vars(command):
        return command
    own = inspect.signature(command, eval_str=True)
    fixed = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    given = [_parameter(setting.flag, _option(setting)) for setting in settings_of(*vars(command)["options_of"])]
    given += [_parameter(name, option, 0 if option.__origin__ is int else None) for name, option in TALK.items()]
    vars(command)["__signature__"] = own.replace(parameters=[*fixed, *given])
    return command


class AsTyped:
    """Takes values as the parser of the command line gives them; only paths are converted. A `RuntimeParam` of typer."""

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:  # noqa: ARG002 - typer gives it
        """Returns the value, or a list where there may be several; None, or (), for what is not given."""
        several, kind = param.multiple or param.nargs == -1, param.type_descriptor.annotation
        if value is None:
            return () if several else None
        make = Path if kind in (Path, list[Path]) else lambda text: text
        return [make(each) for each in value] if several else make(value)


class _Option(TyperOption):
    def get_runtime_param(self) -> Any:
        return AsTyped()


class _Argument(TyperArgument):
    def get_runtime_param(self) -> Any:
        return AsTyped()


def _as_typed(parameters: Iterable[Any]) -> list[Any]:
    """Turns the parameters into ours: typer makes them, and takes no class for them."""
    ordered = list(parameters)
    for parameter in ordered:
        parameter.__class__ = _Argument if isinstance(parameter, TyperArgument) else _Option
    return ordered


class Command(TyperCommand):
    """A command of typer whose parameters are taken as typed, and whose help needs no rich, which takes longer than all else."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_help(self, ctx, formatter, {})


class Commands(TyperGroup):
    """The program itself, its parameters taken as typed and its help written without rich."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, inspect.cleandoc(command.help or "").partition("\n\n")[0]) for name, command in self.commands.items()]
        write_help(self, ctx, formatter, {"Commands": commands})


def write_help(command: Any, ctx: Any, formatter: Any, more: dict[str, list[tuple[str, str]]]) -> None:
    """Writes usage, help, the parameters panel by panel, `more` panels of names with their help, and the epilogue."""
    command.format_usage(ctx, formatter)
    command.format_help_text(ctx, formatter)
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        title = "Arguments" if isinstance(parameter, TyperArgument) else parameter.rich_help_panel or "Options"
        if (record := parameter.get_help_record(ctx)) is not None:
            panels.setdefault(title, []).append(record)
    panels |= more
    if "Options" in panels:
        panels["Options"] = panels.pop("Options")  # last: they are the same everywhere
    for title, rows in panels.items():
        with formatter.section(title):
            for row in rows:
                for line in row_lines(*row, indent=formatter.current_indent, width=formatter.width):
                    formatter.write(line + "\n")
    command.format_epilog(ctx, formatter)


def _parameter(name: str, option: Any, default: int | None = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option)


def _option(setting: Setting) -> Any:
    """Makes the option as typer reads it: a switch where there is an opposite, a list where it may be repeated, else a text."""
    kind = bool | None if "/" in setting.options else list[str] | None if setting.repeatable else str | None
    help_text = f"{setting.help} Repeatable." if setting.repeatable else setting.help
    names, panel = setting.options.split(), setting.panel
    return Annotated[
        kind, typer.Option(*names, metavar=setting.metavar, help=help_text, rich_help_panel=panel, show_default=False)
    ]


def program(argv: Sequence[str] = ()) -> typer.Typer:
    """Builds the program with the command that `argv` names, else with all, whose hundreds of options typer would read."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Commands,
        help=PURPOSE,
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": sorted(HELP)},
    )
    app.callback()(_options)
    for name in argv[:1] if argv and argv[0] in HOMES else HOMES:
        app.command(cls=Command)(with_options(getattr(import_module(f"mrl_sweep.cli.{HOMES[name]}"), name)))
    return app


def preload(argv: Sequence[str]) -> None:
    """Imports what every command needs while the stack is low, unless help is asked for.

    CPython's stack comes in pieces, and a call that straddles two of them costs an allocation: numpy at the end of a long chain
    of imports took 50 ms more.
    """
    if argv and argv[0] in HOMES and HELP.isdisjoint(argv):
        import_module("numpy")
        import_module("mrl_sweep.settings.config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."""


def in_our_style(error: Any, argv: Sequence[str]) -> tuple[str, str]:
    """Returns the message and hint of an error that typer raised over these arguments."""
    option, near = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    command = argv[0] + " " if not argv[0].startswith("-") else ""
    accepted = f"`{PROGRAM} {command}--help` shows what is accepted"
    others = list(_commands_with(option)) if option else []
    if others and argv[0] not in others:
        return f"no such option: {option}", f"it belongs to {', '.join(others)}; {accepted}"
    if near:
        return _lowered(error.message), f"did you mean {nearest(option, near, cutoff=0)[0]}?"
    message, _, suggestion = error.format_message().strip().partition(". Did you mean ")
    message = _lowered(message)
    if suggestion:
        return message, f"did you mean {suggestion}"
    return message, accepted if "command" not in message else f"`{PROGRAM} --help` shows what is accepted"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")


def _commands_with(option: str) -> Iterator[str]:
    """Yields the commands that take an option of this name."""
    commands: Any = typer.main.get_command(program())
    for name, command in commands.commands.items():
        if any(option in parameter.opts for parameter in command.params):
            yield name
