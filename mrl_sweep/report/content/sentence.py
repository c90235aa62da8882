"""The sentences a manager can act on: the size or the bytes, the uncertainty, the limit, and what would settle an open case."""

from __future__ import annotations

from typing import Final, Protocol

from mrl_sweep import words
from mrl_sweep.decision.grid import GridAnswer
from mrl_sweep.decision.policy import MIN_QUERIES
from mrl_sweep.decision.walk import ladder
from mrl_sweep.deploying.findings import Fewest, Finding, Findings, bytes_in_memory, bytes_on_disk
from mrl_sweep.types import FLOAT32, Configuration, Evidence, Judgement, Outcome, Verdict, full_size
from mrl_sweep.words import keeps, queries_of

PRECISION_WORDS: Final = {"rabitq": "RaBitQ", "binary": "one bit", "LSH": "one bit against one bit"}
"""Precisions in a reader's words; the others go by their names."""

UNJUDGED: Final = "Without judgments nobody can tell whether the documents that changed are better or worse."
"""The limit of agreement with full size: it always stands last."""


def sentence(verdict: Verdict, *, shrink: float = 1.0) -> str:
    """Says what to ship and how sure that is, in one to three sentences; without judgments one more says what cannot be told.

    `shrink` is how many times smaller the index (or, without one, a vector) is at the chosen size.
    """
    sizes = _ladder(verdict)
    chosen = next((j for j in sizes if j.candidate.dim == verdict.dimension), None)
    if not sizes or chosen is None:
        return f"Keep {verdict.dimension} dimensions: no other size was tried."
    if chosen.outcome is Outcome.BASELINE:
        parts = [_keep_full(verdict, sizes), _measured_below(verdict, sizes)]
    else:
        parts = [_use(verdict, chosen), _measured_below(verdict, sizes)]
        if shrink > 1:
            parts.append(f"The index shrinks {words.times(shrink)}.")
    if verdict.measure.label_free:
        parts.append(UNJUDGED)
    return " ".join(part for part in parts if part)


def confidence(alpha: float) -> str:
    """Writes the confidence of an alpha: 0.05 is `95% confidence`."""
    return f"{words.asked_share(round(1 - alpha, 12))} confidence"


class Rule(Protocol):
    """A verdict, a policy or a row of the report: each has the share to keep, and whether that is the default."""

    @property
    def retain(self) -> float: ...
    @property
    def by_default(self) -> bool: ...


def demand(rule: Rule) -> str:
    """Writes `you asked for 98%`, or where nobody did `98% is the default (--retain)`."""
    share = words.asked_share(rule.retain)
    return f"{share} is the default (--retain)" if rule.by_default else f"you asked for {share}"


def _ladder(verdict: Verdict) -> list[Judgement]:
    """The exact prefixes that the walk goes over, from full size down: the others of a fine sweep are a curve."""
    rows = sorted((j for j in verdict.judgements if j.candidate.is_exact_prefix), key=lambda j: -j.candidate.dim)
    steps = {j.candidate for j in rows[:1]} | {*ladder((j.candidate for j in rows[1:]), rows[0].candidate.dim)} if rows else set()
    return [j for j in rows if j.candidate in steps]


