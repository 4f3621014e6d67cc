"""What `mdmserver doctor --url` sends to a public name, from outside, and what comes back. It judges nothing."""

import io
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

_SECONDS = 20
_MOST_BYTES = 1024 * 1024


class NoAnswer(Exception):
    """The connection failed, broke or took too long; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    reason: str
    location: str | None
    body: bytes

    def is_bare(self, status: int) -> bool:
        """Whether it is an empty answer with this status, as mdmserver gives them to devices and proxies do not."""
        return self.status == status and not self.body

    @property
    def is_redirect(self) -> bool:
        """Whether it sends the client elsewhere."""
        return 300 <= self.status < 400

    def __str__(self) -> str:
        """The status line, and where a redirect leads."""
        return f"{self.status} {self.reason}" + (f" to {self.location}" if self.location else "")


class Site:
    """A public name. Whether its certificate can be trusted is another check: here it is not looked at."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url.rstrip("/")

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        url: str | None = None,
    ) -> Answer:
        """The answer to one request, of this name or of another `url`; redirects are not followed. Raises NoAnswer."""
        target = URL((url or self.url) + path, encoded=True)
        try:
            async with self._session.request(
                method, target, headers=headers, data=io.BytesIO(body) if body else None, allow_redirects=False
            ) as response:
                return Answer(
                    status=response.status,
                    reason=response.reason or "",
                    location=response.headers.get("Location"),
                    body=await response.content.read(_MOST_BYTES),
                )
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {_SECONDS} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error


@asynccontextmanager
async def open_site(url: str) -> AsyncIterator[Site]:
    """A site for the time of the context; each request has a connection of its own, as a device's has."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, force_close=True),
        timeout=aiohttp.ClientTimeout(total=_SECONDS, connect=10),
    ) as session:
        yield Site(session, url)
