"""S24: no secret is found in the database, its WAL, the logs or the text of a value, in whatever form."""

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mdmserver.access.model import Scope
from mdmserver.bootstrap import DATABASE
from mdmserver.checkin.model import Answer, Reply
from mdmserver.commands.model import ItemRow, NewCommand, ReportedResult, StoredResult
from mdmserver.commands.request import CommandRequest
from mdmserver.devices.model import EnrollmentRow, PushInfo
from mdmserver.outbox.model import OutboxEvent
from mdmserver.protocol import CommandUUID, GetBootstrapToken, SetBootstrapToken, Status, TokenUpdate
from mdmserver.secret import Secret
from mdmserver.storage.outbox import SQLOutboxStore
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from tests.fleet import ADMIN, START, TOPIC, FakeClock, Fleet, certificate, device_id, token_update

CLASSES = (
    "push token", "push magic", "unlock token", "bootstrap token", "command body", "result body", "user push token",
    "outbox body",
)  # fmt: skip
CANARIES = {name: f"CANARY-{name.replace(' ', '-')}-7f3a9b52c1" for name in CLASSES}
DEVICE = device_id(1)


def canary(name: str) -> bytes:
    return CANARIES[name].encode()


def forms(secret: bytes) -> Iterator[bytes]:
    """The secret as it is, in hex, and in base64 wherever in a longer text it may begin."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret)
        inner = encoded[4 if offset else 0 : -4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def found_in(haystack: bytes) -> list[str]:
    return [name for name in CLASSES if any(form in haystack for form in forms(canary(name)))]


async def live_through_everything(fleet: Fleet, keys: Path, clock: FakeClock) -> str:
    """Let every secret pass through the server in every direction; the text of an API key."""
    await fleet.authenticate(1)
    checkin = fleet.services.checkin
    await checkin.answer(
        TokenUpdate(
            enrollment_id=DEVICE,
            topic=TOPIC,
            push_magic=CANARIES["push magic"],
            token=canary("push token"),
            unlock_token=canary("unlock token"),
        ),
        certificate(1),
    )
    user = await fleet.log_in(1)
    await checkin.answer(replace(token_update(user), token=canary("user push token")), certificate(1))
    await checkin.answer(
        SetBootstrapToken(enrollment_id=DEVICE, bootstrap_token=canary("bootstrap token")), certificate(1)
    )
    await checkin.answer(GetBootstrapToken(enrollment_id=DEVICE), certificate(1))
    payload = {"RequestType": "DeviceInformation", "Secret": CANARIES["command body"], "Data": canary("command body")}
    outcome = await fleet.services.commands.enqueue(CommandRequest(payload=payload), [str(DEVICE)], actor=ADMIN)
    body = await fleet.report(DEVICE, Status.IDLE)
    assert body is not None
    assert canary("command body") in body
    response: dict[str, object] = {"QueryResponses": {"Secret": CANARIES["result body"]}, "D": canary("result body")}
    await fleet.report(DEVICE, Status.ACKNOWLEDGED, outcome.uuid, response=response)
    await fleet.services.results.work_through()
    vault = await open_vault(fleet.services.storage, read_wrapping_keys(keys), clock=clock)
    outbox = SQLOutboxStore(vault)
    await fleet.services.storage.run(
        lambda tx: outbox.append(tx, id="1", topic="T", body=canary("outbox body"), at=START)
    )
    _, key = await fleet.services.access.create_key(name="k", scopes=[Scope.AUDIT_READ], expires_at=None, actor=ADMIN)
    return key.reveal()


def stored_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(f"{DATABASE}*")}


async def test_no_secret_is_in_the_database_its_wal_or_the_logs(
    fleet: Fleet, tmp_path: Path, keys: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    api_key = await live_through_everything(fleet, keys, clock)

    files = stored_bytes(tmp_path)
    assert {DATABASE, f"{DATABASE}-wal"} <= set(files)
    assert {name: found_in(content) for name, content in files.items()} == {name: [] for name in files}
    assert not any(api_key.encode() in content for content in files.values())
    assert not any(api_key.rpartition("_")[2].encode() in content for content in files.values())
    logged = "\n".join(logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records)
    assert found_in(logged.encode()) == []


async def test_no_key_of_the_vault_is_in_the_database(
    fleet: Fleet, tmp_path: Path, keys: Path, clock: FakeClock
) -> None:
    await live_through_everything(fleet, keys, clock)

    content = b"".join(stored_bytes(tmp_path).values())

    assert not any(key in content for key in read_wrapping_keys(keys).values())


def test_the_search_itself_finds_a_secret_in_every_form_and_place() -> None:
    secret = canary("push token")

    for padding in range(6):
        around = b"x" * padding + secret + b"y" * 7
        for text in (around, around.hex().encode(), base64.b64encode(around), base64.urlsafe_b64encode(around)):
            assert "push token" in found_in(text)


@pytest.mark.parametrize(
    "value",
    [
        PushInfo(topic=TOPIC, token=Secret(canary("push token")), magic=Secret(CANARIES["push magic"])),
        TokenUpdate(
            enrollment_id=DEVICE,
            topic=TOPIC,
            push_magic=CANARIES["push magic"],
            token=canary("push token"),
            unlock_token=canary("unlock token"),
        ),
        SetBootstrapToken(enrollment_id=DEVICE, bootstrap_token=canary("bootstrap token")),
        Reply(answer=Answer.PLIST, body=canary("bootstrap token")),
        CommandRequest(plist=canary("command body")),
        CommandRequest(payload={"Secret": CANARIES["command body"]}),
        NewCommand(
            uuid=CommandUUID("C1"), request_type="X", body=canary("command body"), content_hash=b"",
        ),
        ReportedResult(status=Status.ACKNOWLEDGED, body=canary("result body")),
        StoredResult(
            item=ItemRow(1),
            enrollment=EnrollmentRow(1),
            command_uuid=CommandUUID("C1"),
            request_type="X",
            status=Status.ACKNOWLEDGED,
            received_at=START,
            body=canary("result body"),
            is_readable=True,
        ),
        OutboxEvent(sequence=1, id="1", topic="T", created_at=START, attempts=1, body=canary("outbox body")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_no_secret_is_in_the_text_of_a_value(value: object) -> None:
    assert found_in(f"{value!r} {value}".encode()) == []
