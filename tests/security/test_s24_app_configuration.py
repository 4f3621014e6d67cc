"""S24, S25: the values of app configurations are nowhere but sealed in the vault and on the wire to the device."""

import base64
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mdmserver.apps.delivery import Template
from mdmserver.apps.model import PINGID_TOKEN, READ_BACK_KEY, NewApp, PreferenceForm
from mdmserver.apps.outcomes import Reported
from mdmserver.commands.model import StoredResult
from mdmserver.commands.request import CommandRequest
from mdmserver.config import Config
from mdmserver.errors import Invalid
from mdmserver.protocol import CommandUUID, ErrorItem, Status, encode_report, loads
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.web.device.message import MessageReader
from tests.apps.handset import PINGID, Handset, Heard
from tests.apps.office import EVERYONE, Office, tag
from tests.enrollment.world import World
from tests.fleet import ADMIN, device_id

CANARIES = tuple(f"CANARY-{name}-7f3a9b52c1" for name in ("first", "second", "inner", "data", "other-key"))
FIRST, SECOND, INNER, DATA, OTHER = CANARIES
VALUES: dict[str, Any] = {PINGID_TOKEN: FIRST, "Nested": {"List": [INNER, {"Data": DATA.encode()}]}, "Other": OTHER}
BUSY = ErrorItem(code=12006, domain="MCMDMErrorDomain", us_english_description="The device is busy.")
READ_BACK_COMMAND = "ManagedApplicationConfiguration"
PADDING = {"Padding": "x" * 100_000}


def forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret)
        inner = encoded[4 if offset else 0 : -4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def found_in(haystack: bytes | str) -> list[str]:
    content = haystack if isinstance(haystack, bytes) else haystack.encode()
    return [canary for canary in CANARIES if any(form in content for form in forms(canary.encode()))]


@pytest.fixture
async def office(world: World) -> Office:
    """PingID is in the catalogue, for nobody."""
    await world.services.apps.add_built_in()
    return Office(world=world)


def stored_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.sqlite*")}


async def configure(office: Office, values: dict[str, Any]) -> None:
    await office.services.apps.configure("pingid", EVERYONE, values, secret_keys=frozenset({"Other"}), actor=ADMIN)


async def ask(office: Office, phone: Handset) -> Heard:
    """Somebody asks for the configuration by a command of their own; the command as the device hears it."""
    payload = {"RequestType": "ManagedApplicationConfiguration", "Identifiers": [PINGID]}
    await office.services.commands.enqueue(CommandRequest(payload=payload), [str(phone.id)], actor=ADMIN)
    heard = await phone.take()
    assert heard is not None
    return heard


async def live_through_everything(office: Office) -> list[Handset]:
    """Send, prove, change, refuse, break, export and take away; the devices that had it all."""
    phone, mac, own = await office.phone(1), await office.mac(2), await office.persons_own(3, "Mac14,2")
    await configure(office, VALUES)
    await office.assign()
    await office.quiet()
    assert phone.configuration == VALUES
    assert found_in(repr(mac.profiles))
    assert found_in(repr(own.profiles))
    both = NewApp(
        key="pingid", name="PingID", app_store_id=891247102, bundle_id=PINGID, preference_domain="com.example.other",
        preference_form=PreferenceForm.BOTH,
    )  # fmt: skip
    await office.services.apps.change("pingid", both, actor=ADMIN)
    phone.extra[READ_BACK_COMMAND] = PADDING  # Its answers are large ones now.
    await configure(office, VALUES | {PINGID_TOKEN: SECOND})
    await office.quiet()
    phone.extra.clear()
    await refuse_and_break(office, phone)
    for secrets in ({PINGID_TOKEN: SECOND, "Other": FIRST}, {"Other": OTHER}):
        with pytest.raises(Invalid) as refused:
            await office.services.apps.profile("pingid", EVERYONE, secrets, actor=ADMIN)
        assert found_in(f"{refused.value!r} {refused.value}") == []
    right = {PINGID_TOKEN: SECOND, "Other": OTHER}
    assert await office.services.apps.profile("pingid", EVERYONE, right, actor=ADMIN)
    await office.configure(FIRST, tag("pilot"))
    return [phone, mac, own]


async def refuse_and_break(office: Office, phone: Handset) -> None:
    """Errors, answers in shapes that nobody expects, and answers that cannot be read."""
    phone.errors["Settings"] = BUSY
    await configure(office, VALUES)
    await office.quiet()
    phone.errors.clear()
    phone.apps[PINGID] = VALUES | {PINGID_TOKEN: SECOND}
    await configure(office, VALUES | {PINGID_TOKEN: SECOND, "More": 1})
    await office.quiet()
    phone.forgets_settings = True
    phone.apps[PINGID] = VALUES
    await office.later(days=8)
    for shape in (FIRST, {"Odd": FIRST}, [[FIRST]], [{"Identifier": PINGID, "Configuration": [FIRST]}]):
        heard = await ask(office, phone)
        await phone.report(Status.ACKNOWLEDGED, heard.uuid, {READ_BACK_KEY: shape})
    for padding in (b"", b"y" * 100_000):
        heard = await ask(office, phone)
        body = encode_report(
            enrollment_id=phone.id, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID(heard.uuid),
            response={READ_BACK_KEY: [{"Identifier": PINGID, "Configuration": VALUES}]},
        )  # fmt: skip
        odd = b"<odd>" + padding + b"</odd><key>Configuration</key>"
        await phone.send(body.replace(b"<key>Configuration</key>", odd))
    await office.quiet()
    for _ in range(3):
        await office.later(days=1)


async def stored_results(office: Office, phones: list[Handset]) -> list[StoredResult]:
    results = []
    for phone in phones:
        row = await office.world.row(phone.id)
        page = await office.services.commands.queue_of(row, states=frozenset(), cursor=None, limit=500)
        for uuid in {item.command_uuid for item in page.items}:
            found = await office.services.commands.results(CommandUUID(uuid), cursor=None, limit=500)
            results += [result for _, result in found.items]
    return results


async def test_no_value_is_in_the_database_its_wal_or_the_logs(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    await live_through_everything(office)

    files = stored_bytes(tmp_path)
    assert len(files) >= 2
    assert {name: found_in(content) for name, content in files.items()} == {name: [] for name in files}
    logged = "\n".join(logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records)
    assert found_in(logged) == []


async def test_no_value_is_in_a_stored_read_back_even_unsealed(office: Office) -> None:
    devices = await live_through_everything(office)

    results = await stored_results(office, devices)

    read_backs = [result for result in results if result.request_type == READ_BACK_COMMAND]
    assert len(read_backs) > 8
    assert any(len(result.body) > 100_000 for result in read_backs)
    assert any(not result.is_readable for result in read_backs)
    for result in results:
        assert found_in(result.body) == []
        assert found_in(repr(result)) == []


async def test_no_value_is_in_a_stored_command_even_unsealed(office: Office, world: World, keys: Path) -> None:
    await live_through_everything(office)

    store = SQLCommandStore(await open_vault(world.storage, read_wrapping_keys(keys), clock=world.clock))

    async def bodies(tx: Any) -> list[bytes]:
        rows = await tx.fetch_all("SELECT id FROM command WHERE created_by = 'assignments'")
        return [await store.body(tx, row[0]) for row in rows]

    unsealed = await world.storage.read(bodies)

    assert len(unsealed) > 10
    assert [body for body in unsealed if found_in(body)] == []


async def test_no_value_is_in_what_people_are_shown(office: Office, world: World) -> None:
    devices = await live_through_everything(office)
    services = office.services

    shown: list[object] = [
        await services.apps.show("pingid"),
        await services.apps.apps(),
        (await services.audit.records(cursor=None, limit=500)).items,
        await services.app_progress.counts("pingid"),
        await services.app_progress.targets("pingid", kind=None, states=frozenset(), cursor=None, limit=100),
    ]
    for device in devices:
        row = await world.row(device.id)
        shown.append(await services.app_progress.settings_of(row))
        shown.append(await services.devices.timeline(device.id.key, limit=500))
        shown.append(await services.commands.queue_of(row, states=frozenset(), cursor=None, limit=500))

    assert found_in("\n".join(f"{each!r}{each}" for each in shown)) == []


async def test_the_fingerprint_of_a_value_tells_values_apart_and_says_nothing_of_them(office: Office) -> None:
    first = await office.configure(FIRST)
    same = await office.configure(FIRST, tag("pilot"))
    other = await office.configure(SECOND, tag("pilot"))

    assert first.fingerprint == same.fingerprint != other.fingerprint
    assert found_in(first.fingerprint) == []


async def test_the_token_is_secret_whether_it_is_marked_or_not(office: Office) -> None:
    revision = await office.configure(FIRST)

    assert revision.secret_keys == {PINGID_TOKEN}
    assert found_in(f"{revision!r} {revision}") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {PINGID_TOKEN: ""}, {PINGID_TOKEN: "  "}, {PINGID_TOKEN: 7}, {PINGID_TOKEN: FIRST, "": 1}, {},
        {PINGID_TOKEN: FIRST, "x": None}, {PINGID_TOKEN: FIRST, "x" * 256: 1}, {PINGID_TOKEN: FIRST, "PayloadType": 1},
        {PINGID_TOKEN: FIRST, "x": "y" * 2**20}, {PINGID_TOKEN: FIRST, "x": float("nan")},
        {PINGID_TOKEN: FIRST, "x": 2**64}, {PINGID_TOKEN: FIRST, "x": {FIRST: {1: 2}}},
    ],
    ids=lambda wrong: repr(wrong)[:40],
)  # fmt: skip
async def test_a_refusal_of_values_names_none_of_them(office: Office, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        await office.services.apps.configure("pingid", EVERYONE, wrong, secret_keys=frozenset(), actor=ADMIN)

    assert found_in(f"{refused.value!r} {refused.value}") == []
    assert refused.value.__context__ is None or refused.value.__suppress_context__


async def test_values_that_hold_values_say_nothing_of_them() -> None:
    body = encode_report(
        enrollment_id=device_id(1),
        status=Status.ACKNOWLEDGED,
        command_uuid=CommandUUID("C1"),
        response={READ_BACK_KEY: [{"Identifier": PINGID, "Configuration": VALUES}]},
    )
    with ThreadPoolExecutor(1) as pool:
        read = await MessageReader(Config().limits, pool, lambda value: "f").read(body, None)
    held = [
        read,
        Template(content=FIRST.encode(), is_rendered=False),
        Reported(status=Status.ACKNOWLEDGED, plist={}, identifier=PINGID),
    ]

    assert found_in(repr(held)) == []
    assert found_in(repr(loads(body)))
