"""Push: the gateway alone, a great wake-up with everything that goes wrong, and an outage after which none is lost."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from certs import load_push_identity
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.bootstrap import DATABASE, KEYS, open_services
from mdmserver.clock import utc_now
from mdmserver.commands.request import CommandRequest
from mdmserver.config import Config
from mdmserver.connectors.apns import APNsGateway
from mdmserver.devices.model import PushInfo
from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.push.model import EXPIRATION, Notification, PushIdentity
from mdmserver.secret import Secret
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault import Vault
from mdmserver.storage.vault_keys import add_wrapping_key, open_vault, read_wrapping_keys
from mdmserver.transaction import Storage, Transaction
from mdmserver.web.services import Services
from tests.benchmark.measures import Measure, resident_mib
from tests.benchmark.stand_in import StandIn, running_stand_in

ACTOR = Actor(kind=ActorKind.CLI, name="benchmark")
CONCURRENCY = 900
_CHUNK = 1_000
_PATIENCE = 900.0
_LOOK_SECONDS = 0.2


class Lost(Exception):
    """A device was not pushed that had to be."""


def gateway_alone(number: int) -> dict[str, Any]:
    """The gateway against a stand-in that behaves, each on a core of its own where there are two."""
    with tempfile.TemporaryDirectory() as folder, running_stand_in(Path(folder)) as stand_in:
        cores = os.sched_getaffinity(0)
        _part(stand_in)
        try:
            return asyncio.run(_gateway(stand_in, number))
        finally:
            os.sched_setaffinity(0, cores)


def wake_up(number: int) -> dict[str, Any]:
    """A command for this many devices: of their tokens 2 % are dead, pushes are reset, connections told to go away."""
    misbehaviour = ("--unregistered", "2", "--resets", "0.5", "--goaway-every", "5000")
    with tempfile.TemporaryDirectory() as folder, running_stand_in(Path(folder) / "apns", *misbehaviour) as stand_in:
        return asyncio.run(_wake_up(Path(folder), stand_in, number))


def outage(number: int) -> dict[str, Any]:
    """Three commands for each device while the stand-in is away: afterwards one push each."""
    with tempfile.TemporaryDirectory() as folder, running_stand_in(Path(folder) / "apns") as stand_in:
        return asyncio.run(_outage(Path(folder), stand_in, number))


def _part(stand_in: StandIn) -> None:
    """This process and the stand-in on different cores."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1 and stand_in.process is not None:
        os.sched_setaffinity(stand_in.process.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})


async def _gateway(stand_in: StandIn, number: int) -> dict[str, Any]:
    settings = stand_in.settings
    gateway = APNsGateway(host=settings.host, port=settings.port, ca_file=settings.ca_file, concurrency=CONCURRENCY)
    certificate, key = load_push_identity(stand_in.push_certificate)
    identity = PushIdentity(
        topic=certificate.topic, certificate=certificate.chain, key=Secret(key), fingerprint=certificate.fingerprint
    )
    gateway.use([identity])
    numbers = iter(range(number))
    refused = 0

    async def worker() -> None:
        nonlocal refused
        for each in numbers:
            outcome = await gateway.push(certificate.topic, _notification(each))
            refused += not outcome.is_accepted

    await gateway.push(certificate.topic, _notification(number))
    measure = Measure.begin()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    figures = measure.figures(number)
    await gateway.close()
    if refused:
        raise Lost(f"{refused} pushes were not accepted by a stand-in that accepts all")
    return figures


async def _wake_up(folder: Path, stand_in: StandIn, number: int) -> dict[str, Any]:
    await _populate(folder, stand_in.facts["topic"], number)
    async with _server(folder, stand_in) as services:
        measure = Measure.begin()
        await _send(services)
        memory = await _until_done(services, number)
        figures = measure.figures(number)
        stopped = (await services.push.counts()).stopped
    ended = stand_in.stop()
    lost = number - ended["tokens"] - stopped
    if lost:
        raise Lost(f"{lost} of {number} devices were neither pushed nor found dead")
    return {**figures, "mib_by_tenths": memory, "dead": stopped, "stand_in": ended}


