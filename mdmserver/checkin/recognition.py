"""What the built-in CA's records say of a certificate that is bound to no enrollment.

It may be new, issued for an invitation; or the records may be older than it: then its subject says which enrollment
it continues, since the CA writes the enrollment's own id there.
"""

from datetime import datetime

from certs import enrollment_id_of, load_device_certificate
from mdmserver.devices.identity import Newcomer, PresentedIdentity, Reenrollment
from mdmserver.devices.model import DeviceFacts, EnrollmentRow
from mdmserver.devices.store import DeviceStore, Identification
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.issuing import renewal_time
from mdmserver.issuance.model import Invitation, Issue, IssuedCertificate, IssuedRow, Purpose, key_hash
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
        is_lost = known.identity is None and presented.reenrollment is Reenrollment.INVITED
        if not is_lost or known.device is None or not await self._recognise(tx, presented, known.device.row, at):
            return known
        return await self._devices.identify(tx, id, presented.fingerprint)

    async def _recognise(
        self, tx: Transaction, presented: PresentedIdentity, device: EnrollmentRow, at: datetime
    ) -> bool:
        """Bind a certificate without record to the device that its subject names; False if it is not that device's."""
        if await self._issuance.issued(tx, presented.fingerprint) is not None:
            return False
        uid = enrollment_id_of(presented.certificate)
        if uid is None or uid != await self._devices.uid(tx, device):
            return False
        await self._adopt(tx, presented, uid, device, at)
        await self._devices.bind_renewed(
            tx,
            device,
            fingerprint=presented.fingerprint,
            certificate=presented.certificate,
            authority=presented.authority,
            not_after=presented.not_after,
            renew_at=renewal_time(presented.fingerprint, presented.not_before, presented.not_after),
            at=at,
        )
        return True

    async def newcomer(
        self,
        tx: Transaction,
        presented: PresentedIdentity,
        facts: DeviceFacts,
        known: EnrollmentRow | None,
        at: datetime,
    ) -> Newcomer:
        """What a certificate of ours that is bound to nothing may begin (S2 a, b), and what comes with it."""
        issued = await self._issuance.issued(tx, presented.fingerprint)
        if issued is None:
            uid = enrollment_id_of(presented.certificate)
            if uid is None:
                return Newcomer(is_refused=True)
            issued = await self._adopt(tx, presented, uid, None, at)
        if issued.revoked_at is not None or issued.issue.purpose is not Purpose.DEVICE:
            return Newcomer(is_refused=True)
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

    async def bound(self, tx: Transaction, newcomer: Newcomer, enrollment: EnrollmentRow) -> None:
        """Remember in the records of issuance which enrollment the certificate began."""
        if newcomer.issued is not None:
            await self._issuance.belongs_to(tx, IssuedRow(newcomer.issued), enrollment)

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

    async def _adopt(
        self, tx: Transaction, presented: PresentedIdentity, uid: str, device: EnrollmentRow | None, at: datetime
    ) -> IssuedCertificate:
        certificate = load_device_certificate(presented.certificate)
        own = self._authorities.by_trust_name(presented.authority)
        assert own is not None
        issue = Issue(
            authority=own.row,
            serial_number=certificate.serial_number,
            enrollment_uid=uid,
            challenge=None,
            invitation=None,
            enrollment=device,
            transaction_id=None,
            public_key_hash=key_hash(presented.certificate),
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        row = await self._issuance.adopt(
            tx, issue, certificate=presented.certificate, fingerprint=presented.fingerprint, at=at
        )
        return IssuedCertificate(
            row=row, issue=issue, certificate=presented.certificate, fingerprint=presented.fingerprint, revoked_at=None
        )


def _is_for_another(invitation: Invitation, facts: DeviceFacts) -> bool:
    """An invitation for a serial number lets no device in that says it has another."""
    said = facts.serial_number
    return invitation.serial_number is not None and said is not None and said != invitation.serial_number
