"""Every option is a setting and every setting an option, so that flag, file and environment say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import mrl_sweep
from mrl_sweep.cli.invocation import TALK
from mrl_sweep.cli.options import GateFlags, PlanFlags, SweepFlags, TalkFlags
from mrl_sweep.settings.config import SETTINGS, SweepConfig

DECLARED = {
    name: hint
    for group in (SweepFlags, GateFlags, PlanFlags)
    for name, hint in get_type_hints(group, include_extras=True).items()
}
PACKAGE = Path(mrl_sweep.__file__).parent


def _names(hint: Any) -> list[str]:
    option = hint.__metadata__[0]
    return [name for name in (option.default, *option.param_decls) if isinstance(name, str)]


def test_options_and_settings_are_the_same_set() -> None:
    assert set(DECLARED) - set(TALK) == {setting.flag for setting in SETTINGS}
    assert set(get_type_hints(TalkFlags)) == set(TALK)


def test_each_option_is_spelled_like_its_setting() -> None:
    for setting in SETTINGS:
        assert setting.option in [part for name in _names(DECLARED[setting.flag]) for part in name.split("/")]


@pytest.mark.parametrize(
    ("flag", "key"),
    [("backend", "model.backend"), ("alpha", "decision.alpha"), ("retain", "decision.retain"), ("dims", "sweep.dims")],
)
def test_the_default_that_help_names_is_the_default(flag: str, key: str) -> None:
    told = DECLARED[flag].__metadata__[0].help
    assert str(SweepConfig.of().settings()[key]) in told


def test_every_option_that_a_message_names_exists() -> None:
    spelled = {part for hint in DECLARED.values() for name in _names(hint) for part in name.split("/")}
    known = spelled | {"--help", "--version", "--dry-run"}
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    named = {(path.name, flag) for path, text in sources.items() for flag in re.findall(r"(?<![-\w])--[a-z][a-z-]+", text)}
    assert {(name, flag) for name, flag in named if flag not in known} == set()
