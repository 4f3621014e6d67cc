"""Payloads and settings that the tests of `profiles` start from; each test changes what it is about."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from profiles import (
    AccessRights,
    ACMEPayload,
    DomainPreferences,
    EnrollmentMode,
    EnrollmentSettings,
    KeyType,
    KeyUsage,
    ManagedPreferencesPayload,
    MDMPayload,
    PayloadScope,
    PEMCertificatePayload,
    PKCS1CertificatePayload,
    Profile,
    RootCertificatePayload,
    SCEPPayload,
    SCEPSettings,
    ServerCapability,
    SubjectAltName,
    TargetDeviceType,
    identifiers_of,
    subject_of,
)

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "reference" / "apple-schema" / "mdm" / "profiles"
CHALLENGE = "canary-of-a-challenge-0123456789"
TOPIC = "com.apple.mgmt.External.12345678-1234-1234-1234-123456789012"


def uuid(number: int) -> str:
    """A UUID of its own for every number."""
    return f"00000000-0000-0000-0000-{number:012X}"


def mdm_payload(**changes: Any) -> MDMPayload:
    """An MDM payload that names the identity of `scep_payload`."""
    fields: dict[str, Any] = {
        "identifier": "com.example.mdm",
        "uuid": uuid(1),
        "identity_certificate_uuid": uuid(2),
        "topic": TOPIC,
        "server_url": "https://mdm.example.com/mdm",
        "access_rights": AccessRights.ALL,
    }
    return MDMPayload(**(fields | changes))


def scep_payload(**changes: Any) -> SCEPPayload:
    """A SCEP payload with a challenge."""
    fields: dict[str, Any] = {
        "identifier": "com.example.identity",
        "uuid": uuid(2),
        "url": "https://mdm.example.com/scep",
        "challenge": CHALLENGE,
    }
    return SCEPPayload(**(fields | changes))


def acme_payload(**changes: Any) -> ACMEPayload:
    """An ACME payload for a key in the Secure Enclave."""
    fields: dict[str, Any] = {
        "identifier": "com.example.acme",
        "uuid": uuid(2),
        "directory_url": "https://mdm.example.com/acme",
        "client_identifier": CHALLENGE,
        "key_type": KeyType.EC,
        "key_size": 384,
        "hardware_bound": True,
        "subject": subject_of(("CN", "device")),
    }
    return ACMEPayload(**(fields | changes))


def profile(*payloads: Any, **changes: Any) -> Profile:
    """A profile of these payloads; a SCEP payload where there are none."""
    fields: dict[str, Any] = {
        "identifier": "com.example.profile",
        "uuid": uuid(0),
        "payloads": payloads or (scep_payload(),),
    }
    return Profile(**(fields | changes))


def settings(challenge: str = CHALLENGE, **changes: Any) -> EnrollmentSettings:
    """An enrollment with a server and a CA of its own."""
    fields: dict[str, Any] = {
        "identifiers": identifiers_of("mdm.example.com"),
        "topic": TOPIC,
        "server_url": "https://mdm.example.com/mdm",
        "check_in_url": "https://mdm.example.com/checkin",
        "organization": "Example",
        "scep": SCEPSettings(url="https://mdm.example.com/scep", challenge=challenge),
    }
    return EnrollmentSettings(**(fields | changes))


def full_scep_payload() -> SCEPPayload:
    """A SCEP payload with every key."""
    return scep_payload(
        name="example.com",
        subject=(*subject_of(("C", "US"), ("1.2.5.3", "bar")), (("O", "Example"), ("OU", "IT"))),
        key_size=4096,
        key_usage=KeyUsage.SIGNING,
        ca_fingerprint=bytes(32),
        retries=5,
        retry_delay_seconds=0,
        subject_alt_name=SubjectAltName(
            rfc822_names=("a@example.com",),
            dns_names=("example.com",),
            uris=("https://example.com",),
            nt_principal_name="a",
        ),
        key_is_extractable=False,
        allow_all_apps_access=True,
    )


def full_payloads(der: bytes, pem: bytes) -> dict[str, Callable[[], Any]]:
    """A payload of each type with every key it has, by the type's name."""
    common = {"display_name": "a", "description": "b", "organization": "c"}
    return {
        "com.apple.mdm": lambda: mdm_payload(
            **common,
            check_in_url="https://mdm.example.com/checkin",
            sign_message=True,
            use_development_apns=False,
            assigned_managed_apple_id="a@example.com",
            enrollment_mode=EnrollmentMode.DEVICE,
            server_url_pinning_certificate_uuids=(uuid(3),),
            check_in_url_pinning_certificate_uuids=(uuid(3),),
            pinning_revocation_check_required=True,
            server_capabilities=tuple(ServerCapability),
            check_out_when_removed=True,
            required_app_id_for_mdm=891247102,
            prompt_user_to_allow_bootstrap_token_for_authentication=True,
        ),
        "com.apple.security.scep": full_scep_payload,
        "com.apple.security.acme": lambda: acme_payload(
            **common,
            subject_alt_name=SubjectAltName(
                rfc822_names=("a@example.com",), dns_names=("b",), uris=("c:d",), nt_principal_name="e"
            ),
            usage_flags=KeyUsage.SIGNING | KeyUsage.ENCRYPTION,
            extended_key_usage=("1.3.6.1.5.5.7.3.2",),
            attest=True,
            key_is_extractable=False,
            allow_all_apps_access=False,
        ),
        "com.apple.security.root": lambda: RootCertificatePayload(
            identifier="com.example.root", uuid=uuid(3), certificate=der, file_name="root.cer", **common
        ),
        "com.apple.security.pkcs1": lambda: PKCS1CertificatePayload(
            identifier="com.example.link", uuid=uuid(4), certificate=der, file_name="link.cer", **common
        ),
        "com.apple.security.pem": lambda: PEMCertificatePayload(
            identifier="com.example.pem", uuid=uuid(5), certificate=pem, file_name="link.pem", **common
        ),
        "com.apple.ManagedClient.preferences": lambda: ManagedPreferencesPayload(
            identifier="com.example.preferences",
            uuid=uuid(6),
            domains={"com.example.app": DomainPreferences(forced={"a": [1]}, set_once={"b": {"c": True}})},
            **common,
        ),
    }


def full_profile(*payloads: Any) -> Profile:
    """A profile with every key of the top level."""
    return profile(
        *payloads,
        display_name="a",
        description="b",
        organization="c",
        scope=PayloadScope.USER,
        removal_disallowed=True,
        has_removal_passcode=False,
        removal_date=datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        duration_until_removal_seconds=3600,
        expires_at=datetime(2031, 1, 1, tzinfo=UTC),
        target_device_type=TargetDeviceType.MAC,
        consent_text={"default": "Really?"},
    )
