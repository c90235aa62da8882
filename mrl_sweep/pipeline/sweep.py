"""Everything a run has found so far, handed from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.findings import Evaluation
from mrl_sweep.report.document import FunnelRow
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import (
    Advice,
    Collection,
    Configuration,
    Embeddings,
    Float32Array,
    IntArray,
    Ranks,
    Scores,
    Verdict,
    exact_prefixes,
    full_size,
)

if TYPE_CHECKING:
    from mrl_sweep.deploying.indexes.measurement import IndexMeasurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The verdict on the exact prefixes and all it rests on; indexes and funnels join as they are measured.

    `rotation` is the one that PCA fitted, where it was asked for; `unfit` candidates fail whatever their scores.
    """

    config: SweepConfig
    collection: Collection
    embeddings: Embeddings
    ranks: Ranks
    scores: Scores
    policy: Policy
    verdict: Verdict
    clusters: IntArray | None = None
    unfit: Mapping[Configuration, str] = field(default_factory=dict)
    rotation: Float32Array | None = None
    indexes: tuple[IndexMeasurement, ...] = ()
    left_out: tuple[Advice, ...] = ()
    funnels: tuple[FunnelRow, ...] = ()

    @property
    def evaluation(self) -> Evaluation:
        """What its findings rest on."""
        return Evaluation(
            ranks=self.ranks,
            qrels=self.collection.qrels,
            scores=self.scores,
            policy=self.policy,
            verdict=self.verdict,
            clusters=self.clusters,
            unfit=self.unfit,
            no_relevant=self.config.collection.no_relevant.value,
        )

    @property
    def full(self) -> Configuration:
        """Full size, with which everything is compared."""
        return full_size(self.ranks.candidates)

    @property
    def sizes(self) -> tuple[Configuration, ...]:
        """The exact prefixes, from full size down."""
        return exact_prefixes(self.ranks.candidates)
