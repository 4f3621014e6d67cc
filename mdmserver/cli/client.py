"""The API as the CLI calls it: JSON in and out, problem+json turned into typed errors. It decides nothing."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from mdmserver.secret import Secret

PREFIX = "/api/v1"
NOT_CONNECTED = "not_connected"
"""The code of Unreachable when nothing was sent."""
_PAGE = 500
Query = Mapping[str, str | int | bool | None]


class APIError(Exception):
    """Root: the server did not do what was asked; `code` is the server's own word for it."""

    def __init__(self, message: str, *, code: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: Mapping[str, Any] = body or {}


class Refused(APIError):
    """The server answered, and the answer is no."""


class Missing(APIError):
    """The server answered that there is no such thing (404)."""


class Unreachable(APIError):
    """No usable answer came: nobody listens, the connection broke, time ran out, or it is no mdmserver."""


class APIClient:
    """One server, one key."""

    def __init__(self, session: aiohttp.ClientSession, *, url: str) -> None:
        self._session = session
        self.url = url

    async def get(self, *path: str, query: Query | None = None) -> dict[str, Any]:
        """What stands at this path (given in parts, each quoted). Raises APIError."""
        return await self._request("GET", path, query=query)

    async def post(
        self, *path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a JSON body. Raises APIError."""
        return await self._request("POST", path, body=body or {}, headers=headers)

    async def put(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set what stands at this path. Raises APIError."""
        return await self._request("PUT", path, body=body)

    async def delete(self, *path: str, query: Query | None = None) -> dict[str, Any]:
        """Raises APIError."""
        return await self._request("DELETE", path, query=query)

    async def download(self, *path: str, body: Mapping[str, Any]) -> bytes:
        """The bytes that a POST answers with. Raises APIError."""
        status, reason, raw = await self._exchange("POST", path, body=body)
        if status >= 300:
            _answer(status, reason, raw)
        return raw

    async def items(
        self, *path: str, query: Query | None = None, limit: int | None, page: int = _PAGE
    ) -> tuple[list[Any], bool]:
        """Up to `limit` items (None: all of them), `page` at a time, and whether there are more. Raises APIError."""
        found: list[Any] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = page if limit is None else min(page, limit - len(found))
            answer = await self.get(*path, query={**(query or {}), "limit": size, "cursor": cursor})
            found += answer["items"]
            cursor = answer["next_cursor"]
            if cursor is None:
                return found, False
        return found, True

    async def _request(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return _answer(*await self._exchange(method, path, query=query, body=body, headers=headers))

    async def _exchange(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str | None, bytes]:
        data = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if data is not None else {})}
        try:
            async with self._session.request(
                method, _url(self.url, path, query), data=data, headers=sent, allow_redirects=False
            ) as response:
                return response.status, response.reason, await response.read()
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{self.url} cannot be reached: {_reason(error)}", code=NOT_CONNECTED) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self.url} did not answer: {why}", code="no_answer") from error


@asynccontextmanager
async def open_client(
    url: str, key: Secret[str] | None, *, ca_file: Path | None = None, timeout_seconds: float = 60
) -> AsyncIterator[APIClient]:
    """A client for the time of the context. Raises OSError or ssl.SSLError for a CA file that cannot be read."""
    trusted: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
    headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
    async with aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=trusted),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds, connect=10),
    ) as session:
        yield APIClient(session, url=url.rstrip("/"))


def _url(url: str, path: tuple[str, ...], query: Query | None) -> URL:
    pairs = [(name, _text(value)) for name, value in (query or {}).items() if value is not None]
    quoted = "/".join(quote(part, safe="") for part in path)
    return URL(f"{url}{PREFIX}/{quoted}" + (f"?{urlencode(pairs)}" if pairs else ""), encoded=True)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    return os.strerror(number) if number is not None and number > 0 else str(error.os_error)


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _answer(status: int, reason: str | None, raw: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(raw, type=dict[str, Any]) if raw else {}
    except msgspec.DecodeError as error:
        raise Unreachable(f"the answer ({status} {reason}) is not mdmserver's", code="not_mdmserver") from error
    if status < 300:
        return body
    code = str(body.get("code", status))
    detail = body.get("detail") or body.get("title") or reason or "no reason given"
    kind = Missing if status == 404 else Refused
    raise kind(f"{detail} ({code})", code=code, body=body)
