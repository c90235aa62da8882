"""The vectors of one model in one role: immutable shards, the table that finds a text's vector in them, and their writer.

New shards are small, so that a killed process loses little, and are rewritten into large ones later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files import json_digest
from mrl_sweep.files.digests import DigestTable, Uint64Array, side_by_side
from mrl_sweep.record import record
from mrl_sweep.store.objects import LIST_EVERY_S, Objects
from mrl_sweep.store.shard import SUFFIX, Kind, NotOurs, Rows, map_vectors, read_index, together, write_shard
from mrl_sweep.types import Advice, IntArray, ModelFacts, Vectors, distinct

SMALL_SHARE: Final = 0.5
"""A shard with less than this share of a full one's bytes is worth rewriting, together with others."""

OPENED_AT_ONCE: Final = 16
"""Shards whose indexes are read, or that are removed, at the same time: an object store answers late, and many at a time."""

COSTLY_S: Final = 0.25
"""Seconds of the model's time from which a batch is worth a shard of its own: to store one takes about a hundredth of that."""

_FACTS: Final = "model-"
_MOST_SLICES: Final = 256
ROWS_A_SLICE: Final = 4096
"""Mean rows of a slice from which there may be more slices: an `order` is eight bytes a row, and travels to every worker."""

_ROW: Final = 0xFFFFFFFF


