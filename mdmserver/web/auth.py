"""Opens routes to API keys: `Authorization: Bearer <key>`, or Basic with the key as the password.

Addresses that keep presenting bad keys are no longer looked up for a while, but a key that has worked goes on
working: an office, or a proxy, is one address. Which scope a route needs stands in its row.
"""

import binascii
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION

from mdmserver.access.model import ApiKey, Scope, split
from mdmserver.access.service import AccessService
from mdmserver.errors import AccessRefused, ScopeMissing
from mdmserver.web.client_address import client_address
from mdmserver.web.errors import TooManyAttempts

_FAILURES_AT_ONCE = 20
_SECONDS_PER_FAILURE = 1.0
_ADDRESSES = 4096
_KEYS = 1024


class FailureLimit:
    """A bucket of failures for each address, refilled at a steady rate; the addresses least recent are forgotten."""

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._full_again_at: OrderedDict[str, float] = OrderedDict()

    def is_spent(self, address: str) -> bool:
        """Whether the address has failed so often that it must wait."""
        ahead = self._full_again_at.get(address, 0.0) - self._seconds()
        return ahead > (_FAILURES_AT_ONCE - 1) * _SECONDS_PER_FAILURE

    def failed(self, address: str) -> None:
        """One failure more."""
        # The bucket is one number: the time at which it will be full again, each failure moving it on.
        start = max(self._full_again_at.get(address, 0.0), self._seconds())
        self._full_again_at[address] = start + _SECONDS_PER_FAILURE
        self._full_again_at.move_to_end(address)
        if len(self._full_again_at) > _ADDRESSES:
            self._full_again_at.popitem(last=False)


class Gate:
    """Lets a request in, or raises."""

    def __init__(self, access: AccessService, failures: FailureLimit) -> None:
        self._access = access
        self._failures = failures
        self._good: OrderedDict[str, None] = OrderedDict()

    async def admit(self, request: web.Request, scope: Scope, *, user: str | None = None) -> ApiKey:
        """The key that the request presents; with `user` only as Basic under that name.

        Raises AccessRefused without saying what was wrong, TooManyAttempts, or ScopeMissing for a good key.
        """
        address = client_address(request)
        try:
            presented = presented_key(request.headers.getall(AUTHORIZATION, []), user=user)
            parts = split(presented)
            if self._failures.is_spent(address) and (parts is None or parts[0] not in self._good):
                raise TooManyAttempts("too many bad API keys came from this address; wait a little")
            key = await self._access.authenticate(presented)
        except TooManyAttempts:
            raise
        except AccessRefused:
            self._failures.failed(address)
            raise
        self._remember(key.id)
        if scope not in key.scopes:
            raise ScopeMissing(f"this API key lacks the scope {scope}")
        return key

    def _remember(self, key_id: str) -> None:
        self._good[key_id] = None
        self._good.move_to_end(key_id)
        if len(self._good) > _KEYS:
            self._good.popitem(last=False)


def presented_key(headers: list[str], *, user: str | None) -> str:
    """The key in the one Authorization header; raises AccessRefused for none, several or another form."""
    if len(headers) != 1:
        raise AccessRefused("give an API key in one Authorization header")
    scheme, _, credentials = headers[0].partition(" ")
    presented = ""
    if scheme.lower() == "bearer" and user is None:
        presented = credentials.strip()
    elif scheme.lower() == "basic":
        name, presented = _name_and_password(credentials.strip())
        if user is not None and name != user:
            presented = ""
    # A header may hold any bytes; a key is ASCII.
    if not presented or not presented.isascii() or not presented.isprintable():
        raise AccessRefused("the API key is not valid")
    return presented


def _name_and_password(credentials: str) -> tuple[str, str]:
    try:
        name, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password
