"""How simulated devices reach a server and prove who they are. What is said is `device`'s business."""

import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import aiohttp

from certs import dump_private_key
from mdmserver.simulator.browser import Browser
from mdmserver.simulator.conversation import Conversation, Endpoint, ServerAddress
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.management import Management
from mdmserver.simulator.proof import ClientCertificate, MessageSignature, Proof, Prover

_ContextKey = tuple[bytes | None, tuple[bytes, ...]]


class Transport:
    """Opens conversations with servers; to be entered before use, so that nothing of a key stays on disk.

    `server` is for devices whose profile names none. `server_ca` is a PEM file to trust instead of the platform's
    CAs. `took` hears how many seconds each answered request took.
    """

    def __init__(
        self,
        server: ServerAddress | None,
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
        self._contexts: dict[_ContextKey, ssl.SSLContext] = {}
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
    async def open(self, identity: Identity, management: Management | None = None) -> AsyncIterator[Conversation]:
        """A conversation with a connection of its own, closed at the end; with the server that manages the device."""
        server = self._server if management is None else management.server
        if server is None:
            raise RuntimeError("a device without management needs a server")
        proofs = self._proofs if management is None else _proofs_of(management, self._proofs)
        trusted = () if management is None else management.enrollment.trusted_certificates
        presented = identity if any(isinstance(proof, ClientCertificate) for proof in proofs) else None
        is_https = any(server.url(endpoint).startswith("https:") for endpoint in Endpoint)
        async with self._session(self._context(presented, trusted) if is_https else True) as session:
            yield Conversation(session, server, self._prover(identity, proofs), self._took)

    @asynccontextmanager
    async def browse(self, trusted: tuple[bytes, ...] = ()) -> AsyncIterator[Browser]:
        """A browser without identity, which trusts these CAs (DER) besides the usual ones."""
        async with self._session(self._context(None, trusted)) as session:
            yield Browser(session)

    def forget(self, identity: Identity) -> None:
        """This identity will not be used again."""
        self._provers.pop(identity.certificate_der, None)
        for key in [key for key in self._contexts if key[0] == identity.certificate_der]:
            del self._contexts[key]

    def _session(self, context: ssl.SSLContext | bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1, ssl=context, keepalive_timeout=self._timeout.total)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout)

    def _prover(self, identity: Identity, proofs: tuple[Proof, ...]) -> Prover:
        prover = self._provers.get(identity.certificate_der)
        if prover is None:
            prover = self._provers[identity.certificate_der] = Prover(proofs, identity)
        return prover

    def _context(self, presented: Identity | None, trusted: tuple[bytes, ...]) -> ssl.SSLContext:
        key = (None if presented is None else presented.certificate_der, trusted)
        if key not in self._contexts:
            context = ssl.create_default_context(cafile=self._server_ca)
            if trusted:
                context.load_verify_locations(cadata=b"".join(trusted))
            if presented is not None:
                self._load(context, presented)
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


def _proofs_of(management: Management, usual: tuple[Proof, ...]) -> tuple[Proof, ...]:
    """SignMessage true is a signature, as usual for this fleet; without it there is only the certificate in TLS."""
    if management.enrollment.mdm.sign_message:
        return usual if any(isinstance(proof, MessageSignature) for proof in usual) else (MessageSignature(), *usual)
    return (ClientCertificate(),)
