"""The built-in CA's life: made, imported, rolled over; and its CRL. Signing for devices is `scep`.

During a roll-over two authorities are believed: the new one issues, the old one's certificates stay good until they
are renewed. Keys lie sealed in the database; in memory they are in `Authority` objects that print nothing.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from certs import Authority, CertificateError, DeviceAuthority, dump_private_key, generate_rsa, load_private_key
from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.errors import Conflict, Invalid, Unavailable
from mdmserver.issuance.model import SERIAL_BITS, AuthorityRole, AuthorityRow, StoredAuthority
from mdmserver.issuance.store import IssuanceStore
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

LIFETIME = timedelta(days=3652)
CRL_LIFETIME = timedelta(days=7)
_BACKDATE = timedelta(hours=1)
_KEY_BITS = 2048
BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAuthority:
    """A CA of ours, ready to sign."""

    row: AuthorityRow
    role: AuthorityRole
    authority: Authority
    created_at: datetime

    @property
    def trust_name(self) -> str:
        """Its name among the device CAs."""
        return f"{BUILT_IN} {self.row}"


class Authorities:
    """The CAs of ours that are in force. `load` first; `on_change` hears of every change."""

    def __init__(
        self,
        *,
        storage: Storage,
        issuance: IssuanceStore,
        audit: AuditStore,
        clock: Clock,
        on_change: Callable[[list[DeviceAuthority]], None],
    ) -> None:
        self._storage = storage
        self._issuance = issuance
        self._audit = audit
        self._clock = clock
        self._on_change = on_change
        self._own: list[OwnAuthority] = []

    async def load(self) -> None:
        """Read them from storage and tell `on_change`."""
        stored = await self._storage.read(self._issuance.authorities)
        self._own = [_own(authority) for authority in stored]
        self._on_change(
            [DeviceAuthority(name=own.trust_name, roots=(own.authority.certificate_der,)) for own in self._own]
        )

    @property
    def all(self) -> list[OwnAuthority]:
        """All in force, the issuing one first."""
        return list(self._own)

    @property
    def issuing(self) -> OwnAuthority:
        """The one that signs. Raises Unavailable when there is none."""
        for own in self._own:
            if own.role is AuthorityRole.ISSUING:
                return own
        raise Unavailable("there is no CA; make one with `mdmserver init` or `mdmserver ca import`", code="no_ca")

    def by_trust_name(self, name: str) -> OwnAuthority | None:
        """The CA of ours that a device CA's name stands for, or None for an external one."""
        return next((own for own in self._own if own.trust_name == name), None)

    async def create(self, *, common_name: str, actor: Actor) -> OwnAuthority:
        """Make a new CA, which issues from now on; one that issued before stays trusted (a roll-over)."""
        now = self._clock()
        key = await asyncio.to_thread(generate_rsa, _KEY_BITS)
        try:
            authority = Authority.create(
                common_name=common_name,
                key=key,
                not_before=now - _BACKDATE,
                not_after=now + LIFETIME,
                serial_number=new_serial(),
            )
        except CertificateError as error:
            raise Invalid(f"no CA can be made: {error}", code="invalid_ca") from error
        return await self._adopt(authority, action="ca.create", actor=actor)

    async def import_existing(self, certificate_pem: bytes, key_pem: Secret[bytes], *, actor: Actor) -> OwnAuthority:
        """Take an existing CA, which issues from now on. Raises Invalid, saying what does not fit."""
        try:
            authority = Authority.load(certificate_pem, key_pem.reveal())
        except CertificateError as error:
            raise Invalid(f"this CA cannot be imported: {error}", code="invalid_ca") from error
        if any(own.authority.certificate_der == authority.certificate_der for own in self._own):
            raise Conflict("this CA is there already", code="ca_exists")
        if authority.not_after <= self._clock():
            raise Invalid("this CA has expired", code="invalid_ca")
        return await self._adopt(authority, action="ca.import", actor=actor)

    async def crl(self, row: AuthorityRow | None = None) -> bytes:
        """A fresh CRL (DER) of one of our CAs, by default the issuing one."""
        own = next((own for own in self._own if own.row == row), None) if row is not None else self.issuing
        if own is None:
            raise Invalid(f"there is no CA {row}", code="ca_not_found")
        at = self._clock()
        number = await self._storage.run(partial(self._issuance.next_crl_number, authority=own.row))
        revoked = await self._storage.read(partial(self._issuance.revoked, authority=own.row, at=at))
        entries = [(entry.serial_number, entry.at, entry.reason) for entry in revoked]
        return await asyncio.to_thread(own.authority.sign_crl, entries, number, at, at + CRL_LIFETIME)

    async def _adopt(self, authority: Authority, *, action: str, actor: Actor) -> OwnAuthority:
        at = self._clock()
        # Two CAs may bear the same subject; the number tells them apart.
        fingerprint = authority.sha256_fingerprint.hex()

        async def body(tx: Transaction) -> AuthorityRow:
            row = await self._issuance.insert_authority(
                tx,
                name=fingerprint,
                certificate=authority.certificate_der,
                key=Secret(dump_private_key(authority.private_key)),
                at=at,
            )
            await self._audit.append(
                tx, at=at, actor=actor, action=action, subject=str(row),
                detail={"name": authority.name, "sha256": fingerprint},
            )  # fmt: skip
            return row

        row = await self._storage.run(body)
        await self.load()
        return next(own for own in self._own if own.row == row)


def new_serial() -> int:
    """127 random bits: positive, unique for all practical purposes, and the schema refuses a repetition."""
    return secrets.randbits(SERIAL_BITS) | 1 << (SERIAL_BITS - 1)


def _own(stored: StoredAuthority) -> OwnAuthority:
    key = load_private_key(stored.key.reveal())
    authority = Authority.of(stored.certificate, key)
    return OwnAuthority(row=stored.row, role=stored.role, authority=authority, created_at=stored.created_at)
