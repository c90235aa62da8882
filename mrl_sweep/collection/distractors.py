"""More documents that nobody judged, behind those of the collection: a larger corpus to search, the same judgments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mrl_sweep.collection.reading.records import Document, Source

_BEHIND: Final = 2**62
"""Positions from here on lie in the second source; no file is that long."""


@dataclass(frozen=True, slots=True)
class Extended:
    """A `Source` of one source's documents and then another's."""

    first: Source
    second: Source

    @property
    def label(self) -> str:
        return f"{self.first.label} and {self.second.label}"

    @property
    def seeks(self) -> bool:
        return self.first.seeks and self.second.seeks

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        if position < _BEHIND:
            yield from self.first.scan(position)
        for place, document in self.second.scan(max(0, position - _BEHIND)):
            yield place + _BEHIND, document

    def place(self, position: int) -> str:
        return self.first.place(position) if position < _BEHIND else self.second.place(position - _BEHIND)
