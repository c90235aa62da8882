"""What is done with a shard that a kill left unfinished or that somebody damaged; never while another process writes it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrl_sweep.store.shard import Shard, ShardWriter, locked, read_shard, set_aside
from mrl_sweep.types import Advice


@dataclass(frozen=True, slots=True)
class Mended:
    """A shard as it can be used, or one that was `set_aside`, with the records whose vectors are sound."""

    shard: Shard
    set_aside: Shard | None = None

    def advice(self) -> Advice:
        """What a person should know of a shard that was set aside."""
        kept = f"{len(self.shard.records):,} of its vectors were kept"
        return Advice(
            "store-damaged",
            f"{self.shard.files.rows} was damaged or is not ours: it was set aside, {kept}",
            "the others are embedded again; the old files lie in set-aside/ and can be deleted",
        )


def mend(shard: Shard, dim: int, dtype: np.dtype[Any]) -> Mended:
    """Settles a shard that is whole but unsettled, sets a damaged one aside; as it is where somebody else owns it."""
    if shard.damaged:
        with locked(shard.files) as free:
            if not free:
                return Mended(shard)
            shard = read_shard(shard.files, dim, dtype)
            if shard.damaged:
                set_aside(shard.files)
                return Mended(shard, set_aside=shard)
    if shard.unsettled and (writer := ShardWriter.adopt(shard.files, dim, dtype)):
        with contextlib.closing(writer), contextlib.suppress(OSError):
            writer.settle()
        shard = read_shard(shard.files, dim, dtype)
    return Mended(shard)
