"""The TLS contexts of the `https` and `mtls` listeners, and renewal of the server's certificate while they serve."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from certs import CertificateError, load_pem_certificates
from mdmserver.config import TLS, DeviceCA
from mdmserver.errors import Invalid

_WATCH_SECONDS = 5.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# Devices hold SHA-1 chains and RSA-1024 keys; what is strong enough is decided by certs, which pins the CAs.
_DEVICE_CIPHERS = f"{_CIPHERS}:@SECLEVEL=0"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name: issuers that expired years ago still sign
# for devices, and an expired device is answered by us and not by a broken handshake.
_NO_CHECK_TIME = 0x200000

Stamps = list[tuple[int, int, int] | None]

_log = logging.getLogger(__name__)


class ServerCertificate:
    """The certificate and key files, and the contexts that were made with them.

    `own_authorities` gives the built-in CA's certificates of now, which devices may hold theirs from.
    """

    def __init__(self, files: TLS, own_authorities: Callable[[], Iterable[bytes]] = tuple) -> None:
        self._files = files
        self._own_authorities = own_authorities
        self._contexts: list[ssl.SSLContext] = []
        self._device_contexts: list[ssl.SSLContext] = []
        self._believed: set[bytes] = set()
        self._seen = stamps_of(files)

    def context(self) -> ssl.SSLContext:
        """A context for clients without certificates. Raises Invalid for files that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        try:
            self._load(context)
        except (OSError, ValueError) as error:
            raise Invalid(
                f"configuration: tls.certificate and tls.key cannot be used: {error}", code="invalid_configuration"
            ) from error
        self._contexts.append(context)
        return context

    def device_context(self, authorities: Iterable[DeviceCA]) -> ssl.SSLContext:
        """A context that demands a certificate of one of these CAs, of any age. Raises Invalid as `context` does.

        The chain is looked at again by our own rules, link by link: this one only keeps strangers out.
        """
        context = self.context()
        context.set_ciphers(_DEVICE_CIPHERS)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
        certificates = [der for authority in authorities for der in _certificates_of(authority)]
        self._believed |= set(self._own_authorities())
        certificates += self._believed
        if not certificates:
            raise Invalid(
                "configuration: listen.mtls needs the built-in CA or a device_ca", code="invalid_configuration"
            )
        context.load_verify_locations(cadata=b"".join(certificates))
        self._device_contexts.append(context)
        return context

    def reload(self) -> None:
        """Read the files into the contexts that are in use; files that do not fit leave everything as it was."""
        self._seen = stamps_of(self._files)
        try:
            # A failure half-way would leave a context with a certificate and the wrong key.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            for context in self._contexts:
                self._load(context)
        except (OSError, ValueError) as error:
            _log.warning("TLS files not usable, the old certificate stays", exc_info=error)
            return
        _log.info("TLS certificate loaded", extra={"count": len(self._contexts)})

    async def watch(self, seconds: float = _WATCH_SECONDS) -> None:
        """Reload whenever one of the files changes, and let in devices of a new CA of ours, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.believe_own()
            if stamps_of(self._files) != self._seen:
                self.reload()

    def believe_own(self) -> None:
        """Let devices in whose certificates are of a CA of ours that is new since `device_context`."""
        for certificate in set(self._own_authorities()) - self._believed:
            self._believed.add(certificate)
            for context in self._device_contexts:
                context.load_verify_locations(cadata=certificate)

    def _load(self, context: ssl.SSLContext) -> None:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(self._files.certificate, self._files.key, password="")


def stamps_of(files: TLS) -> Stamps:
    """What changes whenever one of the files does."""
    return [_stamp(Path(name)) for name in (files.certificate, files.key) if name]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _certificates_of(authority: DeviceCA) -> tuple[bytes, ...]:
    try:
        return load_pem_certificates(Path(authority.certificates).read_bytes())
    except (OSError, CertificateError) as error:
        raise Invalid(f"device_ca {authority.name}: {error}", code="invalid_configuration") from error
