"""What waking devices needs stored: certificates of ours, and when each enrollment is due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mdmserver.devices.model import EnrollmentRow
from mdmserver.push.model import Attempt, Due, Outcome, PushCounts, StoredPushCertificate, StoredRequest
from mdmserver.push.topics import Room
from mdmserver.secret import Secret
from mdmserver.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an outcome makes of an enrollment that was claimed.

    `next_at` is when it is pushed again and `held_until` until when it is not, whoever asks. `step` and `failures`
    are the new counts. Where waking was asked for again meanwhile, that ask stands and only the hold is kept.
    """

    due: Due
    outcome: Outcome
    at: datetime
    step: int
    failures: int
    next_at: datetime
    held_until: datetime
    stops: bool


class PushStore(Protocol):
    """Rows by enrollment; what is due is found by time."""

    async def ask(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """A person or tool wants these woken, whether something waits for them or not."""
        ...

    async def ask_all(
        self, tx: Transaction, *, after: EnrollmentRow, limit: int, types: frozenset[str], at: datetime
    ) -> tuple[int, EnrollmentRow | None]:
        """The same for up to `limit` enabled enrollments of these types above `after`; how many, and the last one."""
        ...

    async def claim(
        self, tx: Transaction, *, rooms: Mapping[str, Room], at: datetime, until: datetime, limit: int
    ) -> tuple[list[Due], int]:
        """Claim enrollments that are due, the longest due first, as many as there is room for on each topic.

        They are nobody else's until then. Looks at `limit` rows and says at how many there were. Those that nothing
        waits for are due no more; those whose topic has no room, or is not among these, are looked at again later.
        """
        ...

    async def claim_these(
        self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, topics: frozenset[str], at: datetime,
        until: datetime,
    ) -> list[Due]:  # fmt: skip
        """Claim just these, due or not, stopped or not; those without a token or a topic in use are missing."""
        ...

    async def claim_probe(self, tx: Transaction, topic: str, *, at: datetime, until: datetime) -> Due | None:
        """Claim the enrollment on this topic that was seen last among those due; None if there is none."""
        ...

    async def record(self, tx: Transaction, recorded: Sequence[Recorded]) -> None:
        """Keep what came of pushes, in the timeline too, and release the claims.

        A command that may not go before a later time is told of at that time, if `next_at` is after it.
        """
        ...

    async def spare(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """What APNs said of these tokens was not about them: they are not stopped, and due now."""
        ...

    async def revive(self, tx: Transaction, seen: Mapping[EnrollmentRow, datetime]) -> int:
        """These enrollments spoke: those that were stopped before that are so no more. How many."""
        ...

    async def revive_topic(self, tx: Transaction, topic: str, *, at: datetime) -> int:
        """All enrollments on this topic for which something waits and whose last push APNs did not accept are due now,
        stopped or not. How many."""
        ...

    async def attempts(self, tx: Transaction, enrollment: EnrollmentRow, *, limit: int) -> list[Attempt]:
        """The newest pushes, newest first."""
        ...

    async def forget_attempts(self, tx: Transaction, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` old pushes from the timelines; how many."""
        ...

    async def counts(self, tx: Transaction, *, at: datetime) -> PushCounts:
        """How many are due and stopped."""
        ...

    async def insert_certificate(
        self, tx: Transaction, certificate: StoredPushCertificate, *, key: Secret[bytes]
    ) -> None:
        """Keep a certificate, its key (PEM) sealed, as its topic's present one; the one before is replaced."""
        ...

    async def certificates(self, tx: Transaction) -> list[StoredPushCertificate]:
        """The present one of each topic, in the order in which the topics first came."""
        ...

    async def key(self, tx: Transaction, topic: str) -> Secret[bytes]:
        """The private key of the topic's present certificate, PEM."""
        ...

    async def halt(self, tx: Transaction, topic: str, *, reason: str | None, at: datetime) -> None:
        """Push no more on this topic, because of this; None: push again."""
        ...

    async def insert_request(self, tx: Transaction, request: StoredRequest) -> None:
        """Keep a request with its keys, sealed."""
        ...

    async def requests(self, tx: Transaction) -> list[StoredRequest]:
        """Requests that wait for their certificate, newest first."""
        ...

    async def request_used(self, tx: Transaction, id: str, *, at: datetime) -> None:
        """Its certificate was installed."""
        ...
