"""One bounded way to the network for every vendor's client: a deadline for the whole answer, and a limit to its size.

FAULTS 62, 63.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import httpx2

from mrl_sweep.embedding.hosted.wire import most_answer_bytes


class TooLarge(httpx2.ReadError):
    """An answer that goes on beyond what was asked for."""


class BoundedTransport(httpx2.BaseTransport):
    """Sends each request over a connection of its thread and reads the whole answer before `deadline_s` is over.

    A server that drips a byte a second never runs into a time-out between two reads. So the exchange happens in a thread of its
    own, which is given up, with its connection, when the time is over: nothing waits for it.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._local = threading.local()
        self._clients: list[httpx2.Client] = []
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        client, most = self._client(), most_answer_bytes.get()
        outcome: dict[str, Any] = {}

        def exchange() -> None:
            try:
                outcome["response"] = _whole(client, request, most)
            except BaseException as error:  # raised again where the answer is waited for
                outcome["error"] = error

        worker = threading.Thread(target=exchange, name="mrl-sweep exchange", daemon=True)
        worker.start()
        worker.join(self._deadline_s)
        if worker.is_alive():
            self._forget(client)
            raise httpx2.ReadTimeout(f"no whole answer within {self._deadline_s:g} s", request=request)
        if "error" in outcome:
            raise outcome["error"]
        response: httpx2.Response = outcome["response"]
        return response

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _client(self) -> httpx2.Client:
        """This thread's client; it knows the proxies that the environment names."""
        client: httpx2.Client | None = getattr(self._local, "client", None)
        if client is None or client.is_closed:
            client = httpx2.Client(timeout=self._deadline_s, follow_redirects=False)
            self._local.client = client
            with self._lock:
                self._clients.append(client)
        return client

    def _forget(self, client: httpx2.Client) -> None:
        self._local.client = None
        with self._lock:
            if client in self._clients:
                self._clients.remove(client)
        threading.Thread(target=client.close, daemon=True).start()


def _whole(client: httpx2.Client, request: httpx2.Request, most: int) -> httpx2.Response:
    """The answer with its body decoded, read piece by piece so that no more than the limit is ever held."""
    response = client.send(request, stream=True)
    try:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > most:
                raise TooLarge(f"the answer is larger than the {most:,} bytes that the vectors could take", request=request)
    finally:
        response.close()
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OF_THE_WIRE]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=request)


_OF_THE_WIRE: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
