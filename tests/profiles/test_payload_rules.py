"""Every rule of a payload: what breaks it is refused, naming the key."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from certs import dump_private_key, generate_ec
from profiles import (
    AccessRights,
    EnrollmentMode,
    KeyInvalid,
    KeyType,
    KeyUsage,
    PayloadRefused,
    PEMCertificatePayload,
    PKCS1CertificatePayload,
    RootCertificatePayload,
    ServerCapability,
    SubjectAltName,
    subject_of,
)
from profiles.payloads.payload import payload_plist
from tests.profiles.examples import acme_payload, mdm_payload, scep_payload, uuid

BYOD = {"enrollment_mode": EnrollmentMode.USER, "assigned_managed_apple_id": "a@example.com"}
ADDE = BYOD | {"enrollment_mode": EnrollmentMode.DEVICE}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"identifier": ""}, "PayloadIdentifier"),
        ({"identifier": "com example"}, "PayloadIdentifier"),
        ({"identifier": "com.example\n"}, "PayloadIdentifier"),
        ({"uuid": "not-a-uuid"}, "PayloadUUID"),
        ({"uuid": uuid(1) + "\n"}, "PayloadUUID"),
        ({"identity_certificate_uuid": ""}, "IdentityCertificateUUID"),
        ({"topic": "com.example.push"}, "Topic"),
        ({"topic": "", "topic_is_placeholder": True}, "Topic"),
        ({"server_url": "http://mdm.example.com/mdm"}, "ServerURL"),
        ({"server_url": "http://localhost.example.com/mdm"}, "ServerURL"),
        ({"server_url": "https:///mdm"}, "ServerURL"),
        ({"server_url": "https://user:password@mdm.example.com/"}, "ServerURL"),
        ({"server_url": "https://mdm.example.com/#a"}, "ServerURL"),
        ({"server_url": "https://mdm.example.com:0/"}, "ServerURL"),
        ({"server_url": "https://mdm.example.com:x/"}, "ServerURL"),
        ({"server_url": "https://[::1/"}, "ServerURL"),
        ({"server_url": "https://mdm.example.com/a b"}, "ServerURL"),
        ({"server_url": "https://mdm.example.com/\n"}, "ServerURL"),
        ({"check_in_url": "ftp://mdm.example.com/"}, "CheckInURL"),
        ({"server_capabilities": (ServerCapability.GET_TOKEN,) * 2}, "ServerCapabilities"),
        ({"access_rights": AccessRights(0)}, "AccessRights"),
        ({"access_rights": AccessRights(8192)}, "AccessRights"),
        ({"access_rights": AccessRights(2)}, "AccessRights"),
        ({"access_rights": AccessRights(8191 - 1)}, "AccessRights"),
        ({"access_rights": AccessRights(128)}, "AccessRights"),
        (BYOD, "AccessRights"),
        ({"enrollment_mode": EnrollmentMode.DEVICE}, "AssignedManagedAppleID"),
        ({"assigned_managed_apple_id": "a@example.com"}, "AssignedManagedAppleID"),
        (ADDE | {"managed_apple_id": "a@example.com"}, "ManagedAppleID"),
        ({"required_app_id_for_mdm": 1}, "RequiredAppIDForMDM"),
        (ADDE | {"required_app_id_for_mdm": 0}, "RequiredAppIDForMDM"),
    ],
)
def test_an_mdm_payload_that_devices_would_refuse_is_not_made(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        mdm_payload(**changes)

    assert raised.value.key == key
    assert raised.value.code == "profile_key_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        BYOD | {"access_rights": None},
        ADDE,
        ADDE | {"required_app_id_for_mdm": 1},
        {"managed_apple_id": "a@example.com", "access_rights": None},
        {"access_rights": AccessRights(3)},
        {"access_rights": AccessRights(64 | 128)},
        {"topic": "not-yet-known", "topic_is_placeholder": True},
        {"server_url": "http://127.0.0.1:8080/mdm"},
        {"server_url": "http://[::1]:8080/mdm"},
        {"server_url": "http://localhost/mdm"},
        {"server_url": "https://192.0.2.7:8443/mdm?a=b"},
    ],
)
def test_an_mdm_payload_that_devices_take_is_made(changes: dict[str, Any]) -> None:
    assert payload_plist(mdm_payload(**changes))["PayloadType"] == "com.apple.mdm"


def test_the_placeholder_of_a_topic_is_no_key() -> None:
    plain = payload_plist(mdm_payload())

    assert payload_plist(mdm_payload(topic_is_placeholder=True)) == plain
    assert mdm_payload(topic_is_placeholder=True) == mdm_payload()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"url": "mdm.example.com/scep"}, "PayloadContent.URL"),
        ({"url": "ftp://mdm.example.com/scep"}, "PayloadContent.URL"),
        ({"key_size": 3072}, "PayloadContent.Keysize"),
        ({"key_usage": KeyUsage(2)}, "PayloadContent.Key Usage"),
        ({"key_usage": KeyUsage(8)}, "PayloadContent.Key Usage"),
        ({"ca_fingerprint": bytes(16)}, "PayloadContent.CAFingerprint"),
        ({"retries": -1}, "PayloadContent.Retries"),
        ({"retry_delay_seconds": -1}, "PayloadContent.RetryDelay"),
        ({"subject": subject_of(("DC", "example"))}, "PayloadContent.Subject"),
        ({"subject": subject_of(("1.2.x", "example"))}, "PayloadContent.Subject"),
        ({"subject": ((),)}, "PayloadContent.Subject"),
    ],
)
def test_a_scep_payload_that_devices_would_refuse_is_not_made(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        scep_payload(**changes)

    assert raised.value.key == key


def test_scep_keys_have_their_names_with_a_space_and_the_subject_its_three_arrays() -> None:
    subject = (*subject_of(("C", "US")), (("CN", "device"), ("1.2.5.3", "bar")))

    content = payload_plist(scep_payload(subject=subject, key_usage=KeyUsage.SIGNING | KeyUsage.ENCRYPTION))[
        "PayloadContent"
    ]

    assert content["Key Type"] == "RSA"
    assert content["Key Usage"] == 5
    assert content["Subject"] == [[["C", "US"]], [["CN", "device"], ["1.2.5.3", "bar"]]]


def test_one_alternative_name_is_a_string_and_several_are_an_array() -> None:
    names = SubjectAltName(dns_names=("a.example",), rfc822_names=("a@example.com", "b@example.com"))

    content = payload_plist(scep_payload(subject_alt_name=names))["PayloadContent"]

    assert content["SubjectAltName"] == {"dNSName": "a.example", "rfc822Name": ["a@example.com", "b@example.com"]}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"directory_url": "http://mdm.example.com/acme"}, "DirectoryURL"),
        ({"key_type": KeyType.RSA, "key_size": 2048}, "HardwareBound"),
        ({"key_size": 521}, "KeySize"),
        ({"hardware_bound": False, "attest": True}, "Attest"),
        ({"hardware_bound": False, "key_size": 255}, "KeySize"),
        ({"hardware_bound": False, "key_type": KeyType.RSA, "key_size": 2047}, "KeySize"),
        ({"hardware_bound": False, "key_type": KeyType.RSA, "key_size": 8192}, "KeySize"),
        ({"subject": subject_of(("X", "a"))}, "Subject"),
    ],
)
def test_an_acme_payload_that_devices_would_refuse_is_not_made(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        acme_payload(**changes)

    assert raised.value.key == key


@pytest.mark.parametrize(
    "changes",
    [
        {"attest": True},
        {"hardware_bound": False, "key_size": 521},
        {"hardware_bound": False, "key_type": KeyType.RSA, "key_size": 3072},
        {"subject": ()},
    ],
)
def test_an_acme_payload_that_devices_take_is_made(changes: dict[str, Any]) -> None:
    assert isinstance(payload_plist(acme_payload(**changes))["Subject"], list)


@pytest.mark.parametrize("kind", [RootCertificatePayload, PKCS1CertificatePayload, PEMCertificatePayload])
@pytest.mark.parametrize("garbage", [b"", b"not a certificate", b"\x30\x03\x02\x01\x00"])
def test_a_certificate_payload_holds_a_certificate(kind: Any, garbage: bytes) -> None:
    with pytest.raises(KeyInvalid) as raised:
        kind(identifier="a", uuid=uuid(1), certificate=garbage)

    assert raised.value.key == "PayloadContent"


def test_pem_and_der_are_not_taken_for_each_other(root_der: bytes) -> None:
    pem = load_der_x509_certificate(root_der).public_bytes(Encoding.PEM)

    for kind, wrong in ((RootCertificatePayload, pem), (PEMCertificatePayload, root_der)):
        with pytest.raises(KeyInvalid):
            kind(identifier="a", uuid=uuid(1), certificate=wrong)


def test_a_pem_payload_holds_one_certificate_and_no_private_key(root_der: bytes) -> None:
    pem = load_der_x509_certificate(root_der).public_bytes(Encoding.PEM)

    with pytest.raises(KeyInvalid):
        PEMCertificatePayload(identifier="a", uuid=uuid(1), certificate=pem + pem)
    with pytest.raises(PayloadRefused):
        PEMCertificatePayload(identifier="a", uuid=uuid(1), certificate=pem + dump_private_key(generate_ec()))
