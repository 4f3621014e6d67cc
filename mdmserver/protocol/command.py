"""Commands to devices and the reports that come back (protocol.md 2). The queue between them is `commands`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from mdmserver.protocol.enrollment_id import EnrollmentID

CommandUUID = NewType("CommandUUID", str)


class Status(StrEnum):
    """What a device says about the command that it names; Idle names none."""

    IDLE = "Idle"
    ACKNOWLEDGED = "Acknowledged"
    ERROR = "Error"
    COMMAND_FORMAT_ERROR = "CommandFormatError"
    NOT_NOW = "NotNow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorItem:
    """One link of an ErrorChain; for people, as neither codes nor texts are stable between releases."""

    code: int | None = None
    domain: str | None = None
    localized_description: str | None = None
    us_english_description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReport:
    """What a device sent to the command endpoint.

    `command_uuid` is None only for Idle. `error_chain` begins with the error on top. `plist` is the whole message
    with what is particular to the command; of a scanned body it holds the root strings alone.
    """

    enrollment_id: EnrollmentID
    status: Status
    command_uuid: CommandUUID | None = None
    request_type: str | None = None
    error_chain: tuple[ErrorItem, ...] = ()
    not_on_console: bool | None = None
    user_short_name: str | None = None
    user_long_name: str | None = None
    plist: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command ready to be sent; `body` is what reaches the device, byte for byte, and may hold secrets."""

    uuid: CommandUUID
    request_type: str
    body: bytes = field(repr=False)
