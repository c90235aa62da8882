"""Classes of data, frozen unless they say otherwise, made in a quarter of the time that `dataclasses.dataclass` takes.

The latter compiles six functions for each class, in .4 ms: for the 180 classes of a warm run a tenth of all its time. Here only
`__init__` is compiled; the other methods look up their class's fields when they are called, and are shared.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(
    *, kw_only: bool = False, order: bool = False, slots: bool = True, eq: bool = True, frozen: bool = True
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[T] | None = None,
    /,
    *,
    kw_only: bool = False,
    order: bool = False,
    slots: bool = True,
    eq: bool = True,
    frozen: bool = True,
) -> type[T] | Callable[[type[T]], type[T]]:
    """Makes a class behave as one of `dataclass(frozen=True, slots=True)`: `fields`, `replace` and `asdict` take it.

    Methods that the class defines itself are kept. A class that caches properties needs a `__dict__`: `slots=False`.
    """

    def make(cls: Any) -> Any:
        own = vars(cls).keys()
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # else dataclass asks for a signature, to write it there
        made: Any = dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
        compared = _tuple_of([one.name for one in fields(made) if one.compare])
        methods: dict[str, Any] = {"__init__": _initialiser(made), "__repr__": _repr, _COMPARED: compared}
        methods |= {"__eq__": _equal, "__hash__": _hash if frozen else None} if eq else {}
        methods |= (_OF_FROZEN if frozen else {}) | (_OF_ORDER if order else {}) | (_OF_SLOTS if slots else {})
        for name, method in methods.items():
            if name not in own:
                setattr(made, name, method)
        return made

    return make if cls is None else make(cls)


_COMPARED: Final = "_compared"
"""The attribute of a class that gives the values by which its instances are equal."""


def _initialiser(cls: Any) -> Any:
    """Compiles the `__init__` of the class's fields, which calls `__post_init__` where there is one."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    placed: list[str] = ["self"]
    named: list[str] = []
    lines: list[str] = []
    for one in fields(cls):
        if not one.init:
            continue
        name, default, value = one.name, "", one.name
        if one.default is not MISSING:
            names[f"_default_{name}"], default = one.default, f"=_default_{name}"
        elif one.default_factory is not MISSING:
            names[f"_make_{name}"], default = one.default_factory, "=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        (named if one.kw_only else placed).append(name + default)
        lines.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ", ".join([*placed, *(["*", *named] if named else [])])
    exec("\n".join([f"def __init__({parameters}):", *lines, " return None"]), names)
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return names["__init__"]


def _tuple_of(names: list[str]) -> Any:
    """Returns a function from an instance to the tuple of its values of these names."""
    if len(names) > 1:
        return staticmethod(operator.attrgetter(*names))
    return staticmethod(lambda instance: tuple(getattr(instance, name) for name in names))


def _equal(self: Any, other: Any) -> bool:
    return bool(self._compared(self) == self._compared(other)) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse_to_set(self: Any, name: str, value: object) -> NoReturn:  # noqa: ARG001 - Python gives them
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:  # noqa: ARG001 - Python gives it
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def method(self: Any, other: Any) -> bool:
        return compare(self._compared(self), self._compared(other)) if other.__class__ is self.__class__ else NotImplemented

    return method


_OF_FROZEN: Final = {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
_OF_ORDER: Final = {f"__{name}__": _ordered(getattr(operator, name)) for name in ("lt", "le", "gt", "ge")}
_OF_SLOTS: Final = {"__getstate__": _state, "__setstate__": _set_state}
