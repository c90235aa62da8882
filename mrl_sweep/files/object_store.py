"""Object stores (`s3://`, `gs://`) by address, through pyarrow.fs: objects are put whole, read by range, or fetched."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.record import record

ATTEMPTS: Final = 3
SERVICE_ATTEMPTS: Final = 10
"""How often S3's own client repeats a request that was answered with 503, with growing pauses."""

PATIENCE_S: Final = 60
"""Seconds in which Google's own client repeats a request that is refused for the moment; by default it takes 15 minutes."""

METADATA_ATTEMPTS: Final = 3
METADATA_S: Final = 2.0
"""Attempts, and seconds for each, to find out whether this machine is one of Google's, which has credentials of its own."""

_CHUNK_BYTES: Final = 8 << 20
_REASON: Final = re.compile(
    r"last message of (?:.*The underlying error message was: )?(.+?) error_info="  # Google's client
    r"|AWS Error .+? operation: (.+?)(?: \(Request ID: .*)?$",
    re.DOTALL,
)
"""Finds the service's own message in the error text of its client."""

_HINTS: Final = {
    "s3": "look at the bucket's name and the AWS_* variables: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL",
    "gs": "look at the bucket's name and the credentials: `gcloud auth application-default login`, or name their file in "
    "GOOGLE_APPLICATION_CREDENTIALS",
}


@record
class ObjectStore:
    """The objects below an address: its pyarrow file system and the path in it. Where the service refuses, OSError is raised."""

    files: Any
    path: str
    address: str

    def below(self, name: str) -> ObjectStore:
        """Returns the part of the store below `name`."""
        return ObjectStore(self.files, f"{self.path}/{name}", f"{self.address}/{name}")

    def names(self) -> list[str]:
        """Lists the names of the objects right below the address; none where there is nothing yet."""
        from pyarrow.fs import FileSelector

        with _refusals():
            listed = self.files.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [info.base_name for info in listed if info.is_file]

    def size(self, name: str) -> int | None:
        """Returns the bytes that an object takes, None where there is none."""
        with _refusals():
            size: int | None = self.files.get_file_info(f"{self.path}/{name}").size
        return size

    def open(self, name: str) -> Any:
        """Opens an object as a pyarrow file to read ranges from."""
        with _refusals():
            return self.files.open_input_file(f"{self.path}/{name}")

    def put(self, source: Path, name: str) -> None:
        """Uploads a file, and checks that all of it arrived: a service may lose a write, or cut it."""

        def upload() -> None:
            with source.open("rb") as read, self.files.open_output_stream(f"{self.path}/{name}") as write:
                shutil.copyfileobj(read, write, _CHUNK_BYTES)
            if self.size(name) != source.stat().st_size:
                raise OSError(f"{self.address}/{name} was written {ATTEMPTS} times and is not there")

        _repeated(upload)

    def fetch(self, name: str, target: Path) -> None:
        """Downloads an object to the file `target`."""

        def download() -> None:
            with self.files.open_input_stream(f"{self.path}/{name}") as read, target.open("wb") as write:
                shutil.copyfileobj(read, write, _CHUNK_BYTES)

        _repeated(download)

    def remove(self, name: str) -> None:
        """Deletes an object if it is there."""
        with contextlib.suppress(FileNotFoundError), _refusals():
            self.files.delete_file(f"{self.path}/{name}")

    def move(self, name: str, to: str) -> None:
        """Renames an object within the store."""
        with _refusals():
            self.files.move(f"{self.path}/{name}", f"{self.path}/{to}")


def _repeated(step: Callable[[], None]) -> None:
    """Runs a step, at most `ATTEMPTS` times where it is refused: the service's own client does not repeat every request."""
    for attempt in range(ATTEMPTS):
        try:
            with _refusals():
                step()
            return
        except FileNotFoundError:
            raise
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(2.0**attempt / 4)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turns every error of pyarrow into an OSError with the service's own reason."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        match = _REASON.search(str(error))
        reason = str(error) if match is None else match[1] or match[2]
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(error.errno, reason) from error
        raise OSError(reason) from error


