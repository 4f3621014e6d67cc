"""S6: Mdm-Signature has neither time nor nonce, so that whoever reads one can replay it: no log has it."""

import logging

import pytest

from tests.web.device.serving import IDLE, PKI, RecordedServices, serving


async def test_no_log_line_holds_a_signature_or_a_body(pki: PKI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = IDLE.replace(b"<dict>", b"<dict><key>Canary</key><string>CANARY-OF-THE-BODY</string>")
    signature = pki.device.signature(canary)

    async with serving(pki, services=RecordedServices(error=RuntimeError("defect"))) as server:
        assert (await server.put(canary))[0] == 500
        assert (await server.put(canary, device=pki.stranger))[0] == 403
        assert (await server.put(canary, headers={"Mdm-Signature": signature[:-8]}))[0] == 400
        assert (await server.put(b"CANARY-OF-THE-BODY"))[0] == 400

    lines = [f"{record.getMessage()} {record.__dict__} {record.exc_text or ''}" for record in caplog.records]
    codes = {getattr(record, "code", None) for record in caplog.records}
    assert {"internal", "certificate_refused"} <= codes
    for line in lines:
        assert "CANARY" not in line
        assert signature[100:140] not in line
