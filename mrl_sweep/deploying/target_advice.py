"""What a user of a target is told first: what does not fit into it, and where its bytes stay and fall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mrl_sweep.deploying.pgvector_bytes import VectorType, step_of
from mrl_sweep.deploying.targets import Offer, Target
from mrl_sweep.errors import InputError
from mrl_sweep.ranking.codes.precision import HAMMING
from mrl_sweep.types import Advice


def check_target(target: Target, precisions: Iterable[str]) -> None:
    """Raises InputError where a precision is asked for that the target does not offer: ask before embedding."""
    for precision in precisions:
        if target.offer(precision) is None:
            raise InputError(
                f"{target.title} offers no {precision}", f"--target {target.name} has {', '.join(target.precisions)}"
            )


def target_advice(
    target: Target, dims: Sequence[int], precisions: Iterable[str], *, symmetric: bool = False
) -> tuple[Advice, ...]:
    """What does not fit, then the steps of the staircase that the sizes of this sweep stand on, for each precision.

    `symmetric`: the sweep compared signs with signs.
    """
    offers = [offer for precision in precisions if (offer := target.offer(precision)) is not None]
    note = [Advice("target-note", f"{target.title}: {target.note}")] if target.note else []
    codes = [offer for offer in offers if offer.codes and offer.precision != HAMMING]
    return (
        *_misfit(target, max(dims)),
        *(_codes(target, offer, symmetric=symmetric) for offer in codes),
        *(step for offer in _by_name(offers) for step in _steps(target, offer, dims)),
        *note,
    )


def _by_name(offers: Sequence[Offer]) -> list[Offer]:
    """One offer of each of the target's own names."""
    return list({offer.called: offer for offer in offers}.values())


def _codes(target: Target, offer: Offer, *, symmetric: bool) -> Advice:
    compares = f"{target.title} compares {offer.called} codes with codes"
    if symmetric:
        return Advice(
            "target-codes", f"{compares}, and so {offer.precision} was measured", "--rescore 4x makes up for much of it"
        )
    hint = f"run with --target {target.name} measures codes against codes; --rescore 4x makes up for much of it"
    return Advice("target-codes", f"{compares}; {offer.precision} was measured with float32 queries", hint)


def _misfit(target: Target, full: int) -> list[Advice]:
    refused = [offer for offer in target.offers if not offer.takes(full)]
    if not refused:
        return []
    limits = [f"{offer.most_dims:,} as {offer.called}" for offer in _by_name(target.offers) if offer.most_dims]
    holding = [offer for offer in target.offers if offer.takes(full)]
    called = " or ".join(offer.called for offer in refused)
    message = f"full size, {full:,} dimensions, has no index in {target.title} as {called}: it takes up to {', '.join(limits)}"
    hint = (
        f"ship a smaller size, or --precision {holding[0].precision}: {holding[0].called}" if holding else "ship a smaller size"
    )
    return [Advice("target-limit", message, hint)]


def _steps(target: Target, offer: Offer, dims: Sequence[int]) -> list[Advice]:
    """The sizes that cost what a larger one costs; nothing where every dimension less saves bytes."""
    if not offer.layout.startswith("pgvector:"):
        return []
    descending = sorted(dims, reverse=True)
    by_step: dict[tuple[int, int], list[int]] = {}
    for dim in descending:
        step = step_of(VectorType(offer.called), dim)
        if step is not None:
            by_step.setdefault(step, []).append(dim)
    advice = []
    for (first, _), (largest, *others) in by_step.items():
        below = [dim for dim in descending if dim < first]
        if not others:
            continue
        verb = "cost" if len(others) > 1 else "costs"
        message = f"as {offer.called}, {' and '.join(f'{dim:,}' for dim in others)} {verb} what {largest:,} costs"
        if below:
            message += f"; the next step down is {below[0]:,} (it begins at {first - 1:,})"
        advice.append(Advice("target-steps", f"{target.title}: {message}"))
    return advice
