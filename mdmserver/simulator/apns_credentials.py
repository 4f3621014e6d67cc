"""The files that the stand-in for APNs needs, made when they are missing: its CA, its own certificate, and a push
certificate with its key in the shape of Apple's. None of them is worth anything to Apple."""

import os
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from certs import (
    CertificateError,
    PrivateKey,
    check_validity,
    create_authority,
    dump_private_key,
    enrollment_id_of,
    generate_ec,
    generate_rsa,
    load_device_certificate,
    load_pem_certificates,
    load_private_key,
)
from certs.pem import encode_certificate
from certs.push_issuer import issue_push_certificate, issue_server_certificate

SERVER_NAMES = ("localhost", "127.0.0.1", "::1")
_CA_VALID = timedelta(days=3650)
_VALID = timedelta(days=365)
_EARLIER = timedelta(days=1)  # for clocks that are behind


@dataclass(frozen=True, slots=True, kw_only=True)
class APNsFiles:
    """`ca` is what clients trust; `server` and `push_certificate` each hold a certificate and its key."""

    ca: Path
    server: Path
    push_certificate: Path
    topic: str

    def server_context(self, *, refuses: Callable[[], bool] = lambda: False) -> ssl.SSLContext:
        """TLS as APNs wants it, with a client certificate of our CA, unless it refuses them all at that moment."""
        context = self._context()
        context.load_verify_locations(self.ca)
        strangers = self._context()  # trusts nobody, so that whatever a client shows is refused

        def choose(tls: ssl.SSLObject, name: str | None, usual: ssl.SSLContext) -> None:
            if refuses():
                tls.context = strangers

        # OpenSSL asks whether or not the client names a server.
        context.sni_callback = choose
        return context

    def client_context(self) -> ssl.SSLContext:
        """TLS for a sender that shows the push certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.push_certificate)
        context.set_alpn_protocols(["h2"])
        return context

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.server)
        context.set_alpn_protocols(["h2"])
        return context


def write_apns_files(folder: Path, *, topic: str | None, now: datetime, new_uuid: Callable[[], str]) -> APNsFiles:
    """What the stand-in needs, in this folder (mode 0700); what is there and still good stays.

    Without a topic it is the one of the push certificate that is there, or a new one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _kept(folder / "ca-with-key.pem", now)
    if authority is None:
        for path in folder.glob("*.pem"):
            path.unlink()
        authority = _new_authority(folder, now)
    _write_server(folder / "server.pem", authority, now)
    path = folder / "push-certificate.pem"
    kept = _kept(path, now)
    kept_topic = None if kept is None else enrollment_id_of(kept[0])
    if kept_topic is None or (topic is not None and topic != kept_topic):
        kept_topic = topic or f"com.apple.mgmt.External.{new_uuid()}"
        _write_push_certificate(path, authority, kept_topic, now)
    return APNsFiles(ca=folder / "ca.pem", server=folder / "server.pem", push_certificate=path, topic=kept_topic)


_Party = tuple[bytes, PrivateKey]


def _new_authority(folder: Path, now: datetime) -> _Party:
    key = generate_ec()
    der = create_authority(
        common_name="mdmserver stand-in for APNs",
        key=key,
        not_before=now - _EARLIER,
        not_after=now + _CA_VALID,
        serial_number=_serial_number(),
    )
    _write(folder / "ca.pem", encode_certificate(der))
    _write(folder / "ca-with-key.pem", encode_certificate(der) + dump_private_key(key))
    return der, key


def _write_server(path: Path, authority: _Party, now: datetime) -> None:
    key = generate_ec()
    der = issue_server_certificate(
        authority_der=authority[0],
        authority_key=authority[1],
        public_key=key.public_key(),
        server_names=SERVER_NAMES,
        serial_number=_serial_number(),
        not_before=now - _EARLIER,
        not_after=now + _VALID,
    )
    _write(path, encode_certificate(der) + dump_private_key(key))


def _write_push_certificate(path: Path, authority: _Party, topic: str, now: datetime) -> None:
    key = generate_rsa()
    der = issue_push_certificate(
        authority_der=authority[0],
        authority_key=authority[1],
        public_key=key.public_key(),
        topic=topic,
        serial_number=_serial_number(),
        not_before=now - _EARLIER,
        not_after=now + _VALID,
    )
    _write(path, encode_certificate(der) + dump_private_key(key))


def _kept(path: Path, now: datetime) -> _Party | None:
    """Certificate and key of a file; None where there is none, or none that is good for another month."""
    try:
        content = path.read_bytes()
        der = load_pem_certificates(content)[0]
        check_validity(load_device_certificate(der), now + timedelta(days=30))
        return der, load_private_key(content)
    except (OSError, CertificateError, IndexError):
        return None


def _serial_number() -> int:
    return secrets.randbits(126) + 1


def _write(path: Path, content: bytes) -> None:
    """Replace the file, mode 0600."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    unfinished.replace(path)
