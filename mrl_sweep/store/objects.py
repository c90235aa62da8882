"""Where a store's objects lie: a folder here, or a prefix of an object store. Objects are whole, immutable, named by content."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.store.digests import FileDigests

ASIDE: Final = "set-aside"
DRAFT_KEPT_S: Final = 3600.0
"""Drafts of killed processes are removed when they are older than this."""

PUT_ATTEMPTS: Final = 3
SERVICE_ATTEMPTS: Final = 10
"""How often the object store's own client repeats a request that was answered with 503, with growing pauses."""


class Objects(Protocol):
    """The immutable objects of one space. What the system or the object store refuses is an OSError."""

    @property
    def place(self) -> str:
        """The folder or the address, as a message names it."""
        ...

    def stamp(self) -> object:
        """Something that is equal as long as it is not worth a look at `sizes` again."""
        ...

    def sizes(self) -> dict[str, int]:
        """The bytes of each object by name; none where the place does not exist yet."""
        ...

    def prepare(self) -> None:
        """Makes the place ready for `put`."""
        ...

    def draft(self) -> Path:
        """A path here for the next object's bytes; `put` takes it away, `discard` removes it."""
        ...

    def put(self, draft: Path, name: str) -> None:
        """Puts a finished draft in its place under its name, whole or not at all."""
        ...

    def open(self, name: str) -> Any:
        """A pyarrow file to read ranges from, without fetching the rest."""
        ...

    def has(self, name: str) -> bool: ...

    def fetch(self, name: str) -> Path:
        """A file here with the object's bytes, to be mapped into memory."""
        ...

    def digests(self, names: Sequence[str]) -> list[str | None]:
        """The digest of each object's bytes, which its name should begin with; None where it is gone."""
        ...

    def remove(self, name: str) -> None: ...

    def set_aside(self, name: str) -> None:
        """Moves an object out of the way, for a person to look at; as far as the place can be written."""
        ...


def discard(draft: Path) -> None:
    """Removes a draft, if it is still there."""
    with contextlib.suppress(OSError):
        draft.unlink()


class LocalObjects:
    """Objects in a folder."""

    def __init__(self, folder: Path, digests: FileDigests) -> None:
        self.folder = folder
        self._digests = digests

    @property
    def place(self) -> str:
        return str(self.folder)

    def stamp(self) -> object:
        try:
            return self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def sizes(self) -> dict[str, int]:
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if _is_object(entry.name) and entry.is_file()}
        except FileNotFoundError:
            return {}

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        discard(draft := self.draft())
        draft.touch()
        draft.unlink()
        for path in self.folder.glob(".*.draft"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > DRAFT_KEPT_S:
                    path.unlink()

    def draft(self) -> Path:
        return self.folder / f".{secrets.token_hex(8)}.draft"

    def put(self, draft: Path, name: str) -> None:
        draft.replace(self.folder / name)

    def open(self, name: str) -> Any:
        import pyarrow as pa

        return pa.memory_map(os.fsencode(self.folder / name))

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def fetch(self, name: str) -> Path:
        return self.folder / name

    def digests(self, names: Sequence[str]) -> list[str | None]:
        return self._digests.each([self.folder / name for name in names])

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / ASIDE).mkdir(exist_ok=True)
            (self.folder / name).replace(self.folder / ASIDE / name)


