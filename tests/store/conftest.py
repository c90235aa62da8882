"""An S3 server on this machine, which answers 503 now and then where a test asks for it."""

from __future__ import annotations

import json
import logging
import threading
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
