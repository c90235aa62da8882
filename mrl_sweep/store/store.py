"""The store: vectors by content, in immutable shards, here or in an object store. What is stored is not embedded again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.store import first_version
from mrl_sweep.store.digests import DigestTable, Uint64Array
from mrl_sweep.store.objects import LocalObjects, Objects, Places, discard
from mrl_sweep.store.shard import SUFFIX, Index, Kind, NotOurs, Rows, map_vectors, read_index, write_shard
from mrl_sweep.types import Advice, IntArray, ModelFacts, Vectors

SHARD_BYTES: Final = 128 << 20
OPENED_AT_ONCE: Final = 16
"""Shards whose indexes are read at the same time: an object store answers late, and many at a time."""

_MOST_SLICES: Final = 256


class Store:
    """A folder, or the address of an object store, with a space for the vectors of each model in each role.

    `dtype` is float32, or float16 for half the disk (vectors of another type are other vectors: they lie in another space).
    """

    def __init__(self, root: Path | str, *, dtype: str = "float32", shard_bytes: int = SHARD_BYTES) -> None:
        if dtype not in ("float32", "float16"):
            raise InputError(f"a store holds float32 or float16, not {dtype!r}", "--store-dtype float32")
        self.root = root
        self._places = Places(root)
        self._dtype = np.dtype(dtype)
        self._shard_bytes = shard_bytes

    def space(self, identity: Mapping[str, Any]) -> Space:
        """The vectors stored under this identity; nothing is made before the first vector comes.

        Raises EnvironmentFault where the store cannot be read.
        """
        name, key = self._name(identity)
        with _naming_store(self.root):
            return Space(self._places.of(name), key, dtype=self._dtype, shard_bytes=self._shard_bytes)

    def facts(self, identity: Mapping[str, Any]) -> ModelFacts | None:
        """What is known of the model whose vectors are stored under this identity; None where there are none."""
        with _naming_store(self.root):
            facts, _ = read_facts(self._places.of(self._name(identity)[0]))
        return facts

    def _name(self, identity: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        key = {**identity, "dtype": self._dtype.name}
        digest = hashlib.blake2b(_json(key), digest_size=16).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(str(key.get(part) or "") for part in ("provider", "model", "role")))
        return f"{readable.strip('-')[:60]}-{digest}", key


@contextmanager
def _naming_store(root: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFault(f"cannot use the store {root}: {reason}", "look at it, or name another with --store") from error


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=True).encode()


# --- Facts ------------------------------------------------------------------------------------------------------------


def read_facts(objects: Objects) -> tuple[ModelFacts | None, list[Advice]]:
    """The facts of the space's model, and a warning for each file of them whose content is not what its name says."""
    warnings: list[Advice] = []
    facts: ModelFacts | None = None
    for name in sorted(name for name in objects.sizes() if name.startswith("model-")):
        try:
            with objects.open(name) as file:
                content = bytes(file.read())
            if name != _facts_name(content):
                raise NotOurs("its content is not what its name says")
            facts = ModelFacts.from_json(json.loads(content)["facts"])
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError, AttributeError):
            objects.set_aside(name)
            warnings.append(set_aside_advice(objects, name, "what is known of the model is asked again"))
    return facts, warnings


def _facts_name(content: bytes) -> str:
    return f"model-{hashlib.sha256(content).hexdigest()[:32]}.json"


def set_aside_advice(objects: Objects, name: str, then: str) -> Advice:
    """What a person should know of an object that was damaged, edited, or another model's."""
    return Advice(
        "store-damaged",
        f"{objects.place}/{name} was damaged or is not ours: it was set aside, {then}",
        "what was set aside lies in set-aside/ and can be deleted",
    )


# --- One space --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shard:
    """A shard as this process knows it. `name` is empty while its rows are only in memory; `rows` are mapped when needed."""

    name: str
    n: int
    flags: npt.NDArray[np.uint8]
    rows: npt.NDArray[Any] | None = None
    sound: bool = False