def _use(verdict: Verdict, chosen: Judgement) -> str:
    """A size below full: proven, or measured only and said so."""
    evidence, limit = _evidence(verdict, chosen), verdict.retain
    kept, least = (words.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    start = f"Use {verdict.dimension} dimensions: it {keeps(verdict.measure, kept)}"
    sure = confidence(verdict.alpha)
    proven = verdict.proven is not None and verdict.proven <= verdict.dimension
    if verdict.decide_by == "bound" or proven:
        return f"{start}, at least {least} with {sure}; {demand(verdict)}."
    verb = "returns" if verdict.measure.label_free else "keeps"
    bound = f": with {sure} it {verb} at least {least}" if evidence.at_least is not None else ""
    queries = _queries(verdict)
    return f"{start} as measured on {queries}; {demand(verdict)}. Measured, not proven{bound}."


def _keep_full(verdict: Verdict, sizes: list[Judgement]) -> str:
    """Full size, and why nothing smaller."""
    start = f"Keep all {verdict.dimension} dimensions"
    below = [j for j in sizes if j.candidate.dim < verdict.dimension]
    if not below:
        return f"{start}: no smaller size was tried."
    first = below[0]
    evidence = _evidence(verdict, first)
    if evidence.kept is None:
        return f"{start}: {verdict.measure} is 0 at full size, so there is nothing of which a share could be kept."
    if verdict.n_units < MIN_QUERIES and first.outcome is Outcome.INCONCLUSIVE:
        queries = _queries(verdict, prove=True)
        return f"{start} for now: {queries} nothing, it takes at least {MIN_QUERIES}; {_seen(verdict, first)}."
    if first.reason and not _explains(verdict, first):
        return f"{start}: {first.candidate.dim} does not pass ({first.reason.rstrip('.')})."
    if verdict.decide_by == "mean":
        return f"{start}: {_seen(verdict, first)} as measured; {demand(verdict)}."
    if first.outcome is Outcome.FAIL:
        most = words.percent(evidence.at_most, limit=verdict.retain)
        rest = f"at most {most} with {confidence(verdict.alpha)}; {demand(verdict)}"
        return f"{start}: {_seen(verdict, first)}, {rest}."
    return f"{start} for now: {_unproven(verdict, first)}."


def _unproven(verdict: Verdict, judgement: Judgement) -> str:
    evidence, limit = _evidence(verdict, judgement), verdict.retain
    least = "no share of it" if evidence.at_least is None else f"only {words.percent(evidence.at_least, limit=limit)}"
    queries = _queries(verdict, prove=True)
    shown = f"{_seen(verdict, judgement)}, but {queries} {least} with {confidence(verdict.alpha)}"
    return f"{shown}; {demand(verdict)}. {_would_settle(verdict, evidence)}"


def _would_settle(verdict: Verdict, evidence: Evidence) -> str:
    if not evidence.queries_needed:
        return f"It lies so near the margin that more {_units(verdict)} are unlikely to tell"
    return f"About {words.about(evidence.queries_needed)} {_units(verdict)} would settle it"


def _queries(verdict: Verdict, *, prove: bool = False) -> str:
    """`300 judged queries`, `1 judged query proves`, `10 clusters of judged queries`."""
    one, many = (" proves", " prove") if prove else ("", "")
    return words.plural(verdict.n_units, _units(verdict, 1) + one, _units(verdict) + many)


def _units(verdict: Verdict, number: int | None = None) -> str:
    return queries_of(verdict.measure, number, clustered=verdict.n_clusters is not None)


def _seen(verdict: Verdict, judgement: Judgement) -> str:
    kept = words.percent(_evidence(verdict, judgement).kept, limit=verdict.retain)
    return f"{judgement.candidate.dim} {keeps(verdict.measure, kept)}"


def _measured_below(verdict: Verdict, sizes: list[Judgement]) -> str:
    """The other reading of the evidence, where it names another size than the answer."""
    if verdict.decide_by == "mean":
        if verdict.proven is None or verdict.proven == verdict.dimension:
            return ""
        return f"Proven is {verdict.proven}."
    measured = next((j for j in sizes if j.candidate.dim == verdict.measured), None)
    below = [j for j in sizes if j.candidate.dim < verdict.dimension]
    if measured is None or measured not in below:
        return ""
    if measured is below[0] and verdict.dimension == sizes[0].candidate.dim:
        return ""  # the sentence before spoke of it
    evidence = _evidence(verdict, measured)
    kept = words.percent(evidence.kept, limit=verdict.retain)
    verb = "returns" if verdict.measure.label_free else "keeps"
    shown = f"Measured, {measured.candidate.dim} {verb} {kept} too, but that is not proven"
    if measured.outcome is Outcome.INCONCLUSIVE and evidence.queries_needed:
        return f"{shown}: about {words.about(evidence.queries_needed)} {_units(verdict)} would settle it."
    return f"{shown}."


def _explains(verdict: Verdict, judgement: Judgement) -> bool:
    """Whether the verdict's own measure is why this size does not pass, rather than another required one or a defect."""
    evidence = _evidence(verdict, judgement)
    proven_worse = evidence.at_most if verdict.decide_by == "bound" else evidence.kept
    share = proven_worse if judgement.outcome is Outcome.FAIL else evidence.at_least
    return share is None or share < verdict.retain


def _evidence(verdict: Verdict, judgement: Judgement) -> Evidence:
    return judgement.evidence[verdict.measure]


# --- In bytes -----------------------------------------------------------------------------------------------------------


def smallest_own(verdict: Verdict, fewest: Fewest | None) -> Configuration:
    """Picks the proven configuration of the fewest bytes over the model's own axes; the chosen size where no code needs fewer."""
    chosen = Configuration.exact_prefix(verdict.dimension)
    answer = fewest.own.smallest if fewest is not None else None
    return answer if answer is not None and bytes_in_memory(answer) < bytes_in_memory(chosen) else chosen


def bytes_sentence(verdict: Verdict, findings: Findings, fewest: Fewest | None) -> str:
    """Says what to keep in how many bytes, and what axes fitted on the documents would need; empty without either."""
    if fewest is None:
        return ""
    full, own = full_size(findings), smallest_own(verdict, fewest)
    parts = []
    if any(c.precision != FLOAT32 for c in _cells(fewest.own)):
        parts.append(_own_words(findings[own], verdict, full))
    turned = fewest.turned.smallest if fewest.turned is not None else None
    if turned is not None and bytes_in_memory(turned) < bytes_in_memory(own):
        start = f"Axes fitted on the documents (PCA) need fewer: {_cell_words(turned, full)}"
        cost = f"a query is multiplied by a {turned.dim} x {full.dim} matrix first, which is saved with the run"
        parts.append(f"{start} {_proof_words(findings[turned], verdict)}; {cost}.")
    return " ".join(parts)


def _cells(answer: GridAnswer) -> set[Configuration]:
    return {step for path in answer.paths for step in path}


def _own_words(finding: Finding, verdict: Verdict, full: Configuration) -> str:
    float32 = f"{words.count(bytes_in_memory(Configuration.exact_prefix(verdict.dimension)))}"
    if finding.configuration.is_exact_prefix:
        return f"No code is proven to need fewer than the {float32} bytes of float32 at {verdict.dimension} dimensions."
    label = "Smallest proven" if verdict.decide_by == "bound" else "Smallest as measured"
    text = f"{_cell_words(finding.configuration, full)}: {_proof_words(finding, verdict)}"
    return f"{label}: {text}; float32 alone needs {float32}."


def _cell_words(cell: Configuration, full: Configuration) -> str:
    """`72 bytes a vector (512 dimensions x RaBitQ)`, with what lies on disk where a shortlist is ordered again."""
    how = f"{cell.dim} dimensions x {PRECISION_WORDS.get(cell.precision, cell.precision)}"
    if cell.rescore:
        how += f", rescored {cell.rescore} from {words.count(bytes_on_disk(cell, full.dim))} on disk"
    return f"{words.count(bytes_in_memory(cell))} bytes a vector ({how})"


def _proof_words(finding: Finding, verdict: Verdict) -> str:
    evidence, limit = finding.judgement.evidence[verdict.measure], verdict.retain
    kept, least = (words.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    return f"{keeps(verdict.measure, kept)}, at least {least} with {confidence(verdict.alpha)}"
