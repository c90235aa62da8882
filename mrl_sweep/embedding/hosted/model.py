"""`HostedModel`: an `Embedder` over any vendor. Full size is asked for once; tries, halves and checks are the same for all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.hosted.known_vendors import Cohere, Gemini, OpenAi, Voyage
from mrl_sweep.embedding.hosted.replies import judge
from mrl_sweep.embedding.hosted.vendor import (
    Connection,
    Gate,
    Key,
    Patience,
    Vendor,
    VendorModel,
    address,
    given_up,
    patiently,
    required_key,
)
from mrl_sweep.embedding.hosted.wire import EmbedRequest, Garbled, Refused, Reply, answers_of_at_most
from mrl_sweep.embedding.local.model_files import prompts_of
from mrl_sweep.embedding.model_families import family_of, refuse_non_prefix, trained_dims, transformed
from mrl_sweep.embedding.protocol import Batching, Encoded, ModelOptions, PartlyEncoded, Role
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError
from mrl_sweep.types import Advice, Float32Array, IntArray, ModelFacts

VENDORS: Final[dict[str, type[OpenAi | Voyage | Cohere | Gemini]]] = {
    "openai": OpenAi,
    "voyage": Voyage,
    "cohere": Cohere,
    "gemini": Gemini,
}
_PROBE: Final = "size"
_MOST_DIMENSIONS: Final = 16_384
"""Of a model whose size nobody has told yet."""


class NoSuchSize(InputError):
    """The vendor has no vectors of this size; the full ones are all that a sweep needs."""


def open_hosted(provider: str, model: str, options: ModelOptions, patience: Patience | None = None) -> HostedModel:
    """The model of a vendor; nothing is asked yet, and the key is looked for when the first text has to be sent.

    Raises InputError for an address that is none, an option that no vendor has, or a model whose sizes are not prefixes.
    """
    if options.max_length is not None:
        raise InputError("a hosted model's maximum length is its vendor's", "leave the maximum length out")
    kind = VENDORS[provider]
    family = family_of(model)
    refuse_non_prefix(family, model)
    configured = os.environ.get(kind.url_variable, "") if kind.url_variable else ""
    where = address(options.base_url or configured or kind.url)
    own = where == address(kind.url)
    vendor: Vendor = kind(VendorModel(model=model, family=family, address=where, own_address=own))
    return HostedModel(vendor, options, patience or Patience())


class HostedModel:
    """Asks a vendor for full-size vectors, in parallel, patiently, and checks every answer."""

    def __init__(self, vendor: Vendor, options: ModelOptions, patience: Patience) -> None:
        self._vendor, self._options, self._patience = vendor, options, patience
        family = vendor.target.family
        self._prompts = prompts_of(None, family, options)
        self._transform = family.transform if family else None
        self._dim = vendor.full_dim
        self._gate = Gate()
        self._plain = False
        self._key: Key | None = None
        self._line: Connection | None = None
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return f"{self._vendor.provider}:{self._vendor.target.model}"

    @property
    def batching(self) -> Batching:
        own = replace(self._vendor.batching, paid=True)
        return own if self._options.batch_size is None else replace(own, texts=self._options.batch_size)

    @property
    def full_dim(self) -> int:
        """The model's full size; asks the vendor where it is not known."""
        if self._dim is None:
            self._dim = int(self._ask(EmbedRequest(texts=[_PROBE], role=Role.QUERY)).shape[1])
        return self._dim

    def identity(self, role: Role) -> Mapping[str, Any]:
        target = self._vendor.target
        return {
            "provider": self._vendor.provider,
            "model": target.model,
            "revision": self._options.revision,
            "address": None if target.own_address else target.address.url,
            "role": role.value,
            "prompt": self._prompts.of(role),
            "parameters": dict(self._vendor.parameters(role)),
            "size": self._asked_dim,
            "transform": self._transform,
        }

    def facts(self) -> ModelFacts:
        target, dim = self._vendor.target, self.full_dim
        return ModelFacts(
            dim=dim,
            similarity="cosine",
            trained_dims=trained_dims(target.family, dim),
            warnings=(*self._vendor.advice(), *self._general_advice()),
            details={
                "provider": self._vendor.provider,
                "name": target.model,
                "revision": self._options.revision,
                "address": target.address.url,
                "family": target.family.name if target.family else None,
                "prompts": {"query": self._prompts.query, "document": self._prompts.document, "from": self._prompts.origin},
                "parameters": {role.value: dict(self._vendor.parameters(role)) for role in Role},
                "transform": self._transform,
                "codes": list(self._vendor.codes),
                "size_parameter": target.family.parameter if target.family else None,
            },
        )

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """As the protocol says. An empty text is not sent, which vendors refuse: its vector is zero."""
        prompt, dim = self._prompts.of(role), self.full_dim
        prompted = [prompt + text for text in texts]
        filled = np.array([i for i, text in enumerate(prompted) if text.strip()], np.int64)
        out = np.zeros((len(texts), dim), np.float32)
        answered_rows, refused, reason = self._in_pieces(prompted, filled, role, out)
        if reason is None:
            return self._encoded(out)
        if not answered_rows and not refused:
            raise reason
        empty = np.setdiff1d(np.arange(len(texts)), filled)
        rows = np.union1d(empty, np.array(answered_rows, np.int64)).astype(np.int64)
        raise PartlyEncoded(reason, rows=rows, encoded=self._encoded(out[rows]), refused=refused) from None

    @property
    def codes(self) -> tuple[str, ...]:
        """The precisions of which the vendor gives codes of its own."""
        return self._vendor.codes

    def at_size(self, texts: Sequence[str], role: Role, dim: int, code: str | None = None) -> Float32Array:
        """(n, dim) the vendor's own vectors of a size, or its own codes of them, as it gives them.

        Raises InputError where it has no such size or code.
        """
        prompt = self._prompts.of(role)
        try:
            return self._ask(EmbedRequest(texts=[prompt + text for text in texts], role=role, dim=dim, code=code))
        except Refused as refusal:
            raise NoSuchSize(
                f"{self.name} gives no {code or 'vectors'} of {dim} dimensions ({refusal.message})",
                "--verify-api with another size",
            ) from None
        except Garbled as fault:
            raise given_up(fault, self.name) from None

    def close(self) -> None:
        with self._opening:
            if self._line is not None:
                self._line.close()
                self._line = None

    @property
    def _asked_dim(self) -> int | None:
        return self._vendor.full_dim if self._vendor.asks_full_dim else None

    def _encoded(self, rows: Float32Array) -> Encoded:
        whole = None if self._vendor.truncates else np.zeros(len(rows), np.bool_)
        return Encoded(transformed(self._transform, rows), truncated=whole)

    def _in_pieces(
        self, texts: Sequence[str], rows: IntArray, role: Role, out: Float32Array
    ) -> tuple[list[int], list[int], MrlSweepError | None]:
        """Fills `out` at `rows`; what is refused is halved until the text to blame stands alone.

        Returns the rows that were filled, those to blame, and why, None where all went well. Where the vendor says that a text is
        too long the others are still sent, so that all of them can be named at once.
        """
        answered_rows: list[int] = []
        blamed: list[int] = []
        refusal: Refused | None = None
        waiting = [rows] if len(rows) else []
        while waiting:
            piece = waiting.pop()
            try:
                out[piece] = self._ask(EmbedRequest(texts=[texts[i] for i in piece], role=role, dim=self._asked_dim))
                answered_rows += piece.tolist()
            except Refused as fault:
                if fault.option:
                    return (
                        answered_rows,
                        [],
                        InputError(f"{self.name} does not know {fault.option} ({fault.message})", "--model, --base-url"),
                    )
                if len(piece) > 1:
                    waiting += [piece[(len(piece) + 1) // 2 :], piece[: (len(piece) + 1) // 2]]
                    continue
                if fault.memory:
                    return answered_rows, [], self._without_memory(fault)
                refusal = refusal or fault
                blamed += piece.tolist()
                if not fault.too_long:
                    break
            except Garbled as fault:
                blamed = [int(piece[row]) for row in fault.rows]
                return answered_rows, blamed, given_up(fault, self.name)
            except MrlSweepError as error:
                return answered_rows, [], error
        if refusal is None:
            return answered_rows, [], None
        what = "too long" if refusal.too_long else "not accepted"
        hint = "shorten or split it" if refusal.too_long else "look at this text, and at the model's name and options"
        return answered_rows, sorted(blamed), InputError(f"{what} for {self.name} ({refusal.message})", hint)

    def _ask(self, question: EmbedRequest) -> Float32Array:
        """One question, as often as patience allows. Raises Refused, Garbled, InputError or EnvironmentFault."""
        target, wanted = self._vendor.target, question.dim or self._dim

        def answered() -> Reply:
            line, request = self._opened(), replace(question, plain=self._plain)
            with answers_of_at_most(len(request.texts), wanted or _MOST_DIMENSIONS):
                reply = line.send(request)
            judge(reply, self.name, target.address.url, self._key, self._patience.now())
            return reply

        def once() -> Float32Array:
            try:
                reply = answered()
            except Refused as fault:
                if fault.option != "encoding_format" or self._plain:
                    raise
                self._plain = True
                reply = answered()
            n = len(question.texts)
            vectors = self._vendor.read_codes(reply, n, question.code) if question.code else self._vendor.read(reply, n)
            if wanted is not None and vectors.shape[1] != wanted:
                raise Garbled(f"answered with {vectors.shape[1]} dimensions instead of {wanted}")
            return vectors

        try:
            return patiently(once, self.name, self._patience, self._gate)
        except Garbled as fault:
            if question.texts == [_PROBE]:
                raise given_up(fault, self.name) from None
            raise
        except Refused as fault:
            if question.texts == [_PROBE]:
                if fault.memory:
                    raise self._without_memory(fault) from None
                raise InputError(f"{self.name} does not answer ({fault.message})", "--model, --base-url") from None
            raise

    def _without_memory(self, fault: Refused) -> EnvironmentFault:
        """What is told where even one text is too much for the server: trying again gives it no memory."""
        return EnvironmentFault(
            f"{self._vendor.target.address.host} has not the memory to embed with {self._vendor.target.model} ({fault.message})",
            "free memory there, or serve a smaller model; what was embedded is kept, run the same command again to go on",
        )

    def _opened(self) -> Connection:
        with self._opening:
            if self._line is None:
                where = self._vendor.target.address
                if self._options.offline and not where.is_local:
                    raise EnvironmentFault(
                        f"--offline, and some texts have no stored vectors from {self.name}",
                        f"without --offline they are sent to {where.host}",
                    )
                self._key = required_key(self._vendor)
                self._line = self._vendor.open(self._key, self._patience.timeout_s)
            return self._line

    def _general_advice(self) -> Iterator[Advice]:
        where = self._vendor.target.address
        if self._vendor.asks_full_dim and self._vendor.full_dim is None:
            yield Advice(
                "default-size",
                f"the full size of {self.name} is not known: its default, {self._dim} dimensions, is taken for it",
            )
        if where.in_clear:
            yield Advice(
                "sent-in-clear",
                f"texts, and a key where one is set, go to {where.host} unencrypted",
                "--base-url https://… unless that network is yours",
            )