async def _outage(folder: Path, stand_in: StandIn, number: int) -> dict[str, Any]:
    await _populate(folder, stand_in.facts["topic"], number)
    stand_in.stop()
    async with _server(folder, stand_in) as services:
        for _ in range(3):
            await _send(services)
        # A few tries meet nobody, and the topic rests for longer and longer.
        await asyncio.sleep(5)
        measure = Measure.begin()
        stand_in.start()
        await _until_done(services, number)
        figures = measure.figures(number)
    ended = stand_in.stop()
    if ended["tokens"] != number:
        raise Lost(f"{number - ended['tokens']} of {number} devices were not pushed after the outage")
    return {**figures, "pushes": ended["accepted"], "most_per_device": ended["most_per_token"]}


@asynccontextmanager
async def _server(folder: Path, stand_in: StandIn) -> AsyncIterator[Services]:
    config = msgspec.structs.replace(Config(), apns=stand_in.settings)
    async with open_services(config, folder) as services:
        await services.push_certificates.install(
            stand_in.push_certificate, passphrase=None, key=None, force=False, actor=ACTOR
        )
        yield services


async def _send(services: Services) -> None:
    request = CommandRequest(payload={"RequestType": "ProfileList"})
    await services.commands.enqueue_for_everyone(request, types=frozenset({EnrollmentType.DEVICE}), actor=ACTOR)


async def _until_done(services: Services, number: int) -> list[float]:
    """Wait until every device was pushed; the memory in MiB after each tenth of them. Raises TimeoutError."""
    memory: list[float] = []
    async with asyncio.timeout(_PATIENCE):
        while (done := await _done(services)) < number:
            if done * 10 >= number * (len(memory) + 1):
                memory.append(round(resident_mib(), 1))
            await asyncio.sleep(_LOOK_SECONDS)
    return memory


async def _done(services: Services) -> int:
    """How many devices were pushed with success or are known to be dead."""

    async def body(tx: Transaction) -> int:
        row = await tx.fetch_one(
            "SELECT count(*) FROM push_target WHERE accepted_at IS NOT NULL OR stopped_at IS NOT NULL"
        )
        assert row is not None
        return int(row[0])

    return await services.storage.read(body)


async def _populate(folder: Path, topic: str, number: int) -> None:
    """Enrolled devices, each with a token of its own."""
    add_wrapping_key(folder / KEYS)
    storage = SQLiteStorage(folder / DATABASE)
    try:
        await migrate(storage, "sqlite", clock=utc_now)
        vault = await open_vault(storage, read_wrapping_keys(folder / KEYS), clock=utc_now)
        for first in range(0, number, _CHUNK):
            await _insert(storage, vault, topic, range(first, min(first + _CHUNK, number)))
    finally:
        await storage.close()


async def _insert(storage: Storage, vault: Vault, topic: str, numbers: range) -> None:
    devices, at = SQLDeviceStore(vault), utc_now() - timedelta(hours=1)

    async def body(tx: Transaction) -> None:
        for number in numbers:
            id = EnrollmentID(EnrollmentType.DEVICE, f"00000000-0000-4000-8000-{number:012d}")
            row = await devices.insert_enrollment(tx, id, parent=None, life=1, at=at)
            push = PushInfo(topic=topic, token=Secret(_token(number)), magic=Secret(f"magic {number}"))
            await devices.set_push_info(
                tx, id, row, push, unlock_token=None, awaiting_configuration=None,
                user_short_name=None, user_long_name=None, at=at,
            )  # fmt: skip

    await storage.run(partial(body))


def _token(number: int) -> bytes:
    return number.to_bytes(4, "big") * 8


def _notification(number: int) -> Notification:
    return Notification(
        token=Secret(_token(number)),
        magic=Secret(f"magic {number}"),
        apns_id=f"00000000-0000-4000-8000-{number:012d}",
        expires_at=utc_now() + EXPIRATION,
    )
