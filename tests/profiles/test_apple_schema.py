"""Every key that is written stands in Apple's schema with its type, and no key of the schema is forgotten."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # PyYAML has no types
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from profiles import PayloadType, enrollment_profile, profile_plist
from profiles.payloads.payload import COMMON_KEYS, payload_plist
from tests.profiles.examples import SCHEMA, full_payloads, full_profile, mdm_payload, profile, scep_payload, settings

TYPES = {
    "<string>": str,
    "<integer>": int,
    "<real>": float,
    "<boolean>": bool,
    "<date>": datetime,
    "<data>": bytes,
    "<array>": list,
    "<dictionary>": dict,
}
# Left out on purpose: the older user enrollment excludes the account-driven one (a test of its own), and profiles
# are not encrypted.
NOT_IN_FULL_PAYLOADS = {"com.apple.mdm": {"ManagedAppleID"}, "TopLevel": {"IsEncrypted", "EncryptedPayloadContent"}}

pytestmark = pytest.mark.skipif(not SCHEMA.is_dir(), reason="Apple's schema is not on this machine")


def keys_of(name: str) -> list[dict[str, Any]]:
    """The key nodes of one file of the schema."""
    nodes: list[dict[str, Any]] = yaml.safe_load((SCHEMA / f"{name}.yaml").read_text())["payloadkeys"]
    return nodes


def faults(value: Any, node: dict[str, Any], path: str) -> Iterator[str]:
    """Where a value is not what its node of the schema says; an array's only subkey is the kind of its items."""
    kind = TYPES.get(node["type"])
    if kind is not None and type(value) is not kind:
        yield f"{path} is {type(value).__name__}, not {node['type']}"
    allowed = node.get("rangelist")
    if allowed is not None and value not in allowed:
        yield f"{path} is not one of {allowed}"
    if isinstance(value, dict) and node.get("subkeys"):
        yield from faults_of_keys(value, node["subkeys"], path)
    if isinstance(value, list) and node.get("subkeys"):
        for number, item in enumerate(value):
            yield from faults(item, node["subkeys"][0], f"{path}[{number}]")


def faults_of_keys(plist: dict[str, Any], nodes: list[dict[str, Any]], path: str) -> Iterator[str]:
    """Where a dictionary is not what its key nodes say."""
    if [node["key"] for node in nodes] == ["ConsentTextItem"]:
        nodes = nodes[0]["subkeys"]  # a label for the pair of language and text, which is not on the wire
    known = {node["key"]: node for node in nodes}
    for key, value in plist.items():
        node = known.get(key) or known.get("ANY")
        if node is None:
            yield f"{path}.{key} is not in the schema"
        else:
            yield from faults(value, node, f"{path}.{key}")
    for key, node in known.items():
        if node.get("presence") == "required" and key != "ANY" and key not in plist:
            yield f"{path}.{key} is missing"


def faults_of_payload(plist: dict[str, Any]) -> list[str]:
    """Where a payload is not what Apple says of all payloads and of its type."""
    name = plist["PayloadType"]
    return list(faults_of_keys(plist, keys_of("CommonPayloadKeys") + keys_of(name), name))


@pytest.fixture
def plists(root_der: bytes) -> dict[str, dict[str, Any]]:
    """A payload of each type with all its keys, as it is sent."""
    pem = load_der_x509_certificate(root_der).public_bytes(Encoding.PEM)
    return {name: payload_plist(make()) for name, make in full_payloads(root_der, pem).items()}


def test_every_key_of_every_payload_is_in_the_schema_with_its_type(plists: dict[str, dict[str, Any]]) -> None:
    found = [fault for plist in plists.values() for fault in faults_of_payload(plist)]

    assert not found, "\n".join(found)


def test_every_type_that_can_be_made_is_checked(plists: dict[str, dict[str, Any]]) -> None:
    assert set(plists) == set(PayloadType) - {PayloadType.PKCS12}


def test_every_key_that_the_schema_has_can_be_written(plists: dict[str, dict[str, Any]]) -> None:
    missing = {}
    for name, plist in plists.items():
        written = plist["PayloadContent"] if name == PayloadType.SCEP else plist
        nodes = keys_of(name)[0]["subkeys"] if name == PayloadType.SCEP else keys_of(name)
        forgotten = {node["key"] for node in nodes} - set(written) - NOT_IN_FULL_PAYLOADS.get(name, set())
        if forgotten:
            missing[name] = forgotten

    assert not missing


def test_the_payload_of_the_older_user_enrollment_is_in_the_schema() -> None:
    plist = payload_plist(mdm_payload(managed_apple_id="a@example.com", access_rights=None))

    assert plist["ManagedAppleID"] == "a@example.com"
    assert not faults_of_payload(plist)


def test_the_top_level_is_in_the_schema_and_complete() -> None:
    plist = profile_plist(full_profile())

    assert not list(faults_of_keys(plist, keys_of("TopLevel"), "TopLevel"))
    assert {node["key"] for node in keys_of("TopLevel")} - set(plist) == NOT_IN_FULL_PAYLOADS["TopLevel"]


def test_the_common_keys_are_those_of_the_schema() -> None:
    assert {node["key"] for node in keys_of("CommonPayloadKeys")} == COMMON_KEYS


def test_an_enrollment_profile_is_in_the_schema(root_der: bytes) -> None:
    plist = profile_plist(enrollment_profile(settings(trusted_certificates=(root_der,))))

    found = list(faults_of_keys(plist, keys_of("TopLevel"), "TopLevel"))
    found += [fault for payload in plist["PayloadContent"] for fault in faults_of_payload(payload)]

    assert not found, "\n".join(found)
    assert len(plist["PayloadContent"]) == 3


def test_the_comparison_finds_what_is_wrong() -> None:
    plist = profile_plist(profile(scep_payload()))["PayloadContent"][0]
    plist["PayloadContent"] |= {"KeyType": "RSA", "Keysize": 2047, "Retries": "3"}
    del plist["PayloadContent"]["URL"]

    found = "\n".join(faults_of_payload(plist))

    assert "KeyType is not in the schema" in found
    assert "Keysize is not one of" in found
    assert "Retries is str" in found
    assert "URL is missing" in found
