"""The OpenAPI document says what the running application does: no more, no less."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from mdmserver.access.model import Scope
from mdmserver.config import Device
from mdmserver.web.app import device_rows, routes_on
from mdmserver.web.listener import ListenerKind
from mdmserver.web.openapi import openapi_document
from mdmserver.web.routes import Row, Surface
from tests.web.api_server import RunningServer

ROWS = routes_on(ListenerKind.HTTPS, device_rows(Device()))


async def test_document_is_valid_openapi_and_needs_no_key(server: RunningServer) -> None:
    answer = await server.call("GET", "/api/v1/openapi.json")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    validate(answer.json)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_every_route_is_documented_with_the_scope_that_opens_it(row: Row, server: RunningServer) -> None:
    document = (await server.call("GET", "/api/v1/openapi.json")).json

    operation = document["paths"][row.template][row.method.lower()]

    expected = row.scope.value if isinstance(row.scope, Scope) else "public"
    assert operation["x-required-scope"] == expected
    assert bool(operation["security"]) == (expected != "public")


async def test_nothing_is_documented_that_is_not_served(server: RunningServer) -> None:
    document = (await server.call("GET", "/api/v1/openapi.json")).json
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    served = {(row.method, row.template) for row in [*ROWS, *device_rows(Device())]}

    assert documented == served


def test_device_paths_are_documented_as_such_when_they_are_two() -> None:
    rows = device_rows(Device(command_path="/mdm", checkin_path="/checkin"))

    paths = openapi_document(rows)["paths"]

    assert {path: methods["put"]["x-required-scope"] for path, methods in paths.items()} == {
        "/checkin": "device",
        "/mdm": "device",
    }


async def test_query_parameters_are_documented_with_their_values(server: RunningServer) -> None:
    document = (await server.call("GET", "/api/v1/openapi.json")).json

    parameters = {each["name"]: each for each in document["paths"]["/api/v1/enrollments"]["get"]["parameters"]}

    assert set(parameters) == {"state", "serial", "device", "type", "cursor", "limit"}
    assert parameters["limit"]["schema"]["maximum"] == 1000
    assert "Shared iPad" in str(parameters["type"]["schema"])
    assert not _references(parameters)


def test_every_api_route_takes_and_gives_declared_types_or_content() -> None:
    api = [row for row in ROWS if row.surface is Surface.API]

    document = openapi_document(api)

    for methods in document["paths"].values():
        for operation in methods.values():
            success = next(each for status, each in operation["responses"].items() if status != "default")
            assert "content" in success or "204" in operation["responses"]


def _references(value: Any) -> list[str]:
    match value:
        case {"$ref": str(reference)}:
            return [reference]
        case dict():
            return [found for inner in value.values() for found in _references(inner)]
        case list():
            return [found for inner in value for found in _references(inner)]
    return []


def test_applications_of_the_listeners_have_only_their_surfaces() -> None:
    surfaces = {kind: {row.surface for row in routes_on(kind, device_rows(Device()))} for kind in ListenerKind}

    assert surfaces == {
        ListenerKind.HTTPS: {Surface.API, Surface.NANOMDM, Surface.ENROLLMENT, Surface.CA},
        ListenerKind.HTTP: {Surface.API, Surface.NANOMDM, Surface.ENROLLMENT, Surface.CA},
        ListenerKind.MTLS: set(),
        ListenerKind.OPERATIONS: {Surface.OPERATIONS},
    }
