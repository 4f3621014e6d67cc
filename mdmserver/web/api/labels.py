"""Tags and groups over the API: a tag is put on a device, a group is given its members."""

from typing import Annotated

import msgspec

from mdmserver.access.model import Scope
from mdmserver.assignments.model import ScopeKind
from mdmserver.assignments.service import MOST_MEMBERS
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import Invalid, NotFound
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.api.targets import Target
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface

Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]
Members = Annotated[tuple[Target, ...], msgspec.Meta(max_length=MOST_MEMBERS)]


class LabelView(Outgoing, frozen=True):
    """A tag or group, and how many devices it has."""

    name: str
    devices: int


class Labels(Outgoing, frozen=True):
    """All tags, or all groups, by name."""

    items: list[LabelView]


class MemberView(Outgoing, frozen=True):
    """A device with a tag or in a group."""

    id: str
    serial_number: str | None
    device_name: str | None
    state: EnrollmentState


class MemberPage(Outgoing, frozen=True):
    """A page of them, in the order in which they first came."""

    items: list[MemberView]
    next_cursor: str | None


class TagsRequest(Incoming, frozen=True):
    """Tags to put on a device and to take off it."""

    add: Names = ()
    remove: Names = ()


class DeviceLabels(Outgoing, frozen=True):
    """What a device is chosen by."""

    id: str
    tags: list[str]
    groups: list[str]


class MembersRequest(Incoming, frozen=True):
    """Devices to put into a group and to take out of it, by enrollment id or serial number."""

    add: Members = ()
    remove: Members = ()


class MembersChange(Outgoing, frozen=True):
    """How many devices are in it now, and how many were named."""

    name: str
    devices: int
    added: int
    removed: int


async def list_tags(call: Call[Nothing, Nothing]) -> Labels:
    """All tags."""
    return await _labels(call, ScopeKind.TAG)


async def list_groups(call: Call[Nothing, Nothing]) -> Labels:
    """All groups."""
    return await _labels(call, ScopeKind.GROUP)


async def list_tagged(call: Call[PageQuery, Nothing]) -> MemberPage:
    """Devices with a tag."""
    return await _members(call, ScopeKind.TAG)


async def list_members(call: Call[PageQuery, Nothing]) -> MemberPage:
    """Devices in a group."""
    return await _members(call, ScopeKind.GROUP)


async def tag_device(call: Call[Nothing, TagsRequest]) -> DeviceLabels:
    """Put tags on a device and take them off."""
    add, remove = call.body.add, call.body.remove
    if not (add or remove) or set(add) & set(remove):
        raise Invalid("name tags to add or to remove, none of them twice", code="invalid_name")
    services, reference = call.services, call.path["reference"]
    await services.assignments.label(ScopeKind.TAG, [reference], add=add, remove=remove, actor=call.actor)
    enrollment = await services.devices.show(reference)
    tags, groups = await services.assignments.labels_of(enrollment.row)
    return DeviceLabels(id=str(enrollment.id), tags=sorted(tags), groups=sorted(groups))


async def change_members(call: Call[Nothing, MembersRequest]) -> MembersChange:
    """Put devices into a group and take them out."""
    name, body, services = call.path["name"], call.body, call.services
    if not (body.add or body.remove):
        raise Invalid("name devices to add or to remove", code="invalid_targets")
    # All are looked up first, so that one unknown device does not leave half of the change behind.
    rows = {reference: await services.devices.resolve(reference) for reference in (*body.add, *body.remove)}
    if {rows[reference] for reference in body.add} & {rows[reference] for reference in body.remove}:
        raise Invalid("a device is to be added and to be removed", code="invalid_targets")
    label, added, removed = services.assignments.label, 0, 0
    if body.add:
        added = await label(ScopeKind.GROUP, body.add, add=[name], remove=[], actor=call.actor)
    if body.remove:
        removed = await label(ScopeKind.GROUP, body.remove, add=[], remove=[name], actor=call.actor)
    devices = (await services.assignments.counts(ScopeKind.GROUP)).get(name, 0)
    return MembersChange(name=name, devices=devices, added=added, removed=removed)


async def _labels(call: Call[Nothing, Nothing], kind: ScopeKind) -> Labels:
    counts = await call.services.assignments.counts(kind)
    return Labels(items=[LabelView(name=name, devices=number) for name, number in counts.items()])


async def _members(call: Call[PageQuery, Nothing], kind: ScopeKind) -> MemberPage:
    name = call.path["name"]
    page = await call.services.assignments.members(kind, name, cursor=call.query.cursor, limit=call.query.limit)
    if not page.items and call.query.cursor is None:
        raise NotFound(f"there is no {kind} {name!r}: no device has it", code=f"{kind}_not_found")
    return MemberPage(
        items=[
            MemberView(
                id=str(each.id),
                serial_number=each.facts.serial_number,
                device_name=each.facts.device_name,
                state=each.state,
            )
            for each in page.items
        ],
        next_cursor=page.next_cursor,
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/tags", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List tags", handler=list_tags,
        query=Nothing, body=Nothing, response=Labels,
    ),
    Route(
        method="GET", path="/api/v1/tags/{name}/members", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List devices with a tag", handler=list_tagged,
        query=PageQuery, body=Nothing, response=MemberPage,
    ),
    Route(
        method="POST", path="/api/v1/enrollments/{reference}/tags", scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="Put tags on a device and take them off", handler=tag_device,
        query=Nothing, body=TagsRequest, response=DeviceLabels,
    ),
    Route(
        method="GET", path="/api/v1/groups", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List groups", handler=list_groups,
        query=Nothing, body=Nothing, response=Labels,
    ),
    Route(
        method="GET", path="/api/v1/groups/{name}/members", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List devices in a group", handler=list_members,
        query=PageQuery, body=Nothing, response=MemberPage,
    ),
    Route(
        method="POST", path="/api/v1/groups/{name}/members", scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="Put devices into a group and take them out", handler=change_members,
        query=Nothing, body=MembersRequest, response=MembersChange,
    ),
]  # fmt: skip
