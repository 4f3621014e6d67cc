"""`mdmserver doctor --url` on certificates: what a device would not trust is a failure, and says why."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mdmserver.cli.check_public_tls import check_public_tls
from mdmserver.cli.findings import Finding
from mdmserver.cli.probe import open_site

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA, and the files that it writes."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        """Its certificate, PEM."""
        path = self.folder / "ca.pem"
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def server(self, *, days: int, began_days_ago: int = 1, name: str = "127.0.0.1") -> ssl.SSLContext:
        """A server with a certificate for this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        san = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        begins = NOW - began_days_ago * DAY
        certificate = (
            _builder(name, self.certificate.subject, key, begins, begins + days * DAY)
            .add_extension(x509.SubjectAlternativeName([san]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / "server.pem"
        path.write_bytes(
            certificate.public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """A CA of the organization's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company CA")])
    certificate = (
        _builder("Company CA", name, key, NOW - 1000 * DAY, NOW + 1000 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issuer(folder=tmp_path, key=key, certificate=certificate)


@pytest.mark.parametrize(
    ("days", "began_days_ago", "name", "verdicts"),
    [
        (365, 1, "127.0.0.1", ["ok", "ok"]),
        (365, 350, "127.0.0.1", ["ok", "warning"]),
        (900, 1, "127.0.0.1", ["ok", "failure"]),
        (365, 400, "127.0.0.1", ["failure", "failure"]),
        (365, 1, "127.0.0.2", ["failure", "ok"]),
    ],
    ids=["good", "expires soon", "too long for Apple", "expired", "another name"],
)
async def test_a_certificate_is_looked_at_as_a_device_does(
    issuer: Issuer, days: int, began_days_ago: int, name: str, verdicts: list[str]
) -> None:
    async with tls_site(issuer.server(days=days, began_days_ago=began_days_ago, name=name)) as url:
        found = await checked(url, issuer.file)

    assert [finding.verdict for finding in found] == verdicts, found


async def test_a_ca_that_nobody_knows_fails(issuer: Issuer) -> None:
    async with tls_site(issuer.server(days=365)) as url:
        found = await checked(url, None)

    assert found[0].verdict == "failure"
    assert "fullchain.pem" in found[0].text


async def test_the_built_in_ca_is_a_warning(issuer: Issuer) -> None:
    own = issuer.certificate.public_bytes(Encoding.DER)

    async with tls_site(issuer.server(days=365), ca_certificate=own) as url:
        found = await checked(url, None)

    assert [finding.verdict for finding in found] == ["warning", "ok"], found
    assert "built-in" in found[0].text


async def test_a_port_without_tls_fails() -> None:
    async with tls_site(None) as url:
        found = await checked(url, None)

    assert [finding.verdict for finding in found] == ["failure"]
    assert "no handshake" in found[0].text


async def test_plain_http_fails_but_on_this_machine() -> None:
    [public], [local] = await checked("http://mdm.example.com", None), await checked("http://127.0.0.1:1", None)

    assert (public.verdict, local.verdict) == ("failure", "warning")


async def checked(url: str, ca_file: Path | None) -> Sequence[Finding]:
    async with open_site(url) as site:
        return [finding async for finding in check_public_tls(site, ca_file, now=NOW)]


@asynccontextmanager
async def tls_site(context: ssl.SSLContext | None, *, ca_certificate: bytes = b"") -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=ca_certificate)

    application = web.Application()
    application.router.add_get("/ca/certificate", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
