"""What the report says unasked: a closed list, each a function of plain facts with a code that never changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from mrl_sweep import words
from mrl_sweep.decision.controls import AgainstRandom, verdict_on_prefixes
from mrl_sweep.decision.policy import MIN_QUERIES
from mrl_sweep.measures.score import judged_share
from mrl_sweep.record import record
from mrl_sweep.types import Advice, Configuration, Outcome, Qrels, RandomControl, Ranks, Scores, Verdict

CODES: Final = (
    "few-queries",
    "near-zero-measure",
    "saturated-measure",
    "judged-share-low",
    "only-relevant-judged",
    "prompts-missing",
    "not-matryoshka",
    "pca-reaches-smaller",
    "small-corpus",
    "no-loss-tolerated",
    "no-production-size",
)
"""Every advice there is, in the order in which a report gives them."""

SMALL_CORPUS: Final = 10_000
NEAR_ZERO: Final = 0.05
SATURATED: Final = 0.95
JUDGED_OF_POSSIBLE: Final = 0.5


def few_queries(
    *,
    queries: int,
    retain: float,
    provable_loss: float | None,
    queries_needed: int | None,
    label_free: bool = False,
    clustered: bool = False,
) -> Advice | None:
    """Too few queries, or clusters of them: fewer than 30, or so few that even a size which loses nothing stays unproven."""
    hint, judged = ("add more queries", "") if label_free else ("judge more queries", "judged ")
    one, many = f"{judged}query", f"{judged}queries"
    if clustered:
        hint, one, many = f"{hint} of other clusters", f"cluster of {many}", f"clusters of {many}"
    if queries_needed and queries_needed > queries:
        hint += f": about {words.about(queries_needed)} would settle the open size"
    if queries < MIN_QUERIES:
        few = words.plural(queries, one, many)
        return Advice("few-queries", f"{few}: nothing is certified on fewer than {MIN_QUERIES}", hint)
    if provable_loss is None or provable_loss <= 1 - retain or retain >= 1:
        return None
    least = f"a true loss of {words.percent(1 - retain)} or less can hardly be told from none"
    return Advice("few-queries", f"{words.count(queries)} {many} are few for this question: {least}", hint)


def near_zero_measure(*, measure: str, full_mean: float) -> Advice | None:
    """Full size itself hardly finds anything, so a share of that says little."""
    if full_mean >= NEAR_ZERO:
        return None
    return Advice(
        "near-zero-measure",
        f"{measure} is only {words.score(full_mean)} at full size: a share of next to nothing says little",
        "check that model, prompts and judgments belong together, or decide by a deeper cut-off (--measure R@100)",
    )


def saturated_measure(*, measure: str, perfect_share: float) -> Advice | None:
    """Nearly every query scores 1 at full size: the measure cannot tell sizes apart. `perfect_share` in [0, 1]."""
    if perfect_share < SATURATED:
        return None
    stricter = "a smaller cut-off" if measure.startswith("nDCG") else "--measure nDCG@10, or a smaller cut-off"
    return Advice(
        "saturated-measure",
        f"{measure} is 1 for {words.percent(perfect_share)} of the queries at full size: it hardly tells sizes apart",
        f"decide by a stricter measure ({stricter}), or add harder queries",
    )


def judged_share_low(*, dim: int, depth: int, judged: float, judged_at_full: float, judgments_per_query: float) -> Advice | None:
    """Many documents in the top `depth` at size `dim` were never judged, given how many could have been.

    `judged` and `judged_at_full` are the shares of the top documents that carry a judgment, whatever its grade. With one
    judgment a query at most a tenth of a top 10 can be judged: the share is held against what was possible.
    """
    possible = min(1.0, judgments_per_query / depth)
    if possible <= 0 or judged >= JUDGED_OF_POSSIBLE * possible:
        return None
    shares = f"{words.percent(judged)} at {dim} dimensions, {words.percent(judged_at_full)} at full size"
    return Advice(
        "judged-share-low",
        f"few of the top {depth} documents were ever judged ({shares}); those that were not count as irrelevant",
        "judge what came in at the smaller size: it may be as good as what left",
    )


def only_relevant_judged(*, dim: int, depth: int, judged: float, judged_at_full: float) -> Advice | None:
    """Every judgment names a relevant document, and fewer of them are in the top `depth` at size `dim` than at full size.

    Then the judged share is the recall by another name, and says nothing of documents that nobody looked at.
    """
    if judged >= judged_at_full:
        return None
    return Advice(
        "only-relevant-judged",
        f"the judgments list relevant documents only, so whatever else comes into the top {depth} at {dim} dimensions counts as"
        " irrelevant, whether it is or not",
        "judge some of it (--show losers names what came in): part of the loss may be documents that nobody judged",
    )


def prompts_missing(*, family: str, missing: Mapping[str, str]) -> Advice | None:
    """A family that was trained with prompts was run without: `missing` gives, by role, the prompt that was expected."""
    if not missing:
        return None
    expected = ", ".join(f"{role}: {prompt!r}" for role, prompt in missing.items())
    flags = " and ".join(f"--{role}-prompt" for role in missing)
    return Advice(
        "prompts-missing",
        f"{family} was trained with prompts, and none was put before the texts ({expected})",
        f"set {flags}; a forgotten prompt can cost more than any cut",
    )


def not_matryoshka(*, controls: Sequence[RandomControl], alpha: float) -> Advice | None:
    """The model's prefixes are proven no better than random axes of the same number, at every size where those lose enough."""
    if verdict_on_prefixes(controls) is not AgainstRandom.NO_BETTER:
        return None
    one = max(controls, key=lambda control: control.high or 0.0)
    shown = f"at {one.dim} they keep {words.percent(one.kept)}, random axes {words.percent(one.kept_by_random)}"
    most = f"{words.percent(one.high)} of full size better at the most, with {words.asked_share(1 - alpha)} confidence"
    return Advice(
        "not-matryoshka",
        f"this model's prefixes carry hardly more than random axes would: {shown} ({most})",
        "a good curve is then no sign of Matryoshka training; --basis pca shows what a fitted rotation keeps",
    )


