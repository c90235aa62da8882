"""The sizes that a sweep tries: what `--dims` asks for, held against what the model has."""

from __future__ import annotations

from mrl_sweep.embedding.families import halvings
from mrl_sweep.errors import InputError
from mrl_sweep.words import first_offenders


def candidate_dims(dims: str | tuple[int, ...], full: int, trained: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Ascending sizes, the full size always among them; `dims` is what `settings.parsing.parse_dims` returns.

    `auto` is the model's trained sizes, else halvings down to 32; `every:8` is each multiple of 8. Raises `InputError` for a
    size above the model's.
    """
    if dims == "auto":
        return (*sorted({dim for dim in trained if 0 < dim < full} or halvings(full)), full)
    if isinstance(dims, str):
        step = int(dims.removeprefix("every:"))
        return tuple(sorted({*range(step, full + 1, step), full}))
    too_large = sorted({dim for dim in dims if dim > full})
    if too_large:
        raise InputError(
            f"the model has {full} dimensions, {first_offenders([str(dim) for dim in too_large])} asked for",
            f"--dims up to {full}",
        )
    return tuple(sorted({*dims, full}))
