"""SCEP against others' programs: scepserver gives our client certificates, scepclient gets them from our functions."""

import http.client
import itertools
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from certs import (
    Authority,
    CertificateError,
    CertificateProfile,
    Cipher,
    Digest,
    FailInfo,
    MessageType,
    PKIStatus,
    RequestRefused,
    SCEPReply,
    build_failure,
    build_success,
    ca_capabilities,
    ca_certificates,
    create_signer_certificate,
    decode_get_message,
    load_device_certificate,
    load_pem_certificates,
    parse_request,
)
from tests.certs.scep_parties import Client, rsa_key

CHALLENGE = "open sesame"
PATIENCE_SECONDS = 20


def program(name: str) -> str:
    """Where the peer is; without it these tests would prove nothing, so its absence fails them."""
    return shutil.which(name) or pytest.fail(f"{name} is missing: install the Debian package scep")


@contextmanager
def scepserver(directory: Path) -> Iterator[tuple[int, bytes]]:
    """The port of a running server, and its CA certificate."""
    depot = directory / "depot"
    subprocess.run(
        [program("scepserver"), "ca", "-init", "-depot", depot, "-keySize", "2048"], check=True, capture_output=True
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program("scepserver"), "-depot", depot, "-port", str(port), "-challenge", CHALLENGE, "-allowrenew", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_listening(port)
        yield port, load_pem_certificates((depot / "ca.pem").read_bytes())[0]
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "scepserver does not listen"


@pytest.fixture(scope="module")
def their_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, bytes]]:
    with scepserver(tmp_path_factory.mktemp("scepserver")) as running:
        yield running


def client_of(their_server: tuple[int, bytes], key_name: str) -> Client:
    key, now = rsa_key(key_name), datetime.now(UTC)
    signer = create_signer_certificate(key, not_before=now - timedelta(hours=1), not_after=now + timedelta(days=1))
    return Client(key=key, signer_der=signer, authority_der=their_server[1], transaction_id=key_name.encode().hex())


def exchange(their_server: tuple[int, bytes], client: Client, request: bytes) -> SCEPReply:
    connection = http.client.HTTPConnection("127.0.0.1", their_server[0], timeout=PATIENCE_SECONDS)
    connection.request("POST", "/scep?operation=PKIOperation", request)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, body
    # It answers in single DES whatever it was asked in.
    return client.reply(body, allow_des=True)


@pytest.mark.parametrize(
    ("digest", "cipher"),
    [(Digest.SHA256, Cipher.AES_128_CBC), (Digest.SHA1, Cipher.DES_EDE3_CBC), (Digest.SHA512, Cipher.AES_256_CBC)],
)
def test_scepserver_gives_our_client_a_certificate(
    digest: Digest, cipher: Cipher, their_server: tuple[int, bytes]
) -> None:
    client = client_of(their_server, f"peer {cipher}")

    reply = exchange(their_server, client, client.request(in_csr=CHALLENGE, digest=digest, cipher=cipher))

    assert reply.status is PKIStatus.SUCCESS
    assert load_device_certificate(reply.certificates[0]).public_key == client.key.public_key()


def test_scepserver_renews_what_it_gave(their_server: tuple[int, bytes]) -> None:
    client = client_of(their_server, "peer renewal")
    first = exchange(their_server, client, client.request(in_csr=CHALLENGE)).certificates[0]
    enrolled = Client(
        key=client.key,
        signer_der=first,
        authority_der=client.authority_der,
        transaction_id=client.transaction_id,
    )

    # It wants the challenge again, though the RFC does not.
    reply = exchange(their_server, enrolled, enrolled.request(MessageType.RENEWAL_REQ, in_csr=CHALLENGE))

    renewed = load_device_certificate(reply.certificates[0])
    assert reply.certificates[0] != first
    assert renewed.public_key == client.key.public_key()


def test_scepserver_refuses_our_client_with_a_wrong_challenge(their_server: tuple[int, bytes]) -> None:
    client = client_of(their_server, "peer stranger")

    reply = exchange(their_server, client, client.request(in_csr="wrong"))

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)
    assert reply.certificates == ()


