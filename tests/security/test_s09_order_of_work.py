"""S9: limits of the head, then size, then authentication over the raw bytes, and only then a bounded parse."""

import pytest

from mdmserver.config import Limits
from tests.web.device.serving import CHECKIN_TYPE, COMMAND_TYPE, IDLE, PKI, Serving, head, serving

HOSTILE = b'<!DOCTYPE a [<!ENTITY b "c">]><plist><dict><key>Status</key><string>&b;</string></dict></plist>'


async def unsigned(server: Serving, body: bytes, content_type: str = COMMAND_TYPE) -> int:
    async with server.session.put(server.url(), data=body, headers={"Content-Type": content_type}) as response:
        return response.status


@pytest.mark.parametrize("body", [HOSTILE, b"", b"bplist00", b"\xff\xfe", b"<plist>" * 1000])
async def test_who_has_no_proof_never_learns_what_the_parser_thinks(pki: PKI, body: bytes) -> None:
    async with serving(pki) as server:
        assert await unsigned(server, body) == 403
        assert await unsigned(server, body, CHECKIN_TYPE) == 403


async def test_a_missing_proof_is_refused_before_the_body_is_read(pki: PKI) -> None:
    async with serving(pki) as server:
        # The announced body never comes; the answer does.
        answer = await server.raw(head("Content-Length: 5000"))

    assert answer.startswith(b"HTTP/1.1 403")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_strangers_long_body_is_not_read(pki: PKI) -> None:
    signature = pki.stranger.signature(IDLE)

    async with serving(pki) as server:
        answer = await server.raw(head(f"Mdm-Signature: {signature}", "Content-Length: 1000000"))

    assert answer.startswith(b"HTTP/1.1 403")


async def test_the_size_is_refused_before_the_signature_is_checked(pki: PKI) -> None:
    async with serving(pki, limits=Limits(result_bytes=1000)) as server:
        body = b"x" * 1001

        assert await server.put(body, headers={"Mdm-Signature": pki.device.signature(IDLE)}) == (413, b"")


async def test_the_signature_is_checked_before_the_body_is_parsed(pki: PKI) -> None:
    async with serving(pki) as server:
        forged = {"Mdm-Signature": pki.device.signature(HOSTILE + b" ")}

        # Both faults are a 400; only the order tells the device's own error from a forgery, in the log.
        assert await server.put(HOSTILE, headers=forged) == (400, b"")
        assert await server.put(HOSTILE) == (400, b"")
    assert not server.services.reports