class Space:
    """The vectors of one identity: shards, and in memory the table that finds a text's vector.

    A location is an int64: the shard's place in this object's list, times 2**32, plus the row.
    """

    def __init__(self, objects: Objects, identity: Mapping[str, Any], *, dtype: np.dtype[Any], shard_bytes: int) -> None:
        self.objects = objects
        self.shard_bytes = shard_bytes
        self._identity, self._dtype = identity, dtype
        self._digest = hashlib.blake2b(_json(dict(identity)), digest_size=16).hexdigest()
        self._stamp: object = None
        self._company = False
        self._bad: set[str] = set()
        self.facts, self.warnings = read_facts(objects)
        self._forget()
        if self.facts is not None:
            self._take_up()
        elif isinstance(objects, LocalObjects) and (facts := first_version.read_facts(objects.folder)):
            self.begin(facts)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def place(self) -> str:
        """The folder or the address, as a message names it."""
        return self.objects.place

    @property
    def dim(self) -> int:
        if self.facts is None:
            raise AssertionError("the dimension of an unused space is not known")
        return self.facts.dim

    @property
    def kind(self) -> Kind:
        """What its shards have in common."""
        return Kind(self._digest, self.dim, self._dtype)

    def bytes_for(self, n: int) -> int:
        """What n more vectors take; 0 while their size is not known."""
        return n * self.kind.row_bytes if self.facts else 0

    def begin(self, facts: ModelFacts) -> None:
        """Makes the place and puts the model's facts there; needed before the first shard. Raises OSError, EnvironmentFault."""
        if self.facts is not None and facts.dim != self.facts.dim:
            raise EnvironmentFault(
                f"the model gives {facts.dim} dimensions, its stored vectors have {self.facts.dim}",
                f"the model changed under the same name: name a revision, or move {self.place} away",
            )
        self.objects.prepare()
        content = _json({"identity": dict(self._identity), "facts": facts.to_json()}) + b"\n"
        name, sizes = _facts_name(content), self.objects.sizes()
        if name not in sizes:
            draft = self.objects.draft()
            try:
                draft.write_bytes(content)
                self.objects.put(draft, name)
            finally:
                discard(draft)
        for older in sizes:
            if older.startswith("model-") and older != name:
                self.objects.remove(older)
        if self.facts is None:
            self.facts = facts
            self._take_up()

    # --- reading ---

    def find(self, digests: Uint64Array) -> IntArray:
        """(n,) int64 location of each text's vector, -1 where it is not stored."""
        return self.current(self._table.find(digests))

    def current(self, locations: IntArray) -> IntArray:
        """Where the rows at these locations lie by now: shards of this run are rewritten into larger ones."""
        while True:
            serials = np.unique(locations >> 32)
            moved = [serial for serial in serials.tolist() if serial in self._moves]
            if not moved:
                return locations
            locations = locations.copy()
            for serial in moved:
                places = np.flatnonzero(locations >> 32 == serial)
                locations[places] = self._moves[serial][locations[places] & 0xFFFFFFFF]

    def flags(self, locations: IntArray) -> npt.NDArray[np.uint8]:
        """(n,) what was noted of each text when it was embedded: the flags of `shard`."""
        out = np.zeros(len(locations), np.uint8)
        for serial in np.unique(locations >> 32).tolist():
            places = np.flatnonzero(locations >> 32 == serial)
            out[places] = self._shards[serial].flags[locations[places] & 0xFFFFFFFF]
        return out

    def vectors(self, locations: IntArray) -> Vectors:
        """The rows at these locations, memory-mapped; without an `order` wherever a few slices of the shards give theirs."""
        if not len(locations):
            return Vectors(parts=(np.empty((0, self.dim), self._dtype),))
        cuts = np.flatnonzero(np.diff(locations) != 1) + 1
        if len(cuts) < _MOST_SLICES:
            begins, ends = locations[np.r_[0, cuts]], locations[np.r_[cuts - 1, -1]] + 1
            pairs = zip(begins.tolist(), ends.tolist(), strict=True)
            return Vectors(parts=tuple(self._rows(a >> 32)[a & 0xFFFFFFFF : b - (a >> 32 << 32)] for a, b in pairs))
        serials = np.unique(locations >> 32)
        parts = tuple(self._rows(serial) for serial in serials.tolist())
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        order = starts[np.searchsorted(serials, locations >> 32)] + (locations & 0xFFFFFFFF)
        return Vectors(parts=parts, order=order.astype(np.int64))

    def secure(self, locations: IntArray) -> bool:
        """Maps the shards that hold these rows after a look at their bytes; False where one is bad or gone.

        A bad one is set aside. Then every location is void: what is stored is read anew, and `find` has to be asked again.
        """
        used = [s for s in np.unique(locations >> 32).tolist() if not self._shards[s].sound]
        names = [self._shards[serial].name for serial in used]
        whole = True
        for serial, name, digest in zip(used, names, self.objects.digests(names), strict=True):
            if digest is None:
                whole = False
            elif name != f"{digest}{SUFFIX}":
                self._set_aside(name)
                whole = False
            else:
                self._shards[serial].sound = True
        try:
            for serial in np.unique(locations >> 32).tolist() if whole else ():
                self._rows(serial)
        except FileNotFoundError:
            whole = False
        if not whole:
            self._forget()
            self.refresh()
        return whole

    def refresh(self) -> bool:
        """Takes up the shards that other processes have put since; True where there were any."""
        before = len(self._shards)
        while not self._take_new():
            pass  # one was removed while it was read: what holds its rows now was put before that
        return len(self._shards) > before

    def _take_new(self) -> bool:
        """Takes up the shards that are not known yet; False where one of them vanished meanwhile."""
        self._stamp = self.objects.stamp()
        sizes = self.objects.sizes()
        new = (name for name in sizes if name.endswith(SUFFIX) and name not in self._names)
        names = sorted(new, key=lambda name: (-sizes[name], name))  # the large first: they are the last to be rewritten
        kind = self.kind
        with ThreadPoolExecutor(OPENED_AT_ONCE, "mrl-sweep store") as pool:
            indexes = list(pool.map(lambda name: _index(self.objects, name, kind), names))
        digests, locations = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
        for name, index in zip(names, indexes, strict=True):
            if isinstance(index, Index):
                serial = self.add(Shard(name, len(index.flags), index.flags))
                digests.append(index.digests)
                locations.append((serial << 32) + np.arange(len(index.flags)))
            elif index is not None:
                self._names.add(name)
                self._set_aside(name)
        self._table.add(np.concatenate(digests), np.concatenate(locations))
        return None not in indexes

    def company(self) -> bool:
        """Whether other processes have been seen to add vectors, be they the very ones that this one adds.

        What they add is taken up. Cheap enough to ask before every batch.
        """
        if self.objects.stamp() != self._stamp and self.refresh():
            self._company = True
        return self._company

    # --- for the writer ---

    def add(self, shard: Shard) -> int:
        """The serial number under which the shard is known from now on."""
        self._names.add(shard.name)
        self._shards.append(shard)
        return len(self._shards) - 1

    def put(self, rows: Rows) -> str:
        """Writes a shard under a temporary name and puts it in place; returns its name. A failure leaves nothing behind."""
        draft = self.objects.draft()
        try:
            name = write_shard(draft, rows, self.kind)
            self._names.add(name)  # before it is there: `refresh` is not to take it for another's
            there = self.objects.has(name)
            if there and self.objects.digests([name]) == [name.removesuffix(SUFFIX)]:
                self._company = True
                return name
            if there:  # damaged, so that its texts were not found in it
                self._set_aside(name)
            self.objects.put(draft, name)
        finally:
            discard(draft)
        return name

    def shard(self, serial: int) -> Shard:
        """The shard of this serial number."""
        return self._shards[serial]

    def live(self) -> list[int]:
        """The serial numbers of the shards whose rows lie where they were."""
        return [serial for serial, shard in enumerate(self._shards) if shard.name and serial not in self._moves]

    def move(self, serial: int, targets: IntArray) -> None:
        """Notes where each row of a shard lies from now on."""
        self._moves[serial] = targets

    def note(self, digests: Uint64Array, locations: IntArray) -> None:
        """Makes texts findable."""
        self._table.add(digests, locations)

    # --- inside ---

    def _forget(self) -> None:
        self._shards: list[Shard] = []
        self._names = set(self._bad)
        self._moves: dict[int, IntArray] = {}
        self._table = DigestTable()
        self._stamp = None

    def _rows(self, serial: int) -> npt.NDArray[Any]:
        shard = self._shards[serial]
        if shard.rows is None:
            shard.rows = map_vectors(self.objects.fetch(shard.name), self.kind)
        return shard.rows

    def _set_aside(self, name: str) -> None:
        self._bad.add(name)
        self.objects.set_aside(name)
        self.warnings.append(set_aside_advice(self.objects, name, "its texts are embedded again"))

    def _take_up(self) -> None:
        """Takes up the shards that are there, after what the first version of mrl-sweep has stored has become some."""
        if isinstance(self.objects, LocalObjects):
            folder, at_once = self.objects.folder, max(1, self.shard_bytes // self.kind.row_bytes)
            for rows in first_version.read_rows(folder, self.kind, at_once):
                self.put(rows)
            first_version.remove(folder)
            self._names -= {name for name in self._names if name.endswith(SUFFIX)}
        self.refresh()


def _index(objects: Objects, name: str, kind: Kind) -> Index | NotOurs | None:
    """None where another process has removed it meanwhile."""
    try:
        return read_index(objects.open(name), kind)
    except FileNotFoundError:
        return None
    except NotOurs as reason:
        digest = objects.digests([name])[0]  # a copy of an object that is damaged here only is fetched again
        if digest is None or not name.startswith(digest):
            return None if digest is None else reason
    try:
        return read_index(objects.open(name), kind)
    except NotOurs as reason:
        return reason
