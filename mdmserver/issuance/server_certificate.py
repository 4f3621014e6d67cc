"""The server's own TLS certificate, for trials (`tls.own_ca`): issued by the built-in CA, renewed in time.

Which CA: the oldest that is good for long enough. Devices that enrolled before a roll-over know only the one from
before it until their renewal brings them the new one; a certificate of the new one would lock them out.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from certs import (
    CertificateError,
    CertificateProfile,
    PrivateKey,
    PublicKey,
    dump_private_key,
    dump_public_key,
    generate_ec,
    load_device_certificate,
    load_pem_certificates,
    load_private_key,
    server_names_of,
)
from certs.pem import encode_certificate
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.issuance.authorities import Authorities, OwnAuthority, new_serial
from mdmserver.issuance.model import Issue, IssuedRow, Purpose, key_hash
from mdmserver.issuance.store import IssuanceStore
from mdmserver.transaction import Storage, Transaction

CERTIFICATE_FILE = "server.pem"
KEY_FILE = "server.key"
LIFETIME = timedelta(days=396)
RENEWED_BEFORE = timedelta(days=30)
_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
_LONGEST_COMMON_NAME = 64
_ACTOR = Actor(kind=ActorKind.BACKGROUND, name="server certificate")


class ServerCertificates:
    """Keeps certificate and key files in a folder that are good for TLS."""

    def __init__(
        self, *, storage: Storage, issuance: IssuanceStore, authorities: Authorities, audit: AuditStore, clock: Clock
    ) -> None:
        self._storage = storage
        self._issuance = issuance
        self._authorities = authorities
        self._audit = audit
        self._clock = clock

    async def ensure(self, folder: Path, names: Sequence[str]) -> bool:
        """See that the folder holds a certificate for these names with its key; whether it was issued now.

        The first name is the subject. Raises Unavailable when there is no CA, OSError, and CertificateRefused for
        names that no certificate can hold.
        """
        at = self._clock()
        own = self._authority(at)
        key = await asyncio.to_thread(_key_in, folder)
        if await asyncio.to_thread(_is_good, folder, key.public_key(), own, names, at):
            return False
        certificate = await self._issue(own, key.public_key(), names, at)
        await asyncio.to_thread(_replace, folder / CERTIFICATE_FILE, encode_certificate(certificate))
        return True

    def _authority(self, at: datetime) -> OwnAuthority:
        lasting = [own for own in self._authorities.all if own.authority.not_after > at + RENEWED_BEFORE]
        return min(lasting, key=lambda own: own.row, default=self._authorities.issuing)

    async def _issue(self, own: OwnAuthority, key: PublicKey, names: Sequence[str], at: datetime) -> bytes:
        profile = CertificateProfile(
            common_name=names[0] if len(names[0]) <= _LONGEST_COMMON_NAME else "mdmserver",
            lifetime=LIFETIME,
            extended_key_usages=(_SERVER_AUTH,),
            server_names=tuple(names),
        )
        not_before = profile.not_before(at).replace(microsecond=0)
        issue = Issue(
            purpose=Purpose.SERVER,
            authority=own.row,
            serial_number=new_serial(),
            enrollment_uid="",
            challenge=None,
            invitation=None,
            enrollment=None,
            transaction_id=None,
            public_key_hash=key_hash(dump_public_key(key)),
            not_before=not_before,
            not_after=min(profile.not_after(not_before), own.authority.not_after),
        )
        row = await self._storage.run(partial(self._record, issue=issue, names=names, at=at))
        certificate = await asyncio.to_thread(own.authority.issue, key, profile, issue.serial_number, not_before)
        fingerprint = load_device_certificate(certificate).fingerprint
        await self._storage.run(
            partial(self._issuance.signed, row=row, certificate=certificate, fingerprint=fingerprint)
        )
        return certificate

    async def _record(self, tx: Transaction, *, issue: Issue, names: Sequence[str], at: datetime) -> IssuedRow:
        row = await self._issuance.record(tx, issue, at=at)
        await self._audit.append(
            tx, at=at, actor=_ACTOR, action="certificate.issue_server", subject=f"{issue.serial_number:x}",
            detail={"names": " ".join(names)},
        )  # fmt: skip
        return row


def _is_good(folder: Path, key: PublicKey, own: OwnAuthority, names: Sequence[str], at: datetime) -> bool:
    try:
        (der, *_) = load_pem_certificates((folder / CERTIFICATE_FILE).read_bytes())
        certificate = load_device_certificate(der)
        is_ours = own.authority.has_issued(der) and certificate.public_key == key
        lasts = certificate.not_after > at + RENEWED_BEFORE or certificate.not_after >= own.authority.not_after
        return is_ours and lasts and server_names_of(der) == frozenset(names)
    except (OSError, CertificateError, ValueError):
        return False


def _key_in(folder: Path) -> PrivateKey:
    """The key of before, so that one file alone has to be replaced; a new one where there is none that can be read."""
    path = folder / KEY_FILE
    try:
        return load_private_key(path.read_bytes())
    except (OSError, CertificateError):
        key = generate_ec()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, dump_private_key(key))
        return key


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place that only we can read; at no time is there half of one."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
