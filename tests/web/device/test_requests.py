"""What a device is answered, from socket to socket."""

import plistlib
import zlib
from collections.abc import AsyncIterator

import pytest

from mdmserver.checkin.model import Answer, Reply
from mdmserver.config import KIB, Device, Limits
from mdmserver.errors import IdentityRefused, Unavailable
from mdmserver.protocol import Authenticate, DeclarativeManagement, Status, encode_checkin, parse_declarative_endpoint
from tests.web.device.serving import (
    AUTHENTICATE,
    CHECKIN_TYPE,
    DEVICE_ID,
    IDLE,
    NOW,
    PKI,
    RecordedServices,
    acknowledged,
    serving,
)


async def test_idle_without_a_command_is_answered_with_zero_bytes(pki: PKI) -> None:
    async with serving(pki) as server:
        answer = await server.put(IDLE)

    assert answer == (200, b"")
    [(report, presented, result)] = server.services.reports
    assert (report.enrollment_id, report.status, result) == (DEVICE_ID, Status.IDLE, None)
    assert (presented.authority, presented.certificate) == ("external", pki.device.der)
    assert (presented.is_expired, presented.by_signature) == (False, True)


async def test_a_command_reaches_the_device_byte_for_byte_as_xml(pki: PKI) -> None:
    command = b"<!-- as it was given --><plist><dict/></plist>\n\n"

    async with (
        serving(pki, services=RecordedServices(command=command)) as server,
        server.session.post(server.url(), data=IDLE, headers=pki.device.headers(IDLE)) as response,
    ):
        body = await response.read()

    assert body == command
    assert response.headers["Content-Type"] == "application/xml; charset=UTF-8"


async def test_a_result_is_passed_on_with_the_bytes_of_its_body(pki: PKI) -> None:
    body = acknowledged(QueryResponses={"OSVersion": "26.0"})

    async with serving(pki) as server:
        await server.put(body)

    [(report, _, result)] = server.services.reports
    assert report.command_uuid == "CMD1"
    assert result is not None
    assert (result.body, result.is_readable, result.is_compressed) == (body, True, False)


async def test_a_checkin_is_known_by_its_content_type(pki: PKI) -> None:
    async with serving(pki) as server:
        answer = await server.put(AUTHENTICATE, content_type=CHECKIN_TYPE + "; charset=UTF-8")

    assert answer == (200, b"")
    [(message, _)] = server.services.messages
    assert isinstance(message, Authenticate)


@pytest.mark.parametrize("content_type", ["", "text/xml", "application/x-www-form-urlencoded"])
async def test_without_a_telling_content_type_the_body_decides(pki: PKI, content_type: str) -> None:
    async with serving(pki) as server:
        checkin = await server.put(AUTHENTICATE, content_type=content_type)
        report = await server.put(IDLE, content_type=content_type)

    assert (checkin, report) == ((200, b""), (200, b""))
    assert (len(server.services.messages), len(server.services.reports)) == (1, 1)


@pytest.mark.parametrize(
    ("reply", "status", "body", "content_type"),
    [
        (Reply(answer=Answer.EMPTY), 200, b"", None),
        (Reply(answer=Answer.PLIST, body=b"<plist/>"), 200, b"<plist/>", "application/xml; charset=UTF-8"),
        (Reply(answer=Answer.JSON, body=b"{}"), 200, b"{}", "application/json"),
        (Reply(answer=Answer.USER_DECLINED), 410, b"", None),
        (Reply(answer=Answer.BAD_REQUEST), 400, b"", None),
        (Reply(answer=Answer.NOT_FOUND), 404, b"", None),
    ],
)
async def test_each_kind_of_reply_has_its_status(
    pki: PKI, reply: Reply, status: int, body: bytes, content_type: str | None
) -> None:
    async with serving(pki, services=RecordedServices(reply=reply)) as server:
        headers = pki.device.headers(AUTHENTICATE, CHECKIN_TYPE)
        async with server.session.put(server.url(), data=AUTHENTICATE, headers=headers) as response:
            assert (response.status, await response.read()) == (status, body)
            if content_type is not None:
                assert response.headers["Content-Type"] == content_type


async def test_a_reply_of_later_says_when(pki: PKI) -> None:
    async with serving(pki, services=RecordedServices(reply=Reply(answer=Answer.LATER))) as server:
        headers = pki.device.headers(AUTHENTICATE, CHECKIN_TYPE)
        async with server.session.put(server.url(), data=AUTHENTICATE, headers=headers) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (IdentityRefused("another device's"), 403),
        (Unavailable("storage is down"), 503),
        (RuntimeError("a defect that quotes SECRET-OF-THE-DEVICE"), 500),
    ],
)
async def test_a_refusal_of_the_services_has_an_empty_body(pki: PKI, error: Exception, status: int) -> None:
    async with serving(pki, services=RecordedServices(error=error)) as server:
        answer = await server.put(IDLE)

    assert answer == (status, b"")


