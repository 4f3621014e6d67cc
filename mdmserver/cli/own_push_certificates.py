"""Push certificates as the command line reaches them: through the server that runs on a state directory, else directly.

Descriptions are those of GET /api/v1/push-certificates.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from mdmserver.cli.actor import cli_actor
from mdmserver.cli.client import APIClient, APIError, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.own_server import open_own
from mdmserver.errors import MDMError
from mdmserver.push.certificates import Subject
from mdmserver.secret import Secret
from mdmserver.web.api.push_certificates import certificate_view, request_view
from mdmserver.web.services import Services

_PEM = b"-----BEGIN "
_PATH = "push-certificates"
_SECONDS = 90
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushIdentityFiles:
    """What is to be installed, as it was read: the certificate, perhaps with its key in it, and the key apart (PEM)."""

    encoded: bytes = field(repr=False)
    key: Secret[bytes] | None
    passphrase: Secret[bytes] | None


class OwnPushCertificates(Protocol):
    """What can be done with them. Raises MDMError or APIError."""

    async def certificates(self) -> list[dict[str, Any]]:
        """Those in force, one per topic."""
        ...

    async def requests(self) -> list[dict[str, Any]]:
        """Those that wait for their certificate."""
        ...

    async def request(self, subject: Subject, *, api_key: Secret[str] | None) -> dict[str, Any]:
        """A new one; with a key of mdmcert.download it is sent there."""
        ...

    async def open_mailed(self, mailed: bytes) -> bytes:
        """The file to upload, from the one that mdmcert.download mailed."""
        ...

    async def install(self, files: PushIdentityFiles, *, force: bool) -> dict[str, Any]:
        """Put a certificate in force."""
        ...


class _RunningServer:
    def __init__(self, api: APIClient) -> None:
        self._api = api

    async def certificates(self) -> list[dict[str, Any]]:
        return list((await self._api.get(_PATH))["certificates"])

    async def requests(self) -> list[dict[str, Any]]:
        return list((await self._api.get(_PATH, "requests"))["requests"])

    async def request(self, subject: Subject, *, api_key: Secret[str] | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "common_name": subject.common_name, "email": subject.email, "country": subject.country,
        }  # fmt: skip
        if api_key is not None:
            body["mdmcert"] = {"api_key": api_key.reveal()}
        return await self._api.post(_PATH, "requests", body=body)

    async def open_mailed(self, mailed: bytes) -> bytes:
        answer = await self._api.post(_PATH, "requests", "open-mailed", body={"mailed": mailed.decode("latin-1")})
        return str(answer["upload"]).encode()

    async def install(self, files: PushIdentityFiles, *, force: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"force": force}
        if _PEM in files.encoded:
            body["certificate"] = files.encoded.decode("latin-1")
        else:
            body["pkcs12"] = base64.b64encode(files.encoded).decode()
        if files.key is not None:
            body["key"] = files.key.reveal().decode("latin-1")
        if files.passphrase is not None:
            body["passphrase"] = files.passphrase.reveal().decode()
        return await self._api.post(_PATH, body=body)


class _StateDirectory:
    def __init__(self, services: Services) -> None:
        self._own = services.push_certificates
        self._clock = services.clock

    async def certificates(self) -> list[dict[str, Any]]:
        return [_plain(certificate_view(each, self._clock())) for each in self._own.all]

    async def requests(self) -> list[dict[str, Any]]:
        return [_plain(request_view(each)) for each in await self._own.requests()]

    async def request(self, subject: Subject, *, api_key: Secret[str] | None) -> dict[str, Any]:
        if api_key is None:
            return _plain(request_view(await self._own.request(subject, actor=cli_actor())))
        return _plain(request_view(await self._own.request_by_mail(subject, api_key=api_key, actor=cli_actor())))

    async def open_mailed(self, mailed: bytes) -> bytes:
        return await self._own.open_mailed(mailed)

    async def install(self, files: PushIdentityFiles, *, force: bool) -> dict[str, Any]:
        installed = await self._own.install(
            files.encoded,
            passphrase=files.passphrase,
            key=None if files.key is None else files.key.reveal(),
            force=force,
            actor=cli_actor(),
        )
        return _plain(certificate_view(installed, self._clock()))


def with_push_certificates(state: Path, purpose: str, work: Callable[[OwnPushCertificates], Awaitable[T]]) -> T:
    """What `work` gives. While a server runs there it is asked, with the state directory's key. Raises Failure."""

    async def opened() -> T:
        async with _open(state, purpose=purpose) as own:
            return await work(own)

    try:
        return asyncio.run(opened())
    except Unreachable as error:
        raise Failure(str(error), exit_code=Exit.UNREACHABLE) from error
    except (APIError, MDMError) as error:
        raise Failure(str(error)) from error


def _open(state: Path, *, purpose: str) -> AbstractAsyncContextManager[OwnPushCertificates]:
    return open_own(state, purpose=purpose, running=_RunningServer, stopped=_StateDirectory)


def _plain(view: msgspec.Struct) -> dict[str, Any]:
    builtins: dict[str, Any] = msgspec.to_builtins(view)
    return builtins
