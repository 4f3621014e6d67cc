"""tls.own_ca: the built-in CA's certificate for the server, from an empty folder through roll-over and renewal."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import (
    dump_private_key,
    generate_ec,
    load_device_certificate,
    load_pem_certificates,
    load_private_key,
    server_names_of,
)
from certs.pem import encode_certificate
from mdmserver.bootstrap import open_services, own_tls
from mdmserver.config import TLS, Config, Listen, Server
from mdmserver.errors import Unavailable
from mdmserver.issuance.invitations import NewInvitation
from mdmserver.issuance.model import UNUSED_CERTIFICATE_LIFETIME
from mdmserver.issuance.unused import UnusedCertificates
from mdmserver.protocol import loads
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.vault_keys import add_wrapping_key, open_vault, read_wrapping_keys
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from mdmserver.web.services import Services
from mdmserver.web.tls import ServerCertificate
from profiles import enrollment_of, read_signed_profile
from tests.fleet import ADMIN, FakeClock
from tests.web.api_server import RunningServer
from tests.web.issuing import (
    Applicant,
    challenge_of,
    check_in,
    download,
    invite,
    issuing_server,
    rsa_key,
    run,
)

NAMES = ["mdm.example.com", "localhost", "127.0.0.1"]


@pytest.fixture
async def services(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Services]:
    add_wrapping_key(tmp_path / "keys")
    async with open_services(Config(), tmp_path, clock=clock) as services:
        await services.own_authorities.create(common_name="First CA", actor=ADMIN)
        yield services


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tls"


def certificate_in(folder: Path) -> bytes:
    return load_pem_certificates((folder / "server.pem").read_bytes())[0]


async def test_certificate_is_for_the_names_a_year_and_tls_alone(
    services: Services, folder: Path, tmp_path: Path
) -> None:
    assert await services.server_certificates.ensure(folder, NAMES)

    shown = run("openssl", "x509", "-in", folder / "server.pem", "-noout", "-text").decode()
    assert "DNS:mdm.example.com, DNS:localhost, IP Address:127.0.0.1" in shown
    assert "TLS Web Server Authentication" in shown
    assert "TLS Web Client Authentication" not in shown
    assert "NIST CURVE: P-256" in shown
    certificate = load_device_certificate(certificate_in(folder))
    # Apple's limit for certificates of CAs that come with the system; others may be longer.
    assert timedelta(days=390) < certificate.not_after - certificate.not_before <= timedelta(days=397)
    (tmp_path / "ca.pem").write_bytes(encode_certificate(services.own_authorities.issuing.authority.certificate_der))
    run(
        *("openssl", "verify", "-purpose", "sslserver", "-verify_hostname", "mdm.example.com"),
        *("-attime", int(services.clock().timestamp()), "-CAfile", tmp_path / "ca.pem", folder / "server.pem"),
    )


async def test_files_are_for_the_server_alone(services: Services, folder: Path) -> None:
    await services.server_certificates.ensure(folder, NAMES)

    paths = [folder, folder / "server.pem", folder / "server.key"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert modes == {"tls": 0o700, "server.pem": 0o600, "server.key": 0o600}


async def test_good_certificate_is_left_alone(services: Services, folder: Path, clock: FakeClock) -> None:
    await services.server_certificates.ensure(folder, NAMES)
    clock.advance(days=360)
    before = certificate_in(folder)

    assert not await services.server_certificates.ensure(folder, NAMES[::-1])
    assert certificate_in(folder) == before


async def test_certificate_is_renewed_a_month_before_its_end_and_keeps_its_key(
    services: Services, folder: Path, clock: FakeClock
) -> None:
    await services.server_certificates.ensure(folder, NAMES)
    before, key = certificate_in(folder), (folder / "server.key").read_bytes()
    clock.advance(days=367)

    assert await services.server_certificates.ensure(folder, NAMES)

    assert load_device_certificate(certificate_in(folder)).not_after > load_device_certificate(before).not_after
    assert (folder / "server.key").read_bytes() == key


async def test_other_names_need_another_certificate(services: Services, folder: Path) -> None:
    await services.server_certificates.ensure(folder, NAMES)

    assert await services.server_certificates.ensure(folder, ["other.example.com"])
    assert server_names_of(certificate_in(folder)) == {"other.example.com"}


@pytest.mark.parametrize("damaged", ["server.pem", "server.key"])
@pytest.mark.parametrize("content", [b"", b"garbage", dump_private_key(generate_ec()), None])
async def test_damaged_files_are_mended(damaged: str, content: bytes | None, services: Services, folder: Path) -> None:
    await services.server_certificates.ensure(folder, NAMES)
    if content is None:
        (folder / damaged).unlink()
    else:
        (folder / damaged).write_bytes(content)

    assert await services.server_certificates.ensure(folder, NAMES)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    assert not await services.server_certificates.ensure(folder, NAMES)


async def test_roll_over_does_not_lock_out_devices_that_know_the_old_ca_alone(
    services: Services, folder: Path, clock: FakeClock
) -> None:
    await services.server_certificates.ensure(folder, NAMES)
    first = services.own_authorities.issuing.authority
    clock.advance(days=3000)
    second = (await services.own_authorities.create(common_name="Second CA", actor=ADMIN)).authority

    await services.server_certificates.ensure(folder, NAMES)
    still_of_the_first = first.has_issued(certificate_in(folder))
    clock.advance(days=652 - 20)
    await services.server_certificates.ensure(folder, NAMES)

    assert still_of_the_first
    # Nobody can still depend on a CA that ends in less than a month: every device has renewed since.
    assert second.has_issued(certificate_in(folder))


async def test_server_without_a_ca_cannot_start_with_its_own(tmp_path: Path, clock: FakeClock) -> None:
    add_wrapping_key(tmp_path / "keys")
    config = Config(tls=TLS(own_ca=True))

    async with open_services(config, tmp_path, clock=clock) as services:
        with pytest.raises(Unavailable, match="no CA"):
            async with own_tls(config, services, tmp_path):
                pass


async def test_issuance_is_audited_and_never_swept_as_unused(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        await server.services.server_certificates.ensure(tmp_path / "tls", NAMES)
        serial = load_device_certificate(certificate_in(tmp_path / "tls")).serial_number
        await Applicant(server=server, key=rsa_key("device")).apply(await challenge_of(server))
        actions = [each["action"] for each in (await server.get("/api/v1/audit?limit=1000")).json["items"]]
        server.clock.advance(seconds=UNUSED_CERTIFICATE_LIFETIME.total_seconds() + 1)
        swept = await _sweep(server)
        crl = await server.services.crls.published(None)

    assert actions.count("certificate.issue_server") == 1
    assert swept == 1
    listed = run("openssl", "crl", "-inform", "DER", "-noout", "-text", stdin=crl).decode()
    assert listed.count("Serial Number") == 1
    assert f"{serial:X}" not in listed


async def _sweep(server: RunningServer) -> int:
    services = server.services
    vault = await open_vault(services.storage, read_wrapping_keys(server.state / "keys"), clock=server.clock)
    return await UnusedCertificates(
        storage=services.storage, issuance=SQLIssuanceStore(vault), audit=SQLAuditStore(), clock=server.clock
    ).revoke()


@asynccontextmanager
async def over_https(state: Path) -> AsyncIterator[tuple[Services, Path, int]]:
    add_wrapping_key(state / "keys")
    config = Config(
        server=Server(url="https://localhost:8443"),
        listen=Listen(https="127.0.0.1:0", http="", operations=""),
        tls=TLS(own_ca=True),
    )
    async with open_services(config, state) as services:
        await services.own_authorities.create(common_name="Example CA", actor=ADMIN)
        async with (
            own_tls(config, services, state) as served,
            serve(served, services, build_application=build_application) as listening,
        ):
            yield services, state / "tls", listening.addresses[ListenerKind.HTTPS][1]


async def test_curl_trusts_the_server_by_the_ca_in_its_profile(tmp_path: Path) -> None:
    async with over_https(tmp_path / "state") as (services, _, port):
        invitation = NewInvitation(expires_at=datetime.now(UTC) + timedelta(days=1))
        _, token = await services.invitations.create(invitation, actor=ADMIN)
        profile = enrollment_of(loads(read_signed_profile(await services.enrollment.profile(token.reveal()))[0]))
        (tmp_path / "ca.pem").write_bytes(b"".join(encode_certificate(der) for der in profile.trusted_certificates))
        page = await asyncio.to_thread(
            run, "curl", "-sSf", "--cacert", tmp_path / "ca.pem",
            f"https://localhost:{port}/enroll/{token.reveal()}",
        )  # fmt: skip

    assert b"Download the profile" in page


async def test_devices_of_a_new_ca_are_let_in_over_mtls_without_a_restart(services: Services, folder: Path) -> None:
    await services.server_certificates.ensure(folder, NAMES)
    own = services.own_authorities
    files = TLS(certificate=str(folder / "server.pem"), key=str(folder / "server.key"))
    certificate = ServerCertificate(files, lambda: [each.authority.certificate_der for each in own.all])
    context = certificate.device_context(())
    await own.create(common_name="Second CA", actor=ADMIN)

    certificate.believe_own()

    names = {dict(pair[0] for pair in ca["subject"])["commonName"] for ca in context.get_ca_certs()}
    assert names == {"First CA", "Second CA"}


async def test_the_servers_own_certificate_is_no_devices(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        await server.services.server_certificates.ensure(tmp_path / "tls", NAMES)
        der = certificate_in(tmp_path / "tls")
        key = load_private_key((tmp_path / "tls" / "server.key").read_bytes())
        answer = await check_in(server, {"MessageType": "Authenticate"}, der, key)

    assert (answer.status, answer.body) == (403, b"")


async def test_profile_brings_no_ca_where_the_certificate_is_not_of_our_own(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        profile = await download(server, await invite(server))

    assert profile.trusted_certificates == ()
