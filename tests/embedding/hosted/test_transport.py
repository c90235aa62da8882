"""Answers that never end, in time or in size, and addresses that are none."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hosted_servers import Answer, FakeTime, Served

from mrl_sweep.embedding.hosted.connection import address
from mrl_sweep.embedding.hosted.model import HostedModel, open_hosted
from mrl_sweep.embedding.protocol import ModelOptions, Role
from mrl_sweep.errors import EnvironmentFault, InputError

DEADLINE_S = 0.4


@contextmanager
def speaking(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that reads a request's beginning and then speaks as told until the test is over."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            try:
                speak(connection, over)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        over.set()
        listener.close()


def silence(_: socket.socket, over: threading.Event) -> None:
    over.wait(20)


def dripping(head: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends `head`, then one byte every now and then: no single read ever waits long."""

    def speak(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(b"x")

    return speak


def endless(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    while not over.is_set():
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize(
    "speak",
    [silence, dripping(b"HTTP/1.1 200 OK\r\nX-Header: "), dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n{")],
    ids=["silent", "drips its header", "drips its body"],
)
@pytest.mark.parametrize("provider", ["openai", "voyage"])
def test_row_62_the_whole_answer_has_a_deadline(
    speak: Callable[[socket.socket, threading.Event], None], provider: str, clock: FakeTime
) -> None:
    with speaking(speak) as url:
        model = open_hosted(provider, "voyage-4", ModelOptions(base_url=url), clock.patience(timeout_s=DEADLINE_S, attempts=2))
        started = time.perf_counter()
        with pytest.raises(EnvironmentFault, match=r"did not answer within 0\.4 s \(2 tries\)"):
            model.encode(["a"], Role.QUERY)
        assert time.perf_counter() - started < 5
        model.close()


def test_row_63_a_body_without_end_is_cut_off(clock: FakeTime) -> None:
    with speaking(endless) as url:
        model = open_hosted("openai", "m", ModelOptions(base_url=url), clock.patience(attempts=1, timeout_s=30))
        with pytest.raises(EnvironmentFault, match="larger than the"):
            model.encode(["a"], Role.QUERY)


def test_row_63_a_body_that_unpacks_to_much_more_is_cut_off(local: Callable[..., HostedModel], server: Served) -> None:
    packed = gzip.compress(b'{"data": [' + b" " * (64 << 20), 1)
    model = local(patience={"attempts": 1})
    model._dim = 256
    server.always = lambda *_: Answer(body=packed, headers={"content-encoding": "gzip", "content-type": "application/json"})
    with pytest.raises(EnvironmentFault, match="larger than the"):
        model.encode(["a"], Role.QUERY)


@pytest.mark.parametrize("location", ["[", "http://[::1", "//", "\x7f", ""])
def test_row_64_a_redirect_to_nowhere_is_refused(local: Callable[..., HostedModel], server: Served, location: str) -> None:
    server.always = lambda *_: Answer(302, headers={"location": location})
    with pytest.raises(InputError, match="which was not followed"):
        local().encode(["a"], Role.QUERY)


@pytest.mark.parametrize(
    "url", ["http://a\tb/v1", "http://a\nb", "http://a\x00b", "http://a b/", "http://[", "http://a:99999", "x"]
)
def test_row_64_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="base URL"):
        address(url)
