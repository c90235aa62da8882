"""`--verify-api N` compares full vectors that are cut (and coded) here with a vendor's own at that size (and its own codes)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.embedding.protocol import Embedder, PartlyEncoded, Role, VectorSource
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Advice, FloatArray
from mrl_sweep.words import percent, plural

EQUAL_COSINE: Final = 0.9999
"""The least cosine that counts as equal. The same text sent twice to a hosted model differs by about so much."""

EQUAL_CODES: Final = {"binary": 0.995, "int8": 0.9995}
"""The least `CodeCheck.alike` that counts as equal. Binary: numbers next to 0 have either sign when the same text is sent twice.
int8: eight bits a number move a vector by less, whatever range they are spread over."""


@record(kw_only=True)
class CodeCheck:
    """Holds how the vendor's own codes of a precision compare with the vectors, for `texts` texts at `dim` dimensions.

    `alike` is, for binary, the share of bits that are the signs of the cut full vectors; for int8, the least cosine between a
    code and its vector.
    """

    name: str
    precision: str
    dim: int
    texts: int
    alike: float

    @property
    def equal(self) -> bool:
        return self.alike >= EQUAL_CODES[self.precision]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "equal": self.equal}

    @property
    def advice(self) -> Advice:
        """Returns the outcome as advice for the report: `api-codes-verified`, or `api-codes-differ` with what follows from it."""
        bits = f"{percent(self.alike, limit=EQUAL_CODES['binary'])} of the bits"
        figure = bits if self.precision == "binary" else f"least cosine {self.alike:.6f}"
        figures = f"{plural(self.texts, 'text', 'texts')} at {self.dim:,} dimensions, {figure}"
        if self.equal:
            return Advice(
                "api-codes-verified", f"{self.name}: its own {self.precision} codes are those of the vectors ({figures})"
            )
        return Advice(
            "api-codes-differ",
            f"{self.name}: its own {self.precision} codes are not those of the cut and normalised vectors ({figures})",
            f"what this sweep says of {self.precision} holds for codes made of full vectors, not for those the vendor sends",
        )


@record(kw_only=True)
class ApiCheck:
    """Holds how the vendor's vectors of `dim` dimensions compare with the full ones, cut and normalised, for `texts` texts.

    `most_difference` is the largest absolute difference of a value, both sides of unit length; `least_cosine` the smallest
    cosine; `unit_length` says whether the vendor's own vectors of that size have length one.
    """

    name: str
    dim: int
    full_dim: int
    texts: int
    most_difference: float
    least_cosine: float
    unit_length: bool

    @property
    def equal(self) -> bool:
        return self.least_cosine >= EQUAL_COSINE

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "equal": self.equal}

    @property
    def advice(self) -> Advice:
        """Returns the outcome as advice for the report: `api-verified`, or `api-differs` with what follows from it."""
        figures = f"{plural(self.texts, 'text', 'texts')} at {self.dim:,} dimensions, least cosine {self.least_cosine:.6f}"
        if self.equal:
            length = "" if self.unit_length else "; its own are not of unit length and have to be normalised"
            return Advice(
                "api-verified", f"{self.name}: cutting and normalising equals the vendor's own vectors ({figures}){length}"
            )
        return Advice(
            "api-differs",
            f"{self.name}: the vendor's own vectors are not the cut and normalised full ones ({figures})",
            "what this sweep says holds for vectors cut by you, not for those the vendor sends at that size",
        )


def verify_api(embedder: Embedder | VectorSource, texts: Sequence[str], small_dim: int) -> ApiCheck:
    """Compares the vendor's vectors of these texts at full size and at `small_dim`. Each text is paid for twice.

    Raises InputError for a model that is not hosted, no text, or a size that the model or the vendor has not; EnvironmentFault.
    """
    if not isinstance(embedder, HostedModel):
        raise InputError(f"{embedder.name} is no hosted model: there is nothing to verify", "leave --verify-api out")
    wanted = [text for text in texts if text.strip()]
    full_dim = embedder.full_dim
    if not wanted or not 0 < small_dim < full_dim:
        raise InputError(
            f"cannot verify {plural(len(wanted), 'text')} at {small_dim:,} of {full_dim:,} dimensions", "--verify-api N"
        )
    parts = [(cut, *_normalised(own)) for cut, (own,) in _in_batches(embedder, wanted, small_dim, [None])]
    return ApiCheck(
        name=embedder.name,
        dim=small_dim,
        full_dim=full_dim,
        texts=len(wanted),
        most_difference=float(max(abs(cut - own).max() for cut, _, own in parts)),
        least_cosine=float(min((cut * own).sum(axis=1).min() for cut, _, own in parts)),
        unit_length=all(bool((abs(lengths - 1) < 1e-3).all()) for _, lengths, _ in parts),
    )


def verify_codes(
    embedder: Embedder | VectorSource, texts: Sequence[str], dim: int, precisions: Sequence[str]
) -> tuple[CodeCheck, ...]:
    """Compares the vendor's own codes of these texts at each precision that it has; () without texts or codes.

    Each text is paid for once, and once more a precision. Raises InputError for a size that the vendor has not; EnvironmentFault.
    """
    wanted = [text for text in texts if text.strip()]
    requested = [one for one in embedder.codes if one in precisions] if isinstance(embedder, HostedModel) else []
    if not isinstance(embedder, HostedModel) or not wanted or not requested:
        return ()
    alike: dict[str, list[float]] = {precision: [] for precision in requested}
    for cut, coded in _in_batches(embedder, wanted, dim, requested):
        for precision, codes in zip(requested, coded, strict=True):
            bits = precision == "binary"
            shares = ((codes > 0) == (cut > 0)).mean(axis=1) if bits else (_normalised(codes)[1] * cut).sum(axis=1)
            alike[precision] += shares.tolist()
    return tuple(
        CodeCheck(
            name=embedder.name,
            precision=precision,
            dim=dim,
            texts=len(wanted),
            alike=float(np.mean(values) if precision == "binary" else np.min(values)),
        )
        for precision, values in alike.items()
    )


def _in_batches(
    embedder: HostedModel, texts: Sequence[str], dim: int, codes: Sequence[str | None]
) -> Iterator[tuple[FloatArray, list[FloatArray]]]:
    """Yields each batch's full vectors cut to `dim`, at unit length, and what the vendor sends at that size under each code."""
    size = embedder.batching.texts
    for part in (texts[start : start + size] for start in range(0, len(texts), size)):
        try:
            full = embedder.encode(part, Role.DOCUMENT).vectors
        except PartlyEncoded as partly:
            raise partly.reason from None
        own = [embedder.at_size(part, Role.DOCUMENT, dim, code).astype(np.float64) for code in codes]
        yield _normalised(full[:, :dim].astype(np.float64))[1], own


def _normalised(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns (n,) lengths of the rows, and the rows at unit length."""
    lengths = np.linalg.norm(rows, axis=1)
    return lengths, rows / np.maximum(lengths, 1e-15)[:, None]
