"""Send commands over the API: as JSON, or as the plist that another tool wrote."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from mdmserver.access.model import Scope
from mdmserver.commands.enqueue import MAXIMUM_REFERENCES
from mdmserver.commands.request import CommandRequest
from mdmserver.config import MIB
from mdmserver.errors import Invalid
from mdmserver.protocol import EnrollmentType
from mdmserver.web.api.plist_json import from_json
from mdmserver.web.api.targets import Target
from mdmserver.web.endpoint import decode_json
from mdmserver.web.errors import NothingQueued, UnsupportedMedia
from mdmserver.web.routes import AnyRoute, Call, Content, Incoming, Outgoing, Route, Surface

PLIST_MEDIA_TYPES = ("application/xml", "text/xml", "application/x-plist")
_DEVICE_CHANNELS = (EnrollmentType.DEVICE, EnrollmentType.USER_ENROLLMENT_DEVICE)

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Delivery(Incoming, frozen=True):
    """To whom and when. `targets` are external enrollment ids; `types` go with `everyone`."""

    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAXIMUM_REFERENCES)] = ()
    everyone: bool = False
    types: tuple[EnrollmentType, ...] = ()
    not_before: Instant | None = None
    expires_at: Instant | None = None
    priority: int = 0


class NewCommand(Delivery, frozen=True):
    """A command: either its Command dictionary (`{"RequestType": …}`) or a whole plist in base64."""

    command: dict[str, Any] | None = None
    plist: bytes | None = None


class PlistDelivery(Incoming, frozen=True):
    """The same for a command whose body is the plist itself; `target` and `type` may be given repeatedly."""

    target: tuple[Target, ...] = ()
    everyone: bool = False
    type: tuple[EnrollmentType, ...] = ()
    not_before: Instant | None = None
    expires_at: Instant | None = None
    priority: int = 0


class Queued(Outgoing, frozen=True, omit_defaults=True):
    """What came of it; `refused` maps a target to a code.

    The rest is of destructive commands: from when to when they may go, and a PIN that was made, shown this once.
    """

    uuid: str
    request_type: str
    queued: int
    refused: dict[str, str]
    not_before: datetime | None = None
    expires_at: datetime | None = None
    pin: str | None = None


async def send_command(call: Call[PlistDelivery, Content]) -> Queued:
    """Queue a command, given as JSON or as a plist."""
    delivery, request = _from_json(call) if call.body.media_type == "application/json" else _from_plist(call)
    if bool(delivery.targets) == delivery.everyone:
        raise Invalid("name either targets or everyone", code="invalid_targets")
    if delivery.types and not delivery.everyone:
        raise Invalid("types go with everyone; targets are named by their ids", code="invalid_targets")
    if delivery.everyone:
        types = frozenset(delivery.types or _DEVICE_CHANNELS)
        enqueued = await call.services.commands.enqueue_for_everyone(request, types=types, actor=call.actor)
    else:
        enqueued = await call.services.commands.enqueue(request, delivery.targets, actor=call.actor)
        if not enqueued.queued:
            raise NothingQueued(enqueued.refused)
    return Queued(
        uuid=enqueued.uuid,
        request_type=enqueued.request_type,
        queued=enqueued.queued,
        refused=enqueued.refused,
        not_before=enqueued.not_before,
        expires_at=enqueued.expires_at,
        pin=None if enqueued.pin is None else enqueued.pin.reveal(),
    )


def _from_json(call: Call[PlistDelivery, Content]) -> tuple[Delivery, CommandRequest]:
    if call.query != PlistDelivery():
        raise Invalid("with a JSON body everything stands in the body", code="invalid_query")
    new = decode_json(call.body.body, NewCommand)
    payload = None
    if new.command is not None:
        payload = {name: from_json(value) for name, value in new.command.items()}
    return new, _request(call, new, plist=new.plist, payload=payload)


def _from_plist(call: Call[PlistDelivery, Content]) -> tuple[Delivery, CommandRequest]:
    if call.body.media_type not in PLIST_MEDIA_TYPES:
        raise UnsupportedMedia(
            f"send application/json or a plist as {', '.join(PLIST_MEDIA_TYPES)}, not {call.body.media_type}"
        )
    query = call.query
    delivery = Delivery(
        targets=query.target,
        everyone=query.everyone,
        types=query.type,
        not_before=query.not_before,
        expires_at=query.expires_at,
        priority=query.priority,
    )
    return delivery, _request(call, delivery, plist=call.body.body, payload=None)


def _request(
    call: Call[PlistDelivery, Content], delivery: Delivery, *, plist: bytes | None, payload: dict[str, Any] | None
) -> CommandRequest:
    return CommandRequest(
        plist=plist,
        payload=payload,
        idempotency_key=call.idempotency_key,
        not_before=delivery.not_before,
        expires_at=delivery.expires_at,
        priority=delivery.priority,
        may_destroy=call.may_destroy,
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="POST", path="/api/v1/commands", scope=Scope.COMMANDS_SEND, surface=Surface.API,
        summary="Send a command", handler=send_command,
        query=PlistDelivery, body=Content, response=Queued, status=201, body_limit=16 * MIB,
        media_types={"application/json": NewCommand, **dict.fromkeys(PLIST_MEDIA_TYPES)},
    ),
]  # fmt: skip
