"""Which sizes a sweep tries: `auto`, `64,128,256` or `every:8`, held against what the model has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mrl_sweep.embedding.families import halvings
from mrl_sweep.errors import InputError, first_offenders

_FORMS = "--dims auto, --dims 64,128,256 or --dims every:8"


def candidate_dims(spec: str | Sequence[int | str], full: int, trained: Sequence[int] = ()) -> tuple[int, ...]:
    """Ascending sizes, the full size always among them; repeats and order are mended.

    `auto` is the model's trained sizes, else halvings down to 32; `every:8` is each multiple of 8. Raises `InputError` for a
    size that is not a whole number from 1 to the model's.
    """
    if isinstance(spec, str) and (spec := spec.strip().lower()) == "auto":
        return (*sorted({dim for dim in trained if 0 < dim < full} or halvings(full)), full)
    if isinstance(spec, str) and spec.startswith("every:"):
        step = _size(spec.removeprefix("every:"), spec)
        return tuple(sorted({*range(step, full + 1, step), full}))
    sizes = [_size(part, spec) for part in (spec.split(",") if isinstance(spec, str) else spec)]
    if not sizes:
        raise InputError("no sizes to try", _FORMS)
    too_large = sorted({size for size in sizes if size > full})
    if too_large:
        raise InputError(
            f"the model has {full} dimensions, {first_offenders([str(size) for size in too_large])} asked for",
            f"--dims up to {full}",
        )
    return tuple(sorted({*sizes, full}))


def _size(part: object, spec: object) -> int:
    text = str(part).strip()
    if isinstance(part, bool) or not re.fullmatch(r"\+?\d+", text) or int(text) == 0:
        raise InputError(f"{text!r} in --dims {spec if isinstance(spec, str) else list(_texts(spec))} is not a size", _FORMS)
    return int(text)


def _texts(spec: object) -> list[str]:
    return [str(part) for part in spec] if isinstance(spec, Sequence) else [str(spec)]
