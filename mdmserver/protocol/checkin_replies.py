"""What a check-in is answered with where the answer is a plist, and the same read by a device."""

from dataclasses import dataclass, field
from typing import Any

from mdmserver.protocol.errors import MessageMalformed
from mdmserver.protocol.message_fields import optional_bytes, optional_flag, without_absent
from mdmserver.protocol.plist import loads
from mdmserver.protocol.plist_writer import dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnToServiceReply:
    """How an erased device enrolls again; without a bootstrap token it erases everything.

    `mdm_profile` is needed where the enrollment profile names a configuration_web_url."""

    enabled: bool
    wifi_profile: bytes | None = field(default=None, repr=False)
    mdm_profile: bytes | None = field(default=None, repr=False)
    bootstrap_token: bytes | None = field(default=None, repr=False)
    should_retry_enrollment: bool | None = None
    preserve_data_plan: bool | None = None


def encode_digest_challenge(challenge: str = "") -> bytes:
    """The answer to the first UserAuthenticate; an empty challenge says that no AuthToken is needed."""
    return dumps({"DigestChallenge": challenge})


def parse_digest_challenge(body: bytes) -> str:
    """The challenge; MessageMalformed without one."""
    return _text(body, "DigestChallenge")


def encode_auth_token(token: str) -> bytes:
    """The answer to the second UserAuthenticate; an empty token says that the password was wrong."""
    return dumps({"AuthToken": token})


def parse_auth_token(body: bytes) -> str:
    """The AuthToken; MessageMalformed without one."""
    return _text(body, "AuthToken")


def encode_bootstrap_token(token: bytes) -> bytes:
    """The answer to GetBootstrapToken where one is stored; otherwise the body is empty."""
    return dumps({"BootstrapToken": token})


def parse_bootstrap_token(body: bytes) -> bytes | None:
    """The escrowed token, None where the server has none."""
    return optional_bytes(loads(body), "BootstrapToken") if body else None


def encode_token_data(token: bytes) -> bytes:
    """The answer to GetToken."""
    return dumps({"TokenData": token})


def parse_token_data(body: bytes) -> bytes:
    """The token of a GetToken answer; MessageMalformed without one."""
    token = optional_bytes(loads(body), "TokenData")
    if token is None:
        raise MessageMalformed("TokenData is missing or empty")
    return token


def encode_return_to_service(reply: ReturnToServiceReply = ReturnToServiceReply(enabled=False)) -> bytes:
    """The answer to ReturnToService."""
    settings = without_absent(
        {
            "Enabled": reply.enabled,
            "WiFiProfileData": reply.wifi_profile,
            "MDMProfileData": reply.mdm_profile,
            "BootstrapToken": reply.bootstrap_token,
            "ShouldRetryEnrollment": reply.should_retry_enrollment,
        }
    )
    return dumps(without_absent({"ReturnToService": settings, "PreserveDataPlan": reply.preserve_data_plan}))


def parse_return_to_service(body: bytes) -> ReturnToServiceReply:
    """The settings; MessageMalformed without ReturnToService and its Enabled."""
    plist = loads(body)
    settings: Any = plist.get("ReturnToService")
    enabled = optional_flag(settings, "Enabled") if isinstance(settings, dict) else None
    if enabled is None:
        raise MessageMalformed("ReturnToService or its Enabled is missing")
    return ReturnToServiceReply(
        enabled=enabled,
        wifi_profile=optional_bytes(settings, "WiFiProfileData"),
        mdm_profile=optional_bytes(settings, "MDMProfileData"),
        bootstrap_token=optional_bytes(settings, "BootstrapToken"),
        should_retry_enrollment=optional_flag(settings, "ShouldRetryEnrollment"),
        preserve_data_plan=optional_flag(plist, "PreserveDataPlan"),
    )


def _text(body: bytes, key: str) -> str:
    value = loads(body).get(key)
    if not isinstance(value, str):
        raise MessageMalformed(f"{key} is missing")
    return value
