"""Configuration profiles: typed payloads to signed bytes, and what a device reads from them; no I/O."""

from profiles.enrollment import EnrollmentSettings, SCEPSettings, enrollment_profile
from profiles.errors import KeyInvalid, PayloadRefused, ProfileError, ProfileMalformed, SigningFailed
from profiles.identifiers import Identifiers, identifiers_of, revision_of
from profiles.payloads.acme import ACMEPayload, KeyType
from profiles.payloads.certificates import (
    PEMCertificatePayload,
    PKCS1CertificatePayload,
    RootCertificatePayload,
)
from profiles.payloads.mdm import (
    AccessRights,
    EnrollmentMode,
    MDMPayload,
    ServerCapability,
    refused_changes,
)
from profiles.payloads.payload import Payload, PayloadType
from profiles.payloads.preferences import (
    DomainPreferences,
    ManagedPreferencesPayload,
    PreferenceDomainPayload,
)
from profiles.payloads.raw import RawPayload
from profiles.payloads.scep import KeyUsage, SCEPPayload
from profiles.payloads.subject import Subject, SubjectAltName, subject_of
from profiles.profile import CONTENT_TYPE, PayloadScope, Profile, TargetDeviceType, profile_plist, render
from profiles.reading import Enrollment, enrollment_of
from profiles.signing import read_signed_profile, sign_profile

__all__ = [
    "CONTENT_TYPE",
    "ACMEPayload",
    "AccessRights",
    "DomainPreferences",
    "Enrollment",
    "EnrollmentMode",
    "EnrollmentSettings",
    "Identifiers",
    "KeyInvalid",
    "KeyType",
    "KeyUsage",
    "MDMPayload",
    "ManagedPreferencesPayload",
    "PEMCertificatePayload",
    "PKCS1CertificatePayload",
    "Payload",
    "PayloadRefused",
    "PayloadScope",
    "PayloadType",
    "PreferenceDomainPayload",
    "Profile",
    "ProfileError",
    "ProfileMalformed",
    "RawPayload",
    "RootCertificatePayload",
    "SCEPPayload",
    "SCEPSettings",
    "ServerCapability",
    "SigningFailed",
    "Subject",
    "SubjectAltName",
    "TargetDeviceType",
    "enrollment_of",
    "enrollment_profile",
    "identifiers_of",
    "profile_plist",
    "read_signed_profile",
    "refused_changes",
    "render",
    "revision_of",
    "sign_profile",
    "subject_of",
]
