"""What a caller asks to be sent, checked and turned into the command that is stored. Pure.

A raw plist keeps its bytes and its CommandUUID; a payload (the `Command` dictionary alone) gets a CommandUUID and is
written by us, once, so that every target and every delivery gets the same bytes. Neither holds for a ClearPasscode
that brings no UnlockToken: it is rendered for each device.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mdmserver.commands.destructive import CLEAR_PASSCODE, takes_a_new_pin
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
from mdmserver.secret import Secret

_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """Either `plist` (a whole command as another tool wrote it) or `payload` (its Command dictionary).

    `may_destroy` says that the caller has the scope for destructive commands.
    """

    plist: bytes | None = field(default=None, repr=False)
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0
    may_destroy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The command to store, and the PIN that was made for it, if one was: nobody sees it a second time."""

    command: NewCommand
    pin: Secret[str] | None = None


def compose(
    request: CommandRequest,
    *,
    new_uuid: Callable[[], str],
    at: datetime,
    enrollment_profile_identifier: str | None = None,
    new_pin: Callable[[], str] | None = None,
) -> Composed:
    """The command to store. Raises Invalid for what cannot be right and ScopeMissing for what the caller may not send.

    Among the latter is removing the profile of that identifier: it ends management. `new_pin` None makes no PIN.
    """
    _check_options(request, at)
    command, content = _command_of(request, new_uuid)
    destroys = _is_destructive(command, enrollment_profile_identifier)
    if destroys and not request.may_destroy:
        raise ScopeMissing(f"{command.request_type} is a destructive command: it needs the scope commands:destroy")
    pin = None
    if destroys and request.payload is not None and takes_a_new_pin(request.payload) and new_pin is not None:
        pin = Secret(new_pin())
        command = build_command(command.uuid, {**request.payload, "PIN": pin.reveal()})
    new = NewCommand(
        uuid=command.uuid,
        request_type=command.request_type,
        body=command.body,
        content_hash=hashlib.sha256(content).digest(),
        idempotency_key=request.idempotency_key,
        not_before=request.not_before,
        expires_at=request.expires_at,
        priority=request.priority,
        is_destructive=destroys,
    )
    return Composed(command=_referring(new), pin=pin)


def _is_destructive(command: Command, enrollment_profile_identifier: str | None) -> bool:
    if command.request_type != "RemoveProfile":
        return is_destructive(command.request_type)
    _, payload = parse_command_payload(command.body)
    return enrollment_profile_identifier is not None and is_destructive(
        command.request_type, payload, enrollment_profile_identifier=enrollment_profile_identifier
    )


def _referring(command: NewCommand) -> NewCommand:
    """A ClearPasscode without UnlockToken stores none: its renderer takes the one that the device sent (S25)."""
    if command.request_type != "ClearPasscode" or "UnlockToken" in parse_command_payload(command.body)[1]:
        return command
    return replace(command, body=b"", renderer=CLEAR_PASSCODE)


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
