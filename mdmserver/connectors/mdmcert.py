"""Asks mdmcert.download to sign push certificate requests; what it mails back is read by `certs.mdmcert`."""

import ssl
from typing import Any

import aiohttp
import msgspec

from certs import CertificateError, mdmcert_request
from mdmserver.errors import Invalid, Unavailable
from mdmserver.escaping import escaped
from mdmserver.secret import Secret

SIGN_REQUEST_URL = "https://mdmcert.download/api/v1/signrequest"
USER_AGENT = "micromdm/certhelper"
"""The service knows its clients by it."""
MAX_ANSWER_BYTES = 64 * 1024
LONGEST_REASON = 300

_PASSING = frozenset({408, 425, 429})


class MdmcertGateway:
    """Implements `PushRequestSigner`. Each call has a connection of its own: there is one in a year.

    `tls` is for those who trust another CA than the system's; certificates are verified in any case.
    """

    def __init__(
        self, *, url: str = SIGN_REQUEST_URL, timeout_seconds: float = 30, tls: ssl.SSLContext | None = None
    ) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=min(10, timeout_seconds))
        self._tls: ssl.SSLContext | bool = True if tls is None else tls

    async def sign_request(
        self, *, csr_der: bytes, email: str, encryption_certificate: bytes, api_key: Secret[str]
    ) -> None:
        """Ask once; raises Invalid or Unavailable. Returning means that the service promised a mail."""
        try:
            asked = mdmcert_request(
                csr_der, email=email, encryption_certificate=encryption_certificate, api_key=api_key.reveal()
            )
        except CertificateError as error:
            raise Invalid(f"the request cannot be sent to be signed: {error}") from error
        try:
            status, body = await self._post(msgspec.json.encode(asked))
        except TimeoutError as error:
            raise Unavailable(f"{self._url} did not answer in {self._timeout.total:g} seconds") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{self._url} cannot be asked: {_one_line(str(error))}") from error
        self._check(status, _object(body))

    async def _post(self, asked: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                headers=headers,
            ) as session,
            # A redirect would carry the API key to wherever it points.
            session.post(self._url, data=asked, allow_redirects=False) as response,
        ):
            return response.status, await _bounded(response.content)

    def _check(self, status: int, answer: dict[str, Any]) -> None:
        reason = answer.get("reason")
        said = _one_line(reason) if isinstance(reason, str) and reason else "it gives no reason"
        if answer.get("result") == "failure" or (400 <= status < 500 and status not in _PASSING):
            raise Invalid(f"the signing service refused the request (HTTP {status}): {said}")
        if status != 200 or answer.get("result") != "success":
            raise Unavailable(f"{self._url} answered HTTP {status}, but not that it will sign the request")


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Unavailable(f"the signing service answered with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; empty where there is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _one_line(text: str) -> str:
    return escaped(text[:LONGEST_REASON])
