"""Object stores (`s3://`, `gs://`) by address, through pyarrow.fs: objects are put whole, read by range, or fetched."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.record import record

ATTEMPTS: Final = 3
SERVICE_ATTEMPTS: Final = 10
"""How often the service's own client repeats a request that was answered with 503, with growing pauses."""

_CHUNK_BYTES: Final = 8 << 20


@record
class ObjectStore:
    """What lies below an address: its pyarrow file system, and the path there. What the service refuses is an OSError."""

    files: Any
    path: str
    address: str

    def below(self, name: str) -> ObjectStore:
        """What lies below a name in it."""
        return ObjectStore(self.files, f"{self.path}/{name}", f"{self.address}/{name}")

    def names(self) -> list[str]:
        """The objects right below the address; none where there is nothing yet."""
        from pyarrow.fs import FileSelector

        listed = self.files.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [info.base_name for info in listed if info.is_file]

    def size(self, name: str) -> int | None:
        """The bytes of an object, None where there is none."""
        size: int | None = self.files.get_file_info(f"{self.path}/{name}").size
        return size

    def open(self, name: str) -> Any:
        """A pyarrow file to read ranges from."""
        return self.files.open_input_file(f"{self.path}/{name}")

    def put(self, source: Path, name: str) -> None:
        """Uploads a file, and looks whether it arrived: a service may lose a write, or cut it."""

        def upload() -> None:
            with source.open("rb") as read, self.files.open_output_stream(f"{self.path}/{name}") as write:
                shutil.copyfileobj(read, write, _CHUNK_BYTES)
            if self.size(name) != source.stat().st_size:
                raise OSError(f"{self.address}/{name} was written {ATTEMPTS} times and is not there")

        _repeated(upload)

    def fetch(self, name: str, target: Path) -> None:
        """Downloads an object."""

        def download() -> None:
            with self.files.open_input_stream(f"{self.path}/{name}") as read, target.open("wb") as write:
                shutil.copyfileobj(read, write, _CHUNK_BYTES)

        _repeated(download)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.files.delete_file(f"{self.path}/{name}")

    def move(self, name: str, to: str) -> None:
        self.files.move(f"{self.path}/{name}", f"{self.path}/{to}")


def _repeated(step: Callable[[], None]) -> None:
    """Does the step, at most `ATTEMPTS` times where it is refused: the service's own client does not repeat every request."""
    for attempt in range(ATTEMPTS):
        try:
            step()
            return
        except FileNotFoundError:
            raise
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(2.0**attempt / 4)


def connect(address: str, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """The object store at an address. S3 heeds the AWS_* variables, AWS_ENDPOINT_URL among them.

    Raises EnvironmentFault where the credentials or the region cannot be told.
    """
    from pyarrow import fs

    parts = urlsplit(address)
    try:
        if parts.scheme != "s3" or parts.query:
            files, path = fs.FileSystem.from_uri(address)
            return ObjectStore(files, str(path).rstrip("/"), address.rstrip("/"))
        # The other strategy has a hundred repetitions for the life of a client: pyarrow does not give back what succeeded.
        options: dict[str, Any] = {"retry_strategy": fs.AwsDefaultS3RetryStrategy(max_attempts=SERVICE_ATTEMPTS)}
        endpoint = urlsplit(environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "")
        if endpoint.netloc:
            options |= {"endpoint_override": endpoint.netloc + endpoint.path.rstrip("/"), "scheme": endpoint.scheme}
        if region := environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"):
            options["region"] = region
        return ObjectStore(fs.S3FileSystem(**options), f"{parts.netloc}{parts.path}".rstrip("/"), address.rstrip("/"))
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"cannot reach the store {address}: {error}", "look at the AWS_* variables") from error
