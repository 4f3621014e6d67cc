"""What the built-in CA's records say of a certificate that is bound to no enrollment.

It may be new, issued for an invitation; or the records may be older than it: then its subject says which enrollment
it continues, since the CA writes the enrollment's own id there. Such a lost certificate is believed for a live
enrollment alone, and only if it is newer than the one that the records have: an older one was superseded in the part
of the past that was lost.
"""

from datetime import datetime

from certs import DeviceCertificate, dump_public_key, enrollment_id_of, load_device_certificate
from mdmserver.devices.identity import Newcomer, PresentedIdentity, Reenrollment
from mdmserver.devices.model import DeviceFacts, EnrollmentRow
from mdmserver.devices.store import DeviceStore, Identification
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.issuing import renewal_time
from mdmserver.issuance.model import (
    UNUSED_RENEWAL_WAIT,
    AuthorityRow,
    Invitation,
    Issue,
    IssuedCertificate,
    IssuedRow,
    key_hash,
)
from mdmserver.issuance.store import IssuanceStore
from mdmserver.protocol import EnrollmentID
from mdmserver.transaction import Transaction


class Recognition:
    """Reads certificates of ours against the records of their issuance."""

    def __init__(self, *, devices: DeviceStore, issuance: IssuanceStore, authorities: Authorities) -> None:
        self._devices = devices
        self._issuance = issuance
        self._authorities = authorities

    async def identify(
        self, tx: Transaction, id: EnrollmentID, presented: PresentedIdentity, at: datetime
    ) -> Identification:
        """What is known of who speaks, after binding a certificate of ours that the records have lost."""
        known = await self._devices.identify(tx, id, presented.fingerprint)
        if known.identity is not None or presented.reenrollment is not Reenrollment.INVITED:
            return known
        if known.device is None or not known.device.is_live:
            return known
        if not await self._recognise(tx, presented, known.device.row, at):
            return known
        return await self._devices.identify(tx, id, presented.fingerprint)

    async def _recognise(
        self, tx: Transaction, presented: PresentedIdentity, device: EnrollmentRow, at: datetime
    ) -> bool:
        """Bind a certificate without record to the device that its subject names; False if it is not that device's."""
        certificate = load_device_certificate(presented.certificate)
        record = await self._record(tx, presented, certificate)
        if record is not None and (record.certificate is not None or record.revoked_at is not None):
            return False
        uid = enrollment_id_of(presented.certificate)
        if uid is None or await self._devices.device_with_uid(tx, uid) != device:
            return False
        active = await self._devices.active_certificate(tx, device)
        if active is None or load_device_certificate(active).not_before >= certificate.not_before:
            return False
        if record is not None:
            await self._complete(tx, record, presented)
        else:
            await self._adopt(tx, presented, certificate, uid, device, at)
        await self._devices.bind_renewed(
            tx,
            device,
            fingerprint=presented.fingerprint,
            certificate=presented.certificate,
            authority=presented.authority,
            not_after=presented.not_after,
            renew_at=renewal_time(presented.fingerprint, presented.not_before, presented.not_after),
            retry_at=at + UNUSED_RENEWAL_WAIT,
            at=at,
        )
        return True

    async def newcomer(
        self,
        tx: Transaction,
        presented: PresentedIdentity,
        facts: DeviceFacts,
        known: EnrollmentRow | None,
    ) -> Newcomer:
        """What a certificate of ours that is bound to nothing may begin (S2 a, b), and what comes with it."""
        issued = await self._record(tx, presented, load_device_certificate(presented.certificate))
        if issued is None or not issued.is_for_newcomers:
            # A certificate without record begins nothing: nobody knows who was invited, or whether it was revoked.
            return Newcomer(is_refused=True)
        if issued.certificate is None:
            await self._complete(tx, issued, presented)
        invitation = None
        if issued.issue.invitation is not None:
            invitation = await self._issuance.invitation(tx, issued.issue.invitation)
        if invitation is not None and _is_for_another(invitation, facts):
            return Newcomer(is_refused=True)
        return Newcomer(
            issued=issued.row,
            uid=issued.issue.enrollment_uid,
            user_name=None if invitation is None else invitation.user_name,
            may_replace=invitation is not None and await self._may_replace(tx, invitation, known),
        )

    async def bound(self, tx: Transaction, newcomer: Newcomer, enrollment: EnrollmentRow, at: datetime) -> None:
        """Remember which enrollment the certificate began, of which renewals that were under way are void."""
        if newcomer.issued is not None:
            await self._issuance.belongs_to(tx, IssuedRow(newcomer.issued), enrollment)
            await self._issuance.end_challenges(tx, enrollment, at=at)

    async def _may_replace(self, tx: Transaction, invitation: Invitation, known: EnrollmentRow | None) -> bool:
        """S2 b: the invitation says so, or it names the serial number or the user that the live enrollment has."""
        if invitation.allow_reenroll or known is None:
            return True
        enrollment = await self._devices.enrollment(tx, known)
        if enrollment is None:
            return True
        names_serial = invitation.serial_number is not None
        if names_serial and invitation.serial_number == enrollment.facts.serial_number:
            return True
        return invitation.user_name is not None and invitation.user_name == enrollment.user_name

    async def _record(
        self, tx: Transaction, presented: PresentedIdentity, certificate: DeviceCertificate
    ) -> IssuedCertificate | None:
        signed = await self._issuance.issued(tx, presented.fingerprint)
        if signed is not None:
            return signed
        return await self._issuance.recorded(tx, self._authority_of(presented), certificate.serial_number)

    def _authority_of(self, presented: PresentedIdentity) -> AuthorityRow:
        own = self._authorities.by_trust_name(presented.authority)
        assert own is not None
        return own.row

    async def _complete(self, tx: Transaction, record: IssuedCertificate, presented: PresentedIdentity) -> None:
        """Add to the records that a certificate was signed: they are of the moment before."""
        await self._issuance.signed(
            tx, record.row, certificate=presented.certificate, fingerprint=presented.fingerprint
        )

    async def _adopt(
        self,
        tx: Transaction,
        presented: PresentedIdentity,
        certificate: DeviceCertificate,
        uid: str,
        device: EnrollmentRow,
        at: datetime,
    ) -> None:
        issue = Issue(
            authority=self._authority_of(presented),
            serial_number=certificate.serial_number,
            enrollment_uid=uid,
            challenge=None,
            invitation=None,
            enrollment=device,
            transaction_id=None,
            public_key_hash=key_hash(dump_public_key(certificate.public_key)),
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        await self._issuance.adopt(
            tx, issue, certificate=presented.certificate, fingerprint=presented.fingerprint, at=at
        )


def _is_for_another(invitation: Invitation, facts: DeviceFacts) -> bool:
    """An invitation for a serial number lets no device in that says it has another."""
    said = facts.serial_number
    return invitation.serial_number is not None and said is not None and said != invitation.serial_number
