"""Everything that a run knows so far, handed from step to step; it begins with the verdict on what was ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.units import cluster_labels
from mrl_sweep.deploying.findings import Evaluation
from mrl_sweep.report.document import FunnelRow
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Advice, Collection, Configuration, Embeddings, Float32Array, Ranks

if TYPE_CHECKING:
    from mrl_sweep.deploying.indexes.measurement import IndexMeasurement

ZERO_SHARE: Final = 0.01
"""A size at which more than this share of the documents lose all their numbers is not acceptable, whatever it scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Evaluation):
    """The evaluation of everything that was ranked, and all it rests on; indexes and funnels join as they are measured.

    `rotation` is the one that PCA fitted, where it was asked for.
    """

    config: SweepConfig
    collection: Collection
    embeddings: Embeddings
    rotation: Float32Array | None = None
    indexes: tuple[IndexMeasurement, ...] = ()
    left_out: tuple[Advice, ...] = ()
    funnels: tuple[FunnelRow, ...] = ()


def judge_sweep(
    config: SweepConfig, collection: Collection, embeddings: Embeddings, ranks: Ranks, rotation: Float32Array | None = None
) -> Sweep:
    """Scores of every candidate under every measure that is asked for, and the verdict on the exact prefixes."""
    decision = config.decision
    required = tuple(dict.fromkeys((decision.measures[0], *decision.require)))
    return Sweep.of(
        ranks,
        collection.qrels,
        tuple(dict.fromkeys((*decision.measures, *required))),
        Policy(
            required=required,
            retain=decision.retain,
            alpha=decision.alpha,
            decide_by=decision.decide_by,
            by_default="decision.retain" not in config.origins,
        ),
        clusters=cluster_labels(collection.queries.metadata, decision.cluster) if decision.cluster else None,
        unfit=unfit_candidates(embeddings, ranks),
        no_relevant=config.collection.no_relevant.value,
        config=config,
        collection=collection,
        embeddings=embeddings,
        rotation=rotation,
    )


def unfit_candidates(embeddings: Embeddings, ranks: Ranks) -> dict[Configuration, str]:
    """Candidates that fail whatever their scores, with the reason: nothing tells their documents apart."""
    if any(advice.code == "collapsed-embeddings" for advice in embeddings.warnings):
        return dict.fromkeys(ranks.candidates, "collapsed embeddings: all document vectors are alike")
    if ranks.zero_prefixes is None:
        return {}
    counts = dict(zip(ranks.candidates, ranks.zero_prefixes.tolist(), strict=True))
    full = max(candidate.dim for candidate in counts)
    at_full = max(n for candidate, n in counts.items() if candidate.dim == full)
    return {
        candidate: f"{n - at_full:,} documents have only zeros in their first {candidate.dim} dimensions"
        for candidate, n in counts.items()
        if n - at_full > ZERO_SHARE * ranks.n_documents
    }
