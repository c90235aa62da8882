"""Dataclasses whose methods are made late do what they do otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from mrl_sweep.__main__ import make_methods_late

HERE = __name__.partition(".")[0]


def classes() -> tuple[Any, Any, Any]:
    """Dataclasses of every kind that the package has: frozen with slots, derived, ordered with work after the start."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        """A base."""

        a: int
        b: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        """One more field."""

        c: str = "c"

    @dataclass(order=True)
    class Ordered:
        """Compared by its fields."""

        x: int
        y: int = field(init=False, repr=False)

        def __post_init__(self) -> None:
            self.y = -self.x

    return Base, Derived, Ordered


def behaviour() -> list[Any]:
    """What can be asked of them."""
    base, derived, ordered = classes()
    one, other = derived(a=1), derived(a=1, c="d")
    refused = []
    for change in (lambda: setattr(one, "a", 2), lambda: delattr(one, "a"), lambda: derived(1), lambda: derived(d=1)):
        with pytest.raises((FrozenInstanceError, TypeError)) as error:
            change()
        refused.append((error.type, str(error.value)))
    return [
        *(
            repr(one),
            repr(other),
            one == derived(a=1),
            one == other,
            one == base(a=1),
            replace(other, a=5) == derived(a=5, c="d"),
        ),
        *(one.b is not other.b, dataclasses.asdict(other), [f.name for f in dataclasses.fields(derived)]),
        *(ordered(1) < ordered(2), sorted([ordered(3), ordered(1)])[0].y, repr(ordered(4)), refused),
        *(hash(base(a=1, b=())) == hash(base(a=1, b=())), derived.__init__.__qualname__, derived.__eq__.__name__),
    ]


def test_late_methods_do_what_methods_do(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = behaviour()
    monkeypatch.setattr(dataclasses, "_create_fn", getattr(dataclasses, "_create_fn", None))  # put back at the end
    make_methods_late(HERE)
    assert behaviour() == usual
    assert behaviour() == usual, "and again, once they are made"


def test_a_method_that_was_called_is_the_one_that_dataclasses_make(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(dataclasses, "_create_fn"):
        pytest.skip("this Python makes all methods of a class at once")
    monkeypatch.setattr(dataclasses, "_create_fn", dataclasses._create_fn)
    make_methods_late(HERE)
    base, _, _ = classes()
    late = base.__init__
    base(a=1)
    assert base.__init__ is not late
    assert base.__init__.__code__.co_varnames[:2] == ("self", "a")


def test_the_dataclasses_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(dataclasses, "_create_fn"):
        pytest.skip("this Python makes all methods of a class at once")
    monkeypatch.setattr(dataclasses, "_create_fn", dataclasses._create_fn)
    make_methods_late("another_package")
    base, _, _ = classes()
    assert base.__init__.__code__.co_varnames[:2] == ("self", "a")
