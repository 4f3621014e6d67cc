"""How simulated devices reach a server and prove who they are. What is said is `device`'s business."""

import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import aiohttp

from certs import dump_private_key
from mdmserver.simulator.conversation import Conversation, Endpoint, ServerAddress
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.proof import ClientCertificate, Proof, Prover


class Transport:
    """Opens conversations with one server; to be entered before use, so that nothing of a key stays on disk.

    `server_ca` is a PEM file to trust instead of the platform's CAs. `took` hears how many seconds each answered
    request took.
    """

    def __init__(
        self,
        server: ServerAddress,
        *,
        proofs: tuple[Proof, ...],
        server_ca: Path | None = None,
        timeout_seconds: float = 30,
        took: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._server = server
        self._proofs = proofs
        self._server_ca = server_ca
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._took = took
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._contexts: dict[bytes | None, ssl.SSLContext] = {}
        self._provers: dict[bytes, Prover] = {}

    async def __aenter__(self) -> "Transport":
        # ssl reads client certificates from files alone; this directory has mode 0700.
        self._directory = tempfile.TemporaryDirectory(prefix="mdm-simulator-")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            self._directory.cleanup()
        self._contexts.clear()

    @asynccontextmanager
    async def open(self, identity: Identity) -> AsyncIterator["Conversation"]:
        """A conversation with a connection of its own, closed at the end."""
        connector = aiohttp.TCPConnector(limit=1, ssl=self._context(identity), keepalive_timeout=self._timeout.total)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout
        ) as session:
            yield Conversation(session, self._server, self._prover(identity), self._took)

    def _prover(self, identity: Identity) -> Prover:
        prover = self._provers.get(identity.certificate_der)
        if prover is None:
            prover = self._provers[identity.certificate_der] = Prover(self._proofs, identity)
        return prover

    def _context(self, identity: Identity) -> ssl.SSLContext | bool:
        if not any(self._server.url(endpoint).startswith("https:") for endpoint in Endpoint):
            return True
        presents = any(isinstance(proof, ClientCertificate) for proof in self._proofs)
        key = identity.certificate_der if presents else None
        if key not in self._contexts:
            context = ssl.create_default_context(cafile=self._server_ca)
            if presents:
                self._load(context, identity)
            self._contexts[key] = context
        return self._contexts[key]

    def _load(self, context: ssl.SSLContext, identity: Identity) -> None:
        if self._directory is None:
            raise RuntimeError("the transport was not entered")
        path = Path(self._directory.name) / "identity.pem"
        certificate = ssl.DER_cert_to_PEM_cert(identity.certificate_der)
        path.write_bytes(certificate.encode() + dump_private_key(identity.key))
        try:
            context.load_cert_chain(path)
        finally:
            path.unlink()
