"""One finding per configuration: how it was judged and what it costs. Whatever is recommended anywhere is one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mrl_sweep.decision.families import judge_all
from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.index_bytes import vector_bytes
from mrl_sweep.ranking.codes.precision import bytes_per_vector
from mrl_sweep.types import (
    Configuration,
    IntArray,
    Judgement,
    Outcome,
    Qrels,
    Ranks,
    Scores,
    Verdict,
    exact_prefixes,
    full_size,
)

NOT_CERTIFIED: Final = "not certified: too few training vectors"

_NOTHING: Final[Mapping[Configuration, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a configuration's index costs, as measured; None is "not measured". Sizes in bytes, times in s or ms as named.

    `queries_per_second` is with all `threads`, `queries_per_second_1` with one; latency is that of single queries on one.
    `build_s` contains `train_s`. `certified` is False for an index trained on fewer vectors than it needs.
    """

    index_bytes: int | None = None
    build_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    queries_per_second: float | None = None
    queries_per_second_1: float | None = None
    threads: int | None = None
    train_s: float | None = None
    resident_bytes: int | None = None
    certified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a run knows of one configuration. `agreement` is, by k, the share of full size's top k that its own top k holds."""

    judgement: Judgement
    cost: Cost = Cost()
    agreement: Mapping[int, float] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration:
        return self.judgement.candidate

    @property
    def acceptable(self) -> bool:
        """Whether it may be recommended: full size itself, or what was judged to keep the share of every required measure."""
        return self.judgement.outcome in (Outcome.BASELINE, Outcome.PASS)


Findings = Mapping[Configuration, Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a finding rests on: ranks and scores, the rule, its verdict on the sizes, and what is known beforehand.

    The same of a sweep and of a finished run, so that whatever follows from ranks alone follows for both in one place.
    """

    ranks: Ranks
    qrels: Qrels
    scores: Scores
    policy: Policy
    verdict: Verdict
    clusters: IntArray | None
    unfit: Mapping[Configuration, str]
    no_relevant: Literal["exclude", "zero"]

    @property
    def full(self) -> Configuration:
        """Full size, with which everything is compared."""
        return full_size(self.ranks.candidates)

    @property
    def sizes(self) -> tuple[Configuration, ...]:
        """The exact prefixes, from full size down."""
        return exact_prefixes(self.ranks.candidates)


def findings_of(
    scores: Scores,
    verdict: Verdict,
    policy: Policy,
    *,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
    costs: Mapping[Configuration, Cost] = _NOTHING,
    agreements: Mapping[Configuration, Mapping[int, float]] = _NOTHING,
) -> Findings:
    """A finding for every configuration that was scored, in the order of `scores`, all judged by the verdict's rule.

    What is not certified never passes, whatever it scored.
    """
    doubts = {configuration: NOT_CERTIFIED for configuration, cost in costs.items() if not cost.certified}
    judged = judge_all(scores, verdict, policy, clusters=clusters, unfit=unfit, doubts=doubts)
    return {
        configuration: Finding(
            judgement=judgement, cost=costs.get(configuration, Cost()), agreement=agreements.get(configuration, {})
        )
        for configuration, judgement in judged.items()
    }


def which_sizes(dims: Sequence[int], chosen: int | None, *, most: int = 12) -> tuple[int, ...]:
    """The sizes worth an index, largest first: all of up to a dozen, else full, chosen, the next smaller one and the halvings."""
    descending = sorted(set(dims), reverse=True)
    if len(descending) <= most:
        return tuple(descending)
    full = descending[0]
    wanted = {full >> halvings for halvings in range(full.bit_length()) if full % (1 << halvings) == 0}
    if chosen is not None:
        wanted |= {chosen, max((dim for dim in descending if dim < chosen), default=chosen)}
    return tuple(dim for dim in descending if dim in wanted)


def bytes_in_memory(configuration: Configuration) -> int:
    """Bytes of one vector's code: what every search reads."""
    return bytes_per_vector(configuration.precision, configuration.dim)


def bytes_on_disk(configuration: Configuration, full_dim: int) -> int:
    """Bytes of one vector with all that a search may need: the code, and the float32 vector by which it is ordered again."""
    code = bytes_in_memory(configuration)
    if not configuration.rescore:
        return code
    _, _, by = configuration.rescore.partition("@")
    return code + vector_bytes(int(by) if by.isdecimal() else full_dim)
