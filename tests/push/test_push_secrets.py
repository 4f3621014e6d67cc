"""S24 for push: no token, magic, key or passphrase is in the database, its WAL, the logs or the text of a value."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdmserver.devices.model import PushInfo
from mdmserver.errors import Invalid
from mdmserver.push.certificates import Subject
from mdmserver.push.service import PushService
from mdmserver.secret import Secret
from tests.certs.push_parties import Party
from tests.fleet import ADMIN, TOPIC, device_id
from tests.push.bench import Bench
from tests.push.certificate_bench import CertificateBench, as_p12, certificate_for, certificates_of, encrypted_key
from tests.push.fake_gateway import NO_ANSWER, UNREGISTERED
from tests.security.test_s24_secrets_at_rest import forms

TOKEN, MAGIC = b"CANARY-push-token-1c5e77a0d2", b"CANARY-push-magic-9b21f40c3e"
PASSPHRASE, API_KEY = b"CANARY-passphrase-44e1b8d7", b"CANARY-api-key-d0a3c2f917"
TEXTS = {"token": TOKEN, "magic": MAGIC, "passphrase": PASSPHRASE, "api key": API_KEY}


def _key_forms(pem: bytes) -> Iterator[bytes]:
    """Any line of the key's PEM, and its DER."""
    lines = pem.strip().splitlines()[1:-1]
    # The first line is the same for every RSA key.
    yield from lines[1:]


def _secrets(parties: list[Party], kept: list[bytes]) -> dict[str, list[bytes]]:
    found = {name: list(forms(text)) for name, text in TEXTS.items()}
    keys = [party.key_pem for party in parties] + kept
    return found | {f"key {number}": list(_key_forms(pem)) for number, pem in enumerate(keys)}


def _found_in(haystack: bytes, secrets: dict[str, list[bytes]]) -> list[str]:
    return [name for name, shapes in secrets.items() if any(shape in haystack for shape in shapes)]


def _stored_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("test.sqlite*")}


async def live_through_everything(bench: Bench, certificates: CertificateBench) -> dict[str, list[bytes]]:
    """Let every secret of push pass through in every direction; the shapes in which each could be found."""
    first, second = certificate_for(TOPIC, common_name="first"), certificate_for(TOPIC, common_name="second")
    await certificates.install(as_p12(first, PASSPHRASE), passphrase=PASSPHRASE)
    await certificates.install(second.pem, key=encrypted_key(second, PASSPHRASE), passphrase=PASSPHRASE)
    with pytest.raises(Invalid):
        await certificates.install(as_p12(first, PASSPHRASE), passphrase=PASSPHRASE + b"!")
    with pytest.raises(Invalid):
        await certificates.install(certificate_for(None).pem + second.key_pem)
    request = await certificates.service.request(Subject(common_name="X", email="x@example.com"), actor=ADMIN)
    mailed = await certificates.service.request_by_mail(
        Subject(common_name="X", email="x@example.com"), api_key=Secret(API_KEY.decode()), actor=ADMIN
    )
    with pytest.raises(Invalid):
        await certificates.service.open_mailed(b"00")
    await bench.authenticate(1)
    await bench.storage.run(
        lambda tx: bench.devices.set_push_info(
            tx,
            device_id(1),
            bench.rows[1],
            PushInfo(topic=TOPIC, token=Secret(TOKEN), magic=Secret(MAGIC.decode())),
            unlock_token=None,
            awaiting_configuration=None,
            user_short_name=None,
            user_long_name=None,
            at=bench.clock(),
        )
    )
    await bench.queue(1)
    for answer in (NO_ANSWER, UNREGISTERED, LookupError("a defect")):
        bench.gateway.answer(answer, times=1)
        await bench.work()
        bench.clock.advance(minutes=5)
        await bench.connected(1)
    service = PushService(
        storage=bench.storage, push=bench.push, devices=bench.devices, audit=bench.audit, sender=bench.sender,
        clock=bench.clock, topics=lambda: certificates.service.topics,
    )  # fmt: skip
    await service.send([str(device_id(1))], actor=ADMIN)
    assert TOKEN in bench.gateway.tokens
    assert mailed.reply_key is not None
    keys = [request.key.reveal(), mailed.key.reveal(), mailed.reply_key.reveal()]
    return _secrets([first, second], keys)


async def test_no_secret_of_push_is_in_the_database_its_wal_or_the_logs(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    secrets = await live_through_everything(bench, certificates_of(bench))

    files = _stored_bytes(tmp_path)
    assert {"test.sqlite", "test.sqlite-wal"} <= set(files)
    assert {name: _found_in(content, secrets) for name, content in files.items()} == {name: [] for name in files}
    logged = "\n".join(logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records)
    assert "push_failed" in logged
    assert _found_in(logged.encode(), secrets) == []


async def test_no_secret_of_push_is_in_the_text_of_what_passes_through(bench: Bench) -> None:
    certificates = certificates_of(bench)
    secrets = await live_through_everything(bench, certificates)
    bench.clock.advance(days=1)
    await bench.queue(1)

    values = [
        *await bench.claim(),
        *(bench.gateway.identities or ()),
        *certificates.service.all,
        *await certificates.service.requests(),
        *bench.gateway.pushes,
        *await bench.audited(),
        *await bench.attempts(1),
        await bench.standing(1),
    ]

    assert len(values) > 10
    assert {str(type(value)): _found_in(f"{value!r} {value}".encode(), secrets) for value in values} == {
        str(type(value)): [] for value in values
    }


def test_the_search_itself_finds_a_key_in_a_text() -> None:
    party = certificate_for(TOPIC)
    secrets = {"key": list(_key_forms(party.key_pem))}

    assert _found_in(b"x" + party.key_pem + b"y", secrets) == ["key"]
    assert _found_in(certificate_for(TOPIC, common_name="another").key_pem, secrets) == []
