"""S19, at the edge: over-long and malformed heads get an empty answer on every listener; no log has them."""

import logging
from pathlib import Path

import pytest

from mdmserver.config import Listen
from mdmserver.web.listener import ListenerKind
from tests.web.device.serving import IDLE, PKI, head, serving, tls_files

CANARY = b"CANARY-OF-THE-HEAD"

MALFORMED = {
    "long header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + CANARY + b"a" * 20_000 + b"\r\n\r\n",
    "long header name": b"GET / HTTP/1.1\r\nHost: x\r\n" + CANARY + b"a" * 20_000 + b": x\r\n\r\n",
    "long line": b"GET /" + CANARY + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + CANARY + b"\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
    "no method": CANARY + b"\r\n\r\n",
    "no version": b"GET / HTTP/" + CANARY + b"\r\nHost: x\r\n\r\n",
    "no host": b"GET /" + CANARY + b" HTTP/1.1\r\n\r\n",
    "bad header": b"GET / HTTP/1.1\r\nHost: x\r\nX A " + CANARY + b"\r\n\r\n",
    "NUL in header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: \x00" + CANARY + b"\r\n\r\n",
    "two lengths": b"PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: "
    + CANARY
    + b"\r\n\r\n",
    "length and chunks": b"PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CANARY,
    "negative length": b"PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nX: " + CANARY + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + CANARY,
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_http_gets_an_empty_400_that_quotes_nothing(
    pki: PKI, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async with serving(pki, listen=Listen(http="127.0.0.1:0", operations="127.0.0.1:0")) as server:
        for kind in (ListenerKind.HTTP, ListenerKind.OPERATIONS):
            answer = await server.raw(MALFORMED[name], kind=kind)

            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
            assert answer.endswith(b"\r\n\r\n")
            assert b"CANARY" not in answer
    for record in caplog.records:
        assert "CANARY" not in f"{record.getMessage()} {record.__dict__} {record.exc_text}"
        assert record.exc_info is None


async def test_the_largest_signature_header_is_read(pki: PKI) -> None:
    async with serving(pki) as server:
        padded = " " * (15 * 1024 - len(pki.device.signature(IDLE))) + pki.device.signature(IDLE)

        answer = await server.raw(
            head(f"Mdm-Signature:{padded}", f"Content-Length: {len(IDLE)}", "Connection: close") + IDLE
        )

    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_head_over_tls_is_treated_alike(pki: PKI, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:

    caplog.set_level(logging.DEBUG)
    files = tls_files(pki, tmp_path)
    listen = Listen(http="", operations="", https="127.0.0.1:0", mtls="127.0.0.1:0")

    async with serving(pki, listen=listen, tls=files.tls, device_ca=files.device_ca) as server:
        for kind in (ListenerKind.HTTPS, ListenerKind.MTLS):
            answer = await server.raw(MALFORMED["long header"], kind=kind, tls=files.client(pki.device))
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
            assert answer.endswith(b"\r\n\r\n")
    assert not any("CANARY" in f"{record.__dict__}" for record in caplog.records)