class RemoteObjects:
    """Objects below a prefix of an object store, and the copies of those that were written or read on this machine.

    An object never changes, so a copy with the right digest is as good as the object; the folder of copies may be deleted.
    """

    LIST_EVERY_S: Final = 5.0

    def __init__(self, filesystem: Any, prefix: str, address: str, copies: LocalObjects) -> None:
        self._filesystem, self._prefix, self._address, self._copies = filesystem, prefix, address, copies

    @property
    def place(self) -> str:
        return self._address

    def stamp(self) -> object:
        return int(time.monotonic() / self.LIST_EVERY_S)

    def sizes(self) -> dict[str, int]:
        from pyarrow.fs import FileSelector

        found = self._filesystem.get_file_info(FileSelector(self._prefix, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.is_file and _is_object(info.base_name)}

    def prepare(self) -> None:
        self._copies.prepare()

    def draft(self) -> Path:
        return self._copies.draft()

    def put(self, draft: Path, name: str) -> None:
        """Uploads the draft and looks whether it arrived: an object store may lose a write, or cut it."""
        size = draft.stat().st_size
        for attempt in range(PUT_ATTEMPTS):
            with draft.open("rb") as source, self._filesystem.open_output_stream(f"{self._prefix}/{name}") as target:
                shutil.copyfileobj(source, target, 8 << 20)
            if self._filesystem.get_file_info(f"{self._prefix}/{name}").size == size:
                self._copies.put(draft, name)
                return
            time.sleep(2.0**attempt / 4)
        raise OSError(f"{self._address}/{name} was written {PUT_ATTEMPTS} times and is not there")

    def open(self, name: str) -> Any:
        if self._copies.fetch(name).exists():
            return self._copies.open(name)
        return self._filesystem.open_input_file(f"{self._prefix}/{name}")

    def has(self, name: str) -> bool:
        return bool(self._filesystem.get_file_info(f"{self._prefix}/{name}").is_file)

    def fetch(self, name: str) -> Path:
        copy = self._copies.fetch(name)
        if copy.exists():
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        draft = self._copies.draft()
        try:
            with self._filesystem.open_input_stream(f"{self._prefix}/{name}") as source, draft.open("wb") as target:
                shutil.copyfileobj(source, target, 8 << 20)
            self._copies.put(draft, name)
        except BaseException:
            discard(draft)
            raise
        return copy

    def digests(self, names: Sequence[str]) -> list[str | None]:
        """Fetches what is not here yet; a copy with another digest than its name is fetched once more before it is believed."""
        found: list[str | None] = []
        for name in names:
            try:
                self.fetch(name)
                digest = self._copies.digests([name])[0]
                if digest is not None and not name.startswith(digest):
                    self._copies.remove(name)
                    self.fetch(name)
                    digest = self._copies.digests([name])[0]
            except FileNotFoundError:
                digest = None
            found.append(digest)
        return found

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._prefix}/{name}")
        self._copies.remove(name)

    def set_aside(self, name: str) -> None:
        self._copies.remove(name)
        with contextlib.suppress(OSError):
            self._filesystem.move(f"{self._prefix}/{name}", f"{self._prefix}/{ASIDE}/{name}")


def _is_object(name: str) -> bool:
    return name.endswith((".arrow", ".json")) and not name.startswith(".")


# --- Places -----------------------------------------------------------------------------------------------------------


class Places:
    """Opens the objects of each space of a store: `Places("s3://bucket/prefix").of("space")`."""

    def __init__(self, place: Path | str) -> None:
        from mrl_sweep.settings.folders import copies_of

        self._address = "" if isinstance(place, Path) else place.rstrip("/")
        self.local = place if isinstance(place, Path) else copies_of(place)
        self._digests = FileDigests(self.local, algorithm="sha256", file_name="shard-digests.json")
        self._filesystem: Any = None
        self._prefix = ""

    def of(self, space: str) -> Objects:
        copies = LocalObjects(self.local / space, self._digests)
        if not self._address:
            return copies
        if self._filesystem is None:
            self._filesystem, self._prefix = connect(self._address)
        return RemoteObjects(self._filesystem, f"{self._prefix}/{space}", f"{self._address}/{space}", copies)


def copy_of(address: str) -> Path:
    """A file on this machine with the bytes of the object at `STORE/SPACE/NAME`, fetched if need be. Raises OSError."""
    store, space, name = address.rsplit("/", 2)
    return Places(store).of(space).fetch(name)


def size_of(address: str) -> int:
    """The bytes of the object at an address. Raises OSError where there is none, or it cannot be read."""
    filesystem, path = connect(address)
    size = filesystem.get_file_info(path).size
    if size is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), address)
    return int(size)


def connect(address: str, environ: Mapping[str, str] = os.environ) -> tuple[Any, str]:
    """The file system of an address, and the path in it. S3 heeds the usual AWS_* variables, AWS_ENDPOINT_URL among them.

    Raises EnvironmentFault where the credentials or the region cannot be told.
    """
    from pyarrow import fs

    parts = urlsplit(address)
    path = f"{parts.netloc}{parts.path}".rstrip("/")
    try:
        if parts.scheme != "s3" or parts.query:
            filesystem, path = fs.FileSystem.from_uri(address)
            return filesystem, str(path).rstrip("/")
        options: dict[str, Any] = {"retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=SERVICE_ATTEMPTS)}
        endpoint = urlsplit(environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "")
        if endpoint.netloc:
            options |= {"endpoint_override": endpoint.netloc + endpoint.path.rstrip("/"), "scheme": endpoint.scheme}
        if region := environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"):
            options["region"] = region
        return fs.S3FileSystem(**options), path
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"cannot reach the store {address}: {error}", "look at the AWS_* variables") from error
