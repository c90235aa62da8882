"""The target's part of a plan: which structure each configuration goes into, what it weighs there, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target
from mrl_sweep.types import Configuration


@dataclass(frozen=True, slots=True)
class Placed:
    """Codes in the structure that searches them; `refusal` says why the target cannot hold them, empty where it can."""

    base: Configuration
    index: str
    refusal: str = ""


def placed(target: Target, bases: Iterable[Configuration], indexes: Sequence[str]) -> list[Placed]:
    """Every configuration with every index, the largest size first; without indexes, with the target's own structure.

    What the target does not offer at all (a precision) is left out; what it offers but not at this size is there, refused.
    """
    largest_first = sorted(bases, key=lambda base: -base.dim)
    if indexes:
        return [Placed(base, index, target.refusal(base)) for index in indexes for base in largest_first]
    offered = [(base, offer) for base in largest_first if (offer := target.offer(base.precision)) is not None]
    return [Placed(base, offer.index, target.refusal(base)) for base, offer in offered]


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
