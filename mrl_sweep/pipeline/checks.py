"""What is refused before anything is embedded, ranked or paid for: options that do not fit the collection or the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mrl_sweep.decision.units import check_fields
from mrl_sweep.deploying.funnels import parse_funnel
from mrl_sweep.embedding.protocol import GUESSED
from mrl_sweep.errors import InputError
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Collection, Embeddings, ModelFacts

_ZERO: Final = ("zero-documents", "zero-queries")


def check_data(config: SweepConfig, collection: Collection) -> None:
    """Raise InputError for a slice or cluster field that no query has, or a lowest grade that no judgment reaches (FAULTS 70)."""
    metadata = collection.queries.metadata
    check_fields(metadata, config.slices.slice, "--slice")
    if config.decision.cluster:
        check_fields(metadata, [config.decision.cluster], "--cluster")
    if config.slices.slice_retain is not None and not config.slices.slice:
        raise InputError("--slice-retain says what each slice must keep, and no slice is declared", "add --slice FIELD")
    if collection.label_free:
        return
    highest = int(collection.qrels.grades.max(initial=0))
    for measure in dict.fromkeys((*config.decision.measures, *config.decision.require)):
        if measure.rel > highest:
            raise InputError(
                f"{measure}: no judgment has a grade of {measure.rel} or more; the highest is {highest}",
                f"choose rel from 1 to {highest}",
            )


def check_model(config: SweepConfig, facts: ModelFacts) -> None:
    """Raise InputError, where strict, for what had to be guessed of the model."""
    guessed = [advice for advice in facts.warnings if advice.code in GUESSED]
    if config.run.strict and guessed:
        raise InputError(f"strict: {guessed[0].message}", guessed[0].hint)


def check_sizes(config: SweepConfig, full_dim: int) -> None:
    """Raise InputError for a funnel at sizes that the model does not have."""
    for text in config.deploy.funnel:
        funnel = parse_funnel(text)
        if funnel.large > full_dim:
            raise InputError(
                f"funnel {text}: the model has {full_dim} dimensions", f"--funnel {funnel.small}:{funnel.shortlist}:{full_dim}"
            )


def check_vectors(config: SweepConfig, embeddings: Embeddings) -> None:
    """Raise InputError, where strict, for texts whose vectors are all zeros: nothing can find them (FAULTS 59)."""
    faults: Sequence[str] = [advice.message for advice in embeddings.warnings if advice.code in _ZERO]
    if config.run.strict and faults:
        raise InputError(
            f"strict: {'; '.join(faults)}",
            "embed them again or leave them out; --no-strict counts them in the report",
        )
