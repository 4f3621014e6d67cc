"""Configurations over the API: typed values, and secrets that go in and never come out."""

import logging
from pathlib import Path
from typing import Any

import pytest

from profiles import read_signed_profile
from tests.apps.office import Office
from tests.web.api_server import RunningServer

PATH = "/api/v1/apps/pingid/configuration"
TOKEN = "CANARY-5d0d5d33-4222-8333"
PINGID_TOKEN = "PINGID_MDM_TOKEN"


async def configured(server: RunningServer, values: dict[str, Any], scope: str = "all", **more: Any) -> Any:
    answer = await server.put(PATH, {"scope": scope, "values": values, **more})
    assert answer.status == 200, answer.body
    return answer.json


async def shown(server: RunningServer) -> dict[str, Any]:
    configurations = (await server.get("/api/v1/apps/pingid")).json["configurations"]
    return {each["scope"]: each for each in configurations}


def stored_bytes(folder: Path) -> list[bytes]:
    """The database and its WAL."""
    return [path.read_bytes() for path in folder.glob("*.sqlite*")]


async def test_the_token_is_shown_as_a_fingerprint_and_in_no_other_way(
    server: RunningServer, office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await office.phone(1)
    await office.mac(2)
    await office.assign()

    set_ = await configured(server, {PINGID_TOKEN: TOKEN})
    await office.quiet()

    paths = (
        "/apps", "/apps/pingid", "/apps/pingid/status", "/apps/pingid/targets", "/enrollments/C00001/settings",
        "/enrollments/C00001/commands", "/enrollments/C00001/timeline", "/audit", "/commands", "/openapi.json",
    )  # fmt: skip
    answers = [await server.get(f"/api/v1{path}") for path in paths]
    results = [await server.get(f"/api/v1/commands/{each['uuid']}/results") for each in answers[8].json["items"]]
    assert len(results) >= 5
    assert {answer.status for answer in (*answers, *results)} == {200}
    value = (await shown(server))["all"]["values"][PINGID_TOKEN]
    assert value == {"$fingerprint": set_["secrets"][PINGID_TOKEN]}
    assert not [answer for answer in (*answers, *results) if TOKEN.encode() in answer.body]
    logged = "\n".join(logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records)
    assert TOKEN not in logged
    assert len(stored := stored_bytes(tmp_path)) >= 2
    assert not [content for content in stored if TOKEN.encode() in content]


async def test_every_type_comes_back_as_it_went(server: RunningServer) -> None:
    values = {
        "string": "x", "integer": 2**62, "boolean": True, "real": 2.0, "date": {"$date": "2030-01-31T08:00:00Z"},
        "bytes": {"$data": "aGk="}, "array": [1, "a"], "dictionary": {"a": {"b": 1}},
        "odd": {"$dict": {"$data": "x"}},
    }  # fmt: skip

    await configured(server, values)

    assert (await shown(server))["all"]["values"] == values
    assert isinstance((await shown(server))["all"]["values"]["real"], float)


async def test_the_same_again_is_no_new_revision(server: RunningServer) -> None:
    first = await configured(server, {PINGID_TOKEN: TOKEN})
    again = await configured(server, {PINGID_TOKEN: TOKEN})
    other = await configured(server, {PINGID_TOKEN: "another"})

    assert (first["revision"], first["changed"]) == (1, True)
    assert (again["revision"], again["changed"], again["fingerprint"]) == (1, False, first["fingerprint"])
    assert (other["revision"], other["changed"]) == (2, True)
    assert other["secrets"] != first["secrets"]


@pytest.mark.parametrize(
    "values",
    [{"apiToken": TOKEN}, {"login": {"deep": [{"password": TOKEN}]}}, {"PrivateKey": {"$data": "Q0FOQVJZ"}}],
)
async def test_what_a_name_calls_secret_is_secret(values: dict[str, Any], server: RunningServer) -> None:
    await configured(server, {**values, "server": "x"})

    all_ = (await shown(server))["all"]
    assert all_["secret_keys"] == list(values)
    assert all_["values"]["server"] == "x"
    assert set(all_["values"][next(iter(values))]) == {"$fingerprint"}


async def test_what_is_marked_secret_is_secret(server: RunningServer) -> None:
    await configured(server, {"pinned": {"a": 1}, "open": 1}, secret_keys=["pinned"])

    values = (await shown(server))["all"]["values"]
    assert (set(values["pinned"]), values["open"]) == ({"$fingerprint"}, 1)


async def test_a_secret_is_kept_without_being_known(server: RunningServer) -> None:
    first = await configured(server, {PINGID_TOKEN: TOKEN, "server": "a", "gone": 1})

    second = await configured(server, {"server": "b"}, keep=[PINGID_TOKEN])

    values = (await shown(server))["all"]["values"]
    assert second["secrets"] == first["secrets"]
    assert (values["server"], "gone" in values) == ("b", False)


async def test_what_is_not_there_cannot_be_kept(server: RunningServer) -> None:
    answer = await server.put(PATH, {"scope": "all", "values": {"a": 1}, "keep": [PINGID_TOKEN]})

    assert (answer.status, answer.json["code"]) == (409, "not_configured")


@pytest.mark.parametrize(
    "body",
    [
        {"values": {}},
        {"values": {PINGID_TOKEN: ""}},
        {"values": {PINGID_TOKEN: 5}},
        {"values": {"a": None}},
        {"values": {"a": {"$data": TOKEN}}},
        {"values": {"a": {"$date": TOKEN}}},
        {"values": {"a": {"$other": TOKEN}}},
        {"values": {"a": 2**64}},
        {"values": {"": TOKEN}},
        {"values": {"PayloadType": TOKEN}},
        {"values": {"a": TOKEN}, "secret_keys": ["b"]},
        {"values": TOKEN},
        {"values": {"a": TOKEN}, "scopes": "all"},
        {"values": {"a": [[[[TOKEN] * 3] * 3] * 3] * 3, "b": {"a": {"$data": "é" + TOKEN}}}},
    ],
)
async def test_a_refusal_never_repeats_a_value(body: dict[str, Any], server: RunningServer) -> None:
    answer = await server.put(PATH, {"scope": "all", **body})

    assert answer.status == 400, answer.body
    assert TOKEN.encode() not in answer.body
    assert await shown(server) == {}


async def test_a_configuration_is_taken_back(server: RunningServer) -> None:
    await configured(server, {PINGID_TOKEN: TOKEN}, scope="tag:sales")

    first, again = [await server.delete(f"{PATH}?scope=tag:sales") for _ in range(2)]

    assert (first.json["changed"], again.json["changed"]) == (True, False)
    assert await shown(server) == {}


async def test_the_profile_is_signed_and_holds_what_the_caller_brought(server: RunningServer) -> None:
    await configured(server, {PINGID_TOKEN: TOKEN, "other": 1})

    answer = await server.post("/api/v1/apps/pingid/profile", {"scope": "all", "secrets": {PINGID_TOKEN: TOKEN}})

    content, _ = read_signed_profile(answer.body)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-apple-aspen-config")
    assert answer.headers["Cache-Control"] == "no-store"
    assert TOKEN.encode() in content


@pytest.mark.parametrize(
    ("secrets", "code"),
    [
        ({}, "secret_missing"),
        ({PINGID_TOKEN: "guess"}, "secret_differs"),
        ({PINGID_TOKEN: None}, "invalid_configuration"),
    ],
)
async def test_without_the_secret_there_is_no_profile(
    secrets: dict[str, Any], code: str, server: RunningServer
) -> None:
    await configured(server, {PINGID_TOKEN: TOKEN})

    answer = await server.post("/api/v1/apps/pingid/profile", {"scope": "all", "secrets": secrets})

    assert (answer.status, answer.json["code"]) == (400, code)
    assert TOKEN.encode() not in answer.body
