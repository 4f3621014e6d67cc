"""What all answers of the API have in common: headers, hosts, errors; and what the counters saw of them."""

from typing import Any

import pytest

from mdmserver.errors import Unavailable
from mdmserver.web.errors import problem_response
from tests.fleet import Fleet
from tests.web.api_server import RunningServer

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "mdmserver",
    "X-Content-Type-Options": "nosniff",
}


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/openapi.json", "/api/v1/none", "/version", "/v1/push/X"])
async def test_every_answer_has_the_security_headers(path: str, server: RunningServer) -> None:
    for key in (None, server.admin_key):
        answer = await server.call("GET", path, key=key)

        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[",
        "[]",
        "a b",
        "x@127.0.0.1",
        "127.0.0.1:80:80",
        "::1",
    ],
)
async def test_request_for_another_host_is_refused(host: str, server: RunningServer) -> None:
    answer = await server.get("/api/v1/status", headers={"Host": host})

    assert answer.status in (400, 421)
    assert b"enrollments" not in answer.body


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "192.0.2.7", "[2001:db8::1]"]
)
async def test_request_for_this_server_is_let_in(host: str, server: RunningServer) -> None:
    answer = await server.get("/api/v1/status", headers={"Host": host})

    assert answer.status == 200


async def test_other_surfaces_take_any_host(server: RunningServer) -> None:
    answer = await server.call("GET", "/version", headers={"Host": "mdm.internal"})

    assert answer.status == 200


def test_fault_of_ours_says_when_to_come_back() -> None:
    response = problem_response(Unavailable("storage does not answer"))

    assert (response.status, response.headers["Retry-After"]) == (503, "5")


def test_defect_is_logged_once_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    response = problem_response(KeyError("canary"))

    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert b"canary" not in response.body
    assert b"internal_error" in response.body
    assert len(caplog.records) == 1


async def test_health_and_readiness_are_told(server: RunningServer) -> None:
    healthy = await server.call("GET", "/healthz", url=server.operations_url)
    ready = await server.call("GET", "/readyz", url=server.operations_url)

    assert [(healthy.status, healthy.body), (ready.status, ready.body)] == [(200, b"ok\n"), (200, b"ready\n")]


async def test_server_without_storage_lives_and_is_not_ready(server: RunningServer) -> None:
    storage: Any = server.services.storage
    await storage.close()

    healthy = await server.call("GET", "/healthz", url=server.operations_url)
    ready = await server.call("GET", "/readyz", url=server.operations_url)
    refused = await server.get("/api/v1/status")

    assert [healthy.status, ready.status, refused.status] == [200, 503, 503]


async def test_metrics_count_by_state_surface_and_class(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await server.get("/api/v1/status")
    await server.get("/api/v1/enrollments/nobody")
    await server.call("GET", "/api/v1/status")
    await server.call("PUT", "/mdm", data=b"not from a device")

    answer = await server.call("GET", "/metrics", url=server.operations_url)

    lines = answer.body.decode().splitlines()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'mdmserver_enrollments{state="enrolled"} 1' in lines
    assert 'mdmserver_open_commands{state="queued"} 1' in lines
    assert 'mdmserver_requests_total{surface="api",status_class="2xx"} 1' in lines
    assert 'mdmserver_requests_total{surface="api",status_class="4xx"} 2' in lines
    assert 'mdmserver_device_requests_total{status_class="4xx"} 1' in lines
    assert 'mdmserver_authentication_failures_total{surface="api"} 1' in lines
    assert "nobody" not in answer.body.decode()
    assert "# TYPE mdmserver_requests_total counter" in lines


async def test_metrics_know_nothing_of_devices_by_name(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await server.call("GET", "/metrics", url=server.operations_url)

    assert id.device not in answer.body.decode()
    assert "C00001" not in answer.body.decode()
