"""The fewest bytes a vector that are proven: over the model's own axes, and over axes that were fitted on the documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mrl_sweep.decision.grid import GridAnswer, decide_grid
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.smallest import Smallest, smallest_at
from mrl_sweep.deploying.findings import bytes_in_memory
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration, IntArray, Scores

Refusal = Callable[[Configuration], object]
"""Whether, or why, a target does not take a configuration; falsy where it does."""


def _nothing_refused(_configuration: Configuration) -> str:
    return ""


_ALL_FIT: Final[Mapping[Configuration, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fewest:
    """What the paths through the grid prove of the model's own axes (`own`) and of PCA's (`turned`, None where not ranked).

    Each is a claim of its own, at the policy's alpha. `smallest` are the answers at other shares, of the model's own axes.
    """

    own: GridAnswer
    turned: GridAnswer | None
    smallest: tuple[Smallest, ...]


def fewest_of(
    scores: Scores,
    policy: Policy,
    *,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
    refused: Refusal = _nothing_refused,
) -> Fewest:
    """The answers of the grid of everything that was ranked exhaustively and that the target does not refuse.

    Raises InputError where no share is defined.
    """
    taken = [c for c in scores.candidates if not refused(c)]
    own, turned = (grid_bytes(taken, basis) for basis in (Basis.PREFIX, Basis.PCA))
    return Fewest(
        own=decide_grid(scores, policy, bytes_of=own, clusters=clusters, unfit=unfit),
        turned=decide_grid(scores, policy, bytes_of=turned, basis=Basis.PCA, clusters=clusters, unfit=unfit) if turned else None,
        smallest=smallest_at(scores, policy, bytes_of=own, clusters=clusters, unfit=unfit),
    )


def grid_bytes(candidates: Iterable[Configuration], basis: str) -> dict[Configuration, int]:
    """Bytes of a vector in memory of each cell of the grid: sizes, precisions, and codes that are ordered again.

    A shortlist of float32 vectors is none: which of them were measured was chosen by their scores.
    """
    return {
        c: bytes_in_memory(c)
        for c in candidates
        if c.basis == basis and c.index == EXACT and not (c.rescore and c.precision == FLOAT32)
    }
