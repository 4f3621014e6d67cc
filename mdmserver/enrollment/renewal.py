"""Renews device identities in time: the enrollment profile is sent again, spread, paced, and until it worked.

Level-triggered: every sweep looks for devices whose active certificate is due and does what is missing now. A renewal
that got no answer, NotNow or an error, or that yielded no certificate which the device uses, is due again later. Where
the CA itself ends with the certificate, renewal waits for the next CA: it would gain nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.model import RENEWAL, NewCommand
from mdmserver.commands.store import CommandStore
from mdmserver.devices.store import DeviceStore, DueRenewal
from mdmserver.events import Hint, Hints
from mdmserver.issuance.authorities import Authorities
from mdmserver.protocol import CommandUUID
from mdmserver.transaction import Storage, Transaction

FIRST_WAIT = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=1)
_ACTOR = Actor(kind=ActorKind.BACKGROUND, name="identity renewal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many renewals a sweep may begin; sweeps come every few seconds."""

    per_sweep: int


class Renewal:
    """The sweep."""

    def __init__(
        self,
        *,
        storage: Storage,
        devices: DeviceStore,
        commands: CommandStore,
        audit: AuditStore,
        authorities: Authorities,
        hints: Hints,
        clock: Clock,
        pace: Pace,
        new_uuid: Callable[[], str],
    ) -> None:
        self._storage = storage
        self._devices = devices
        self._commands = commands
        self._audit = audit
        self._authorities = authorities
        self._hints = hints
        self._clock = clock
        self._pace = pace
        self._new_uuid = new_uuid

    async def sweep(self) -> int:
        """Begin renewals that are due, at most as many as the pace allows; how many were begun."""
        at = self._clock()
        due = await self._storage.read(partial(self._devices.due_for_renewal, at=at, limit=self._pace.per_sweep))
        begun = 0
        for renewal in due:
            begun += await self._storage.run(partial(self._renew, renewal=renewal, at=at))
        if begun:
            self._hints.give(Hint.COMMANDS_QUEUED)
        return begun

    async def _renew(self, tx: Transaction, *, renewal: DueRenewal, at: datetime) -> bool:
        next_at = at + wait_after(renewal.attempts)
        if not await self._devices.renewal_tried(tx, renewal.device, at=at, next_at=next_at):
            return False
        if self._authorities.issuing.authority.not_after <= renewal.not_after:
            return False
        if await self._commands.has_open_renewal(tx, renewal.device):
            # It is on its way: an offline device gets one, not one a day.
            return False
        uuid = CommandUUID(self._new_uuid())
        command = NewCommand(uuid=uuid, request_type="InstallProfile", body=b"", content_hash=b"", renderer=RENEWAL)
        row = await self._commands.insert_command(tx, command, created_by=_ACTOR.name, at=at)
        assert row is not None
        await self._commands.enqueue(tx, row, [renewal.device], at=at)
        await self._audit.append(
            tx, at=at, actor=_ACTOR, action="identity.renew", subject=str(renewal.id),
            detail={"command": uuid, "attempt": renewal.attempts + 1},
        )  # fmt: skip
        return True


def wait_after(attempts: int) -> timedelta:
    """How long to wait before looking again: an hour, then twice as long each time, a day at most."""
    doublings: int = 2 ** min(attempts, 10)
    return min(FIRST_WAIT * doublings, LONGEST_WAIT)
