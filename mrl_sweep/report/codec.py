"""Dataclasses to plain JSON values and back, checked: a message names the place in the document."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, NoReturn, TypeVar

from mrl_sweep.errors import InputError

T = TypeVar("T")

_NOT_A_REPORT = "name a run folder of mrl-sweep, or the report.json in it"
_OTHER_VERSION = "run it again with this version, or read it with the version of mrl-sweep that wrote it"


def document(value: Any) -> dict[str, Any]:
    """A document's dataclass as plain JSON values, its `schema_version` first."""
    plain: dict[str, Any] = encode(value)
    return {"schema_version": plain.pop("schema_version"), **plain}


def encode(value: Any) -> Any:
    """Plain JSON values of a dataclass, mapping, sequence or scalar; None for NaN and infinities.

    Fields marked `document: False` stay out. Raises TypeError for what has no place in JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in _document_fields(type(value))}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy here
        return encode(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in a JSON document: {value!r}")


def load_json(text: str | bytes, *, source: str) -> Any:
    """The value of strict JSON text. Raises InputError with line and column, also for NaN and Infinity."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}:{error.lineno}:{error.colno}: not JSON: {error.msg}", _NOT_A_REPORT) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON: {error}", _NOT_A_REPORT) from None


def decode(cls: type[T], data: object, *, source: str, schema: tuple[str, Collection[int]]) -> T:
    """The dataclass `cls` that `encode` turned into `data`; its schema (key, the numbers that can be read) is checked first.

    Null for a plain float is NaN; unknown keys are passed over. Raises InputError that names the place, as `source: a.b[2]`.
    """
    key, supported = schema
    if not isinstance(data, Mapping) or key not in data:
        raise InputError(f"{source}: not a report of mrl-sweep: it has no {key}", _NOT_A_REPORT)
    found = data[key]
    if found not in supported or isinstance(found, bool):
        numbers = " and ".join(map(str, supported))
        raise InputError(f"{source}: {key} is {found!r}; this version reads {numbers}", _OTHER_VERSION)
    result: T = _decode(cls, data, source, "")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _document_fields(cls: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.metadata.get("document", True)]


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, value: Any, source: str, place: str) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, source, place)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _decode(inner, value, source, place)
    if origin is tuple:
        if not isinstance(value, list):
            _refuse("a list", value, source, place)
        return tuple(_decode(arguments[0], item, source, f"{place}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            _refuse("an object", value, source, place)
        return {key: _decode(arguments[1], item, source, f"{place}.{key}") for key, item in value.items()}
    return _decode_scalar(hint, value, source, place)


def _decode_dataclass(cls: Any, value: Any, source: str, place: str) -> Any:
    if not isinstance(value, Mapping):
        _refuse("an object", value, source, place)
    hints = _hints(cls)
    given = {}
    for field in _document_fields(cls):
        here = f"{place}.{field.name}" if place else field.name
        if field.name in value:
            given[field.name] = _decode(hints[field.name], value[field.name], source, here)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{source}: {here} is missing", _NOT_A_REPORT)
    return cls(**given)


def _decode_scalar(hint: Any, value: Any, source: str, place: str) -> Any:
    number = not isinstance(value, bool) and (
        (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))
    )
    if hint is float and (number or value is None):
        return math.nan if value is None else float(value)
    if hint is int and number and value == int(value):
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    return _refuse({float: "a number", int: "a whole number", str: "text"}.get(hint, "true or false"), value, source, place)


def _refuse(wanted: str, value: Any, source: str, place: str) -> NoReturn:
    shown = json.dumps(value)[:40]
    raise InputError(f"{source}: {place} should be {wanted}, not {shown}", _NOT_A_REPORT)