def connect(address: str, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """Opens the object store at an address, with the settings that the service's own clients read.

    S3 heeds the AWS_* variables, AWS_ENDPOINT_URL among them; Google's heeds GOOGLE_APPLICATION_CREDENTIALS, what
    `gcloud auth application-default login` left, and STORAGE_EMULATOR_HOST; `gs://anonymous@BUCKET` is read without credentials.
    A query behind an S3 address (`?region=...`) holds options of pyarrow. Raises EnvironmentFault where Google's credentials are
    not found, or pyarrow refuses the address.
    """
    from pyarrow import fs

    parts = urlsplit(address)
    try:
        if parts.query and parts.scheme == "gs":
            raise OSError(f"what follows the question mark is no part of an address of Google's: ?{parts.query}")
        if parts.query:
            files, path = fs.FileSystem.from_uri(address)
        else:
            files = _google(parts, environ) if parts.scheme == "gs" else _amazon(environ)
            path = f"{parts.netloc.removeprefix('anonymous@')}{parts.path}"
        return ObjectStore(files, str(path).rstrip("/"), address.rstrip("/"))
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"cannot reach the store {address}: {error}", hint_at(address)) from error


def hint_at(address: str) -> str:
    """Returns a hint: what to check where the object store at this address refuses something."""
    return _HINTS.get(urlsplit(address).scheme, _HINTS["s3"])


def _amazon(environ: Mapping[str, str]) -> Any:
    from pyarrow import fs

    # The other strategy has a hundred repetitions for the life of a client: pyarrow does not give back what succeeded.
    options: dict[str, Any] = {"retry_strategy": fs.AwsDefaultS3RetryStrategy(max_attempts=SERVICE_ATTEMPTS)}
    endpoint = urlsplit(environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "")
    if endpoint.netloc:
        options |= {"endpoint_override": endpoint.netloc + endpoint.path.rstrip("/"), "scheme": endpoint.scheme}
    if region := environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"):
        options["region"] = region
    return fs.S3FileSystem(**options)


def _google(parts: SplitResult, environ: Mapping[str, str]) -> Any:
    """Raises OSError at once where there are no credentials: Google's client would look for them again and again."""
    from datetime import timedelta

    from pyarrow import fs

    options: dict[str, Any] = {"retry_time_limit": timedelta(seconds=PATIENCE_S)}
    if emulator := environ.get("STORAGE_EMULATOR_HOST") or environ.get("CLOUD_STORAGE_EMULATOR_ENDPOINT"):
        scheme, _, host = emulator.rstrip("/").rpartition("://")
        return fs.GcsFileSystem(anonymous=True, endpoint_override=host, scheme=scheme or "http", **options)
    if parts.username == "anonymous":
        return fs.GcsFileSystem(anonymous=True, **options)
    if not _has_google_credentials(environ):
        raise OSError("no credentials of Google are found")
    return fs.GcsFileSystem(**options)


def _has_google_credentials(environ: Mapping[str, str]) -> bool:
    """Tells whether a file of credentials is named, `gcloud` left one, or this machine is Google's and has its own."""
    left = Path(environ.get("APPDATA", "")) if sys.platform == "win32" else Path(environ.get("HOME", "")) / ".config"
    place = environ.get("GOOGLE_GCLOUD_ADC_PATH_OVERRIDE") or left / "gcloud" / "application_default_credentials.json"
    if environ.get("GOOGLE_APPLICATION_CREDENTIALS") or Path(place).is_file():
        return True
    return is_googles(environ.get("GCE_METADATA_ROOT") or "169.254.169.254")


def is_googles(metadata_host: str, answer_s: float = METADATA_S) -> bool:
    """Tells whether a metadata server of Google's answers at this host, within `answer_s` seconds an attempt."""
    import http.client  # what a run on a local store does without

    for _ in range(METADATA_ATTEMPTS):
        connection = http.client.HTTPConnection(metadata_host, timeout=answer_s)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/", headers={"Metadata-Flavor": "Google"})
            return connection.getresponse().getheader("Metadata-Flavor") == "Google"
    return False
