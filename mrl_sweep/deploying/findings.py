"""An evaluation, and one finding per configuration: how it was judged and what it costs.

Everything that is recommended anywhere is one of these findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Literal, Self

from mrl_sweep.decision.grid import GridAnswer, decide_grid, grid_by_share, judge_all, only_alone, smallest_at
from mrl_sweep.decision.judging import Question, judge_each
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.deploying.funnels import Funnel
from mrl_sweep.deploying.index_spec import vector_bytes
from mrl_sweep.measures.score import score
from mrl_sweep.ranking.codes.precision import bytes_per_vector
from mrl_sweep.record import record
from mrl_sweep.types import (
    EXACT,
    FLOAT32,
    Basis,
    Configuration,
    IntArray,
    Judgement,
    Measure,
    Outcome,
    Qrels,
    Ranks,
    Scores,
    SearchCost,
    ShareRow,
    SmallestRow,
    Verdict,
    exact_prefixes,
    full_size,
)

NOT_CERTIFIED: Final = "not certified: too few training vectors"

NoRelevantChoice = Literal["exclude", "zero"]
Refusal = Callable[[Configuration], object]
"""Tells whether, or why, a target does not take a configuration; falsy where it does."""

_NOTHING: Final[Mapping[Configuration, Any]] = {}


@record(kw_only=True)
class Smaller:
    """The same index was measured over a sample of `docs` documents, so that its growth can be read. None is "not measured"."""

    docs: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    queries_per_second: float | None = None
    recall: float | None = None


@record(kw_only=True)
class Cost(SearchCost):
    """A cost adds the latency of single queries on one thread, in ms, and the `smaller` sample, to what the search costs."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    smaller: Smaller | None = None


@record(kw_only=True)
class Finding:
    """A finding is all that a run knows of one configuration.

    `agreement` is, by k, the share of full size's top k that its own top k holds. `only_alone` says why one that passes by
    itself may not be named where one is chosen among several kinds (`decision.grid.only_alone`).
    """

    judgement: Judgement
    cost: Cost = Cost()
    agreement: Mapping[int, float] = field(default_factory=dict)
    only_alone: str = ""

    @property
    def configuration(self) -> Configuration:
        return self.judgement.candidate

    @property
    def acceptable(self) -> bool:
        """Whether it may be recommended: full size itself, or a candidate judged to keep the share of every required measure."""
        return self.judgement.outcome in (Outcome.BASELINE, Outcome.PASS)

    @property
    def may_be_chosen(self) -> bool:
        """Whether a budget, a plan or a tenant may name it among everything that was measured."""
        return self.acceptable and not self.only_alone


Findings = Mapping[Configuration, Finding]


@record(kw_only=True)
class Evaluation:
    """An evaluation holds what findings rest on: ranks, scores, the policy, its verdict on the sizes, and `unfit` candidates.

    A sweep and a finished run are evaluations, so that everything that follows from ranks alone is derived in one place.
    `clusters` (n_queries,) labels queries of one origin; `unfit` candidates fail whatever their scores, for the reason given;
    `listed_for` is how many documents were asked for when shortlists were made, which are a multiple of it.
    """

    ranks: Ranks
    qrels: Qrels
    scores: Scores
    policy: Policy
    verdict: Verdict
    clusters: IntArray | None = None
    unfit: Mapping[Configuration, str] = field(default_factory=dict)
    no_relevant: NoRelevantChoice = "exclude"
    listed_for: int = 0

    @classmethod
    def of(
        cls,
        ranks: Ranks,
        qrels: Qrels,
        measures: Sequence[Measure],
        policy: Policy,
        *,
        clusters: IntArray | None = None,
        unfit: Mapping[Configuration, str] = _NOTHING,
        no_relevant: NoRelevantChoice = "exclude",
        **more: Any,
    ) -> Self:
        """Scores the ranks under `measures` and decides on the exact prefixes; `more` are other fields of the evaluation."""
        scores = score(ranks, qrels, measures, no_relevant=no_relevant)
        return cls(
            ranks=ranks,
            qrels=qrels,
            scores=scores,
            policy=policy,
            verdict=decide(Question(scores, policy, clusters, unfit)),
            clusters=clusters,
            unfit=unfit,
            no_relevant=no_relevant,
            **more,
        )

    def judge(self, configuration: Configuration) -> Judgement:
        """Tests this configuration by itself against full size, at full alpha."""
        return judge_each(self.question, [configuration])[0]

    @property
    def question(self) -> Question:
        """The scores, policy, clusters and unfit candidates on which every judgement of this evaluation depends."""
        return Question(self.scores, self.policy, self.clusters, self.unfit)

    @property
    def full(self) -> Configuration:
        """Full size, with which everything is compared."""
        return full_size(self.ranks.candidates)

    @property
    def sizes(self) -> tuple[Configuration, ...]:
        """The exact prefixes, from full size down."""
        return exact_prefixes(self.ranks.candidates)


