"""`HostedModel` embeds over any vendor's API at full size; tries, halved batches and checks are the same for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.hosted.connection import Connection
from mrl_sweep.embedding.hosted.patience import Garbled, Gate, Patience, given_up, patiently
from mrl_sweep.embedding.hosted.replies import Meaning, Refused, judge
from mrl_sweep.embedding.hosted.vendors import VENDORS, Vendor
from mrl_sweep.embedding.hosted.wire import EmbedRequest, most_bytes
from mrl_sweep.embedding.model_families import prompts_of, refuse_non_prefix, trained_dims, transformed
from mrl_sweep.embedding.protocol import Batching, Encoded, ModelOptions, PartlyEncoded, Role
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError
from mrl_sweep.types import Advice, Float32Array, IntArray, ModelFacts

_MOST_DIMENSIONS: Final = 16_384
"""Bounds the answer of a model whose size is not known yet."""


class NoSuchSize(InputError):
    """The vendor has no vectors of this size; the full ones are all that a sweep needs."""


def open_hosted(provider: str, model: str, options: ModelOptions, patience: Patience | None = None) -> HostedModel:
    """Returns the model of a vendor; nothing is sent yet, and the key is looked for before the first call.

    Raises InputError for a bad address, a maximum length, or a model whose sizes are not prefixes.
    """
    if options.max_length is not None:
        raise InputError("a hosted model's maximum length is its vendor's", "leave the maximum length out")
    vendor = VENDORS[provider](model, options.base_url)
    refuse_non_prefix(vendor.family, model)
    return HostedModel(vendor, options, patience or Patience())


class HostedModel:
    """Asks a vendor for full-size vectors, again where a call fails, and checks every answer. May be used from threads."""

    def __init__(self, vendor: Vendor, options: ModelOptions, patience: Patience) -> None:
        self._vendor, self._options, self._patience = vendor, options, patience
        self._prompts = prompts_of(None, vendor.family, options)
        self._transform = vendor.family.transform if vendor.family else None
        self._dim = vendor.full_dim
        self._asked_dim = vendor.full_dim if vendor.asks_full_dim else None
        self._gate = Gate()
        self._plain = False
        self._connection: Connection | None = None
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return f"{self._vendor.provider}:{self._vendor.model}"

    @property
    def batching(self) -> Batching:
        own = replace(self._vendor.batching, paid=True)
        return own if self._options.batch_size is None else replace(own, texts=self._options.batch_size)

    @property
    def full_dim(self) -> int:
        """Returns the model's full size; asks the vendor where it is not known. Raises InputError, EnvironmentFault."""
        if self._dim is None:
            try:
                self._dim = int(self._ask(EmbedRequest(texts=["size"], role=Role.QUERY)).shape[1])
            except Garbled as fault:
                raise given_up(fault, self.name) from None
            except Refused as fault:
                if fault.meaning is Meaning.MEMORY:
                    raise self._without_memory(fault) from None
                raise InputError(f"{self.name} does not answer ({fault.message})", "--model, --base-url") from None
        return self._dim

    def identity(self, role: Role) -> Mapping[str, Any]:
        vendor = self._vendor
        return {
            "provider": vendor.provider,
            "model": vendor.model,
            "revision": self._options.revision,
            "address": None if vendor.own_address else vendor.address.url,
            "role": role.value,
            "prompt": self._prompts.of(role),
            "parameters": vendor.parameters(role),
            "size": self._asked_dim,
            "transform": self._transform,
        }

    def facts(self) -> ModelFacts:
        vendor, dim = self._vendor, self.full_dim
        return ModelFacts(
            dim=dim,
            similarity="cosine",
            trained_dims=trained_dims(vendor.family, dim),
            warnings=(*vendor.advice(), *self._general_advice()),
            details={
                "provider": vendor.provider,
                "name": vendor.model,
                "revision": self._options.revision,
                "address": vendor.address.url,
                "family": vendor.family.name if vendor.family else None,
                "prompts": {"query": self._prompts.query, "document": self._prompts.document, "from": self._prompts.origin},
                "parameters": {role.value: vendor.parameters(role) for role in Role},
                "transform": self._transform,
                "codes": list(vendor.codes),
                "size_parameter": vendor.size_parameter or vendor.size_option,
            },
        )

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """Encodes texts as `Embedder.encode` says. An empty text, which vendors refuse, is not sent: its vector is zero."""
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
        """Names the precisions of which the vendor gives codes of its own."""
        return self._vendor.codes

    def at_size(self, texts: Sequence[str], role: Role, dim: int, code: str | None = None) -> Float32Array:
        """Returns the vendor's own (n, dim) float32 vectors of this size, or its own codes of them.

        Raises NoSuchSize where it has no such size or code, else InputError or EnvironmentFault.
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
            if self._connection is not None:
                self._connection.close()
                self._connection = None

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
                if fault.meaning is Meaning.OPTION:
                    unknown = f"{self.name} does not know {fault.option} ({fault.message})"
                    return answered_rows, [], InputError(unknown, "--model, --base-url")
                if len(piece) > 1:
                    middle = (len(piece) + 1) // 2
                    waiting += [piece[middle:], piece[:middle]]
                    continue
                if fault.meaning is Meaning.MEMORY:
                    return answered_rows, [], self._without_memory(fault)
                refusal = refusal or fault
                blamed += piece.tolist()
                if fault.meaning is not Meaning.TOO_LONG:
                    break
            except Garbled as fault:
                blamed = [int(piece[row]) for row in fault.rows]
                return answered_rows, blamed, given_up(fault, self.name)
            except MrlSweepError as error:
                return answered_rows, [], error
        if refusal is None:
            return answered_rows, [], None
        if refusal.meaning is Meaning.TOO_LONG:
            reason = InputError(f"too long for {self.name} ({refusal.message})", "shorten or split it")
        else:
            hint = "look at this text, and at the model's name and options"
            reason = InputError(f"not accepted for {self.name} ({refusal.message})", hint)
        return answered_rows, sorted(blamed), reason

    def _ask(self, request: EmbedRequest) -> Float32Array:
        """Asks as often as patience allows. Raises Refused, Garbled, InputError or EnvironmentFault."""
        dim = request.dim or self._dim

        def once() -> Float32Array:
            try:
                vectors = self._answer(replace(request, plain=self._plain))
            except Refused as fault:
                if fault.option != "encoding_format" or self._plain:
                    raise
                self._plain = True
                vectors = self._answer(replace(request, plain=True))
            if dim is not None and vectors.shape[1] != dim:
                raise Garbled(f"answered with {vectors.shape[1]} dimensions instead of {dim}")
            return vectors

        return patiently(once, self.name, self._patience, self._gate)

    def _answer(self, request: EmbedRequest) -> Float32Array:
        """Asks once. Raises Transient and what `judge` raises."""
        vendor, connection = self._vendor, self._opened()
        path, document = vendor.document(request)
        limit = most_bytes(len(request.texts), request.dim or self._dim or _MOST_DIMENSIONS)
        reply = connection.post(f"{vendor.address.url}/{path}", document, limit)
        judge(reply, self.name, vendor.address.url, connection.key, self._patience.now())
        return vendor.read(reply, request)

    def _without_memory(self, fault: Refused) -> EnvironmentFault:
        """Makes the fault of a server that cannot embed even one text: trying again gives it no memory."""
        return EnvironmentFault(
            f"{self._vendor.address.host} has not the memory to embed with {self._vendor.model} ({fault.message})",
            "free memory there, or serve a smaller model; what was embedded is kept, run the same command again to go on",
        )

    def _opened(self) -> Connection:
        with self._opening:
            if self._connection is None:
                where = self._vendor.address
                if self._options.offline and not where.is_local:
                    raise EnvironmentFault(
                        f"--offline, and some texts have no stored vectors from {self.name}",
                        f"without --offline they are sent to {where.host}",
                    )
                key = self._vendor.key()
                self._connection = Connection(self._vendor.headers(key), key, self._patience.timeout_s)
            return self._connection

    def _general_advice(self) -> Iterator[Advice]:
        where = self._vendor.address
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
