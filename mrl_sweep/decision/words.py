"""Shares in words, with enough digits that the printed number implies the verdict."""

from __future__ import annotations

from typing import Final

from mrl_sweep.types import Measure

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


def keeps(measure: Measure, share: str, *, plural: bool = False) -> str:
    """`keeps 98% of nDCG@10`; of agreement, which is no quality: `returns 98% of the full size's top 10`."""
    verb, what = ("return", f"the full size's top {measure.cutoff}") if measure.label_free else ("keep", str(measure))
    return f"{verb}{'' if plural else 's'} {share} of {what}"


def queries_of(measure: Measure, number: int | None = None) -> str:
    """`judged queries`, or `queries` where nothing was judged; `query` where `number` is 1."""
    return f"{'' if measure.label_free else 'judged '}{'query' if number == 1 else 'queries'}"


def asked(share: float) -> str:
    """`98%`, `99.5%`: a share that a person typed, as short as it is exact."""
    return f"{round(100 * share, _MOST_DECIMALS):.12g}%"