def findings_of(
    evaluation: Evaluation,
    *,
    costs: Mapping[Configuration, Cost] = _NOTHING,
    agreements: Mapping[Configuration, Mapping[int, float]] = _NOTHING,
) -> Findings:
    """Makes a finding of every configuration that was scored, in the order of its scores, all judged by the verdict's policy.

    An index that is not certified never passes, whatever it scored.
    """
    doubts = {configuration: NOT_CERTIFIED for configuration, cost in costs.items() if not cost.certified}
    judged = judge_all(evaluation.question, evaluation.verdict, doubts=doubts)
    alone = only_alone(evaluation.question, judged)
    return {
        configuration: Finding(
            judgement=judgement,
            cost=costs.get(configuration, Cost()),
            agreement=agreements.get(configuration, {}),
            only_alone=alone.get(configuration, ""),
        )
        for configuration, judgement in judged.items()
    }


def which_sizes(dims: Sequence[int], chosen: int | None) -> tuple[int, ...]:
    """Picks the sizes worth an index, largest first: all of up to a dozen, else full, chosen, the next below, the halvings."""
    descending = sorted(set(dims), reverse=True)
    if len(descending) <= 12:
        return tuple(descending)
    full = descending[0]
    wanted = {full >> halvings for halvings in range(full.bit_length()) if full % (1 << halvings) == 0}
    if chosen is not None:
        wanted |= {chosen, max((dim for dim in descending if dim < chosen), default=chosen)}
    return tuple(dim for dim in descending if dim in wanted)


def bytes_in_memory(configuration: Configuration) -> int:
    """Counts the bytes of one vector's code, which every search reads."""
    return bytes_per_vector(configuration.precision, configuration.dim)


def bytes_on_disk(configuration: Configuration, full_dim: int) -> int:
    """Counts the bytes of one vector with all that a search may need: the code, and the float32 vector that rescores it."""
    code = bytes_in_memory(configuration)
    if not configuration.rescore:
        return code
    _, _, by = configuration.rescore.partition("@")
    return code + vector_bytes(int(by) if by.isdecimal() else full_dim)


@record
class BoundedFunnel:
    """A funnel is judged in its worst and in its best case; `recommended` marks the cheapest whose worst case passes."""

    funnel: Funnel
    worst: Judgement
    best: Judgement
    recommended: bool

    @property
    def outcome(self) -> Outcome:
        """PASS where the worst case passes, FAIL where the best case is too low; between them the bounds cannot tell."""
        if self.worst.outcome is Outcome.PASS:
            return Outcome.PASS
        return Outcome.FAIL if self.best.outcome is Outcome.FAIL else Outcome.INCONCLUSIVE


@record(kw_only=True)
class Fewest:
    """The answers of the grid for the fewest bytes, on the model's own axes (`own`) and PCA's (`turned`, None if not ranked).

    Each is a claim of its own, at the policy's alpha. `smallest` are the answers at other shares, of the model's own axes;
    `by_share` those of the grid alone, where a code was ranked.
    """

    own: GridAnswer
    turned: GridAnswer | None
    smallest: tuple[SmallestRow, ...]
    by_share: tuple[ShareRow, ...] = ()


def fewest_of(evaluation: Evaluation, *, refused: Refusal = lambda _configuration: "") -> Fewest:
    """Asks the grid of everything that was ranked exhaustively, and that the target does not refuse, for the fewest bytes.

    Raises InputError where no share is defined.
    """
    question = evaluation.question
    taken = [c for c in evaluation.scores.candidates if not refused(c)]
    own, turned = (grid_bytes(taken, basis) for basis in (Basis.PREFIX, Basis.PCA))
    coded = any(c.precision != FLOAT32 for c in own)
    return Fewest(
        own=decide_grid(question, own),
        turned=decide_grid(question, turned) if turned else None,
        smallest=smallest_at(question, own),
        by_share=grid_by_share(question, own) if coded else (),
    )


def grid_bytes(candidates: Iterable[Configuration], basis: str) -> dict[Configuration, int]:
    """Maps the cells of the grid (sizes, precisions, codes that are rescored) to the bytes of a vector in memory.

    A shortlist of float32 vectors is no cell: which of them were measured was chosen by their scores.
    """
    return {
        c: bytes_in_memory(c)
        for c in candidates
        if c.basis == basis and c.index == EXACT and not (c.rescore and c.precision == FLOAT32)
    }