def pca_reaches_smaller(*, dimension: int, pca_dimension: int | None) -> Advice | None:
    """A rotation fitted on the documents is acceptable at a smaller size than the model's own prefix."""
    if pca_dimension is None or pca_dimension >= dimension:
        return None
    return Advice(
        "pca-reaches-smaller",
        f"a PCA rotation fitted on the documents is acceptable at {pca_dimension} dimensions, the model's prefix at {dimension}",
        "apply the run's rotation.npy to documents and queries before cutting",
    )


def small_corpus(*, documents: int, dimension: int, full_dimension: int) -> Advice | None:
    """Under 10,000 documents storage hardly matters: say what is saved."""
    if documents >= SMALL_CORPUS or dimension >= full_dimension:
        return None
    saved = words.size(4 * documents * (full_dimension - dimension))
    cut = f"{dimension} instead of {full_dimension} dimensions"
    return Advice(
        "small-corpus",
        f"with {words.count(documents)} documents, {cut} saves {saved}: storage hardly matters at this size",
        f"weigh what is lost, or plan for the corpus you expect: mrl-sweep plan RUN --docs {_reachable(documents)}",
    )


def no_loss_tolerated(*, retain: float) -> Advice | None:
    """All of the quality was asked for: no sample can prove a loss of exactly nothing."""
    if retain < 1:
        return None
    return Advice(
        "no-loss-tolerated",
        "100% was asked for: a size passes only if it is proven to be at least as good as full size, which one that is merely "
        "as good hardly ever is",
        "say what loss is tolerable (--retain 0.995), and protect the queries that matter with --slice and --slice-retain",
    )


def no_production_size(*, documents: int, dimension: int, full_dimension: int, production_documents: int | None) -> Advice | None:
    """A smaller size was chosen on this corpus, and nothing was said about the corpus it will serve."""
    if production_documents is not None or dimension >= full_dimension:
        return None
    return Advice(
        "no-production-size",
        f"this holds for {words.count(documents)} documents; fewer dimensions let more false matches in as a corpus grows",
        f"name the size in production: --project-docs {_reachable(documents)}",
    )


