"""S7: endpoint, Content-Type and body must be of one kind."""

import pytest

from mdmserver.config import Device
from tests.web.device.serving import AUTHENTICATE, CHECKIN_TYPE, COMMAND_TYPE, IDLE, PKI, serving

SEPARATE = Device(command_path="/mdm", checkin_path="/checkin")


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/mdm", CHECKIN_TYPE, AUTHENTICATE),
        ("/mdm", COMMAND_TYPE, AUTHENTICATE),
        ("/mdm", "", AUTHENTICATE),
        ("/checkin", COMMAND_TYPE, IDLE),
        ("/checkin", CHECKIN_TYPE, IDLE),
        ("/checkin", "", IDLE),
    ],
)
async def test_a_message_on_the_other_kinds_url_is_refused(pki: PKI, path: str, content_type: str, body: bytes) -> None:
    async with serving(pki, device=SEPARATE) as server:
        assert await server.put(body, path=path, content_type=content_type) == (400, b"")
    assert not server.services.messages
    assert not server.services.reports


@pytest.mark.parametrize(("content_type", "body"), [(COMMAND_TYPE, AUTHENTICATE), (CHECKIN_TYPE, IDLE)])
async def test_on_one_url_for_both_the_body_must_be_what_the_content_type_says(
    pki: PKI, content_type: str, body: bytes
) -> None:
    async with serving(pki) as server:
        assert await server.put(body, content_type=content_type) == (400, b"")
    assert not server.services.messages
    assert not server.services.reports


async def test_an_unreadable_checkin_is_not_taken_for_a_report(pki: PKI) -> None:
    broken = AUTHENTICATE.replace(b"</dict>", b"<key>Status</key><string>Idle</string><oops>")

    async with serving(pki) as server:
        answers = [await server.put(broken, content_type=kind) for kind in ("", COMMAND_TYPE, CHECKIN_TYPE)]

    assert answers == [(400, b"")] * 3
    assert not server.services.reports
