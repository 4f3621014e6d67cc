"""The TLS listeners: versions, old device certificates, and a server certificate renewed while it serves."""

import asyncio
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import CertificateCache, DeviceAuthority, DeviceTrust, dump_private_key
from certs.pem import encode_certificate
from mdmserver.config import TLS, Config, Listen
from mdmserver.errors import Invalid
from mdmserver.web.listener import ListenerKind
from mdmserver.web.tls import ServerCertificate
from tests.web.device.serving import (
    IDLE,
    NOW,
    PKI,
    DeviceIdentity,
    Serving,
    TLSFiles,
    head,
    serving,
    signed_request,
    tls_files,
)

BOTH = Listen(http="", operations="", https="127.0.0.1:0", mtls="127.0.0.1:0")


@pytest.fixture
def files(pki: PKI, tmp_path: Path) -> TLSFiles:
    return tls_files(pki, tmp_path)


async def certificate_seen(server: Serving, client: ssl.SSLContext, kind: ListenerKind) -> bytes:
    connection = await server.connect(kind, tls=client)
    tls: ssl.SSLObject = connection.extra("ssl_object")
    der = tls.getpeercert(True)
    assert der is not None
    return der


async def test_a_renewed_certificate_is_served_without_a_restart(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(pki.device)
        before = [await certificate_seen(server, client, kind) for kind in (ListenerKind.HTTPS, ListenerKind.MTLS)]
        tls_files(pki, files.folder, name="renewed")
        server.reload()
        after = [await certificate_seen(server, client, kind) for kind in (ListenerKind.HTTPS, ListenerKind.MTLS)]

    assert len(set(before)) == len(set(after)) == 1
    assert before[0] != after[0]


async def test_files_that_do_not_belong_together_change_nothing(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(pki.device)
        before = await certificate_seen(server, client, ListenerKind.HTTPS)
        key = dump_private_key(pki.other_device.key)
        files.write(files.tls.certificate, encode_certificate(pki.device.der))  # its key was not copied yet
        server.reload()
        files.write(files.tls.key, key)
        server.reload()

        assert await certificate_seen(server, client, ListenerKind.HTTPS) == before


async def test_a_changed_file_is_noticed(pki: PKI, files: TLSFiles) -> None:
    certificate = ServerCertificate(files.tls)
    context = certificate.context()
    before = await _served_by(context)
    tls_files(pki, files.folder, name="renewed")
    watching = asyncio.create_task(certificate.watch(0.01))
    try:
        async with asyncio.timeout(5):
            while await _served_by(context) == before:
                pass
    finally:
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def _served_by(context: ssl.SSLContext) -> bytes | None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=client)
        der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        await writer.wait_closed()
    return der


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_1_1_is_refused_and_1_2_served(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(pki.device)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = await server.connect(ListenerKind.HTTPS, tls=client)
        assert connection.extra("ssl_object").version() == "TLSv1.2"
        connection = await server.connect(ListenerKind.MTLS, tls=client)
        await connection.send(head(f"Content-Length: {len(IDLE)}") + IDLE)
        assert await connection.status() == b"200"

        client.set_ciphers("ALL:@SECLEVEL=0")
        client.minimum_version, client.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect(ListenerKind.HTTPS, tls=client)


async def test_http_1_1_is_agreed_on(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client()
        client.set_alpn_protocols(["h2", "http/1.1"])
        connection = await server.connect(ListenerKind.HTTPS, tls=client)

        assert connection.extra("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_a_signature_is_the_proof_on_the_https_listener(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        connection = await server.connect(ListenerKind.HTTPS, tls=files.client())
        await connection.send(signed_request(pki.device))

        assert await connection.status() == b"200"


async def test_a_resumed_session_still_proves_the_certificate(pki: PKI, files: TLSFiles) -> None:
    async with serving(pki, listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        host, port = server.addresses[ListenerKind.MTLS]
        client = files.client(pki.device)
        client.maximum_version = ssl.TLSVersion.TLSv1_2  # where the session is there when the handshake ends
        request = head(f"Content-Length: {len(IDLE)}", "Connection: close") + IDLE
        first = await asyncio.to_thread(_talk, host, port, client, request, None)
        second = await asyncio.to_thread(_talk, host, port, client, request, first[2])

    assert (first[0], first[1]) == (b"200", False)
    assert (second[0], second[1]) == (b"200", True)
    assert {presented.certificate for _, presented, _ in server.services.reports} == {pki.device.der}


def _talk(
    host: str, port: int, client: ssl.SSLContext, request: bytes, session: ssl.SSLSession | None
) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
    with (
        socket.create_connection((host, port), timeout=5) as plain,
        client.wrap_socket(plain, server_hostname="mdm", session=session) as tls,
    ):
        tls.sendall(request)
        answer = tls.recv(4096)
        return answer.split(b" ", 2)[1], tls.session_reused, tls.session


def with_sha1(der: bytes, issuer_key: rsa.RSAPrivateKey) -> bytes:
    """The same certificate signed with SHA-1, which `cryptography` makes no certificates with any more."""
    rsa_oids = bytes.fromhex("06092a864886f70d0101")
    renamed = der.replace(rsa_oids + b"\x0b", rsa_oids + b"\x05")
    signature = issuer_key.sign(
        x509.load_der_x509_certificate(renamed).tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA1()
    )
    return renamed[: -len(signature)] + signature


def old_identity() -> tuple[bytes, DeviceIdentity]:
    """A CA that expired, and an RSA-1024 certificate that it signed with SHA-1: as devices really have them."""
    ca_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Old CA")])

    def certificate(subject: x509.Name, public: rsa.RSAPublicKey, days: int, *, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(7 if is_ca else 8)
            .not_valid_before(NOW - timedelta(days=4000))
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return with_sha1(builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.DER), ca_key)

    ca = certificate(ca_name, ca_key.public_key(), -1000, is_ca=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old device")])
    return ca, DeviceIdentity(key=key, der=certificate(subject, key.public_key(), 300, is_ca=False))


async def test_an_old_chain_gets_through_tls_and_is_judged_by_certs(pki: PKI, files: TLSFiles) -> None:
    ca, device = old_identity()
    files.write(files.device_ca[0].certificates, ssl.DER_cert_to_PEM_cert(ca).encode())
    trust = DeviceTrust([DeviceAuthority(name="external", roots=(ca,))])
    assert CertificateCache(trust).get(device.der).authority == "external"

    async with serving(pki, roots=(ca,), listen=BOTH, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(device)
        connection = await server.connect(ListenerKind.MTLS, tls=client)
        await connection.send(head(f"Content-Length: {len(IDLE)}") + IDLE)

        assert await connection.status() == b"200"


@pytest.mark.parametrize("broken", ["certificate", "key"])
def test_unusable_files_stop_the_start(files: TLSFiles, broken: str) -> None:
    Path(getattr(files.tls, broken)).write_text("nonsense")

    with pytest.raises(Invalid, match=r"tls\.certificate"):
        ServerCertificate(files.tls).context()


def test_mtls_without_a_device_ca_stops_the_start(files: TLSFiles) -> None:
    with pytest.raises(Invalid, match="device_ca"):
        ServerCertificate(files.tls).device_context([])


def test_without_tls_there_is_nothing_to_reload() -> None:
    ServerCertificate(TLS()).reload()

    assert Config().listen.https == ""