def _reachable(documents: int) -> str:
    """A round corpus that a run on so many documents can be projected to: up to ten times as many, `50k`."""
    reach = max(10 * documents, 10)
    step = 10 ** (len(str(reach)) - 1)
    rounded = reach // step * step
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if rounded % unit == 0:
            return f"{rounded // unit}{letter}"
    return str(rounded)


_PERFECT = 1 - 1e-9
_DEPTH = 10
"""Where the measure has no cut-off of its own."""


@record(kw_only=True)
class Surroundings:
    """What the run's own figures do not say.

    `family` and `missing_prompts` (by role) where a model was run without the prompts it was trained with; `pca_dimension` the
    smallest size at which the PCA control is acceptable; `controls` what random axes say of the prefixes; `production_documents`
    the corpus size that was asked about.
    """

    family: str = ""
    missing_prompts: Mapping[str, str] = field(default_factory=dict)
    pca_dimension: int | None = None
    controls: Sequence[RandomControl] = ()
    production_documents: int | None = None


def advise(
    verdict: Verdict, scores: Scores, ranks: Ranks, qrels: Qrels, surroundings: Surroundings | None = None
) -> tuple[Advice, ...]:
    """Gives every advice that applies, what matters most first."""
    facts = surroundings or Surroundings()
    full = next(j for j in verdict.judgements if j.outcome is Outcome.BASELINE).candidate
    size = {"dimension": verdict.dimension, "full_dimension": full.dim, "documents": ranks.n_documents}
    every = [_few_queries(verdict)]
    if not verdict.measure.label_free:  # agreement with itself is always whole, and says nothing
        at_full, measure = scores.of(full, verdict.measure), str(verdict.measure)
        every += [
            near_zero_measure(measure=measure, full_mean=float(at_full.mean())),
            saturated_measure(measure=measure, perfect_share=float((at_full >= _PERFECT).mean())),
            _judged_share(verdict, full, ranks, qrels),
        ]
    every += [
        prompts_missing(family=facts.family, missing=facts.missing_prompts),
        not_matryoshka(controls=facts.controls, alpha=verdict.alpha),
        pca_reaches_smaller(dimension=verdict.dimension, pca_dimension=facts.pca_dimension),
        small_corpus(**size),
        no_loss_tolerated(retain=verdict.retain),
        no_production_size(**size, production_documents=facts.production_documents),
    ]
    return tuple(one for one in every if one is not None)


def _few_queries(verdict: Verdict) -> Advice | None:
    below = [j for j in verdict.judgements if j.outcome is not Outcome.BASELINE]
    stop = next((j for j in below if j.outcome is not Outcome.PASS), below[-1] if below else None)
    if stop is not None and stop.outcome is Outcome.FAIL and verdict.n_units >= MIN_QUERIES:
        return None  # proven too low: there were queries enough
    evidence = stop.evidence.get(verdict.measure) if stop else None
    return few_queries(
        queries=verdict.n_units,
        clustered=verdict.n_clusters is not None,
        retain=verdict.retain,
        provable_loss=evidence.provable_loss if evidence else None,
        queries_needed=evidence.queries_needed if evidence else None,
        label_free=verdict.measure.label_free,
    )


def _judged_share(verdict: Verdict, full: Configuration, ranks: Ranks, qrels: Qrels) -> Advice | None:
    chosen = Configuration(full.basis, verdict.dimension, full.index)
    if chosen not in ranks.candidates or full not in ranks.candidates or not qrels.n_queries:
        return None
    depth = verdict.measure.cutoff or _DEPTH
    shares = judged_share(ranks, qrels, depth)
    judged, at_full = (float(shares[ranks.candidates.index(size)]) for size in (chosen, full))
    if (qrels.grades > 0).all():
        return only_relevant_judged(dim=chosen.dim, depth=depth, judged=judged, judged_at_full=at_full)
    per_query = len(qrels.rows) / qrels.n_queries
    return judged_share_low(dim=chosen.dim, depth=depth, judged=judged, judged_at_full=at_full, judgments_per_query=per_query)
