"""Records behave as the standard library's frozen data classes do: the same class is made both ways, and asked the same."""

from __future__ import annotations

import ast
import copy
import inspect
import operator
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

import mrl_sweep.record
from mrl_sweep.record import record


class _Point:
    """With a default, a factory, what is not compared, and what is worked out."""

    x: int
    y: float = 2.5
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)
    twice: int = field(init=False, compare=False)
    KIND: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.x)


def made(decorate: Callable[[Any], Any], template: type = _Point) -> Any:
    body = {name: value for name, value in vars(template).items() if name not in ("__dict__", "__weakref__")}
    return decorate(type("Point", template.__bases__, {**body, "__qualname__": "Point"}))


STANDARD = made(partial(dataclass, frozen=True, slots=True, order=True))
OURS = made(record(order=True))


def test_it_is_made_shown_and_taken_apart_alike() -> None:
    for arguments, named in [((1,), {}), ((1, 3.0, ["a"], "n"), {}), ((), {"x": 4, "note": "n"})]:
        theirs, ours = STANDARD(*arguments, **named), OURS(*arguments, **named)
        assert repr(ours) == repr(theirs)
        assert asdict(ours) == asdict(theirs)
        assert (ours.note, ours.twice, ours.KIND) == (theirs.note, theirs.twice, "point")
    assert [one.name for one in fields(OURS)] == [one.name for one in fields(STANDARD)]
    assert OURS.__match_args__ == STANDARD.__match_args__
    assert [str(p.replace(annotation=p.empty)) for p in inspect.signature(OURS).parameters.values()][:2] == ["x", "y=2.5"]
    assert OURS(1).tags is not OURS(1).tags


@pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4, 5)])
def test_wrong_arguments_are_refused_in_the_same_words(arguments: tuple[int, ...]) -> None:
    said = []
    for kind in (STANDARD, OURS):
        with pytest.raises(TypeError) as refusal:
            kind(*arguments)
        said.append(str(refusal.value))
    assert said[0] == said[1]


def test_equal_ordered_and_hashed_by_what_is_compared() -> None:
    plain = made(record(order=True), type("_Pair", (), {"__annotations__": {"a": "int", "b": "str"}, "__doc__": "Two."}))
    assert OURS(1, note="a") == OURS(1, note="b") != OURS(2)
    assert hash(plain(1, "a")) == hash(plain(1, "a")) != hash(plain(1, "b"))
    assert sorted([plain(2, "a"), plain(1, "b"), plain(1, "a")]) == [plain(1, "a"), plain(1, "b"), plain(2, "a")]
    assert not plain(1, "a") < plain(1, "a") <= plain(1, "a")
    for other in (STANDARD(1), (1, 2.5, []), None):
        assert OURS(1) != other
        with pytest.raises(TypeError):
            operator.lt(OURS(1), cast(Any, other))


@pytest.mark.parametrize("slots", [True, False])
def test_nothing_changes_it_and_copies_are_equal(slots: bool) -> None:
    kind = made(record(slots=slots))
    one = kind(1, tags=["a"])
    for refused in (lambda: setattr(one, "x", 2), lambda: setattr(one, "new", 2), lambda: delattr(one, "x")):
        with pytest.raises(FrozenInstanceError):
            refused()
    assert hasattr(one, "__dict__") == (not slots)
    assert replace(one, x=3) == kind(3, tags=["a"])
    assert replace(one, x=3).twice == 6
    assert copy.deepcopy(one) == one
    assert copy.copy(one).tags is one.tags


@record
class Parent:
    """One that is inherited from."""

    a: int
    b: int = 2


@record(kw_only=True)
class Child(Parent):
    """Named fields behind those that it inherits."""

    c: int
    d: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return "its own"


@record(slots=False)
class Cached:
    a: int

    @cached_property
    def double(self) -> int:
        return 2 * self.a


class _Lane:
    """Told apart by which it is, not by what it holds."""

    name: str
    resources: dict[str, int] = field(default_factory=dict)


def test_compared_by_which_it_is_where_that_is_said() -> None:
    for kind in (made(partial(dataclass, frozen=True, slots=True, eq=False), _Lane), made(record(eq=False), _Lane)):
        one, other = kind("a"), kind("a")
        assert one == one != other
        assert {one: 1, other: 2}[one] == 1


def test_one_that_is_not_frozen_changes_and_has_no_hash() -> None:
    for kind in (made(partial(dataclass, slots=True), _Lane), made(record(frozen=False), _Lane)):
        one = kind("a")
        one.name = "b"
        assert one == kind("b") != kind("a")
        with pytest.raises(TypeError, match="unhashable"):
            hash(one)
        with pytest.raises(AttributeError):
            one.new = 1


def test_every_class_of_data_is_a_record() -> None:
    """A data class beside them takes the time of five, and reads as if it differed in more than that."""
    root = Path(mrl_sweep.record.__file__).parent
    pages = {page.relative_to(root).as_posix(): ast.parse(page.read_text(encoding="utf-8")) for page in root.rglob("*.py")}
    names = {name: {node.id for node in ast.walk(page) if isinstance(node, ast.Name)} for name, page in pages.items()}
    assert [name for name, used in names.items() if "dataclass" in used] == ["record.py"]


@record
class Nothing:
    """Without a field."""


def test_children_pickles_and_cached_properties() -> None:
    child = Child(1, c=3)
    assert pickle.loads(pickle.dumps(child)) == child == Child(a=1, b=2, c=3)
    assert (child.b, child.d, repr(child)) == (2, (), "its own")
    assert child != Parent(1)
    assert Cached(4).double == 8
    assert Nothing() == Nothing()
    assert (hash(Nothing()), repr(Nothing())) == (hash(()), "Nothing()")
    with pytest.raises(TypeError):
        Child(1, 2, 3)  # type: ignore[call-arg]


def test_one_function_is_compiled_for_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what they are for: the standard library compiles six."""
    compiled = []

    def counted(*arguments: Any) -> None:
        compiled.append(arguments[0])
        exec(*arguments)

    monkeypatch.setattr(mrl_sweep.record, "exec", counted, raising=False)
    monkeypatch.setattr("dataclasses.exec", counted, raising=False)
    made(record(order=True))
    assert len(compiled) == 1
