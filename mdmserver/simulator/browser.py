"""HTTP without an identity: how a device reads pages, downloads a profile and speaks SCEP."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from mdmserver.simulator.errors import ReplyLost
from mdmserver.simulator.faults import network_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the server answered, whatever its status; `url` is where it came from after redirects."""

    status: int
    media_type: str
    body: bytes
    url: str


class Browser:
    """Requests over connections that are kept while it is open. All raise ServerUnreachable."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, url: str, *, loses_reply: bool = False) -> Page:
        """The answer to a GET of this URL, sent exactly as it is; ReplyLost on purpose with `loses_reply`."""
        return await self._request("GET", url, loses_reply=loses_reply)

    async def post(self, url: str, body: bytes, *, media_type: str, loses_reply: bool = False) -> Page:
        """The answer to a POST; ReplyLost on purpose with `loses_reply`."""
        return await self._request("POST", url, body=body, media_type=media_type, loses_reply=loses_reply)

    async def _request(
        self, method: str, url: str, *, body: bytes | None = None, media_type: str = "", loses_reply: bool
    ) -> Page:
        headers = {"Content-Type": media_type} if media_type else {}
        with network_faults(_without_secret(url)):
            async with self._session.request(
                method, URL(url, encoded=True), data=body, headers=headers, max_redirects=3
            ) as response:
                if loses_reply:
                    response.close()
                    raise ReplyLost
                return Page(
                    status=response.status,
                    media_type=response.content_type,
                    body=await response.read(),
                    url=str(response.url),
                )


def _without_secret(url: str) -> str:
    """The server that a URL names: the rest may hold an invitation's token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
