"""What every provider of vectors offers: an `Embedder` encodes texts, a `VectorSource` has the vectors already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from mrl_sweep.errors import MrlSweepError
from mrl_sweep.events import OnEvent
from mrl_sweep.record import record
from mrl_sweep.types import BoolArray, Collection, Float32Array, IntArray, ModelFacts, Vectors

GUESSED: Final = frozenset({"pooling-guessed", "prompts-not-used"})
"""Codes of advice on what had to be guessed of a model: strict makes it an error."""


class Role(StrEnum):
    """A role says whether a text is a document or a query: many models put another prompt before a query."""

    DOCUMENT = "document"
    QUERY = "query"


@record(kw_only=True)
class ModelOptions:
    """Options say how a model is opened, as on the command line; None leaves the choice to the model or the provider.

    `query_prompt` and `document_prompt` are a prompt's text, or the name of one that the model brings along. `processes` > 1
    encodes in that many processes. `cache_dir` keeps digests of local weights and vector files between runs.
    """

    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool = False
    base_url: str | None = None
    batch_size: int | None = None
    max_length: int | None = None
    device: str | None = None
    backend: str = "torch"
    processes: int = 1
    offline: bool = False
    cache_dir: Path | None = None


@record(kw_only=True)
class Batching:
    """Batching says how a provider takes its texts.

    It takes at most `texts` and `characters` a call, alike in length (`by_length`) where it pads, and `calls` at a time. Vectors
    of cheap batches wait `flush_s` (longer for an object store) until they are stored, which is what a kill costs; those of a
    `paid` provider do not wait. Texts are held `window` at a time, few enough for memory and enough to sort by length.
    """

    texts: int = 32
    characters: int | None = None
    by_length: bool = True
    calls: int = 1
    paid: bool = False
    flush_s: float = 1.0
    window: int = 16_384


@record
class Encoded:
    """Holds a batch's (n, dim) float32 `vectors`, its (n,) integer `tokens` read and (n,) bool `truncated`; None: not known."""

    vectors: Float32Array
    tokens: IntArray | None = None
    truncated: BoolArray | None = None


class PartlyEncoded(Exception):
    """Carries, out of an `encode` that failed, the vectors that came back, so that what was paid for is kept.

    `encoded` are the vectors of `rows` (ascending places in the batch; both may be empty), `refused` the places of the texts
    that are to blame, `reason` the error that is raised in the end: its message follows the refused texts' names.
    """

    def __init__(self, reason: MrlSweepError, *, rows: IntArray, encoded: Encoded, refused: Sequence[int] = ()) -> None:
        super().__init__(reason.message)
        self.reason = reason
        self.rows = rows
        self.encoded = encoded
        self.refused = refused


@runtime_checkable
class Embedder(Protocol):
    """An embedder turns texts into vectors of its full size.

    Making one is cheap: the model is opened by `facts` or the first `encode`, and `identity` needs neither.
    """

    @property
    def name(self) -> str:
        """Returns the model's short name for messages and the report, as `openai:text-embedding-3-small`."""
        ...

    @property
    def batching(self) -> Batching: ...

    def identity(self, role: Role) -> Mapping[str, Any]:
        """Returns everything that decides a text's vector, JSON-able: vectors are stored under it. Never a key or a password."""
        ...

    def facts(self) -> ModelFacts:
        """Returns the opened model's facts. Raises `InputError` (no such model) or `EnvironmentFault` (cannot be loaded)."""
        ...

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """Encodes these texts, in this order, at full size, the role's prompt applied. May be called from threads.

        Raises `PartlyEncoded` where only some came back, else `InputError` or `EnvironmentFault`.
        """
        ...

    def close(self) -> None:
        """Ends processes and connections; the next `encode` opens them again."""
        ...


@record(kw_only=True)
class Brought:
    """Holds a role's vectors that existed already, checked and in the collection's order.

    `origin` is the file or table, `model` what goes into the report's manifest, `zero` the rows whose vectors are zero.
    """

    vectors: Vectors
    origin: str
    model: Mapping[str, Any]
    zero: IntArray
    unit_length: bool


@runtime_checkable
class VectorSource(Protocol):
    """A source has vectors that exist already and only have to be matched with the collection."""

    @property
    def name(self) -> str: ...

    def identity(self, role: Role) -> Mapping[str, Any]:
        """Returns what is known of the vectors before they are read, JSON-able: the content of files, a table's name."""
        ...

    def load(self, collection: Collection, role: Role, *, on_event: OnEvent) -> Brought:
        """Reads the role's vectors; queries that are documents have the documents' vectors.

        Raises `InputError` where they cannot be read, do not fit the collection or are not finite.
        """
        ...
