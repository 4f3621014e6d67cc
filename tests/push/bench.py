"""The sender over a real engine and a gateway that obeys: enrollments by number, commands for them, time by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from mdmserver.audit.model import AuditRecord
from mdmserver.audit.store import AuditStore
from mdmserver.commands.model import CommandRow, ItemState, NewCommand
from mdmserver.devices.model import EnrollmentRow, PushInfo, PushStanding
from mdmserver.protocol import CommandUUID
from mdmserver.push.model import Attempt, Due, PushCounts, StoredPushCertificate
from mdmserver.push.pace import Served
from mdmserver.push.sender import PushSender
from mdmserver.push.store import PushStore
from mdmserver.push.topics import Room
from mdmserver.secret import Secret
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.push import SQLPushStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START, TOPIC, FakeClock, device_id
from tests.push.fake_gateway import FakeGateway

OTHER_TOPIC = "com.apple.mgmt.External.other"
MINUTE = timedelta(minutes=1)


def token(number: int) -> bytes:
    return f"token {number:05d}".encode()


def ticking() -> Iterator[float]:
    """A steady clock that goes on by itself, so that the pace holds nothing up."""
    return (tick * 0.1 for tick in count())


class Bench:
    """What a test of the push core talks to."""

    def __init__(self, storage: Storage, vault: Vault, clock: FakeClock) -> None:
        self.storage = storage
        self.vault = vault
        self.clock = clock
        self.gateway: FakeGateway = FakeGateway()
        self.devices = SQLDeviceStore(vault)
        self.commands = SQLCommandStore(vault)
        self.push: PushStore = SQLPushStore(vault)
        self.audit: AuditStore = SQLAuditStore()
        self.rows: dict[int, EnrollmentRow] = {}
        self.served = Served()
        self.sender = self.new_sender()
        self._commands = count(1)

    def new_sender(self, *, storage: Storage | None = None, jitter: float = 1.0, most: float = 100_000) -> PushSender:
        """The sender of a process on this database."""
        steady = ticking()
        sender = PushSender(
            storage=storage or self.storage,
            push=self.push,
            audit=self.audit,
            gateway=self.gateway,
            clock=self.clock,
            served=self.served,
            concurrency=500,
            most_per_second=most,
            steady=lambda: next(steady),
            jitter=lambda: jitter,
        )
        sender.use(frozenset({TOPIC}), {})
        return sender

    async def authenticate(self, number: int) -> EnrollmentRow:
        """An enrollment without a token yet."""
        insert = partial(self.devices.insert_enrollment, id=device_id(number), parent=None, life=1, at=self.clock())
        self.rows[number] = await self.storage.run(insert)
        return self.rows[number]

    async def token_update(self, number: int, *, topic: str = TOPIC, value: bytes | None = None) -> None:
        """The enrollment's token, in place of the one before."""
        info = PushInfo(topic=topic, token=Secret(value or token(number)), magic=Secret(f"magic {number}"))
        await self.storage.run(
            partial(
                self.devices.set_push_info,
                id=device_id(number),
                row=self.rows[number],
                push=info,
                unlock_token=None,
                awaiting_configuration=None,
                user_short_name=None,
                user_long_name=None,
                at=self.clock(),
            )
        )

    async def enroll(self, *numbers: int, topic: str = TOPIC) -> None:
        """Enrollments with tokens."""
        for number in numbers:
            await self.authenticate(number)
            await self.token_update(number, topic=topic)

    async def end(self, number: int) -> None:
        """The enrollment's life ends."""
        await self.storage.run(partial(self.devices.end_life, row=self.rows[number], at=self.clock()))

    async def queue(
        self,
        *numbers: int,
        not_before: datetime | None = None,
        expires_at: datetime | None = None,
        wake_at: datetime | None = None,
    ) -> CommandRow:
        """A new command for these, as the command service enqueues it."""
        new = NewCommand(
            uuid=CommandUUID(f"C{next(self._commands)}"), request_type="X", body=b"body", content_hash=b"hash"
        )
        new = replace(new, not_before=not_before, expires_at=expires_at)

        async def body(tx: Transaction) -> CommandRow:
            row = await self.commands.insert_command(tx, new, created_by="me", at=self.clock())
            assert row is not None
            targets = [self.rows[number] for number in numbers]
            await self.commands.enqueue(
                tx, row, targets, at=self.clock(), wake_at=wake_at or not_before or self.clock()
            )
            return row

        return await self.storage.run(body)

    async def put_off(self, number: int) -> None:
        """The device answers everything with NotNow."""

        async def body(tx: Transaction) -> None:
            for item in await self.commands.open_items(tx, self.rows[number], limit=None):
                await self.commands.mark_not_now(tx, item.row, at=self.clock())

        await self.storage.run(body)

    async def answer_all(self, number: int) -> None:
        """The device acknowledges everything."""

        async def body(tx: Transaction) -> None:
            for item in await self.commands.open_items(tx, self.rows[number], limit=None):
                await self.commands.finish(tx, item.row, ItemState.ACKNOWLEDGED, at=self.clock())

        await self.storage.run(body)

    async def work(self, sender: PushSender | None = None) -> int:
        """One turn of the sender with all answers; how many were sent."""
        sender = sender or self.sender
        sent = await sender.work()
        await sender.finish()
        return sent

    async def work_through(self, *, seconds: float, step: float = 1.0) -> int:
        """Turns while so much time passes; how many were sent."""
        sent, end = 0, self.clock() + timedelta(seconds=seconds)
        while self.clock() < end:
            sent += await self.work()
            self.clock.advance(seconds=step)
        return sent

    async def connected(self, number: int) -> int:
        """The device came by itself, and the presence was flushed; how many were revived by that."""
        return await self.storage.run(partial(self.push.revive, seen={self.rows[number]: self.clock()}))

    async def claim(self, *, topics: tuple[str, ...] = (TOPIC,), limit: int = 100) -> list[Due]:
        """What a sender would claim now."""
        now = self.clock()
        rooms = {topic: Room(number=limit, again_at=now) for topic in topics}
        claim = partial(self.push.claim, rooms=rooms, at=now, until=now + 2 * MINUTE, limit=limit)
        claimed, _ = await self.storage.run(claim)
        return claimed

    async def standing(self, number: int) -> PushStanding:
        """How it stands with waking it."""
        found = await self.storage.read(partial(self.devices.enrollment, row=self.rows[number]))
        assert found is not None
        return found.push

    async def next_in(self, number: int) -> timedelta | None:
        """How long from now it is due; None: it is not."""
        next_at = (await self.standing(number)).next_at
        return None if next_at is None else next_at - self.clock()

    async def attempts(self, number: int, *, limit: int = 100) -> list[Attempt]:
        """Its timeline, newest first."""
        return await self.storage.read(partial(self.push.attempts, enrollment=self.rows[number], limit=limit))

    async def counts(self) -> PushCounts:
        """Over all."""
        return await self.storage.read(partial(self.push.counts, at=self.clock()))

    async def certificates(self) -> list[StoredPushCertificate]:
        """What storage has in force."""
        return await self.storage.read(self.push.certificates)

    async def install(self, topic: str = TOPIC, *, fingerprint: str = "f1") -> None:
        """A certificate in the database, without the service."""
        certificate = StoredPushCertificate(
            topic=topic, certificate=b"PEM", fingerprint=fingerprint, not_before=START,
            not_after=START + timedelta(days=365), installed_at=self.clock(), installed_by="me",
        )  # fmt: skip
        await self.storage.run(partial(self.push.insert_certificate, certificate=certificate, key=Secret(b"key")))

    async def audited(self) -> list[AuditRecord]:
        """The audit records, oldest first."""
        return await self.storage.read(partial(self.audit.records, after=0, limit=1000))
