"""How far an app got, over the API: counts, who is not there and why, and one device's settings."""

import pytest

from tests.apps.office import Office
from tests.web.api_server import RunningServer

STATUS = "/api/v1/apps/pingid/status"
TARGETS = "/api/v1/apps/pingid/targets"


@pytest.fixture
async def meant(office: Office) -> Office:
    """PingID with a token is meant for everyone."""
    await office.configure()
    await office.assign()
    return office


async def test_counts_are_by_setting_and_word(server: RunningServer, meant: Office) -> None:
    phone, _mac, late = await meant.phone(1), await meant.mac(2), await meant.phone(3)
    late.is_online = False
    await meant.quiet()

    status = (await server.get(STATUS)).json

    assert phone.configuration is not None
    assert status["counts"]["app"]["verified"] == 1
    assert status["counts"]["configuration"] == {
        "verified": 1, "installed": 0, "not_verifiable": 0, "sent": 0, "waiting": 1, "failed": 0,
    }  # fmt: skip
    assert status["counts"]["profile"]["installed"] == 1
    assert (status["total"], status["totals"]["waiting"], status["unsettled"]) == (5, 2, 0)


async def test_until_devices_were_looked_at_the_counts_are_not_the_whole(server: RunningServer, office: Office) -> None:
    for number in range(1, 4):
        await office.phone(number)
    await office.quiet()

    await office.assign()
    before = (await server.get(STATUS)).json
    await office.work()
    after = (await server.get(STATUS)).json

    assert (before["total"], before["unsettled"]) == (0, 3)
    assert (after["total"], after["unsettled"]) == (3, 0)


async def test_those_who_are_not_there_are_listed_with_the_reason(server: RunningServer, meant: Office) -> None:
    await meant.phone(1)
    late = await meant.phone(2)
    late.is_online = False
    await meant.quiet()

    missing = (await server.get(f"{TARGETS}?there=false")).json["items"]
    there = (await server.get(f"{TARGETS}?there=true&kind=configuration")).json["items"]

    assert {each["serial_number"] for each in missing} == {"C00002"}
    assert {each["kind"] for each in missing} == {"app", "configuration"}
    assert missing[0]["explanation"]["code"] == "no_push_certificate"
    assert "connect by itself" in missing[0]["explanation"]["text"]
    assert missing[0]["command_uuid"] is not None
    assert [(each["serial_number"], each["progress"]) for each in there] == [("C00001", "verified")]


async def test_the_list_comes_in_pages(server: RunningServer, meant: Office) -> None:
    for number in range(1, 6):
        await meant.phone(number)
    await meant.work()

    first = (await server.get(f"{TARGETS}?kind=app&limit=3")).json
    second = (await server.get(f"{TARGETS}?kind=app&limit=3&cursor={first['next_cursor']}")).json

    serials = [each["serial_number"] for each in first["items"] + second["items"]]
    assert serials == [f"C0000{number}" for number in range(1, 6)]
    assert second["next_cursor"] is None


async def test_a_filter_that_excludes_itself_is_refused(server: RunningServer) -> None:
    answer = await server.get(f"{TARGETS}?there=true&state=failed")

    assert (answer.status, answer.json["code"]) == (400, "invalid_query")


async def test_again_makes_it_the_turn_of_devices_that_were_to_wait(server: RunningServer, meant: Office) -> None:
    phone = await meant.phone(1)
    phone.status = "UserRejected"
    await meant.quiet()
    waiting = (await server.get(f"{TARGETS}?kind=app")).json["items"][0]
    phone.status = "Managed"

    answer = await server.post("/api/v1/apps/pingid/again")
    await meant.quiet()

    assert (waiting["progress"], waiting["next_at"] is not None) == ("failed", True)
    assert answer.status == 204
    assert (await server.get(STATUS)).json["counts"]["app"]["verified"] == 1


async def test_a_device_shows_its_settings_and_why_an_app_is_not_meant_for_it(
    server: RunningServer, meant: Office
) -> None:
    await meant.phone(1)
    await meant.phone(2, "AppleTV14,1")
    await meant.quiet()
    await server.post("/api/v1/enrollments/C00002/tags", {"add": ["lobby"]})

    phone = (await server.get("/api/v1/enrollments/C00001/settings")).json
    television = (await server.get("/api/v1/enrollments/C00002/settings")).json

    assert [(each["kind"], each["state"]) for each in phone["items"]] == [
        ("app", "verified"), ("configuration", "verified"),
    ]  # fmt: skip
    [absent] = television["items"]
    assert (absent["kind"], absent["explanation"]["code"]) == (None, "other_platform")
    assert television["tags"] == ["lobby"]


@pytest.mark.parametrize("path", [STATUS, TARGETS, TARGETS + "?there=false"])
async def test_an_unknown_app_is_not_found(path: str, server: RunningServer) -> None:
    answer = await server.get(path.replace("pingid", "nope"))

    assert (answer.status, answer.json["code"]) == (404, "app_not_found")