class Responder(ThreadingHTTPServer):
    """A CA over HTTP of the smallest kind: what `issuance` and `web` do, without storage and rules."""

    def __init__(self, authority: Authority, *, allow_des: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority
        self.allow_des = allow_des
        self.seen: list[str] = []
        self._serial_numbers = itertools.count(2**64)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/scep"

    def answer(self, message: bytes) -> bytes:
        nonce = secrets.token_bytes(16)
        try:
            request = parse_request(message, [self.authority], allow_des=self.allow_des)
        except RequestRefused as refusal:
            self.seen.append(f"refused: {refusal}")
            return build_failure(refusal.message, refusal.fail_info, self.authority, sender_nonce=nonce)
        self.seen.append(request.message_type.name)
        if request.message_type is MessageType.PKCS_REQ and request.challenge_password != CHALLENGE:
            return build_failure(request, FailInfo.BAD_REQUEST, self.authority, sender_nonce=nonce)
        assert request.csr is not None
        profile = CertificateProfile(common_name="from our profile")
        issued = self.authority.issue(
            request.csr.public_key, profile, next(self._serial_numbers), profile.not_before(datetime.now(UTC))
        )
        return build_success(request, issued, self.authority, sender_nonce=nonce)


class _Handler(BaseHTTPRequestHandler):
    server: Responder

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        match query["operation"][0]:
            case "GetCACaps":
                self._send("text/plain", ca_capabilities())
            case "GetCACert":
                body = ca_certificates([self.server.authority.certificate_der])
                self._send(body.media_type, body.content)
            case _:
                self._send_answer(decode_get_message(query["message"][0]))

    def do_POST(self) -> None:
        self._send_answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: pytest shows what matters."""

    def _send_answer(self, message: bytes) -> None:
        try:
            self._send("application/x-pki-message", self.server.answer(message))
        except CertificateError as error:
            self.server.seen.append(f"unanswered: {error}")
            self.send_error(400)

    def _send(self, media_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def responding(*, allow_des: bool = True) -> Iterator[Responder]:
    now = datetime.now(UTC)
    authority = Authority.create(
        common_name="MDM CA",
        key=rsa_key("MDM CA"),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=30),
        serial_number=2**80,
    )
    responder = Responder(authority, allow_des=allow_des)
    thread = threading.Thread(target=responder.serve_forever)
    thread.start()
    try:
        yield responder
    finally:
        responder.shutdown()
        thread.join(PATIENCE_SECONDS)
        responder.server_close()


def scepclient(directory: Path, responder: Responder, *options: str) -> subprocess.CompletedProcess[bytes]:
    files = ("-private-key", "key.pem", "-certificate", "client.pem")
    return subprocess.run(
        [program("scepclient"), "-server-url", responder.url, "-challenge", CHALLENGE, *files, *options],
        cwd=directory,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_scepclient_enrolls_and_renews(tmp_path: Path) -> None:
    with responding() as responder:
        enrolled = scepclient(tmp_path, responder)
        first = load_pem_certificates((tmp_path / "client.pem").read_bytes())[0]
        renewed = scepclient(tmp_path, responder)
        second = load_pem_certificates((tmp_path / "client.pem").read_bytes())[0]

    assert (enrolled.returncode, renewed.returncode) == (0, 0), enrolled.stderr + renewed.stderr
    assert responder.seen == ["PKCS_REQ", "RENEWAL_REQ"]
    assert first != second
    assert responder.authority.has_issued(first)
    assert responder.authority.has_issued(second)
    assert load_device_certificate(second).subject == "CN=from our profile"


def test_scepclient_is_refused_with_a_wrong_challenge(tmp_path: Path) -> None:
    with responding() as responder:
        done = scepclient(tmp_path, responder, "-challenge", "wrong")

    assert responder.seen == ["PKCS_REQ"]
    assert b"badRequest" in done.stdout + done.stderr
    assert not (tmp_path / "client.pem").exists()


def test_scepclient_is_refused_where_single_des_is_not_allowed(tmp_path: Path) -> None:
    with responding(allow_des=False) as responder:
        done = scepclient(tmp_path, responder)

    assert responder.seen == ["refused: the request cannot be opened"]
    assert b"badMessageCheck" in done.stdout + done.stderr
    assert not (tmp_path / "client.pem").exists()
