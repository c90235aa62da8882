"""The target's part of a plan: which structure each configuration goes into, what it weighs there, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target
from mrl_sweep.types import Configuration


@dataclass(frozen=True, slots=True)
class Placed:
    """Codes in the structure that searches them; `refusal` says why the target cannot hold them, empty where it can."""

    base: Configuration
    index: str
    refusal: str = ""


def placed(target: Target, bases: Iterable[Configuration], indexes: Callable[[Configuration], Sequence[str]]) -> list[Placed]:
    """Every configuration in each of its `indexes`, the largest size first; without any, in the target's own structure.

    What the target does not offer at all (a precision) is left out; what it offers but not at this size is there, refused.
    """
    rows = []
    for base in sorted(bases, key=lambda base: -base.dim):
        offer = target.offer(base.precision)
        own = () if offer is None else ("Flat" if target.name == DEFAULT_TARGET else offer.index,)
        rows += [Placed(base, index, target.refusal(base)) for index in indexes(base) or own]
    order = list(dict.fromkeys(at.index for at in rows))
    return sorted(rows, key=lambda at: order.index(at.index))


def target_weight(target: Target, at: Placed, docs: int) -> tuple[int, str] | None:
    """Bytes of the target's index, and whose they are in words; None where no formula is known."""
    weight = target.index_bytes(replace(at.base, index=at.index), docs)
    if weight is None or target.name == DEFAULT_TARGET:
        return None
    offer = target.offer(at.base.precision)
    own = offer is not None and offer.layout
    stand_in = f"those of FAISS's {at.index}, which stands in for {target.title}'s own"
    whose = f"{target.title}'s, by its own layout" if own else stand_in
    return weight, f"index bytes of {at.base.precision} are {whose}"
