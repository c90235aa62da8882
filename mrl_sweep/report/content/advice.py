"""Advice on a verdict, the report's warnings: a closed list of facts, each with a code that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

_PERFECT: Final = 1 - 1e-9
_DEPTH: Final = 10
"""The depth at which judged documents are counted, where the measure has no cut-off of its own."""


@record(kw_only=True)
class Surroundings:
    """Facts that the verdict, scores and ranks do not hold.

    `family` and `missing_prompts` (by role) where a model was run without the prompts it was trained with; `pca_dimension` the
    smallest size at which the PCA control is acceptable; `controls` what random axes say of the prefixes; `production_documents`
    the corpus size that was asked about.
    """

    family: str = ""
    missing_prompts: Mapping[str, str] = field(default_factory=dict)
    pca_dimension: int | None = None
    controls: Sequence[RandomControl] = ()
    production_documents: int | None = None


_NOTHING_MORE: Final = Surroundings()


def advise(
    verdict: Verdict, scores: Scores, ranks: Ranks, qrels: Qrels, surroundings: Surroundings = _NOTHING_MORE
) -> tuple[Advice, ...]:
    """Gives every advice that applies, in the order of `CODES`."""
    full = next(j for j in verdict.judgements if j.outcome is Outcome.BASELINE).candidate
    return (
        *_of_queries(verdict),
        *_of_measure(verdict, full, scores),
        *_of_judgments(verdict, full, ranks, qrels),
        *_of_model(verdict, surroundings),
        *_of_corpus(verdict, full.dim, ranks.n_documents, surroundings.production_documents),
    )


def _of_queries(verdict: Verdict) -> Iterator[Advice]:
    """Too few queries, or clusters of them: fewer than 30, or so few that even a size which loses nothing stays unproven."""
    below = [j for j in verdict.judgements if j.outcome is not Outcome.BASELINE]
    stop = next((j for j in below if j.outcome is not Outcome.PASS), below[-1] if below else None)
    if stop is not None and stop.outcome is Outcome.FAIL and verdict.n_units >= MIN_QUERIES:
        return  # proven too low: there were queries enough
    evidence = stop.evidence.get(verdict.measure) if stop else None
    needed, loss = (evidence.queries_needed, evidence.provable_loss) if evidence else (None, None)
    clustered, n, room = verdict.n_clusters is not None, verdict.n_units, 1 - verdict.retain
    hint = "add more queries" if verdict.measure.label_free else "judge more queries"
    hint += " of other clusters" if clustered else ""
    hint += f": about {words.about(needed)} would settle the open size" if needed and needed > n else ""
    one, many = (words.queries_of(verdict.measure, number, clustered=clustered) for number in (1, None))
    if n < MIN_QUERIES:
        few = words.plural(n, one, many)
        yield Advice("few-queries", f"{few}: nothing is certified on fewer than {MIN_QUERIES}", hint)
    elif loss is not None and 0 < room < loss:
        least = f"a true loss of {words.percent(room)} or less can hardly be told from none"
        yield Advice("few-queries", f"{words.count(n)} {many} are few for this question: {least}", hint)


def _of_measure(verdict: Verdict, full: Configuration, scores: Scores) -> Iterator[Advice]:
    """Full size hardly finds anything, so that a share of it says little; or finds all, so that sizes are hardly told apart."""
    if verdict.measure.label_free:
        return  # agreement with itself is always whole, and says nothing
    values, measure = scores.of(full, verdict.measure), str(verdict.measure)
    mean, perfect = float(values.mean()), float((values >= _PERFECT).mean())
    if mean < NEAR_ZERO:
        yield Advice(
            "near-zero-measure",
            f"{measure} is only {words.score(mean)} at full size: a share of next to nothing says little",
            "check that model, prompts and judgments belong together, or decide by a deeper cut-off (--measure R@100)",
        )
    if perfect >= SATURATED:
        stricter = "a smaller cut-off" if measure.startswith("nDCG") else "--measure nDCG@10, or a smaller cut-off"
        yield Advice(
            "saturated-measure",
            f"{measure} is 1 for {words.percent(perfect)} of the queries at full size: it hardly tells sizes apart",
            f"decide by a stricter measure ({stricter}), or add harder queries",
        )


def _of_judgments(verdict: Verdict, full: Configuration, ranks: Ranks, qrels: Qrels) -> Iterator[Advice]:
    """Many of the top documents at the chosen size were never judged, and count as irrelevant.

    With one judgment a query at most a tenth of a top 10 can be judged: the share is held against what was possible. Where
    every judgment names a relevant document the judged share is recall by another name, and only a fall of it says
    anything.
    """
    chosen = Configuration(full.basis, verdict.dimension, full.index)
    sizes = (chosen, full)
    if verdict.measure.label_free or not qrels.n_queries or not all(size in ranks.candidates for size in sizes):
        return
    dim, depth = chosen.dim, verdict.measure.cutoff or _DEPTH
    shares = judged_share(ranks, qrels, depth)
    judged, at_full = (float(shares[ranks.candidates.index(size)]) for size in sizes)
    possible = min(1.0, len(qrels.rows) / qrels.n_queries / depth)
    if (qrels.grades > 0).all():
        if judged < at_full:
            yield Advice(
                "only-relevant-judged",
                f"the judgments list relevant documents only, so whatever else comes into the top {depth} at {dim} dimensions"
                " counts as irrelevant, whether it is or not",
                "judge some of it (--show losers names what came in): part of the loss may be documents that nobody judged",
            )
    elif judged < JUDGED_OF_POSSIBLE * possible:
        both = f"{words.percent(judged)} at {dim} dimensions, {words.percent(at_full)} at full size"
        yield Advice(
            "judged-share-low",
            f"few of the top {depth} documents were ever judged ({both}); those that were not count as irrelevant",
            "judge what came in at the smaller size: it may be as good as what left",
        )


def _of_model(verdict: Verdict, surroundings: Surroundings) -> Iterator[Advice]:
    """The model was run without its prompts, its prefixes are no better than random axes, or fitted axes do better."""
    missing, controls, turned = surroundings.missing_prompts, surroundings.controls, surroundings.pca_dimension
    if missing:
        expected = ", ".join(f"{role}: {prompt!r}" for role, prompt in missing.items())
        flags = " and ".join(f"--{role}-prompt" for role in missing)
        yield Advice(
            "prompts-missing",
            f"{surroundings.family} was trained with prompts, and none was put before the texts ({expected})",
            f"set {flags}; a forgotten prompt can cost more than any cut",
        )
    if verdict_on_prefixes(controls) is AgainstRandom.NO_BETTER:
        one = max(controls, key=lambda control: control.high or 0.0)
        shown = f"at {one.dim} they keep {words.percent(one.kept)}, random axes {words.percent(one.kept_by_random)}"
        sure = words.asked_share(1 - verdict.alpha)
        most = f"{words.percent(one.high)} of full size better at the most, with {sure} confidence"
        yield Advice(
            "not-matryoshka",
            f"this model's prefixes carry hardly more than random axes would: {shown} ({most})",
            "a good curve is then no sign of Matryoshka training; --basis pca shows what a fitted rotation keeps",
        )
    if turned is not None and turned < verdict.dimension:
        yield Advice(
            "pca-reaches-smaller",
            f"a PCA rotation fitted on the documents is acceptable at {turned} dimensions,"
            f" the model's prefix at {verdict.dimension}",
            "apply the run's rotation.npy to documents and queries before cutting",
        )


def _of_corpus(verdict: Verdict, full_dimension: int, documents: int, production_documents: int | None) -> Iterator[Advice]:
    """Under 10,000 documents storage hardly matters; a loss of nothing cannot be proven; a larger corpus was not asked about."""
    dimension, cut = verdict.dimension, verdict.dimension < full_dimension
    if cut and documents < SMALL_CORPUS:
        saved = words.size(4 * documents * (full_dimension - dimension))
        sizes = f"{dimension} instead of {full_dimension} dimensions"
        yield Advice(
            "small-corpus",
            f"with {words.count(documents)} documents, {sizes} saves {saved}: storage hardly matters at this size",
            f"weigh what is lost, or plan for the corpus you expect: mrl-sweep plan RUN --docs {_reachable(documents)}",
        )
    if verdict.retain >= 1:
        yield Advice(
            "no-loss-tolerated",
            "100% was asked for: a size passes only if it is proven to be at least as good as full size, which one that is"
            " merely as good hardly ever is",
            "say what loss is tolerable (--retain 0.995), and protect the queries that matter with --slice and --slice-retain",
        )
    if cut and production_documents is None:
        yield Advice(
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
