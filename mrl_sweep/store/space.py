"""The vectors of one model in one role: immutable shards, and the table that finds a text's vector in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files import json_digest
from mrl_sweep.files.digests import DigestTable, Uint64Array
from mrl_sweep.store.objects import Objects
from mrl_sweep.store.shard import SUFFIX, Index, Kind, NotOurs, Rows, map_vectors, read_index, write_shard
from mrl_sweep.types import Advice, IntArray, ModelFacts, Vectors

SMALL_SHARE: Final = 0.5
"""A shard with less than this share of a full one's bytes is worth rewriting, together with others."""

OPENED_AT_ONCE: Final = 16
"""Shards whose indexes are read at the same time: an object store answers late, and many at a time."""

_FACTS: Final = "model-"
_MOST_SLICES: Final = 256
_ROW: Final = 0xFFFFFFFF


@dataclass(slots=True)
class Shard:
    """A shard as this process knows it. `name` is empty while it is being written, and once its rows lie in another one."""

    name: str
    flags: npt.NDArray[np.uint8]
    sound: bool = False
    rows: npt.NDArray[Any] | None = None
    """Mapped when they are needed."""


class Space:
    """The vectors of one identity: shards, and in memory the table that finds a text's vector.

    A location is an int64: the shard's place in `shards`, times 2**32, plus the row. It is good until shards are rewritten.
    Only `write` may run in another thread.
    """

    def __init__(self, objects: Objects, identity: Mapping[str, Any], *, shard_bytes: int) -> None:
        self.objects = objects
        self.shard_bytes = shard_bytes
        self.warnings: list[Advice] = []
        self._identity, self._digest, self._dtype = dict(identity), json_digest(identity, size=16), np.dtype(identity["dtype"])
        self._bad: set[str] = set()
        self._stamp: object = None
        self.facts = read_facts(objects, self.warnings)
        self._read_anew()

    @property
    def kind(self) -> Kind:
        """What its shards have in common."""
        if self.facts is None:
            raise AssertionError("the dimension of an unused space is not known")
        return Kind(self._digest, self.facts.dim, self._dtype)

    def begin(self, facts: ModelFacts) -> None:
        """Makes the place and puts the model's facts there; needed before the first shard. Raises OSError, EnvironmentFault."""
        if self.facts is not None and facts.dim != self.facts.dim:
            raise EnvironmentFault(
                f"the model gives {facts.dim} dimensions, its stored vectors have {self.facts.dim}",
                f"the model changed under the same name: name a revision, or move {self.objects.place} away",
            )
        self.objects.prepare()
        content = json.dumps({"identity": self._identity, "facts": facts.to_json()}, sort_keys=True).encode()
        name, _ = self.objects.put(lambda path: path.write_bytes(content), f"{_FACTS}{{}}.json")
        for older in self.objects.names():
            if older.startswith(_FACTS) and older != name:
                self.objects.remove(older)
        if self.facts is None:
            self.facts = facts
            self._read_anew()

    # --- reading ---

    def find(self, digests: Uint64Array) -> IntArray:
        """(n,) int64 location of each text's vector, -1 where it is not stored."""
        return self._table.find(digests)

    def flags(self, locations: IntArray) -> npt.NDArray[np.uint8]:
        """(n,) what was noted of each text when it was embedded: the flags of `shard`."""
        out = np.zeros(len(locations), np.uint8)
        for serial in np.unique(locations >> 32).tolist():
            places = np.flatnonzero(locations >> 32 == serial)
            out[places] = self.shards[serial].flags[locations[places] & _ROW]
        return out

    def vectors(self, locations: IntArray) -> Vectors:
        """The rows at these locations, memory-mapped; without an `order` wherever a few slices of the shards give theirs."""
        if not len(locations):
            return Vectors(parts=(np.empty((0, self.kind.dim), self._dtype),))
        cuts = np.flatnonzero(np.diff(locations) != 1) + 1
        if len(cuts) < _MOST_SLICES:
            begins, ends = locations[np.r_[0, cuts]], locations[np.r_[cuts - 1, -1]] + 1
            pairs = zip(begins.tolist(), ends.tolist(), strict=True)
            return Vectors(parts=tuple(self._rows(a >> 32)[a & _ROW : b - (a >> 32 << 32)] for a, b in pairs))
        serials = np.unique(locations >> 32)
        parts = tuple(self._rows(serial) for serial in serials.tolist())
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        order = starts[np.searchsorted(serials, locations >> 32)] + (locations & _ROW)
        return Vectors(parts=parts, order=order.astype(np.int64))

    def secure(self, locations: IntArray) -> bool:
        """Maps the shards that hold these rows after a look at their bytes; False where one is bad or gone.

        A bad one is set aside. Then every location is void: what is stored is read anew, and `find` has to be asked again.
        """
        used = np.unique(locations >> 32).tolist()
        with suppress(FileNotFoundError):
            if len(self.sound(used)) == len(used):
                for serial in used:
                    self._rows(serial)
                return True
        self._read_anew()
        return False

    def sound(self, serials: Sequence[int]) -> list[int]:
        """Those of these shards whose bytes are what their names say. A bad one is set aside."""
        doubtful = [self.shards[serial] for serial in serials if not self.shards[serial].sound]
        for shard, sound in zip(doubtful, self.objects.sound([shard.name for shard in doubtful]), strict=True):
            shard.sound = bool(sound)
            if sound is False:
                self._reject(shard.name)
        return [serial for serial in serials if self.shards[serial].sound]

    def refresh(self) -> bool:
        """Takes up the shards that other processes have put since the last look; True where there were any."""
        n_before = len(self.shards)
        while self.facts is not None and (stamp := self.objects.stamp()) != self._stamp:
            self._stamp, taken = stamp, self._bad.union(shard.name for shard in self.shards)
            new = sorted(name for name in self.objects.names() if name.endswith(SUFFIX) and name not in taken)
            with ThreadPoolExecutor(OPENED_AT_ONCE, "mrl-sweep store") as pool:
                indexes = dict(zip(new, pool.map(self._index, new), strict=True))
            if None in indexes.values():
                self._stamp = None  # removed while it was read: what holds its rows now was put before that
            whole = [(name, index) for name, index in indexes.items() if index and len(index.flags)]
            self.add(sorted(whole, key=lambda one: len(one[1].flags)))  # where two hold a text the larger counts: it stays
        return len(self.shards) > n_before

    # --- writing ---

    def write(self, rows: Rows) -> tuple[str, bool]:
        """Puts a shard of these rows; its name for `add`, and whether it was there before."""
        kind = self.kind
        name, sound = self.objects.put(lambda path: write_shard(path, rows, kind), f"{{}}{SUFFIX}")
        if sound is False:  # damaged so that none of its texts was found
            self.warnings.append(_damaged(self.objects, name, "its texts are embedded again"))
        return name, bool(sound)

    def add(self, shards: Sequence[tuple[str, Index]], *, sound: bool = False) -> None:
        """Takes up shards, by name: their texts are found there from now on."""
        for name, index in shards:
            self.shards.append(Shard(name, index.flags, sound))
        first = len(self.shards) - len(shards)
        rows = [(serial << 32) + np.arange(len(index.flags)) for serial, (_, index) in enumerate(shards, first)]
        if rows:
            self._table.put(np.concatenate([index.digests for _, index in shards]), np.concatenate(rows))

    def replace(self, serials: Sequence[int], shards: Sequence[tuple[str, Index]]) -> None:
        """Takes up shards that hold the rows of others, and removes those."""
        self.add(shards, sound=True)
        for serial in serials:
            name, self.shards[serial].name = self.shards[serial].name, ""
            with suppress(OSError):  # rows that lie in two shards do no harm
                if name not in dict(shards):
                    self.objects.remove(name)

    def small(self) -> list[int]:
        """The serial numbers of the shards that are worth rewriting."""
        limit = SMALL_SHARE * self.shard_bytes
        return [serial for serial, shard in enumerate(self.shards) if shard.name and self.bytes_of([serial]) < limit]

    def bytes_of(self, serials: Iterable[int]) -> int:
        """What the rows of these shards take."""
        return sum(len(self.shards[serial].flags) for serial in serials) * self.kind.row_bytes

    # --- inside ---

    def _read_anew(self) -> None:
        self.shards: list[Shard] = []
        self._table = DigestTable()
        self._stamp = None
        self.refresh()

    def _index(self, name: str) -> Index | None:
        """What is in a shard: nothing where it is bad; None where another process has removed it meanwhile."""
        with suppress(FileNotFoundError):
            for _ in range(3):
                try:
                    return read_index(self.objects.open(name), self.kind)
                except NotOurs:
                    self.objects.sound([name])  # fetches a damaged copy again
                except OSError as error:
                    if not self.objects.remote or isinstance(error, FileNotFoundError):
                        raise
                    self.objects.fetch(name)  # a busy service refuses a short range for good
            self._reject(name)
            return Index(np.empty((0, 2), np.uint64), np.empty(0, np.uint8))
        return None

    def _rows(self, serial: int) -> npt.NDArray[Any]:
        shard = self.shards[serial]
        if shard.rows is None:
            shard.rows = map_vectors(self.objects.fetch(shard.name), self.kind)
        return shard.rows

    def _reject(self, name: str) -> None:
        self._bad.add(name)
        self.objects.set_aside(name)
        self.warnings.append(_damaged(self.objects, name, "its texts are embedded again"))


def read_facts(objects: Objects, warnings: list[Advice]) -> ModelFacts | None:
    """The facts of the space's model. Adds a warning for each file of them whose content is not what its name says."""
    facts: ModelFacts | None = None
    names = sorted(name for name in objects.names() if name.startswith(_FACTS))
    for name, sound in zip(names, objects.sound(names), strict=True):
        if sound:
            with objects.open(name) as file:
                facts = ModelFacts.from_json(json.loads(bytes(file.read()))["facts"])
        elif sound is False:
            objects.set_aside(name)
            warnings.append(_damaged(objects, name, "what is known of the model is asked again"))
    return facts


def _damaged(objects: Objects, name: str, then: str) -> Advice:
    """What a person should know of an object that was damaged, edited, or another model's, and was set aside."""
    return Advice(
        "store-damaged",
        f"{objects.place}/{name} was damaged or is not ours: it was set aside, {then}",
        "what was set aside lies in set-aside/ and can be deleted",
    )
