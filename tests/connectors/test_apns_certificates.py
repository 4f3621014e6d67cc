"""Push certificates: changed while in use, refused, never on disk, and never in a message."""

import asyncio
import logging
import os
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mdmserver.connectors import apns_tls
from mdmserver.connectors.apns import APNsGateway
from mdmserver.connectors.apns_request import PushRequest
from mdmserver.connectors.apns_tls import client_context
from mdmserver.push.model import PushIdentity
from mdmserver.secret import Secret
from tests.connectors.apns_server import ScriptedAPNs, ServerConnection, accept, refuse_one_certificate, stay_silent
from tests.connectors.conftest import TOPIC, MakeGateway, PushCA, new_ca, notification, pushes, soon

OTHER_TOPIC = "com.apple.mgmt.External.0e7d3c55-0000-4000-8000-1f2e3d4c5b6a"


def peer_of(connection: ServerConnection) -> bytes:
    """The certificate that the gateway showed on this connection."""
    tls = connection.transport.get_extra_info("ssl_object")
    assert tls.version() == "TLSv1.3"
    der = tls.getpeercert(binary_form=True)
    assert isinstance(der, bytes)
    return der


def der_of(identity: PushIdentity) -> bytes:
    return ssl.PEM_cert_to_DER_cert(identity.certificate.decode())


async def test_a_changed_certificate_gets_a_new_connection_and_the_old_finishes(
    gateway: APNsGateway, apns: ScriptedAPNs, ca: PushCA, identity: PushIdentity
) -> None:
    apns.script = stay_silent
    storm = pushes(gateway, 5)
    await apns.until(lambda: len(apns.pushes) == 5)
    renewed = ca.identity()

    gateway.use([renewed])
    apns.script = accept
    with_new = await soon(gateway.push(TOPIC, notification(50)))
    for push in apns.pushes[:5]:
        push.accept()
    with_old = await soon(asyncio.gather(*storm))

    assert with_new.is_accepted
    assert all(outcome.is_accepted for outcome in with_old)
    assert [peer_of(connection) for connection in apns.connections] == [der_of(identity), der_of(renewed)]
    await apns.until(lambda: apns.lost == 1)


async def test_what_waits_for_a_stream_when_the_certificate_changes_goes_out_with_the_new_one(
    make_gateway: MakeGateway, apns: ScriptedAPNs, ca: PushCA
) -> None:
    gateway = make_gateway(reconnect_seconds=60)
    apns.max_streams = 2
    apns.script = stay_silent
    storm = pushes(gateway, 20)
    await apns.until(lambda: len(apns.pushes) == 2)
    apns.max_streams, apns.script = 100, accept

    gateway.use([ca.identity()])
    outcomes = await soon(asyncio.gather(*storm[2:]))

    assert all(outcome.is_accepted for outcome in outcomes)
    assert {push.connection for push in apns.pushes[2:]} == {apns.connections[1]}
    assert not any(task.done() for task in storm[:2])
    for push in apns.pushes[:2]:
        push.accept()
    assert all(outcome.is_accepted for outcome in await soon(asyncio.gather(*storm[:2])))


async def test_the_same_certificate_again_keeps_the_connection(
    gateway: APNsGateway, apns: ScriptedAPNs, identity: PushIdentity
) -> None:
    await soon(gateway.push(TOPIC, notification()))
    gateway.use([identity])

    assert (await soon(gateway.push(TOPIC, notification()))).is_accepted
    assert len(apns.connections) == 1


