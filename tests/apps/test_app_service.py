"""The catalogue and what is said about its apps: each change once, audited, and refused where it cannot be."""

from dataclasses import replace
from typing import Any

import pytest

from mdmserver.apps.model import PINGID_TOKEN, Effect, NewApp, pingid
from mdmserver.assignments.model import Platform, Scope
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.events import Hint
from tests.apps.office import EVERYONE, Office, group, tag
from tests.fleet import ADMIN

NEW = NewApp(key="one", name="One", bundle_id="com.example.one")


async def actions(office: Office) -> list[str]:
    records = (await office.services.audit.records(cursor=None, limit=500)).items
    return [record.action for record in records if record.action.startswith("app.")]


async def hinted(office: Office) -> bool:
    return await office.services.hints.wait(Hint.RECONCILE, at_most_seconds=0)


async def test_pingid_is_in_every_catalogue_once_and_stays_as_it_was_changed(office: Office) -> None:
    changed = replace(pingid(), bundle_id="com.example.changed")
    await office.services.apps.change("pingid", changed, actor=ADMIN)

    await office.services.apps.add_built_in()

    [app] = await office.services.apps.apps()
    assert (app.key, app.app_store_id, app.bundle_id) == ("pingid", 891247102, "com.example.changed")
    assert await actions(office) == ["app.change"]


async def test_an_app_is_added_changed_and_removed_with_one_record_each(office: Office) -> None:
    added = await office.services.apps.add(NEW, actor=ADMIN)
    with pytest.raises(Conflict):
        await office.services.apps.add(NEW, actor=ADMIN)
    changed = await office.services.apps.change("one", replace(NEW, name="Uno"), actor=ADMIN)
    with pytest.raises(Invalid):
        await office.services.apps.change("one", replace(NEW, key="two"), actor=ADMIN)
    await office.services.apps.remove("one", actor=ADMIN)

    assert (added.row, changed.name) == (changed.row, "Uno")
    assert await actions(office) == ["app.add", "app.change", "app.remove"]


async def test_what_changes_nothing_is_not_audited(office: Office) -> None:
    await office.configure("token-1")
    await office.assign()
    before = await actions(office)

    _, is_new = await office.services.apps.configure(
        "pingid", EVERYONE, {PINGID_TOKEN: "token-1"}, secret_keys=frozenset({PINGID_TOKEN}), actor=ADMIN
    )
    assert (is_new, await office.assign()) == (False, False)
    assert (await office.unassign(tag("x")), await office.unconfigure(tag("x"))) == (False, False)

    assert await actions(office) == before


async def test_an_other_mark_of_secrecy_is_a_new_revision(office: Office) -> None:
    values = {PINGID_TOKEN: "token-1", "Other": "x"}
    first = await office.configure(values=values)

    second, is_new = await office.services.apps.configure(
        "pingid", EVERYONE, values, secret_keys=frozenset({"Other"}), actor=ADMIN
    )

    assert is_new
    assert (second.number, sorted(second.secret_keys)) == (first.number + 1, ["Other", PINGID_TOKEN])


async def test_a_configuration_that_was_taken_back_comes_back_as_a_new_revision(office: Office) -> None:
    first = await office.configure("token-1")
    await office.unconfigure()

    again = await office.configure("token-1")

    assert (again.number, again.fingerprint) == (2, first.fingerprint)


async def test_scopes_have_configurations_of_their_own(office: Office) -> None:
    for scope in (EVERYONE, tag("a"), group("a")):
        await office.configure(f"for {scope}", scope)
    await office.unconfigure(tag("a"))

    detail = await office.services.apps.show("pingid")

    shown = {
        str(each.scope): None if revision is None else dict(revision.values)
        for each, revision in detail.configurations
    }  # fmt: skip
    assert shown == {"all": {PINGID_TOKEN: "for all"}, "tag:a": None, "group:a": {PINGID_TOKEN: "for group:a"}}


