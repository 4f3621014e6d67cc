"""The check-in messages as values (protocol.md 1.2). `checkin_parse` reads them from plists, `checkin_encode`
writes them, `checkin_replies` has the answers.

None means that the device did not send the key, unless a field says otherwise. Secrets are not in the `repr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mdmserver.protocol.declarative_endpoint import DeclarativeEndpoint
from mdmserver.protocol.enrollment_id import EnrollmentID


class MessageType(StrEnum):
    """The value of a check-in's MessageType."""

    AUTHENTICATE = "Authenticate"
    TOKEN_UPDATE = "TokenUpdate"
    CHECK_OUT = "CheckOut"
    USER_AUTHENTICATE = "UserAuthenticate"
    SET_BOOTSTRAP_TOKEN = "SetBootstrapToken"
    GET_BOOTSTRAP_TOKEN = "GetBootstrapToken"
    DECLARATIVE_MANAGEMENT = "DeclarativeManagement"
    GET_TOKEN = "GetToken"
    RETURN_TO_SERVICE = "ReturnToService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """A device begins to enroll, or renews; device channel only. It is enrolled after its TokenUpdate."""

    enrollment_id: EnrollmentID
    topic: str
    device_name: str | None = None
    model: str | None = None
    model_name: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    product_name: str | None = None
    serial_number: str | None = None
    imei: str | None = None
    meid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUpdate:
    """How to wake this channel.

    `token` is None where the device sent one that cannot be used (no base64, empty, over 1 KiB): the enrollment
    stays, and is not pushed until a good one comes. `unlock_token` None does not invalidate an earlier one, and
    `awaiting_configuration` None leaves that state as it was.
    """

    enrollment_id: EnrollmentID
    topic: str
    push_magic: str = field(repr=False)
    token: bytes | None = field(repr=False)
    unlock_token: bytes | None = field(default=None, repr=False)
    awaiting_configuration: bool | None = None
    not_on_console: bool | None = None
    user_short_name: str | None = None
    user_long_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOut:
    """The enrollment profile is gone; sent once, and nobody may rely on it."""

    enrollment_id: EnrollmentID
    topic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAuthenticate:
    """A network user logs in to a Mac; the first message has no `digest_response`, the second has one."""

    enrollment_id: EnrollmentID
    user_short_name: str | None = None
    user_long_name: str | None = None
    digest_response: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBootstrapToken:
    """Escrow this token; None means: delete the one that is stored."""

    enrollment_id: EnrollmentID
    bootstrap_token: bytes | None = field(repr=False)
    awaiting_configuration: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBootstrapToken:
    """Hand the escrowed token back."""

    enrollment_id: EnrollmentID
    awaiting_configuration: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclarativeManagement:
    """A request of declarative management; `data` is JSON, with status reports only."""

    enrollment_id: EnrollmentID
    endpoint: DeclarativeEndpoint
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetToken:
    """A token for a service of Apple's; `token_parameters` are the strings that came with the request."""

    enrollment_id: EnrollmentID
    token_service_type: str
    token_parameters: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnToService:
    """An erased device asks how it is to enroll again."""

    enrollment_id: EnrollmentID


CheckinMessage = (
    Authenticate
    | TokenUpdate
    | CheckOut
    | UserAuthenticate
    | SetBootstrapToken
    | GetBootstrapToken
    | DeclarativeManagement
    | GetToken
    | ReturnToService
)


def is_checkin(plist: Mapping[str, Any]) -> bool:
    """Whether this is a check-in message and not a report to the command endpoint."""
    return "MessageType" in plist
