"""What a caller asks to be sent, checked and turned into the command that is stored. Pure.

A raw plist keeps its bytes and its CommandUUID; a payload (the `Command` dictionary alone) gets a CommandUUID and is
written by us, once, so that every target and every delivery gets the same bytes.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mdmserver.commands.model import MAXIMUM_PRIORITY, NewCommand
from mdmserver.errors import Invalid, ScopeMissing
from mdmserver.protocol import (
    Command,
    CommandUUID,
    ProtocolError,
    build_command,
    is_destructive,
    parse_command,
    parse_command_payload,
)

_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """Either `plist` (a whole command as another tool wrote it) or `payload` (its Command dictionary)."""

    plist: bytes | None = field(default=None, repr=False)
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0


def compose(
    request: CommandRequest,
    *,
    new_uuid: Callable[[], str],
    at: datetime,
    enrollment_profile_identifier: str | None = None,
) -> NewCommand:
    """The command to store. Raises Invalid for what cannot be right and ScopeMissing for what is not offered.

    Among the latter is removing the profile of that identifier: it ends management.
    """
    _check_options(request, at)
    command, content = _command_of(request, new_uuid)
    if _is_refused(command, enrollment_profile_identifier):
        raise ScopeMissing(
            f"{command.request_type} is not offered: destructive commands need a scope and a cap that this server does "
            "not have yet",
            code="destructive_command_refused",
        )
    return NewCommand(
        uuid=command.uuid,
        request_type=command.request_type,
        body=command.body,
        content_hash=hashlib.sha256(content).digest(),
        idempotency_key=request.idempotency_key,
        not_before=request.not_before,
        expires_at=request.expires_at,
        priority=request.priority,
    )


def _is_refused(command: Command, enrollment_profile_identifier: str | None) -> bool:
    if command.request_type != "RemoveProfile":
        return is_destructive(command.request_type)
    _, payload = parse_command_payload(command.body)
    return enrollment_profile_identifier is not None and is_destructive(
        command.request_type, payload, enrollment_profile_identifier=enrollment_profile_identifier
    )


def _command_of(request: CommandRequest, new_uuid: Callable[[], str]) -> tuple[Command, bytes]:
    try:
        if request.plist is not None and request.payload is None:
            command = parse_command(request.plist)
            return command, command.body
        if request.payload is not None and request.plist is None:
            command = build_command(CommandUUID(new_uuid()), request.payload)
            # The same payload again gets another CommandUUID, and is still the same content.
            return command, command.body.replace(command.uuid.encode(), b"", 1)
    except ProtocolError as error:
        raise Invalid(f"the command cannot be sent: {error}", code="invalid_command") from error
    raise Invalid("give either a whole plist or a Command dictionary", code="invalid_command")


def _check_options(request: CommandRequest, at: datetime) -> None:
    if not -MAXIMUM_PRIORITY <= request.priority <= MAXIMUM_PRIORITY:
        raise Invalid(f"priority lies between -{MAXIMUM_PRIORITY} and {MAXIMUM_PRIORITY}", code="invalid_priority")
    if request.expires_at is not None and request.expires_at <= max(at, request.not_before or at):
        raise Invalid("expires_at must lie in the future and after not_before", code="invalid_expiry")
    key = request.idempotency_key
    if key is not None and not (0 < len(key) <= _KEY_LENGTH and key.isprintable()):
        raise Invalid(f"an idempotency key has 1 to {_KEY_LENGTH} printable characters", code="invalid_idempotency_key")
