"""The enrollment profile: the device's identity (SCEP), whom it trusts, and who manages it (MDM).

It is sent again for a renewal, and when a setting changes. A device takes the update only if the profile's
PayloadIdentifier is the one it has, and Topic, ServerURL, CheckInURL, the per-user-connections capability (and
the account-driven keys) are what they were and AccessRights did not grow: `refused_changes` tells. So that a
renewal is an update of every payload, and not a removal with a new enrollment:

- all PayloadIdentifiers follow from the deployment's name, of a trusted CA from its certificate;
- the PayloadUUIDs of the MDM and the SCEP payload never change, since a device updates in place what has the same
  PayloadIdentifier and PayloadUUID; a SCEP payload makes it ask for a certificate at every installation, changed or
  not;
- the PayloadUUID of the profile carries the revision of the settings, everything but the challenge: ProfileList
  shows who has which. A renewal without a change of settings differs in its challenge alone.
"""

import hashlib
from dataclasses import dataclass, field

from profiles.identifiers import Identifiers, revision_of
from profiles.payloads.certificates import RootCertificatePayload
from profiles.payloads.mdm import AccessRights, MDMPayload, ServerCapability
from profiles.payloads.payload import Payload
from profiles.payloads.scep import KeyUsage, SCEPPayload
from profiles.payloads.subject import Subject
from profiles.profile import PayloadScope, Profile, profile_plist

_UNSAID = "-"  # in the place of the challenge while the revision is computed


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPSettings:
    """How the device gets its identity. `challenge` is this download's own secret, and in no repr.

    The key cannot be exported from a Mac's keychain unless `key_is_extractable` says so.
    """

    url: str
    challenge: str = field(repr=False)
    name: str | None = None
    subject: Subject = ()
    key_size: int = 2048
    key_usage: KeyUsage = KeyUsage.SIGNING | KeyUsage.ENCRYPTION
    ca_fingerprint: bytes | None = None
    retries: int | None = None
    retry_delay_seconds: int | None = None
    key_is_extractable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentSettings:
    """All that the profile is made of; the defaults are those that are hard to mend once devices are enrolled.

    `trusted_certificates` (DER) are the CAs of the server's TLS certificate where devices do not know them; what
    comes in an enrollment profile is trusted for TLS without the user's doing. `topic_is_placeholder` is for
    servers that have no push certificate yet: those devices must enroll again once the topic is known.
    """

    identifiers: Identifiers
    topic: str
    server_url: str
    scep: SCEPSettings
    check_in_url: str | None = None
    display_name: str = "Device management"
    description: str | None = None
    organization: str | None = None
    trusted_certificates: tuple[bytes, ...] = ()
    sign_message: bool = True
    access_rights: AccessRights = AccessRights.ALL
    check_out_when_removed: bool = True
    server_capabilities: tuple[ServerCapability, ...] = tuple(ServerCapability)
    use_development_apns: bool | None = None
    removal_disallowed: bool | None = None
    topic_is_placeholder: bool = False


def enrollment_profile(settings: EnrollmentSettings) -> Profile:
    """The profile for these settings; raises KeyInvalid for what a device would refuse."""
    identifier = settings.identifiers.identifier("enrollment")
    payloads = _payloads(settings, identifier, settings.scep.challenge)
    revision = _revision(settings, identifier)
    return _profile(settings, identifier, settings.identifiers.uuid(identifier, revision), payloads)


def _payloads(settings: EnrollmentSettings, identifier: str, challenge: str) -> tuple[Payload, ...]:
    identity = _identity(settings, f"{identifier}.identity", challenge)
    trusted = (_trusted(settings, identifier, certificate) for certificate in settings.trusted_certificates)
    # In the order of use: trust before the first request, the identity before the management that needs it.
    return (*trusted, identity, _management(settings, f"{identifier}.mdm", identity.uuid))


def _trusted(settings: EnrollmentSettings, identifier: str, certificate: bytes) -> RootCertificatePayload:
    fingerprint = hashlib.sha256(certificate).hexdigest()
    name = f"{identifier}.trust.{fingerprint[:16]}"
    return RootCertificatePayload(
        identifier=name,
        uuid=settings.identifiers.uuid(name, fingerprint),
        display_name="Certificate authority of the management server",
        organization=settings.organization,
        certificate=certificate,
    )


def _identity(settings: EnrollmentSettings, name: str, challenge: str) -> SCEPPayload:
    scep = settings.scep
    return SCEPPayload(
        identifier=name,
        uuid=settings.identifiers.uuid(name),
        display_name="Device identity",
        organization=settings.organization,
        url=scep.url,
        challenge=challenge,
        name=scep.name,
        subject=scep.subject,
        key_size=scep.key_size,
        key_usage=scep.key_usage,
        ca_fingerprint=scep.ca_fingerprint,
        retries=scep.retries,
        retry_delay_seconds=scep.retry_delay_seconds,
        key_is_extractable=scep.key_is_extractable,
    )


def _management(settings: EnrollmentSettings, name: str, identity_uuid: str) -> MDMPayload:
    return MDMPayload(
        identifier=name,
        uuid=settings.identifiers.uuid(name),
        display_name=settings.display_name,
        organization=settings.organization,
        identity_certificate_uuid=identity_uuid,
        topic=settings.topic,
        topic_is_placeholder=settings.topic_is_placeholder,
        server_url=settings.server_url,
        check_in_url=settings.check_in_url,
        sign_message=settings.sign_message,
        access_rights=settings.access_rights,
        check_out_when_removed=settings.check_out_when_removed,
        server_capabilities=settings.server_capabilities,
        use_development_apns=settings.use_development_apns,
    )


def _revision(settings: EnrollmentSettings, identifier: str) -> str:
    uuid = settings.identifiers.uuid(identifier)
    same_for_all = _profile(settings, identifier, uuid, _payloads(settings, identifier, _UNSAID))
    return revision_of(profile_plist(same_for_all))


def _profile(settings: EnrollmentSettings, identifier: str, uuid: str, payloads: tuple[Payload, ...]) -> Profile:
    return Profile(
        identifier=identifier,
        uuid=uuid,
        payloads=payloads,
        display_name=settings.display_name,
        description=settings.description,
        organization=settings.organization,
        scope=PayloadScope.SYSTEM,  # on a Mac, management belongs to the machine
        removal_disallowed=settings.removal_disallowed,
    )
