"""The store of vectors by content, in a folder or an object store (`s3://`, `gs://`): what is stored is not embedded again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files import json_digest
from mrl_sweep.files.digests import FileDigests
from mrl_sweep.files.object_store import ObjectStore, connect, hint_at
from mrl_sweep.settings.paths import copies_of
from mrl_sweep.store.objects import Objects
from mrl_sweep.store.space import Space, read_facts
from mrl_sweep.types import ModelFacts

SHARD_BYTES: Final = 128 << 20
FIRST_VERSION: Final = "00000.index.npy"
"""A file of stores that mrl-sweep wrote before there were shards."""


class Store:
    """A folder, or the address of an object store, with a space for the vectors of each model in each role.

    `dtype` is float32, or float16 for half the disk (vectors of another type are other vectors: they lie in another space).
    """

    def __init__(self, root: Path | str, *, dtype: str = "float32", shard_bytes: int = SHARD_BYTES) -> None:
        if dtype not in ("float32", "float16"):
            raise InputError(f"a store holds float32 or float16, not {dtype!r}", "--store-dtype float32")
        self.root, self._dtype, self._shard_bytes = root, dtype, shard_bytes
        self._folder = root if isinstance(root, Path) else copies_of(root)
        self._digests = FileDigests(self._folder, algorithm="sha256", file_name="shard-digests.json")

    def space(self, identity: Mapping[str, Any]) -> Space:
        """Opens the space of the vectors stored under this identity; nothing is made before the first vector comes.

        Raises EnvironmentFault where the store cannot be read, InputError where the first version of mrl-sweep wrote it.
        """
        key = {**identity, "dtype": self._dtype}
        with self._named_in_faults():
            return Space(self.objects(_name_of(key)), key, shard_bytes=self._shard_bytes)

    def facts(self, identity: Mapping[str, Any]) -> ModelFacts | None:
        """Reads the facts of the model whose vectors are stored under this identity; None where there are none."""
        with self._named_in_faults():
            return read_facts(self.objects(_name_of({**identity, "dtype": self._dtype})), [])

    def objects(self, space: str) -> Objects:
        """Returns the objects of the space of this name. Raises InputError where the first version of mrl-sweep wrote it."""
        folder = self._folder / space
        if (folder / FIRST_VERSION).exists():
            hint = "`git checkout 0561604` and run the same command: it carries the vectors over; or give another --store"
            raise InputError(f"{folder} was written by the first version of mrl-sweep", hint)
        return Objects(folder, self._digests, self._remote and self._remote.below(space))

    @cached_property
    def _remote(self) -> ObjectStore | None:
        return None if isinstance(self.root, Path) else connect(self.root)

    @contextmanager
    def _named_in_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            hint = "look at it, or name another" if isinstance(self.root, Path) else f"{hint_at(self.root)}; or name another"
            raise EnvironmentFault(f"cannot use the store {self.root}: {reason}", f"{hint} with --store") from error


def copy_of(address: str) -> Path:
    """Returns a local file with the bytes of the object at `STORE/SPACE/NAME`, fetched if need be. Raises OSError."""
    store, space, name = address.rsplit("/", 2)
    return Store(store).objects(space).fetch(name)


def _name_of(key: Mapping[str, Any]) -> str:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(str(key.get(part) or "") for part in ("provider", "model", "role")))
    return f"{readable.strip('-')[:60]}-{json_digest(key, size=16)}"
