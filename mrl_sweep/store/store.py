"""The store: vectors by content, on disk, append-only. What was embedded once is never embedded again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.store.digests import DigestTable, Uint64Array
from mrl_sweep.store.layout import RECORD, Records, ShardFiles, replace_file, shard_numbers
from mrl_sweep.store.repair import mend
from mrl_sweep.store.shard import Shard, ShardWriter, locked, read_more, read_shard
from mrl_sweep.types import Advice, IntArray, ModelFacts, Vectors

SHARD_BYTES: Final = 256 << 20
_MOST_SLICES: Final = 256


class Store:
    """A folder of spaces; each holds the vectors of one model in one role.

    `dtype` is float32, or float16 for half the disk (vectors of another type are other vectors: they lie in another space).
    """

    def __init__(self, root: Path, *, dtype: str = "float32", shard_bytes: int = SHARD_BYTES) -> None:
        if dtype not in ("float32", "float16"):
            raise InputError(f"a store holds float32 or float16, not {dtype!r}", "--store-dtype float32")
        self.root = root
        self._dtype = np.dtype(dtype)
        self._shard_bytes = shard_bytes

    def space(self, identity: Mapping[str, Any]) -> Space:
        """The vectors stored under this identity; the folder is made when the first vector comes.

        Raises EnvironmentFault where the folder cannot be read, or a damaged one cannot be mended.
        """
        folder, key = self._folder(identity)
        try:
            return Space(folder, key, dtype=self._dtype, shard_bytes=self._shard_bytes)
        except OSError as error:
            reason = error.strerror or str(error)
            raise EnvironmentFault(f"cannot use the store {folder}: {reason}", "free space there, or --store DIR") from error

    def facts(self, identity: Mapping[str, Any]) -> ModelFacts | None:
        """What is known of the model whose vectors are stored under this identity; None where there are none."""
        return read_facts(self._folder(identity)[0])

    def _folder(self, identity: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
        key = {**identity, "dtype": self._dtype.name}
        text = json.dumps(key, sort_keys=True, ensure_ascii=True)
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(str(key.get(part) or "") for part in ("provider", "model", "role")))
        return self.root / f"{readable.strip('-')[:60]}-{digest}", key


def read_facts(folder: Path) -> ModelFacts | None:
    """The facts that `Space.begin` wrote; None where there are none, or none that make sense."""
    try:
        return ModelFacts.from_json(json.loads((folder / "model.json").read_bytes())["facts"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


class Space:
    """The vectors of one identity: shards on disk, and in memory the table that finds a text's vector.

    A location is an int64: the shard's place in this object's list, times 2**32, plus the row. Lookups are made from one thread,
    `write` from at most one other.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, dtype: np.dtype[Any], shard_bytes: int) -> None:
        self.folder = folder
        self.warnings: list[Advice] = []
        self._identity = identity
        self._dtype = dtype
        self._shard_bytes = shard_bytes
        self._shards: list[Shard] = []
        self._flags: list[npt.NDArray[np.uint8]] = []
        self._table = DigestTable()
        self._writer: ShardWriter | None = None
        self._writers: dict[int, ShardWriter] = {}
        self._salvage: list[Shard] = []
        self._looked = -1
        self._in_company = False
        self.facts = read_facts(folder)
        if self.facts is not None:
            self._load(self.facts.dim)

    def __len__(self) -> int:
        return len(self._table)

    # --- reading ---

    def find(self, digests: Uint64Array) -> IntArray:
        """(n,) int64 location of each text's vector, -1 where it is not stored."""
        return self._table.find(digests)

    def flags(self, locations: IntArray) -> npt.NDArray[np.uint8]:
        """(n,) what was noted of each text when it was embedded: the flags of `layout`."""
        out = np.zeros(len(locations), np.uint8)
        for serial, flags in enumerate(self._flags):
            here = (locations >> 32) == serial
            out[here] = flags[locations[here] & 0xFFFFFFFF]
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
        parts = tuple(self._rows(int(serial)) for serial in serials)
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        order = starts[np.searchsorted(serials, locations >> 32)] + (locations & 0xFFFFFFFF)
        return Vectors(parts=parts, order=order.astype(np.int64))

    @property
    def dim(self) -> int:
        if self.facts is None:
            raise AssertionError("the dimension of an unused space is not known")
        return self.facts.dim

    def bytes_for(self, n: int) -> int:
        """What n more vectors take on disk; 0 while their size is not known."""
        return n * (self.dim * self._dtype.itemsize + RECORD.itemsize) if self.facts else 0

    @property
    def _capacity(self) -> int:
        """A shard with so many rows takes no further window."""
        return max(1, self._shard_bytes // (self.dim * self._dtype.itemsize))

    def refresh(self) -> bool:
        """Takes up what other processes have added since; True where there was anything new."""
        before = len(self._table)
        known = {shard.files.number: serial for serial, shard in enumerate(self._shards)}
        for number in shard_numbers(self.folder) if self.folder.is_dir() else []:
            serial = known.get(number)
            if serial is None:
                self._add(read_shard(ShardFiles(self.folder, number), self.dim, self._dtype))
            elif serial not in self._writers:
                newer = read_more(self._shards[serial])
                newer = newer or read_shard(self._shards[serial].files, self.dim, self._dtype)
                self._add(newer, serial)
        return len(self._table) > before

    def company(self) -> bool:
        """True while another process is writing to this space; what it has written is taken up meanwhile.

        Who comes later makes a shard, which changes the folder: as long as that does not happen, one look at it is enough.
        """
        looked = self.folder.stat().st_mtime_ns
        if looked != self._looked:
            self._looked = looked
            self.refresh()
            self._in_company = self._has_rivals()
        elif self._in_company:
            self.refresh()
        return self._in_company

    def _has_rivals(self) -> bool:
        for serial, shard in enumerate(self._shards):
            if serial not in self._writers and shard.files.rows.exists():
                with locked(shard.files) as free:
                    if not free:
                        return True
        return False

    # --- writing ---

    def prepare(self) -> None:
        """Makes the folder. Raises OSError where it cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder))

    def begin(self, facts: ModelFacts) -> None:
        """Notes the model's facts; needed once, before the first `reserve`."""
        if self.facts is not None and facts.dim != self.facts.dim:
            raise EnvironmentFault(
                f"the model gives {facts.dim} dimensions, its stored vectors have {self.facts.dim}",
                f"the model changed under the same name: name a revision, or move {self.folder} away",
            )
        self.prepare()
        document = {"identity": dict(self._identity), "facts": facts.to_json()}
        replace_file(self.folder / "model.json", json.dumps(document, indent=1).encode() + b"\n")
        if self.facts is None:
            self.facts = facts
            self._load(facts.dim)

    def reserve(self, n: int) -> IntArray:
        """(n,) locations for new vectors, ascending within their shard."""
        writer = self._open_writer()
        serial = next(serial for serial, known in self._writers.items() if known is writer)
        rows = writer.reserve(n)
        return (serial << 32) + rows

    def write(self, locations: IntArray, vectors: npt.NDArray[Any], records: Records) -> None:
        """One batch, to locations of one `reserve`; the last of a full shard settles it. OSError where the disk is full."""
        writer = self._writers[int(locations[0] >> 32)]
        writer.write(locations & 0xFFFFFFFF, vectors, records)
        if writer.n_records == writer.n_rows >= self._capacity:
            writer.settle()

    def give_back(self, locations: IntArray) -> None:
        """Reserved locations that another process made needless."""
        for serial in np.unique(locations >> 32):
            self._writers[int(serial)].give_back(locations[(locations >> 32) == serial] & 0xFFFFFFFF)

    def note(self, digests: Uint64Array, locations: IntArray) -> None:
        """Makes texts whose vectors were handed to `write` findable."""
        self._table.add(digests, locations)

    def finish(self) -> None:
        """Settles every shard this object wrote and gives it up."""
        for writer in self._writers.values():
            writer.settle()
        self._retire(everything=True)
        self._writer = None

    def abandon(self) -> None:
        """Gives up every shard as it is, after a failure; what was written stays."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._writer = None

    # --- inside ---

    def _rows(self, serial: int) -> npt.NDArray[Any]:
        return self._shards[serial].rows

    def _load(self, dim: int) -> None:
        for number in shard_numbers(self.folder) if self.folder.is_dir() else []:
            files = ShardFiles(self.folder, number)
            mended = mend(read_shard(files, dim, self._dtype), dim, self._dtype)
            if mended.set_aside is not None:
                self._salvage.append(mended.set_aside)
                self.warnings.append(mended.advice())
            elif len(mended.shard.records):
                self._add(mended.shard)
        if self._salvage:
            for shard in self._salvage:
                self._rescue(shard)
            self._salvage.clear()
            self.finish()

    def _add(self, shard: Shard, serial: int | None = None) -> None:
        if serial is None:
            serial = len(self._shards)
            self._shards.append(shard)
            self._flags.append(np.zeros(0, np.uint8))
        records = shard.records
        self._shards[serial] = replace(shard, records=records[:0])
        flags = np.zeros(len(shard.rows), np.uint8)
        flags[: len(self._flags[serial])] = self._flags[serial][: len(flags)]
        flags[records["row"]] = records["flags"]
        self._flags[serial] = flags
        self._table.add(np.ascontiguousarray(records["digest"]), (serial << 32) + records["row"].astype(np.int64))

    def _open_writer(self) -> ShardWriter:
        if self._writer is not None and self._writer.n_rows < self._capacity:
            return self._writer
        self._retire()
        self._writer = self._adopt_one()
        if self._writer is None:
            self._writer = ShardWriter.create(ShardFiles(self.folder, 0), self.dim, self._dtype)
            self._writers[len(self._shards)] = self._writer
            self._add(Shard(self._writer.files, np.empty((0, self.dim), self._dtype), self._writer.records, 0, -1))
        return self._writer

    def _retire(self, *, everything: bool = False) -> None:
        """Gives up the shards that are full and settled, and reads them from now on as any other."""
        for serial, writer in list(self._writers.items()):
            if writer.is_settled and (everything or writer.n_records == writer.n_rows):
                self._shards[serial] = replace(read_shard(writer.files, self.dim, self._dtype), records=np.empty(0, RECORD))
                self._flags[serial] = _flags_by_row(writer.records)
                del self._writers[serial]
                writer.close()

    def _adopt_one(self) -> ShardWriter | None:
        """The first shard with room that no other process owns, taken over."""
        for serial, shard in enumerate(self._shards):
            if serial in self._writers or len(shard.rows) >= self._capacity:
                continue
            writer = ShardWriter.adopt(shard.files, self.dim, self._dtype)
            if writer is not None:
                self._writers[serial] = writer
                if writer.n_records != shard.n_read:
                    self._add(read_shard(shard.files, self.dim, self._dtype), serial)
                return writer
        return None

    def _rescue(self, shard: Shard) -> None:
        """Writes the sound rows of a shard that was set aside into a shard of ours."""
        known = self.find(np.ascontiguousarray(shard.records["digest"])) >= 0
        records = shard.records[~known]
        step = max(1, (16 << 20) // max(1, self.dim * self._dtype.itemsize))
        for start in range(0, len(records), step):
            some = records[start : start + step]
            locations = self.reserve(len(some))
            self.write(locations, np.asarray(shard.rows[some["row"]]), some)
            self.note(np.ascontiguousarray(some["digest"]), locations)


def _flags_by_row(records: Records) -> npt.NDArray[np.uint8]:
    flags = np.zeros(int(records["row"].max()) + 1 if len(records) else 0, np.uint8)
    flags[records["row"]] = records["flags"]
    return flags
