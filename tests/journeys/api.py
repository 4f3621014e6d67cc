"""The server's API as a tool uses it: JSON over HTTP with a key."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp


class Api:
    """A client with one key; every method expects the call to succeed unless it returns the status."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: dict[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded answer, whatever the status."""
        async with self._session.request(
            method, f"{self._url}{path}", json=json, params=query or {}, headers={**self._headers, **(headers or {})}
        ) as response:
            is_json = "json" in response.content_type
            return response.status, await (response.json(content_type=None) if is_json else response.read())

    async def get(self, path: str, **query: str | int) -> Any:
        status, answer = await self.call("GET", f"/api/v1{path}", query=query)
        assert status == 200, answer
        return answer

    async def enqueue(
        self, *targets: str, idempotency_key: str | None = None, request_type: str = "DeviceInformation", **options: Any
    ) -> str:
        """Queue a command for these enrollments; its CommandUUID."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        body = {"command": {"RequestType": request_type}, "targets": targets, **options}
        status, answer = await self.call("POST", "/api/v1/commands", json=body, headers=headers)
        assert status == 201, answer
        assert answer["queued"] == len(targets)
        uuid: str = answer["uuid"]
        return uuid

    async def enqueue_plist(self, plist: bytes, targets: Sequence[str]) -> tuple[int, Any]:
        """Queue a whole plist, with its own CommandUUID."""
        headers = {"Content-Type": "application/xml", **self._headers}
        async with self._session.post(
            f"{self._url}/api/v1/commands", data=plist, headers=headers, params=[("target", item) for item in targets]
        ) as response:
            return response.status, await response.json(content_type=None)

    async def enrollment(self, reference: str) -> Any:
        return await self.get(f"/enrollments/{reference}")

    async def state_of(self, uuid: str, reference: str) -> str:
        """The state of a command's item for one enrollment."""
        return str((await self.get(f"/commands/{uuid}/targets/{reference}"))["item"]["state"])

    async def everything(self, path: str, **query: str | int) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get(path, **query, limit=1000, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
        return items
