"""SCEP over HTTP: what each operation answers, in which form messages come, and that refusals say nothing."""

import os
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from certs import PKIStatus
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, challenge_of, issuing_server, rsa_key


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path) as server:
        yield server


async def test_capabilities_and_certificate_are_answered_whatever_message_comes_with_them(
    issuing: RunningServer,
) -> None:
    own = issuing.services.own_authorities.issuing.authority.certificate_der

    for message in ("", "&message=MDM", "&message=a%00%ff", "&unknown=1&unknown=2"):
        capabilities = await issuing.call("GET", f"/scep?operation=GetCACaps{message}")
        certificate = await issuing.call("GET", f"/scep?operation=GetCACert{message}")

        assert (capabilities.status, capabilities.headers["Content-Type"]) == (200, "text/plain")
        assert b"POSTPKIOperation" in capabilities.body.split(b"\n")
        assert (certificate.status, certificate.body) == (200, own)
        assert certificate.headers["Content-Type"] == "application/x-x509-ca-cert"
        assert certificate.headers["Server"] == "mdmserver"


@pytest.mark.parametrize(
    "written",
    [
        lambda message: quote(b64encode(message), safe=""),
        lambda message: b64encode(message).decode(),
        lambda message: b64encode(message).decode().rstrip("="),
        lambda message: quote(quote(b64encode(message), safe=""), safe=""),
        lambda message: urlsafe_b64encode(message).decode(),
    ],
    ids=["escaped", "bare", "without padding", "escaped twice", "for URLs"],
)
async def test_message_in_a_query_is_read_however_it_is_written(
    written: Callable[[bytes], str], issuing: RunningServer
) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    challenge = await challenge_of(issuing)
    # So that both characters that differ between the alphabets are in it.
    message = next(
        message for _ in range(100) if {b"+", b"/"} <= set(_characters(message := applicant.request(challenge)))
    )

    answer = await issuing.call("GET", f"/scep?operation=PKIOperation&message={written(message)}")

    assert applicant.read(answer).status is PKIStatus.SUCCESS


def _characters(message: bytes) -> list[bytes]:
    return [bytes([character]) for character in b64encode(message)]


@pytest.mark.parametrize("media_type", ["application/x-pki-message", "text/plain", "application/json", "nonsense"])
async def test_posted_message_is_read_whatever_it_is_called(media_type: str, issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    message = applicant.request(await challenge_of(issuing))

    answer = await issuing.call(
        "POST", "/scep?operation=PKIOperation", data=message, headers={"Content-Type": media_type}
    )

    assert applicant.read(answer).status is PKIStatus.SUCCESS


@pytest.mark.parametrize(
    "query",
    [
        "", "?", "?operation=", "?operation=getcacaps", "?operation=GetCRL", "?operation=GetNextCACert",
        "?operation=GetCACaps&operation=GetCACert", "?message=abc", "?operation=PKIOperation",
        "?operation=PKIOperation&message=%25%25", "?operation=PKIOperation&message=AAAA",
        "?operation=PKIOperation&message=" + "A" * 100_000, "?operation=PKIOperation&message=" + "%2B" * 30_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_deserves_no_answer_gets_an_empty_400(method: str, query: str, issuing: RunningServer) -> None:
    answer = await issuing.call(method, f"/scep{query}")

    assert (answer.status, answer.body) == (400, b"")
    assert answer.headers["Server"] == "mdmserver"


async def test_garbage_is_refused_and_leaves_no_trace_of_an_error(
    issuing: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    good = Applicant(server=issuing, key=rsa_key("device")).request("challenge")
    messages = [b"", b"\x30\x80", os.urandom(1000), good[:-1], good[:200], bytes(64 * 1024), b"0" * 64 * 1024]

    answers = [await issuing.call("POST", "/scep?operation=PKIOperation", data=message) for message in messages]

    assert [(answer.status, answer.body) for answer in answers] == [(400, b"")] * len(messages)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_message_over_64_kib_is_too_large(issuing: RunningServer) -> None:
    answer = await issuing.call("POST", "/scep?operation=PKIOperation", data=bytes(64 * 1024 + 1))

    assert (answer.status, answer.body) == (413, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_other_methods_are_refused_without_a_word(method: str, issuing: RunningServer) -> None:
    answer = await issuing.call(method, "/scep?operation=GetCACaps")

    assert (answer.status, answer.body) == (405, b"")


async def test_an_api_key_makes_no_difference(issuing: RunningServer) -> None:
    answer = await issuing.call("GET", "/scep?operation=GetCACaps", key="mdm_0000000000_nonsense")

    assert answer.status == 200


@pytest.mark.parametrize("path", ["/scep?operation=GetCACert", "/ca/certificate", "/ca/crl"])
async def test_without_a_ca_devices_are_told_to_come_later(path: str, tmp_path: Path) -> None:
    async with issuing_server(tmp_path, with_ca=False) as server:
        answer = await server.call("GET", path)

    assert (answer.status, answer.body) == (503, b"")
    assert int(answer.headers["Retry-After"]) > 0


async def test_without_a_ca_a_message_is_told_to_come_later(tmp_path: Path) -> None:
    async with issuing_server(tmp_path / "one") as server:
        message = Applicant(server=server, key=rsa_key("device")).request("challenge")
    async with issuing_server(tmp_path / "other", with_ca=False) as server:
        answer = await server.call("POST", "/scep?operation=PKIOperation", data=message)

    assert (answer.status, answer.body) == (503, b"")


async def test_crl_is_signed_anew_only_every_few_minutes(issuing: RunningServer) -> None:
    first = await issuing.call("GET", "/ca/crl")
    at_once = await issuing.call("GET", "/ca/crl?authority=1")
    issuing.clock.advance(minutes=6)
    later = await issuing.call("GET", "/ca/crl")

    assert (first.status, first.headers["Content-Type"]) == (200, "application/pkix-crl")
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert at_once.body == first.body
    assert later.body != first.body


@pytest.mark.parametrize("authority", ["7", "x", "-1", "99999999999999999999"])
async def test_crl_of_an_unknown_ca_is_refused(authority: str, issuing: RunningServer) -> None:
    answer = await issuing.call("GET", f"/ca/crl?authority={authority}")

    assert (answer.status, answer.body) == (400, b"")


async def test_ca_has_no_surface_on_the_operations_listener(issuing: RunningServer) -> None:
    for path in ("/scep?operation=GetCACaps", "/ca/certificate", "/enroll/a"):
        assert (await issuing.call("GET", path, url=issuing.operations_url)).status == 404
