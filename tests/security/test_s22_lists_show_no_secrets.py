"""S22, as the API sees it: what callers write is bound, never SQL, and no list shows a secret."""

from base64 import b64encode
from urllib.parse import quote

import pytest

from mdmserver.config import Device
from mdmserver.protocol import Status, TokenUpdate
from mdmserver.protocol.checkin import SetBootstrapToken
from mdmserver.web.app import device_rows, routes_on
from mdmserver.web.listener import ListenerKind
from tests.fleet import TOPIC, Fleet, certificate
from tests.web.api_server import RunningServer

INJECTIONS = ["' OR '1'='1", "x'; DROP TABLE enrollment; --", '" OR ""="', "%' --", "1 UNION SELECT 1", "\\", "?", "*"]
LISTS = [
    "/api/v1/enrollments?serial={}",
    "/api/v1/enrollments?device={}",
    "/api/v1/commands?request_type={}",
    "/api/v1/enrollments/{}",
    "/api/v1/enrollments/{}/timeline",
    "/api/v1/enrollments/{}/commands",
    "/api/v1/commands/{}",
    "/api/v1/commands/{}/targets",
    "/api/v1/commands/{}/results",
    "/api/v1/commands/A/targets/{}",
    "/api/v1/enrollments/{}/settings",
    "/api/v1/tags/{}/members",
    "/api/v1/groups/{}/members",
    "/api/v1/apps/{}",
    "/api/v1/apps/{}/status",
    "/api/v1/apps/{}/targets",
]


@pytest.mark.parametrize("path", LISTS)
async def test_what_a_caller_writes_is_no_sql(path: str, server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)

    for injection in INJECTIONS:
        answer = await server.get(path.format(quote(injection, safe="")))

        assert answer.status in (200, 404), (injection, answer.body)
        assert answer.status == 404 or answer.json["items"] == [], injection
    assert (await server.get(f"/api/v1/enrollments/{id}")).status == 200


@pytest.mark.parametrize(
    "parameter", ["sort=id", "order_by=created_at", "filter=1", "state=queued%27--", "type=Device%27"]
)
async def test_sorting_and_filtering_by_other_than_the_declared_is_refused(
    parameter: str, server: RunningServer
) -> None:
    answer = await server.get(f"/api/v1/enrollments?{parameter}")

    assert (answer.status, answer.json["code"]) == (400, "invalid_query")


async def test_no_answer_shows_a_devices_secrets(server: RunningServer, fleet: Fleet) -> None:
    canaries = {name: f"canary-{name}".encode() for name in ("token", "unlock", "bootstrap", "result")}
    id = await fleet.enroll(1)
    await server.services.checkin.answer(
        TokenUpdate(
            enrollment_id=id,
            topic=TOPIC,
            push_magic="canary-magic",
            token=canaries["token"],
            unlock_token=canaries["unlock"],
        ),
        certificate(1),
    )
    await server.services.checkin.answer(
        SetBootstrapToken(enrollment_id=id, bootstrap_token=canaries["bootstrap"]), certificate(1)
    )
    await fleet.enqueue("A", id)
    await fleet.idle(id)
    await fleet.report(id, Status.ACKNOWLEDGED, "A", response={"UnlockToken": canaries["result"]})

    bodies = [await _shown(server, path, id=str(id)) for path in _readable_paths()]

    assert len(bodies) >= 14
    for body in bodies:
        for canary in (*canaries.values(), b"canary-magic", certificate(1).certificate):
            assert canary not in body
            assert canary.hex().encode() not in body
            assert _base64(canary) not in body


def _readable_paths() -> list[str]:
    rows = routes_on(ListenerKind.HTTPS, device_rows(Device()))
    return [row.template for row in rows if row.method == "GET"]


async def _shown(server: RunningServer, template: str, *, id: str) -> bytes:
    path = template.format(reference=id, uuid="A", id=id, ids=id, token="A", key="pingid", name="A")
    answer = await server.get(path)
    # The nanomdm surface takes Basic alone and says nothing at all to this key; SCEP wants an operation, and a CA.
    assert answer.status in (200, 400, 401, 404, 503), path
    return answer.body


def _base64(value: bytes) -> bytes:
    return b64encode(value).rstrip(b"=")[:-1]
