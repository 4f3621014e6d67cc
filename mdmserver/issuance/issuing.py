"""Turns permission into a certificate: recorded first, then signed in a thread, then handed out.

Should the server stop between the record and the signature, the same request again is signed from the record: same
serial number, same dates, hence the same bytes.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from certs import (
    CertificateError,
    CertificateProfile,
    CertificateRequest,
    PublicKey,
    RevocationReason,
    load_device_certificate,
)
from mdmserver.clock import Clock
from mdmserver.devices.identity import IdentityState
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import MDMError
from mdmserver.issuance.authorities import Authorities, OwnAuthority, new_serial
from mdmserver.issuance.model import (
    UNUSED_RENEWAL_WAIT,
    Challenge,
    InvitationRow,
    Issue,
    IssuedCertificate,
    IssuedRow,
    key_hash,
    secret_hash,
)
from mdmserver.issuance.store import IssuanceStore
from mdmserver.offload import Offload
from mdmserver.transaction import Storage, Transaction

COMMON_NAME = "MDM identity"


class NotPermitted(MDMError):
    """No certificate for this request: the challenge is unknown, used, replaced, expired or ended."""

    code = "not_permitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """On what ground a certificate is issued, found in the transaction that records it."""

    enrollment_uid: str
    challenge: Challenge | None = None
    invitation: InvitationRow | None = None
    enrollment: EnrollmentRow | None = None


class Issuing:
    """Issues certificates for challenges and renewals."""

    def __init__(
        self,
        *,
        storage: Storage,
        issuance: IssuanceStore,
        devices: DeviceStore,
        authorities: Authorities,
        clock: Clock,
        lifetime: timedelta,
        offload: Offload | None = None,
    ) -> None:
        self._storage = storage
        self._issuance = issuance
        self._devices = devices
        self._authorities = authorities
        self._clock = clock
        self._lifetime = lifetime
        self._offload = offload or Offload()

    async def for_challenge(self, challenge: str, transaction_id: str, csr: CertificateRequest) -> bytes:
        """The certificate (DER) for a PKCSReq. The same challenge, transaction and key again give the same one.

        Raises NotPermitted.
        """
        keys = key_hash(csr.public_key_der)
        authority = self._authorities.issuing
        at = self._clock()
        issued = await self._storage.run(
            partial(
                self._record_for_challenge,
                challenge_hash=secret_hash(challenge),
                transaction_id=transaction_id,
                keys=keys,
                authority=authority,
                at=at,
            )
        )
        return await self._signed(issued, csr.public_key, at)

    async def for_renewal(self, signer_der: bytes, transaction_id: str, csr: CertificateRequest) -> bytes:
        """The certificate (DER) for a RenewalReq signed by a device's valid certificate of ours.

        It belongs to the enrollment of that certificate from now on. Repeated for the same key it is the same one.
        Raises NotPermitted.
        """
        keys = key_hash(csr.public_key_der)
        authority = self._authorities.issuing
        at = self._clock()
        issued = await self._storage.run(
            partial(
                self._record_for_renewal,
                signer_der=signer_der,
                transaction_id=transaction_id,
                keys=keys,
                authority=authority,
                at=at,
            )
        )
        return await self._signed(issued, csr.public_key, at)

    async def poll(self, transaction_id: str, signer_key_der: bytes) -> bytes:
        """The certificate of a transaction whose answer was lost. Raises NotPermitted when there is none."""
        issued = await self._storage.read(
            partial(
                self._issuance.issued_in_transaction,
                transaction_id=transaction_id,
                public_key_hash=key_hash(signer_key_der),
            )
        )
        if issued is None or issued.certificate is None or issued.revoked_at is not None:
            raise NotPermitted("there is no certificate in this transaction")
        return issued.certificate

    async def _record_for_challenge(
        self,
        tx: Transaction,
        *,
        challenge_hash: bytes,
        transaction_id: str,
        keys: bytes,
        authority: OwnAuthority,
        at: datetime,
    ) -> IssuedCertificate:
        challenge = await self._issuance.challenge(tx, challenge_hash)
        if challenge is None:
            raise NotPermitted("the challenge is not known")
        if challenge.is_used:
            return await self._repeated(tx, challenge, challenge_hash, transaction_id, keys, at)
        permission = await self._permission(tx, challenge, at)
        return await self._recorded(tx, permission, transaction_id, keys, authority, at)

    async def _repeated(
        self,
        tx: Transaction,
        challenge: Challenge,
        challenge_hash: bytes,
        transaction_id: str,
        keys: bytes,
        at: datetime,
    ) -> IssuedCertificate:
        issued = await self._issuance.issued_for_challenge(tx, challenge_hash)
        is_same = issued is not None and issued.repeats(transaction_id=transaction_id, public_key_hash=keys)
        if issued is None or not is_same or at >= challenge.expires_at or issued.revoked_at is not None:
            raise NotPermitted("the challenge was used before")
        return issued

    async def _permission(self, tx: Transaction, challenge: Challenge, at: datetime) -> Permission:
        if not challenge.is_open(at):
            raise NotPermitted("the challenge has expired or was replaced by a newer one")
        if challenge.invitation is not None:
            invitation = await self._issuance.invitation(tx, challenge.invitation)
            if invitation is None or not invitation.is_open(at):
                raise NotPermitted("the invitation is not open any more")
            return Permission(enrollment_uid=str(uuid4()), challenge=challenge, invitation=invitation.row)
        assert challenge.enrollment is not None
        enrollment = await self._devices.enrollment(tx, challenge.enrollment)
        if enrollment is None or enrollment.ended_at is not None:
            raise NotPermitted("the enrollment that this renewal was for has ended")
        uid = await self._devices.uid(tx, challenge.enrollment)
        return Permission(enrollment_uid=uid, challenge=challenge, enrollment=challenge.enrollment)

    async def _record_for_renewal(
        self,
        tx: Transaction,
        *,
        signer_der: bytes,
        transaction_id: str,
        keys: bytes,
        authority: OwnAuthority,
        at: datetime,
    ) -> IssuedCertificate:
        signer = load_device_certificate(signer_der)
        identity = await self._devices.believed(tx, signer.fingerprint)
        if identity is None or not signer.not_before <= at <= signer.not_after:
            raise NotPermitted("a renewal is signed by the device's present certificate")
        enrollment = identity.enrollment
        known = await self._issuance.issued_for_renewal(tx, enrollment, keys)
        if known is not None and known.fingerprint != signer.fingerprint and await self._is_present(tx, known, at):
            return known
        if identity.is_first_use:
            await self._devices.confirm_identity(tx, enrollment, at=at)
        uid = await self._devices.uid(tx, enrollment)
        permission = Permission(enrollment_uid=uid, enrollment=enrollment)
        return await self._recorded(tx, permission, transaction_id, keys, authority, at)

    async def _is_present(self, tx: Transaction, issued: IssuedCertificate, at: datetime) -> bool:
        """Whether it is the enrollment's active certificate, or recorded to become it."""
        if issued.revoked_at is not None or issued.issue.not_after <= at:
            return False
        if issued.fingerprint is None:
            return True
        identity = await self._devices.believed(tx, issued.fingerprint)
        return identity is not None and identity.state is IdentityState.ACTIVE

    async def _recorded(
        self,
        tx: Transaction,
        permission: Permission,
        transaction_id: str,
        keys: bytes,
        authority: OwnAuthority,
        at: datetime,
    ) -> IssuedCertificate:
        profile = CertificateProfile(common_name=COMMON_NAME, lifetime=self._lifetime)
        not_before = profile.not_before(at).replace(microsecond=0)
        issue = Issue(
            authority=authority.row,
            serial_number=new_serial(),
            enrollment_uid=permission.enrollment_uid,
            challenge=None if permission.challenge is None else permission.challenge.row,
            invitation=permission.invitation,
            enrollment=permission.enrollment,
            transaction_id=transaction_id,
            public_key_hash=keys,
            not_before=not_before,
            not_after=min(profile.not_after(not_before), authority.authority.not_after),
        )
        row = await self._issuance.record(tx, issue, at=at)
        return IssuedCertificate(row=row, issue=issue, certificate=None, fingerprint=None, revoked_at=None)

    async def _signed(self, issued: IssuedCertificate, public_key: PublicKey, at: datetime) -> bytes:
        if issued.certificate is not None:
            return issued.certificate
        authority = next((own for own in self._authorities.all if own.row == issued.issue.authority), None)
        if authority is None:
            raise NotPermitted("the CA that was to sign is gone")
        try:
            certificate = await self._offload(
                authority.authority.issue,
                public_key,
                _recorded_profile(issued.issue),
                issued.issue.serial_number,
                issued.issue.not_before,
            )
        except CertificateError as error:
            raise NotPermitted(str(error)) from error
        await self._storage.run(
            partial(self._keep, row=issued.row, issue=issued.issue, certificate=certificate, own=authority, at=at)
        )
        return certificate

    async def _keep(
        self,
        tx: Transaction,
        *,
        row: IssuedRow,
        issue: Issue,
        certificate: bytes,
        own: OwnAuthority,
        at: datetime,
    ) -> None:
        parsed = load_device_certificate(certificate)
        is_first = await self._issuance.signed(tx, row, certificate=certificate, fingerprint=parsed.fingerprint)
        if issue.enrollment is None or not is_first:
            return
        enrollment = await self._devices.enrollment(tx, issue.enrollment)
        is_same_life = await self._devices.uid(tx, issue.enrollment) == issue.enrollment_uid
        if enrollment is None or enrollment.ended_at is not None or not is_same_life:
            # It ended, or began anew, while the certificate was signed.
            await self._issuance.revoke_issued(tx, row, reason=RevocationReason.CESSATION_OF_OPERATION, at=at)
            return
        await self._devices.bind_renewed(
            tx, issue.enrollment, fingerprint=parsed.fingerprint, certificate=certificate,
            authority=own.trust_name, not_after=parsed.not_after,
            renew_at=renewal_time(parsed.fingerprint, parsed.not_before, parsed.not_after),
            retry_at=at + UNUSED_RENEWAL_WAIT, at=at,
        )  # fmt: skip


def _recorded_profile(issue: Issue) -> CertificateProfile:
    """With the lifetime that was recorded, whatever is configured by the time of the signature."""
    profile = CertificateProfile(common_name=COMMON_NAME, enrollment_id=issue.enrollment_uid)
    return replace(profile, lifetime=issue.not_after - profile.not_after(issue.not_before) + profile.lifetime)


def renewal_time(fingerprint: bytes, not_before: datetime, not_after: datetime) -> datetime:
    """When a certificate is first to be renewed: a third of its lifetime before its end, up to a twelfth earlier.

    The share of the twelfth comes from the fingerprint, so that devices enrolled together do not renew together.
    """
    lifetime = not_after - not_before
    spread = int.from_bytes(hashlib.sha256(fingerprint).digest()[:4], "big") / 2**32
    return not_after - lifetime / 3 - lifetime / 12 * spread
