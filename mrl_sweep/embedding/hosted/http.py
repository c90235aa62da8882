"""The thin line to vendors whose own client is heavier than the job: one POST of JSON through httpx2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mrl_sweep.embedding.hosted.access import Key, hidden
from mrl_sweep.embedding.hosted.wire import Reply, Transient
from mrl_sweep.errors import EnvironmentFault, MissingExtra


class HttpLine:
    """A kept-alive connection. It follows no redirect, so that no key goes where it was not meant to."""

    def __init__(self, headers: Mapping[str, str], key: Key | None, timeout_s: float) -> None:
        try:
            import httpx2
        except ImportError:
            raise MissingExtra("httpx2", "hosted") from None
        self._httpx: Any = httpx2
        self._key = key
        self._timeout_s = timeout_s
        self._client = httpx2.Client(headers=dict(headers), timeout=timeout_s, follow_redirects=False)

    def post(self, url: str, document: Mapping[str, Any]) -> Reply:
        """The answer, whatever its status. Raises Transient where there was none."""
        try:
            response = self._client.post(url, json=document)
            return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)
        except self._httpx.ConnectError as error:
            raise Transient(f"cannot be reached: {hidden(str(error), [self._key])}", unreachable=True) from None
        except self._httpx.TimeoutException:
            raise Transient(f"did not answer within {self._timeout_s:g} s") from None
        except (self._httpx.TransportError, self._httpx.DecodingError) as error:
            raise Transient(f"broke off: {hidden(str(error) or type(error).__name__, [self._key])}") from None
        except self._httpx.HTTPError as error:
            raise EnvironmentFault(f"cannot ask: {hidden(str(error), [self._key])}") from None

    def close(self) -> None:
        self._client.close()
