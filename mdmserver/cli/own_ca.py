"""The built-in CA as the command line reaches it: through the server that runs on a state directory, else directly."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp

from certs import Authority, CertificateError
from mdmserver.cli.actor import cli_actor
from mdmserver.cli.client import APIClient
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.own_server import open_own
from mdmserver.issuance.authorities import OwnAuthority
from mdmserver.secret import Secret
from mdmserver.web.services import Services

_LONGEST_NAME = 64  # X.520: ub-common-name
_CRL_PATH = "/ca/crl"
_SECONDS = 60


class OwnCA(Protocol):
    """What can be done with the CA; descriptions are those of GET /api/v1/ca. Raises MDMError or APIError."""

    async def authorities(self) -> list[dict[str, Any]]:
        """All in force, the issuing one first."""
        ...

    async def create(self, name: str) -> dict[str, Any]:
        """A new one, which issues from now on."""
        ...

    async def take(self, files: "CAFiles") -> dict[str, Any]:
        """An existing one, which issues from now on."""
        ...

    async def crl(self) -> bytes:
        """The CRL of the issuing one, DER."""
        ...


class CAFiles:
    """A CA's certificate and key as read from files; raises Failure that says what does not fit."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = _read(certificate)
        self.key = Secret(_read(key))
        try:
            self.authority = Authority.load(self.certificate, self.key.reveal())
        except CertificateError as error:
            raise Failure(
                f"{certificate} and {key} are no CA that can be used: {error}", exit_code=Exit.USAGE
            ) from error


class _RunningServer:
    def __init__(self, api: APIClient) -> None:
        self._api = api

    async def authorities(self) -> list[dict[str, Any]]:
        return list((await self._api.get("ca"))["authorities"])

    async def create(self, name: str) -> dict[str, Any]:
        return await self._api.post("ca", "rollover", body={"name": name})

    async def take(self, files: CAFiles) -> dict[str, Any]:
        pem = {"certificate": files.certificate.decode("latin-1"), "key": files.key.reveal().decode("latin-1")}
        return await self._api.post("ca", "import", body=pem)

    async def crl(self) -> bytes:
        url = self._api.url + _CRL_PATH
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status == 200:
                    return await response.read()
                raise Failure(f"{url} gave no CRL: {response.status} {response.reason}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Failure(f"{url} did not answer: {error}", exit_code=Exit.UNREACHABLE) from error


class _StateDirectory:
    def __init__(self, services: Services) -> None:
        self._own = services.own_authorities

    async def authorities(self) -> list[dict[str, Any]]:
        return [described(own) for own in self._own.all]

    async def create(self, name: str) -> dict[str, Any]:
        return described(await self._own.create(common_name=name, actor=cli_actor()))

    async def take(self, files: CAFiles) -> dict[str, Any]:
        return described(await self._own.import_existing(files.certificate, files.key, actor=cli_actor()))

    async def crl(self) -> bytes:
        return await self._own.crl()


def open_own_ca(state: Path, *, purpose: str) -> AbstractAsyncContextManager[OwnCA]:
    """The CA of a state directory. While a server runs there it is asked, with the state directory's key."""
    return open_own(state, purpose=purpose, running=_RunningServer, stopped=_StateDirectory)


def described(own: OwnAuthority) -> dict[str, Any]:
    """A CA as the API describes it."""
    return {
        "id": str(own.row),
        "role": own.role.value,
        "name": own.authority.name,
        "sha256": own.authority.sha256_fingerprint.hex(),
        "not_after": own.authority.not_after.isoformat().replace("+00:00", "Z"),
        "created_at": own.created_at.isoformat().replace("+00:00", "Z"),
    }


def ca_name(url: str) -> str:
    """The common name of a new CA for this public name; people see it when they look at their device's profile."""
    return f"MDM CA {urlsplit(url).hostname or ''}"[:_LONGEST_NAME].strip()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", exit_code=Exit.USAGE) from error