@record(frozen=False)
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
        """The properties that the shards share, known once the model's facts are."""
        if self.facts is None:
            raise AssertionError("the dimension of an unused space is not known")
        return Kind(self._digest, self.facts.dim, self._dtype)

    def begin(self, facts: ModelFacts) -> None:
        """Stores the model's facts, before the first shard. Raises OSError, and EnvironmentFault where the dimension differs."""
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
        """Returns (n,) int64, the location of each text's vector; -1 where it is not stored."""
        return self._table.find(digests)

    def flags(self, locations: IntArray) -> npt.NDArray[np.uint8]:
        """Returns (n,) uint8, the flags (those of `shard`) that each text got when it was embedded."""
        out = np.zeros(len(locations), np.uint8)
        for serial in distinct(locations >> 32).tolist():
            places = np.flatnonzero(locations >> 32 == serial)
            out[places] = self.shards[serial].flags[locations[places] & _ROW]
        return out

    def vectors(self, locations: IntArray, rows_a_slice: int = ROWS_A_SLICE) -> Vectors:
        """Returns the vectors at these locations, memory-mapped; without an `order` where a few slices of shards give them."""
        if not len(locations):
            return Vectors(parts=(np.empty((0, self.kind.dim), self._dtype),))
        cuts = np.flatnonzero(np.diff(locations) != 1) + 1
        if len(cuts) < max(_MOST_SLICES, len(locations) // rows_a_slice):
            begins, ends = locations[np.r_[0, cuts]], locations[np.r_[cuts - 1, -1]] + 1
            pairs = zip(begins.tolist(), ends.tolist(), strict=True)
            return Vectors(parts=tuple(self._mapped(a >> 32)[a & _ROW : b - (a >> 32 << 32)] for a, b in pairs))
        serials = distinct(locations >> 32)
        parts = tuple(self._mapped(serial) for serial in serials.tolist())
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        order = starts[np.searchsorted(serials, locations >> 32)] + (locations & _ROW)
        return Vectors(parts=parts, order=order.astype(np.int64))

    def secure(self, locations: IntArray) -> bool:
        """Checks the bytes of the shards that hold these rows, and maps them; False where one is bad or gone.

        A bad one is set aside. After False every location is void: the space was read anew, and `find` has to be asked again.
        """
        used = distinct(locations >> 32).tolist()
        with suppress(FileNotFoundError):
            if len(self._sound_ones(used)) == len(used):
                for serial in used:
                    self._mapped(serial)
                return True
        self._read_anew()
        return False

    def refresh(self) -> bool:
        """Takes up the shards that other processes have put since the last look; True where there were any."""
        n_before = len(self.shards)
        while self.facts is not None and (stamp := self.objects.stamp()) != self._stamp:
            self._stamp, taken = stamp, self._bad.union(shard.name for shard in self.shards)
            new = sorted(name for name in self.objects.names() if name.endswith(SUFFIX) and name not in taken)
            whole = new if self.objects.remote else sorted(self._sound(new))
            read = zip(whole, side_by_side(self._index, whole, OPENED_AT_ONCE), strict=True)
            indexes = [(name, index) for name, index in read if index is not None]
            if len(indexes) < len(set(new) - self._bad):
                self._stamp = None  # removed while it was read: what holds its rows now was put before that
            for name, index in sorted(indexes, key=lambda one: len(one[1].flags)):
                self._add(name, index)  # where two hold a text the larger counts: it stays
        return len(self.shards) > n_before

    # --- writing ---

    def put(self, rows: Rows) -> bool:
        """Stores these rows as a shard, and takes it up; returns whether it was there before. Raises OSError."""
        kind = self.kind
        name, there = self.objects.put(lambda path: write_shard(path, rows, kind), f"{{}}{SUFFIX}")
        self._add(name, rows)
        return there

    def rewrite(self, sequence: Uint64Array) -> None:
        """Puts the rows of small shards into a large one, each text once, in the order of these digests. Raises OSError.

        Takes only as many as fill one, the smallest first: to add a text to a store of a thousand small ones costs no more.
        Several processes may do so at once: what one removes lies in a large shard, which nobody removes, or in one that was new
        when it was put, so that no two rely on what the other removes.
        """
        most, there = max(1, self.shard_bytes // self.kind.row_bytes), False
        small = sorted(self._small(), key=lambda serial: (len(self.shards[serial].flags), self.shards[serial].name))
        n_rows = np.cumsum([len(self.shards[serial].flags) for serial in small])
        small = self._sound_ones(small[: 1 + int(np.searchsorted(n_rows, most))])
        if len(small) < 2:
            return
        indexes = [read_index(self.objects.open(self.shards[serial].name), self.kind) for serial in small]
        rows = together(indexes)
        starts = zip(small, indexes, strict=True)
        locations = np.concatenate([(serial << 32) + np.arange(len(one.flags)) for serial, one in starts])
        serial_of = self.find(rows.digests) >> 32
        large = self._sound_ones(np.setdiff1d(serial_of, self._small()).tolist())
        row_of_text = DigestTable()
        row_of_text.put(rows.digests[::-1], np.arange(len(locations))[::-1])  # the first of a text's rows
        places = row_of_text.find(np.concatenate([sequence, rows.digests]))
        places = places[np.sort(np.unique(places, return_index=True)[1])]
        order = places[(places >= 0) & ~np.isin(serial_of[places], large)]
        for start in range(0, len(order), most):
            piece = order[start : start + most]
            vectors = self.vectors(locations[piece]).read(0, len(piece))
            there = self.put(rows.take(piece)._replace(vectors=vectors))
        if not there:
            self._remove(small)

    def is_full(self) -> bool:
        """Tells whether the small shards would fill a large one."""
        return sum(len(self.shards[serial].flags) for serial in self._small()) * self.kind.row_bytes >= self.shard_bytes

    # --- inside ---

    def _small(self) -> list[int]:
        """Lists the shards (places in `shards`) that are worth rewriting."""
        limit = SMALL_SHARE * self.shard_bytes / self.kind.row_bytes
        return [serial for serial, shard in enumerate(self.shards) if shard.name and len(shard.flags) < limit]

    def _add(self, name: str, rows: Rows) -> None:
        self.shards.append(Shard(name, rows.flags))
        self._table.put(rows.digests, (len(self.shards) - 1 << 32) + np.arange(len(rows.flags)))

    def _remove(self, serials: Sequence[int]) -> None:
        """Removes shards whose rows lie in others. Where that fails, rows lie in two shards, which does no harm."""

        def remove(serial: int) -> None:
            with suppress(OSError):
                self.objects.remove(self.shards[serial].name)

        side_by_side(remove, serials, OPENED_AT_ONCE)
        for serial in serials:
            self.shards[serial] = Shard("", self.shards[serial].flags)

    def _read_anew(self) -> None:
        self.shards: list[Shard] = []
        self._table = DigestTable()
        self._stamp = None
        self.refresh()

    def _index(self, name: str) -> Rows | None:
        """Reads all of a shard but its vectors; None where it is bad, or another process has removed it meanwhile."""
        try:
            with suppress(NotOurs, OSError):
                return read_index(self.objects.open(name), self.kind)
            self.objects.sound([name])  # fetches a damaged copy again, and what a busy service refuses to serve by ranges
            return read_index(self.objects.open(name), self.kind)
        except FileNotFoundError:
            return None
        except NotOurs:
            self._reject(name)
            return None

    def _mapped(self, serial: int) -> npt.NDArray[Any]:
        shard = self.shards[serial]
        if shard.vectors is None:
            shard.vectors = map_vectors(self.objects.fetch(shard.name), self.kind)
        return shard.vectors

    def _sound_ones(self, serials: Sequence[int]) -> list[int]:
        names = self._sound(self.shards[serial].name for serial in serials)
        return [serial for serial in serials if self.shards[serial].name in names]

    def _sound(self, names: Iterable[str]) -> set[str]:
        """Picks the objects whose bytes are what their names say. A bad one is set aside."""
        checked = self.objects.sound(names)
        for name in [name for name, sound in checked.items() if sound is False]:
            self._reject(name)
        return {name for name, sound in checked.items() if sound}

    def _reject(self, name: str) -> None:
        self._bad.add(name)
        self.objects.set_aside(name)
        self.warnings.append(_damaged(self.objects, name, "its texts are embedded again"))


class Writer:
    """Writes to one space. Where the disk refuses, OSError is raised; rows that it refused are not written again.

    A batch that cost the model `COSTLY_S` or more is stored before `add` returns, and at a `flush_s` of 0 every batch is. Rows of
    cheaper ones wait for the first `add` after `flush_s` seconds (`LIST_EVERY_S` at least where the store is an object store), or
    until they fill a shard. The space finds them from then on.
    """

    def __init__(self, space: Space, *, flush_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._space, self._clock = space, clock
        self._flush_s = max(flush_s, LIST_EVERY_S) if flush_s and space.objects.remote else flush_s
        self._rows: list[Rows] = []
        self._flushed_at = clock()
        self._company = False
        self.n_safe = 0
        """The number of rows that this writer has stored."""

    def add(self, rows: Rows, cost_s: float = 0.0) -> None:
        """Takes a batch that cost the model `cost_s` seconds, and stores it where that is due. Raises OSError."""
        self._rows.append(rows)
        n_bytes = sum(len(some.flags) for some in self._rows) * self._space.kind.row_bytes
        due = cost_s >= COSTLY_S or self._clock() - self._flushed_at >= self._flush_s
        if due or n_bytes >= self._space.shard_bytes:
            self.flush()

    def flush(self) -> None:
        """Stores the waiting rows as a small shard. Raises OSError."""
        if self._rows:
            rows, self._rows = together(self._rows), []
            self._company |= self._space.put(rows)
            self.n_safe += len(rows.flags)
        self._flushed_at = self._clock()

    def company(self) -> bool:
        """Takes up what other processes have added, and tells whether any ever did; cheap enough before every batch."""
        self._company |= self._space.refresh()
        return self._company

    def rewrite(self, sequence: Uint64Array) -> None:
        """Puts the rows of small shards into a large one, each text once, in the order of these digests.

        Does nothing in company, so that no shards vanish while another process reads them: a later run does it. Where the disk
        is full the small ones stay, which are as good.
        """
        if not self.company():
            with suppress(OSError):
                self._space.rewrite(sequence)


def read_facts(objects: Objects, warnings: list[Advice]) -> ModelFacts | None:
    """Reads the facts of the space's model, None where there are none. Adds a warning for each damaged file of facts."""
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
    """Warns of an object that was damaged, edited, or another model's, and was set aside."""
    return Advice(
        "store-damaged",
        f"{objects.place}/{name} was damaged or is not ours: it was set aside, {then}",
        "what was set aside lies in set-aside/ and can be deleted",
    )