async def test_unavailable_storage_says_when_to_come_back(pki: PKI) -> None:
    async with (
        serving(pki, services=RecordedServices(error=Unavailable("down"))) as server,
        server.session.put(server.url(), data=IDLE, headers=pki.device.headers(IDLE)) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_refused_without_a_body(pki: PKI, method: str) -> None:
    async with serving(pki) as server, server.session.request(method, server.url()) as response:
        assert (response.status, await response.read()) == (405, b"")
        assert response.headers["Allow"] == "POST, PUT"


async def test_a_compressed_body_is_refused_unread(pki: PKI) -> None:
    body = zlib.compress(IDLE, wbits=31)

    async with serving(pki) as server:
        answer = await server.put(body, headers={"Content-Encoding": "gzip"})

    assert answer == (415, b"")
    assert not server.services.reports


async def test_query_parameters_do_not_matter(pki: PKI) -> None:
    async with serving(pki) as server:
        assert await server.put(IDLE, path="/mdm?k=v&k=w") == (200, b"")


async def test_a_body_in_chunks_is_read(pki: PKI) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(IDLE), 7):
            yield IDLE[at : at + 7]

    async with (
        serving(pki) as server,
        server.session.put(server.url(), data=pieces(), headers=pki.device.headers(IDLE)) as response,
    ):
        assert response.status == 200
    assert len(server.services.reports) == 1


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on(pki: PKI) -> None:
    async with serving(pki) as server:
        headers = pki.device.headers(IDLE)
        async with server.session.put(server.url(), data=IDLE, headers=headers, expect100=True) as response:
            assert response.status == 200


async def test_separate_paths_serve_their_own_kind(pki: PKI) -> None:
    device = Device(command_path="/mdm", checkin_path="/checkin")

    async with serving(pki, device=device) as server:
        checkin = await server.put(AUTHENTICATE, path="/checkin", content_type="")
        report = await server.put(IDLE, path="/mdm", content_type="")

    assert (checkin, report) == ((200, b""), (200, b""))


async def test_a_large_result_is_stored_compressed_with_its_root_read(pki: PKI) -> None:
    body = acknowledged(InstalledApplicationList=[{"Identifier": f"com.example.{number}"} for number in range(3000)])

    async with serving(pki) as server:
        answer = await server.put(body)

    assert len(body) > 64 * KIB
    assert answer == (200, b"")
    [(report, _, result)] = server.services.reports
    assert (report.command_uuid, report.status) == ("CMD1", Status.ACKNOWLEDGED)
    assert result is not None
    assert (result.is_compressed, result.is_readable) == (True, True)
    assert zlib.decompress(result.body) == body


async def test_a_large_checkin_with_data_is_read(pki: PKI) -> None:
    message = DeclarativeManagement(
        enrollment_id=DEVICE_ID, endpoint=parse_declarative_endpoint("status"), data=b'"' + b"x" * 2_000_000 + b'"'
    )
    body = encode_checkin(message)

    async with serving(pki) as server:
        answers = [await server.put(body, content_type=content_type) for content_type in (CHECKIN_TYPE, "")]

    assert answers == [(200, b"")] * 2
    assert [received for received, _ in server.services.messages] == [message, message]


async def test_a_checkin_without_data_may_not_be_as_large(pki: PKI) -> None:
    body = plistlib.dumps({**plistlib.loads(AUTHENTICATE), "Padding": b"x" * 1000})

    async with serving(pki, limits=Limits(checkin_bytes=1000)) as server:
        answer = await server.put(body, content_type=CHECKIN_TYPE)

    assert answer == (413, b"")
    assert not server.services.messages


async def test_an_expired_certificate_is_presented_as_expired(pki: PKI) -> None:
    async with serving(pki) as server:
        await server.put(IDLE, device=pki.expired)

    [(_, presented, _)] = server.services.reports
    assert (presented.is_expired, presented.not_after < NOW) == (True, True)


async def test_a_certificate_before_its_time_is_refused(pki: PKI) -> None:
    async with serving(pki) as server:
        assert await server.put(IDLE, device=pki.early) == (403, b"")


async def test_several_requests_share_a_connection(pki: PKI) -> None:
    async with serving(pki) as server:
        answers = [await server.put(acknowledged(f"CMD{number}")) for number in range(5)]

    assert answers == [(200, b"")] * 5
