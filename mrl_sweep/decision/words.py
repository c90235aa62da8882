"""Shares in words, with enough digits that the printed number implies the verdict."""

from __future__ import annotations

from typing import Final

_MOST_DECIMALS: Final = 10


def percent(share: float | None, *, limit: float | None = None, decimals: int = 1) -> str:
    """`97.996%`: at least `decimals` digits after the point, and as many more as it takes to lie on its side of `limit`.

    `limit` is a share too; None (undefined) prints as "an unknown share".
    """
    if share is None:
        return "an unknown share"
    for digits in range(decimals, _MOST_DECIMALS):
        shown = round(100 * share, digits)
        if limit is None or (shown >= round(100 * limit, _MOST_DECIMALS)) == (share >= limit):
            return f"{shown:.{digits}f}%"
    return f"{100 * share:.{_MOST_DECIMALS}f}%"


def asked(share: float) -> str:
    """`98%`, `99.5%`: a share that a person typed, as short as it is exact."""
    return f"{round(100 * share, _MOST_DECIMALS):.12g}%"
