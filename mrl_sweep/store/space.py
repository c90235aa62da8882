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
from mrl_sweep.store.shard import SUFFIX, Kind, NotOurs, Rows, map_vectors, read_index, read_rows, together, write_shard
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
    """A shard as this process knows it. `name` is empty once its rows lie in another one; `vectors` are mapped when needed."""

    name: str
    flags: npt.NDArray[np.uint8]
    vectors: npt.NDArray[Any] | None = None


class Space:
    """The vectors of one identity: shards, and in memory the table that finds a text's vector.

    A location is an int64: the shard's place in `shards`, times 2**32, plus the row. It is good until shards are rewritten.
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
            return Vectors(parts=tuple(self._mapped(a >> 32)[a & _ROW : b - (a >> 32 << 32)] for a, b in pairs))
        serials = np.unique(locations >> 32)
        parts = tuple(self._mapped(serial) for serial in serials.tolist())
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
                    self._mapped(serial)
                return True
        self._read_anew()
        return False

    def sound(self, serials: Sequence[int]) -> list[int]:
        """Those of these shards whose bytes are what their names say. A bad one is set aside."""
        names = self._sound(self.shards[serial].name for serial in serials)
        return [serial for serial in serials if self.shards[serial].name in names]

    def refresh(self) -> bool:
        """Takes up the shards that other processes have put since the last look; True where there were any."""
        n_before = len(self.shards)
        while self.facts is not None and (stamp := self.objects.stamp()) != self._stamp:
            self._stamp, taken = stamp, self._bad.union(shard.name for shard in self.shards)
            new = sorted(name for name in self.objects.names() if name.endswith(SUFFIX) and name not in taken)
            whole = new if self.objects.remote else sorted(self._sound(new))
            with ThreadPoolExecutor(OPENED_AT_ONCE, "mrl-sweep store") as pool:
                read = zip(whole, pool.map(self._index, whole), strict=True)
                indexes = [(name, index) for name, index in read if index is not None]
            if len(indexes) < len(set(new) - self._bad):
                self._stamp = None  # removed while it was read: what holds its rows now was put before that
            for name, index in sorted(indexes, key=lambda one: len(one[1].flags)):
                self.add(name, index)  # where two hold a text the larger counts: it stays
        return len(self.shards) > n_before

    # --- writing ---

    def write(self, rows: Rows) -> tuple[str, bool]:
        """Puts a shard of these rows; its name for `add`, and whether it was there before."""
        kind = self.kind
        return self.objects.put(lambda path: write_shard(path, rows, kind), f"{{}}{SUFFIX}")

    def add(self, name: str, rows: Rows) -> None:
        """Takes up a shard: its texts are found there from now on."""
        self.shards.append(Shard(name, rows.flags))
        self._table.put(rows.digests, (len(self.shards) - 1 << 32) + np.arange(len(rows.flags)))

    def read(self, serials: Sequence[int]) -> Rows:
        """What these shards hold, in the order of their names: in whichever process the same."""
        return together([read_rows(self.objects.fetch(name), self.kind) for name in sorted(self._names(serials))])

    def remove(self, serials: Sequence[int]) -> None:
        """Removes shards whose rows lie in others, which were taken up before."""
        names = self._names(serials)
        for serial in serials:
            self.shards[serial].name = ""
        for name in names.difference(shard.name for shard in self.shards):
            with suppress(OSError):  # rows that lie in two shards do no harm
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

    def _index(self, name: str) -> Rows | None:
        """What is in a shard; None where it is bad, or another process has removed it meanwhile."""
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
        return None

    def _names(self, serials: Iterable[int]) -> set[str]:
        return {self.shards[serial].name for serial in serials}

    def _mapped(self, serial: int) -> npt.NDArray[Any]:
        shard = self.shards[serial]
        if shard.vectors is None:
            shard.vectors = map_vectors(self.objects.fetch(shard.name), self.kind)
        return shard.vectors

    def _sound(self, names: Iterable[str]) -> set[str]:
        """Those of these objects whose bytes are what their names say. A bad one is set aside."""
        checked = self.objects.sound(names)
        for name in [name for name, sound in checked.items() if sound is False]:
            self._reject(name)
        return {name for name, sound in checked.items() if sound}

    def _reject(self, name: str) -> None:
        self._bad.add(name)
        self.objects.set_aside(name)
        self.warnings.append(_damaged(self.objects, name, "its texts are embedded again"))


def read_facts(objects: Objects, warnings: list[Advice]) -> ModelFacts | None:
    """The facts of the space's model. Adds a warning for each file of them whose content is not what its name says."""
    facts: ModelFacts | None = None
    names = sorted(name for name in objects.names() if name.startswith(_FACTS))
    for name, sound in objects.sound(names).items():
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
