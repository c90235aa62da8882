"""Every option is a setting and every setting an option, so that flag, file and environment say the same."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from mrl_sweep.cli.invocation import TALK
from mrl_sweep.cli.options import GateFlags, TalkFlags
from mrl_sweep.config import SETTINGS, SweepConfig


def test_options_and_settings_are_the_same_set() -> None:
    assert set(get_type_hints(GateFlags)) - set(TALK) == {setting.flag for setting in SETTINGS}
    assert set(get_type_hints(TalkFlags)) == set(TALK)


def test_each_option_is_spelled_like_its_setting() -> None:
    declared = get_type_hints(GateFlags, include_extras=True)
    for setting in SETTINGS:
        names = declared[setting.flag].__metadata__[0].param_decls
        spelled = [part for name in (declared[setting.flag].__metadata__[0].default, *names) if name for part in name.split("/")]
        assert setting.option in spelled


@pytest.mark.parametrize(
    ("flag", "key"),
    [("split", "collection.split"), ("alpha", "decision.alpha"), ("retain", "decision.retain"), ("dims", "sweep.dims")],
)
def test_the_default_that_help_names_is_the_default(flag: str, key: str) -> None:
    told = get_type_hints(GateFlags, include_extras=True)[flag].__metadata__[0].help
    assert str(SweepConfig.of().settings()[key]) in told