async def test_what_is_changed_is_hinted_at(office: Office) -> None:
    for change in (office.configure(), office.assign(), office.unassign(), office.unconfigure()):
        await hinted(office)
        await change
        assert await hinted(office)


@pytest.mark.parametrize("scope", [EVERYONE, tag("a")])
async def test_nothing_can_be_said_of_an_app_that_is_not_there(office: Office, scope: Scope) -> None:
    apps = office.services.apps
    secrets: dict[str, Any] = {}

    for call in (
        apps.show("x"),
        apps.change("x", replace(NEW, key="x"), actor=ADMIN),
        apps.remove("x", actor=ADMIN),
        apps.assign("x", scope, Effect.INSTALL, actor=ADMIN),
        apps.unassign("x", scope, actor=ADMIN),
        apps.configure("x", scope, {"a": 1}, secret_keys=frozenset(), actor=ADMIN),
        apps.unconfigure("x", scope, actor=ADMIN),
        apps.again("x", actor=ADMIN),
        apps.profile("x", scope, secrets, actor=ADMIN),
        office.services.app_progress.counts("x"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_secret_that_is_not_among_the_values_is_refused(office: Office) -> None:
    with pytest.raises(Invalid):
        await office.services.apps.configure(
            "pingid", EVERYONE, {"a": 1}, secret_keys=frozenset({"b"}), actor=ADMIN
        )  # fmt: skip


async def test_why_nothing_is_meant_for_a_device_is_said(office: Office) -> None:
    phone, tv = await office.phone(1), await office.phone(2, "AppleTV14,1")
    rows = [await office.world.row(each.id) for each in (phone, tv)]

    async def why(row: int) -> str:
        [detail] = await office.services.app_progress.settings_of(rows[row])
        assert detail.target is None
        return detail.explanation.code

    assert await why(0) == "not_assigned"
    await office.assign(tag("x"))
    assert await why(0) == "not_assigned"
    await office.assign()
    assert await why(1) == "not_configured"
    await office.configure()
    assert await why(1) == "other_platform"


async def test_targets_are_listed_in_pages_with_why_each_is_where_it_is(office: Office) -> None:
    for number in range(1, 6):
        await office.phone(number)
    await office.configure()
    await office.assign()
    await office.quiet()
    office.handsets[0].is_online = False
    await office.configure("token-2")
    await office.quiet()

    found, cursor = [], None
    while True:
        page = await office.services.app_progress.targets(
            "pingid", kind=None, states=frozenset(), cursor=cursor, limit=3
        )  # fmt: skip
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break

    assert len(found) == 10
    waiting = [each for each in found if each.target is not None and not each.target.state.is_there]
    assert [(each.enrollment.id, each.command_uuid is not None) for each in waiting] == [(office.handsets[0].id, True)]
    assert waiting[0].explanation.text.startswith("the configuration: ")


async def test_an_app_for_other_platforms_moves_with_them(office: Office) -> None:
    mac = await office.mac()
    await office.configure()
    await office.assign()
    await office.quiet()
    assert mac.request_types == ["InstallProfile", "ProfileList"]

    both = replace(pingid(), platforms=frozenset({Platform.MACOS}), preference_domain=None)
    await office.services.apps.change("pingid", both, actor=ADMIN)
    await office.quiet()

    assert mac.profiles == {}
    assert mac.configuration == {PINGID_TOKEN: "token-1"}
    install = next(each for each in mac.heard if each.request_type == "InstallApplication")
    assert install.payload["InstallAsManaged"] is True


async def test_another_name_disturbs_no_device(office: Office) -> None:
    phone = await office.phone()
    await office.configure()
    await office.assign()
    phone.extra["InstallApplication"] = {"RejectionReason": "Other"}
    await office.quiet()

    await office.services.apps.change("pingid", replace(pingid(), name="PingID for us"), actor=ADMIN)

    assert await office.quiet() == 0
    await office.services.apps.change("pingid", replace(pingid(), app_store_id=1), actor=ADMIN)
    assert await office.quiet() == 1
