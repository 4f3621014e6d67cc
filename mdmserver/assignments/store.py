"""What assignments need stored: tags and groups, targets, and whose turn it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from mdmserver.assignments.model import (
    AppRow,
    Device,
    RevisionRow,
    Scope,
    SettingKind,
    Step,
    Target,
    TargetRow,
    TargetState,
    Turn,
    Wanted,
)
from mdmserver.commands.model import CommandRow, ItemState
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID
from mdmserver.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A device whose turn it is. When `asks` changes meanwhile, it gets another."""

    enrollment: EnrollmentRow
    asks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A target whose command came to its end without a result that was read: it was cancelled, or has expired."""

    target: Target
    state: ItemState


class Standing(NamedTuple):
    """How targets stand that are counted together."""

    kind: SettingKind
    state: TargetState
    has_command: bool
    was_sent: bool


class AssignmentStore(Protocol):
    """Targets by device and setting."""

    async def device(self, tx: Transaction, enrollment: EnrollmentRow) -> Device | None:
        """The device with its tags and groups; None for a user channel and for one that is forgotten."""
        ...

    async def labels(self, tx: Transaction, enrollment: EnrollmentRow) -> tuple[frozenset[str], frozenset[str]]:
        """Tags and groups."""
        ...

    async def set_labels(
        self, tx: Transaction, enrollment: EnrollmentRow, *, kind: str, add: frozenset[str], remove: frozenset[str]
    ) -> None:
        """Put tags (kind `tag`) or memberships (kind `group`) on a device and take them off."""
        ...

    async def label_counts(self, tx: Transaction, *, kind: str) -> dict[str, int]:
        """All tags or groups, with the number of devices in each."""
        ...

    async def members(
        self, tx: Transaction, *, kind: str, name: str, after: EnrollmentRow, limit: int
    ) -> list[EnrollmentRow]:
        """Devices with this tag or in this group, in order of row."""
        ...

    async def ask(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """It is these devices' turn at this time, or earlier where that was planned."""
        ...

    async def ask_scope(self, tx: Transaction, scope: Scope) -> None:
        """It is the turn of every device in a scope: kept, and told to them by `spread` in pieces."""
        ...

    async def reach(self, tx: Transaction, scope: Scope) -> int:
        """How many enrolled devices a scope takes in."""
        ...

    async def unsettled(self, tx: Transaction, *, at: datetime) -> int:
        """At most how many devices are still to be looked at because of what changed until now."""
        ...

    async def spread(self, tx: Transaction, *, at: datetime, limit: int) -> bool:
        """Tell up to `limit` devices of a scope that was asked for that it is their turn; whether there are more."""
        ...

    async def claim(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[Claimed]:
        """Devices whose turn it is, the longest due first; nobody else's until then."""
        ...

    async def settle(self, tx: Transaction, claimed: Claimed, *, next_at: datetime | None) -> None:
        """A claimed device was looked at; next time then (None: when something changes). An ask meanwhile stands."""
        ...

    async def targets(self, tx: Transaction, enrollment: EnrollmentRow) -> list[Target]:
        """All of a device's."""
        ...

    async def target_of_command(
        self, tx: Transaction, enrollment: EnrollmentRow, command: CommandUUID
    ) -> Target | None:
        """The target for which this command is under way, or None."""
        ...

    async def ended(self, tx: Transaction, enrollment: EnrollmentRow) -> list[Ended]:
        """Targets of a device whose command has ended while nothing of its result waits to be read."""
        ...

    async def stalled(self, tx: Transaction, *, limit: int) -> list[EnrollmentRow]:
        """Devices with a target whose command has ended unnoticed: cancelled, expired, or answered illegibly."""
        ...

    async def want(self, tx: Transaction, enrollment: EnrollmentRow, wanted: Wanted, *, at: datetime) -> None:
        """A target for it, intended; one that is there is intended anew."""
        ...

    async def unwant(self, tx: Transaction, target: TargetRow, *, identifier: str | None, at: datetime) -> None:
        """It is to be taken away. `identifier` is what the device calls the app, where it has said so."""
        ...

    async def drop(self, tx: Transaction, target: TargetRow) -> None:
        """There is nothing to do about it any more."""
        ...

    async def began(self, tx: Transaction, target: TargetRow, step: Step, command: CommandRow) -> None:
        """A command for the target was queued."""
        ...

    async def turned(self, tx: Transaction, target: TargetRow, turn: Turn, *, at: datetime) -> None:
        """What came of the target; no command is under way for it now."""
        ...

    async def saw(self, tx: Transaction, target: TargetRow, observed: str) -> None:
        """Keep what a device said of an app while a command for it is under way."""
        ...

    async def lost_app(self, tx: Transaction, enrollment: EnrollmentRow, app: AppRow, *, at: datetime) -> None:
        """The app is not there, or not managed: what was sent of its configuration is gone with it."""
        ...

    async def halt_command(self, tx: Transaction, target: TargetRow, *, may_have: RevisionRow | None = None) -> None:
        """The command under way is no longer the target's: what comes of it is not. `may_have` is what it may bring."""
        ...

    async def counts(self, tx: Transaction, app: AppRow) -> Mapping[Standing, int]:
        """How many wanted targets of an app on enabled devices stand how."""
        ...

    async def hurry(self, tx: Transaction, app: AppRow) -> None:
        """What was planned for later is tried at the device's next turn."""
        ...

    async def forget_app(self, tx: Transaction, app: AppRow) -> None:
        """Drop the app's targets on devices that are not enrolled."""
        ...

    async def of_app(
        self, tx: Transaction, app: AppRow, *, kind: SettingKind | None, states: frozenset[str],
        after: TargetRow, limit: int,
    ) -> list[Target]:  # fmt: skip
        """Targets of an app on enabled devices, in order of row; no states means all."""
        ...
