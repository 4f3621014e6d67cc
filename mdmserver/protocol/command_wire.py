"""Commands and reports, from bytes and to bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdmserver.protocol.command import Command, CommandReport, CommandUUID, ErrorItem, Status
from mdmserver.protocol.enrollment_id import EnrollmentID, enrollment_id_of, identity_keys
from mdmserver.protocol.errors import MessageMalformed
from mdmserver.protocol.message_fields import (
    LONGEST_STRING,
    optional_flag,
    optional_text,
    required_text,
    without_absent,
)
from mdmserver.protocol.plist import loads
from mdmserver.protocol.plist_writer import dumps

LONGEST_COMMAND_NAME = 255
LONGEST_ERROR_CHAIN = 100


def parse_report(body: bytes) -> CommandReport:
    """The report in an XML body; raises what `loads` and `parse_report_plist` raise."""
    return parse_report_plist(loads(body))


def parse_report_plist(plist: Mapping[str, Any]) -> CommandReport:
    """The report in a plist; MessageMalformed without a known Status, an id, or (Idle apart) a CommandUUID."""
    try:
        status = Status(required_text(plist, "Status"))
    except ValueError as error:
        raise MessageMalformed("the Status is not known") from error
    if status is Status.IDLE:
        command_uuid = optional_text(plist, "CommandUUID") or None
    else:
        command_uuid = required_text(plist, "CommandUUID")
    return CommandReport(
        enrollment_id=enrollment_id_of(plist),
        status=status,
        command_uuid=None if command_uuid is None else CommandUUID(command_uuid),
        request_type=optional_text(plist, "RequestType"),
        error_chain=_error_chain(plist.get("ErrorChain")),
        not_on_console=optional_flag(plist, "NotOnConsole"),
        user_short_name=optional_text(plist, "UserShortName"),
        user_long_name=optional_text(plist, "UserLongName"),
        plist=plist,
    )


def report_from_root(strings: Mapping[str, str]) -> CommandReport:
    """The report of a body of which only the root strings were read (`scan_root_strings`): no error chain."""
    return parse_report_plist(strings)


def encode_report(
    *,
    enrollment_id: EnrollmentID,
    status: Status,
    command_uuid: CommandUUID | None = None,
    error_chain: Sequence[ErrorItem] = (),
    response: Mapping[str, Any] | None = None,
) -> bytes:
    """The XML body of a report; `response` is what is particular to the command, next to the common keys."""
    keys = {
        **(response or {}),
        "Status": status,
        "CommandUUID": command_uuid,
        "ErrorChain": [_error_keys(item) for item in error_chain] or None,
    }
    return dumps(without_absent(keys | identity_keys(enrollment_id)))


def parse_command(body: bytes) -> Command:
    """The command in a plist that somebody gave us, with its bytes as they are.

    MessageMalformed without a CommandUUID and a RequestType of 1 to 255 characters each."""
    uuid, payload = parse_command_payload(body)
    return Command(uuid=uuid, request_type=payload["RequestType"], body=body)


def build_command(uuid: CommandUUID, command: Mapping[str, Any]) -> Command:
    """A command from its `Command` dictionary; raises as `parse_command`, PlistMalformed for what no plist holds."""
    _command_name({"CommandUUID": uuid}, "CommandUUID")
    request_type = _command_name(command, "RequestType")
    return Command(uuid=uuid, request_type=request_type, body=dumps({"Command": command, "CommandUUID": uuid}))


def parse_command_payload(body: bytes) -> tuple[CommandUUID, dict[str, Any]]:
    """What a device reads: the CommandUUID and the `Command` dictionary; raises as `parse_command`."""
    plist = loads(body)
    command = plist.get("Command")
    if not isinstance(command, dict):
        raise MessageMalformed("Command is missing or not a dictionary")
    _command_name(command, "RequestType")
    return CommandUUID(_command_name(plist, "CommandUUID")), command


def _command_name(plist: Mapping[str, Any], key: str) -> str:
    name = required_text(plist, key)
    if len(name) > LONGEST_COMMAND_NAME:
        raise MessageMalformed(f"{key} has more than {LONGEST_COMMAND_NAME} characters")
    return name


def _error_chain(chain: Any) -> tuple[ErrorItem, ...]:
    if not isinstance(chain, list):
        return ()
    return tuple(_error_item(item) for item in chain[:LONGEST_ERROR_CHAIN] if isinstance(item, dict))


def _error_item(item: Mapping[str, Any]) -> ErrorItem:
    code = item.get("ErrorCode")
    return ErrorItem(
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        domain=_shortened(item.get("ErrorDomain")),
        localized_description=_shortened(item.get("LocalizedDescription")),
        us_english_description=_shortened(item.get("USEnglishDescription")),
    )


def _shortened(text: Any) -> str | None:
    return text[:LONGEST_STRING] if isinstance(text, str) else None


def _error_keys(item: ErrorItem) -> dict[str, Any]:
    return without_absent(
        {
            "ErrorCode": item.code,
            "ErrorDomain": item.domain,
            "LocalizedDescription": item.localized_description,
            "USEnglishDescription": item.us_english_description,
        }
    )
