"""Tags are put on devices and groups are given members; both move what is meant for whom."""

import pytest

from mdmserver.assignments.model import Scope, ScopeKind
from mdmserver.audit.model import AuditRecord
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.protocol import EnrollmentID
from tests.fleet import ADMIN, Fleet, device_id

TAG, GROUP = ScopeKind.TAG, ScopeKind.GROUP


async def label(fleet: Fleet, kind: ScopeKind, *devices: str, add: str = "", remove: str = "") -> int:
    return await fleet.services.assignments.label(
        kind, devices, add=add.split(",") if add else [], remove=remove.split(",") if remove else [], actor=ADMIN
    )


async def labels(fleet: Fleet, id: EnrollmentID) -> tuple[list[str], list[str]]:
    tags, groups = await fleet.services.assignments.labels_of(await fleet.services.devices.resolve(id.key))
    return sorted(tags), sorted(groups)


async def audited(fleet: Fleet) -> list[AuditRecord]:
    records = (await fleet.services.audit.records(cursor=None, limit=100)).items
    return [record for record in records if record.action.startswith("device.")]


async def test_tags_and_groups_of_one_name_are_two_things(fleet: Fleet) -> None:
    one, two = await fleet.enroll(1), await fleet.enroll(2)

    assert await label(fleet, TAG, one.key, two.key, add="a,b") == 2
    await label(fleet, GROUP, one.key, add="a")
    await label(fleet, TAG, one.key, add="c", remove="a")

    assert await labels(fleet, one) == (["b", "c"], ["a"])
    assert await labels(fleet, two) == (["a", "b"], [])
    assert await fleet.services.assignments.counts(TAG) == {"a": 1, "b": 2, "c": 1}
    assert await fleet.services.assignments.counts(GROUP) == {"a": 1}


async def test_a_device_is_found_by_any_of_its_names_and_counted_once(fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    serial = (await fleet.enrollment(id)).facts.serial_number
    assert serial is not None

    assert await label(fleet, TAG, id.key, serial, add="a") == 1
    assert await label(fleet, TAG, serial, add="a") == 1

    assert await fleet.services.assignments.counts(TAG) == {"a": 1}


async def test_members_come_in_pages_in_the_order_in_which_they_came(fleet: Fleet) -> None:
    ids = [await fleet.enroll(number) for number in range(1, 6)]
    await label(fleet, GROUP, *[id.key for id in ids], add="all")

    found, cursor = [], None
    while True:
        page = await fleet.services.assignments.members(GROUP, "all", cursor=cursor, limit=2)
        found += [enrollment.id for enrollment in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert found == ids
    assert (await fleet.services.assignments.members(TAG, "all", cursor=None, limit=2)).items == []


async def test_a_change_of_labels_is_one_audit_record(fleet: Fleet) -> None:
    ids = [(await fleet.enroll(number)).key for number in (1, 2)]

    await label(fleet, TAG, *ids, add="a,b", remove="c")

    [record] = await audited(fleet)
    assert (record.action, record.detail) == ("device.tag", {"devices": 2, "add": "a,b", "remove": "c"})


async def test_a_user_is_no_device(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    user = await fleet.log_in(1)

    with pytest.raises(Conflict):
        await label(fleet, TAG, device.key, user.key, add="a")

    assert await labels(fleet, device) == ([], [])
    assert await audited(fleet) == []
    with pytest.raises(Conflict):
        await fleet.services.assignments.scope_of(ScopeKind.DEVICE, user.key)


@pytest.mark.parametrize("names", [{"add": "a, b"}, {"remove": " "}, {"add": "x" * 65}])
async def test_a_bad_name_changes_nothing(fleet: Fleet, names: dict[str, str]) -> None:
    device = await fleet.enroll(1)

    with pytest.raises(Invalid):
        await label(fleet, TAG, device.key, **names)

    assert await fleet.services.assignments.counts(TAG) == {}


async def test_nobody_and_strangers_are_refused(fleet: Fleet) -> None:
    with pytest.raises(Invalid):
        await label(fleet, TAG, add="a")
    with pytest.raises(NotFound):
        await label(fleet, TAG, device_id(9).key, add="a")
    with pytest.raises(Invalid):
        await label(fleet, ScopeKind.ALL, device_id(9).key, add="a")


async def test_a_scope_is_what_a_person_means(fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    serial = (await fleet.enrollment(id)).facts.serial_number
    scope_of = fleet.services.assignments.scope_of
    assert serial is not None

    assert await scope_of(ScopeKind.ALL, "") == Scope(kind=ScopeKind.ALL)
    assert await scope_of(TAG, "a") == Scope(kind=TAG, value="a")
    assert await scope_of(ScopeKind.DEVICE, serial) == Scope(kind=ScopeKind.DEVICE, value=id.key)
    with pytest.raises(Invalid):
        await scope_of(GROUP, "")
    with pytest.raises(NotFound):
        await scope_of(ScopeKind.DEVICE, "nobody")


async def test_how_many_a_scope_takes_in(fleet: Fleet) -> None:
    ids = [await fleet.enroll(number) for number in (1, 2, 3)]
    await fleet.log_in(1)
    await label(fleet, TAG, ids[0].key, ids[1].key, add="a")

    reach = fleet.services.assignments.reach
    assert await reach(Scope(kind=ScopeKind.ALL)) == 3
    assert await reach(Scope(kind=TAG, value="a")) == 2
    assert await reach(Scope(kind=GROUP, value="a")) == 0
    assert await reach(Scope(kind=ScopeKind.DEVICE, value=ids[2].key)) == 1