async def test_a_topic_that_is_used_no_more_is_left(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    await soon(gateway.push(TOPIC, notification()))

    gateway.use([])

    await apns.until(lambda: apns.lost == 1)
    assert (await soon(gateway.push(TOPIC, notification()))).reason == "not sent: topic not in use"


async def test_each_topic_has_connections_of_its_own(
    gateway: APNsGateway, apns: ScriptedAPNs, ca: PushCA, identity: PushIdentity
) -> None:
    other = ca.identity(OTHER_TOPIC)
    gateway.use([identity, other])
    await soon(gateway.push(TOPIC, notification()))
    await soon(gateway.push(OTHER_TOPIC, notification()))

    assert [peer_of(connection) for connection in apns.connections] == [der_of(identity), der_of(other)]
    assert [push.headers["apns-topic"] for push in apns.pushes] == [TOPIC, OTHER_TOPIC]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_apns_refuses_is_said(
    make_gateway: MakeGateway, tmp_path: Path, ca: PushCA, version: ssl.TLSVersion
) -> None:
    context = ca.server_context()
    context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        gateway = make_gateway(port=listener.getsockname()[1])
        gateway.use([new_ca(tmp_path).identity()])
        server = asyncio.create_task(asyncio.to_thread(refuse_one_certificate, listener, context))

        outcome = await soon(gateway.push(TOPIC, notification()))

        await soon(server)
    assert outcome.status is None
    assert "certificate refused (" in (outcome.reason or "")


async def test_a_certificate_that_apns_refuses_without_a_word_is_only_a_guess(
    gateway: APNsGateway, apns: ScriptedAPNs, tmp_path: Path
) -> None:
    # asyncio's server refuses the certificate, but sends no alert.
    gateway.use([new_ca(tmp_path).identity()])

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert (outcome.reason or "").startswith("not sent: connection lost before HTTP/2 began")
    assert apns.pushes == []


async def test_a_server_with_a_certificate_of_another_ca_is_not_believed(
    make_gateway: MakeGateway, apns: ScriptedAPNs, tmp_path: Path
) -> None:
    gateway = make_gateway(ca_file=new_ca(tmp_path).ca_file)

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert "APNs' certificate is not accepted" in (outcome.reason or "")
    assert apns.pushes == []


async def test_a_server_of_another_name_is_not_believed(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    outcome = await soon(make_gateway(host="127.0.0.1").push(TOPIC, notification()))

    assert "APNs' certificate is not accepted" in (outcome.reason or "")
    assert apns.pushes == []


async def test_a_server_without_http_2_is_said(make_gateway: MakeGateway, apns: ScriptedAPNs, ca: PushCA) -> None:
    apns.context = ca.server_context()
    apns.context.set_alpn_protocols(["http/1.1"])
    await apns.stop()
    await apns.start()

    outcome = await soon(make_gateway().push(TOPIC, notification()))

    assert outcome.status is None
    assert apns.pushes == []
    assert outcome.reason == "not sent: the server does not speak HTTP/2"


@pytest.mark.parametrize("key", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_a_key_that_cannot_be_used_is_an_outcome(
    gateway: APNsGateway, apns: ScriptedAPNs, identity: PushIdentity, key: bytes
) -> None:
    gateway.use([replace(identity, key=Secret(key), fingerprint="broken")])

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert outcome.status is None
    assert (outcome.reason or "").startswith("not sent: cannot connect")


def test_an_encrypted_key_asks_nobody_for_a_password(ca: PushCA, identity: PushIdentity) -> None:
    key = load_pem_private_key(identity.key.reveal(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))

    with pytest.raises(ssl.SSLError):
        client_context(replace(identity, key=Secret(encrypted)), ca_file=ca.ca_file)


def test_tls_is_new_enough_and_checks_names(ca: PushCA, identity: PushIdentity) -> None:
    context = client_context(identity, ca_file=ca.ca_file)

    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_key_leaves_no_file_and_no_open_descriptor(
    ca: PushCA, identity: PushIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file = ca.ca_file
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = set(os.listdir("/dev/fd"))

    client_context(identity, ca_file=ca_file)
    with pytest.raises(ssl.SSLError):
        client_context(replace(identity, key=Secret(b"broken")), ca_file=ca_file)

    assert list((tmp_path / "temporary").iterdir()) == []
    assert len(os.listdir("/dev/fd")) == len(before)


def test_where_there_are_no_files_in_memory_a_private_one_lives_for_a_moment(
    ca: PushCA, identity: PushIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file = ca.ca_file
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create", raising=False)

    with apns_tls._as_file(b"secret") as path:
        assert Path(path).parent == tmp_path
        assert Path(path).stat().st_mode & 0o777 == 0o600
    client_context(identity, ca_file=ca_file)

    assert list(tmp_path.iterdir()) == []


async def test_no_secret_is_in_logs_reasons_or_reprs(
    make_gateway: MakeGateway, apns: ScriptedAPNs, identity: PushIdentity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = make_gateway(answer_seconds=0.2)
    secret = notification(token=Secret(b"\xab" * 32), magic=Secret("hush-hush"))
    said = [repr(gateway), repr(PushRequest(TOPIC, secret)), repr(identity), repr(secret)]

    apns.script = lambda push: push.refuse(400, "BadDeviceToken")
    said.append(repr(await soon(gateway.push(TOPIC, secret))))
    apns.script = stay_silent
    said.append(repr(await soon(gateway.push(TOPIC, secret))))
    apns.script = lambda push: push.connection.transport.abort()
    said.append(repr(await soon(gateway.push(TOPIC, secret))))
    await gateway.close()

    everything = "\n".join([*said, caplog.text])
    assert "hush-hush" not in everything
    assert "ab" * 32 not in everything
    assert identity.key.reveal().splitlines()[1].decode() not in everything
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
