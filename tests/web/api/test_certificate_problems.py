"""What the status says of certificates: the CA's, the server's, the devices'."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from certs import Authority, dump_private_key
from certs.pem import encode_certificate
from mdmserver.config import TLS
from mdmserver.secret import Secret
from tests.fleet import ADMIN
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, challenge_of, enroll, issuing_server, rsa_key


async def codes(server: RunningServer) -> set[str]:
    problems: list[dict[str, Any]] = (await server.get("/api/v1/status")).json["problems"]
    return {problem["code"] for problem in problems} - {"no_push_certificate"}


async def test_server_with_a_fresh_ca_has_no_problem_with_certificates(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        assert await codes(server) == set()


async def test_server_without_any_ca_says_so(tmp_path: Path) -> None:
    async with issuing_server(tmp_path, with_ca=False) as server:
        assert await codes(server) == {"no_device_ca"}


async def test_ca_is_a_problem_in_its_last_month_and_after(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        server.clock.advance(days=3652 - 29)
        in_its_last_month = await codes(server)
        server.clock.advance(days=30)
        afterwards = await codes(server)

    assert (in_its_last_month, afterwards) == ({"ca_expiring"}, {"ca_expired"})


async def test_tls_certificate_is_a_problem_in_its_last_month_and_when_it_cannot_be_read(tmp_path: Path) -> None:
    files = TLS(certificate=str(tmp_path / "server.pem"), key=str(tmp_path / "server.key"))

    async with issuing_server(tmp_path / "state", tls=files) as server:
        await server.services.server_certificates.ensure(tmp_path, ["mdm.example.com"])
        good = await codes(server)
        server.clock.advance(days=390)
        expiring = await codes(server)
        server.clock.advance(days=7)
        expired = await codes(server)
        (tmp_path / "server.pem").write_bytes(b"garbage")
        unreadable = await codes(server)

    assert (good, expiring, expired, unreadable) == (set(), {"tls_expiring"}, {"tls_expired"}, {"tls_unreadable"})


async def test_devices_that_have_not_renewed_are_counted(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        applicant = Applicant(server=server, key=rsa_key("device"))
        (certificate,) = (await applicant.apply(await challenge_of(server))).certificates
        await enroll(server, certificate, applicant.key)
        server.clock.advance(days=300)
        in_time = await codes(server)
        server.clock.advance(days=10)
        overdue = await codes(server)
        server.clock.advance(days=56)
        expired = await codes(server)

    assert (in_time, overdue, expired) == (
        set(),
        {"device_certificates_overdue"},
        {"device_certificates_expired"},
    )


async def test_only_the_ca_that_issues_is_a_problem(tmp_path: Path) -> None:
    async with issuing_server(tmp_path, with_ca=False) as server:
        now = server.clock()
        old = Authority.create(
            common_name="Old CA",
            key=rsa_key("old CA"),
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=10),
            serial_number=2**70,
        )
        await server.services.own_authorities.import_existing(
            encode_certificate(old.certificate_der), Secret(dump_private_key(old.private_key)), actor=ADMIN
        )
        alone = await codes(server)
        await server.post("/api/v1/ca/rollover", {"name": "New CA"})
        rolled_over = await codes(server)

    assert (alone, rolled_over) == ({"ca_expiring"}, set())
