"""Full-size vectors, read block by block, and what is known of the model that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from mrl_sweep.record import record
from mrl_sweep.types.common import Advice, Float32Array, IntArray

if TYPE_CHECKING:
    import numpy.typing as npt


class Similarity(StrEnum):
    COSINE = "cosine"
    DOT = "dot"


@record
class Vectors:
    """Full-size rows in one or more (memory-mapped) arrays of float32 or float16, read block by block.

    Row i of the corpus is row `order[i]` of the concatenated parts; `order` None means they already lie in order.
    """

    parts: tuple[npt.NDArray[Any], ...]
    order: IntArray | None = None

    @property
    def dim(self) -> int:
        return int(self.parts[0].shape[1])

    def __len__(self) -> int:
        return len(self.order) if self.order is not None else sum(len(part) for part in self.parts)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.dim

    def read(self, start: int, stop: int) -> Float32Array:
        """Returns (stop - start, dim) C-contiguous float32, a view where the rows lie so, else a copy. Never write into it."""
        import numpy as np

        if self.order is None:
            return self._slice(start, stop)
        wanted = self.order[start:stop]
        if len(wanted) and wanted[-1] - wanted[0] == len(wanted) - 1 and (np.diff(wanted) == 1).all():
            return self._slice(int(wanted[0]), int(wanted[-1]) + 1)
        return self._gather(wanted)

    def take(self, rows: npt.ArrayLike) -> Float32Array:
        """Returns (len(rows), dim) float32, the corpus rows asked for, in that order."""
        import numpy as np

        wanted = np.asarray(rows, dtype=np.int64)
        return self._gather(wanted if self.order is None else self.order[wanted])

    def _slice(self, start: int, stop: int) -> Float32Array:
        import numpy as np

        pieces, begin = [], 0
        for part in self.parts:
            if start < begin + len(part) and begin < stop:
                pieces.append(part[max(start - begin, 0) : stop - begin])
            begin += len(part)
        return _float32(np.concatenate(pieces) if len(pieces) > 1 else pieces[0] if pieces else self.parts[0][:0])

    def _gather(self, wanted: IntArray) -> Float32Array:
        import numpy as np

        if len(self.parts) == 1:
            return _float32(np.asarray(self.parts[0])[wanted])  # as a plain array: indexing a memory map gives a memmap
        out = np.empty((len(wanted), self.dim), np.float32)
        start = 0
        for part in self.parts:
            inside = np.flatnonzero((wanted >= start) & (wanted < start + len(part)))
            if len(inside):
                out[inside] = part[wanted[inside] - start]
            start += len(part)
        return out


def _float32(rows: npt.NDArray[Any]) -> Float32Array:
    import numpy as np

    return np.ascontiguousarray(rows, dtype=np.float32)


@record
class Embeddings:
    """Full-size vectors of the documents and of the evaluated queries, and what is known of the model that made them.

    `model` (JSON-able) goes into the report's manifest: provider, name, revision or digest, prompts, full size, dtype …
    `trained_dims` are the sizes the model was trained to be cut at, empty where that is unknown.
    """

    documents: Vectors
    queries: Float32Array
    trained_dims: tuple[int, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Advice, ...] = ()


@record(kw_only=True)
class ModelFacts:
    """What is known of an opened model; kept in the store, so that a run that embeds nothing need not open it.

    `details` (JSON-able) go into the report's manifest as they are.
    """

    dim: int
    max_length: int | None = None
    similarity: str | None = None
    trained_dims: tuple[int, ...] = ()
    warnings: tuple[Advice, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` wrote. Raises TypeError, KeyError or ValueError on anything else."""
        values = dict(document)
        values["trained_dims"] = tuple(int(dim) for dim in values["trained_dims"])
        values["warnings"] = tuple(Advice(**advice) for advice in values["warnings"])
        return cls(**{**values, "dim": int(values["dim"])})
