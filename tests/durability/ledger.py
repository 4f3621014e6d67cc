"""What the server acknowledged over the lives of its processes, and whether its database still holds all of it."""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mdmserver.protocol import Status

FINAL_STATES = {
    Status.ACKNOWLEDGED: "acknowledged",
    Status.ERROR: "error",
    Status.COMMAND_FORMAT_ERROR: "format_error",
}
OPEN_STATES = frozenset({"queued", "sent", "not_now"})
_ITEMS = """
SELECT e.external_id, c.uuid, q.state, q.finished_at IS NOT NULL, q.not_now_count, q.deliveries, r.status
FROM queue_item q JOIN command c ON c.id = q.command_id JOIN enrollment e ON e.id = q.enrollment_id
LEFT JOIN result r ON r.item_id = q.id
"""

Target = tuple[str, str]
"""Enrollment and CommandUUID."""


@dataclass(slots=True)
class Ledger:
    """Everything that was said, and what of it the server answered with success before it was killed."""

    enqueued: set[Target] = field(default_factory=set)
    enqueues: int = 0
    results: dict[Target, Status] = field(default_factory=dict)
    sent_results: dict[Target, Status] = field(default_factory=dict)
    not_now: Counter[Target] = field(default_factory=Counter)
    served: Counter[Target] = field(default_factory=Counter)
    token_updates: Counter[str] = field(default_factory=Counter)
    authenticated: set[str] = field(default_factory=set)
    unanswered: int = 0
    """Requests whose answer the kill took away."""
    faults: list[str] = field(default_factory=list)

    @property
    def effects(self) -> int:
        """How many requests that changed something were answered with success."""
        changes = len(self.results) + self.not_now.total() + self.enqueues
        return changes + len(self.authenticated) + self.token_updates.total()

    def was_served(self, enrollment: str, uuid: str) -> None:
        """The server handed out a command."""
        if (enrollment, uuid) in self.results:
            self.faults.append(f"{uuid} was served to {enrollment} although its result had been accepted")
        self.served[enrollment, uuid] += 1

    def faults_in(self, database: Path) -> list[str]:
        """What the database lost, doubled or made up; empty when all is well."""
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            items = connection.execute(_ITEMS).fetchall()
            enrollments = dict(connection.execute("SELECT external_id, tally FROM enrollment"))
        finally:
            connection.close()
        return [*self.faults, *self._faults_of_items(items), *self._faults_of_enrollments(enrollments)]

    def _faults_of_items(self, items: list[tuple[str, str, str, int, int, int, str | None]]) -> list[str]:
        found: dict[Target, tuple[str, str | None]] = {}
        faults = []
        for enrollment, uuid, state, is_finished, not_now_count, deliveries, status in items:
            target = (enrollment, uuid)
            if target in found:
                faults.append(f"{target} is in the queue twice")
            found[target] = (state, status)
            faults += self._faults_of_item(target, state, bool(is_finished), status)
            if not_now_count < self.not_now[target] or deliveries < self.served[target]:
                faults.append(f"{target} forgot a delivery or a NotNow")
        faults += [f"{target} was acknowledged and is not in the queue" for target in self.enqueued - found.keys()]
        faults += [f"the result of {target} was accepted and is gone" for target in self.results.keys() - found.keys()]
        return faults

    def _faults_of_item(self, target: Target, state: str, is_finished: bool, status: str | None) -> list[str]:
        accepted, sent = self.results.get(target), self.sent_results.get(target)
        faults = []
        if accepted is not None and state != FINAL_STATES[accepted]:
            faults.append(f"{target} is {state} although {accepted} was accepted")
        if is_finished and (sent is None or state != FINAL_STATES[sent]):
            faults.append(f"{target} is {state} although the device said {sent}")
        if is_finished != (status is not None) or (status is not None and status != sent):
            faults.append(f"{target} is {state} and its stored result is {status}, the device's {sent}")
        if not is_finished and state not in OPEN_STATES:
            faults.append(f"{target} is {state} and not finished")
        return faults

    def _faults_of_enrollments(self, tallies: dict[str, int]) -> list[str]:
        faults = [f"{id} authenticated and is unknown" for id in self.authenticated - tallies.keys()]
        for enrollment, number in self.token_updates.items():
            if tallies.get(enrollment, 0) < number:
                faults.append(f"{enrollment}: {number} TokenUpdates were accepted, {tallies.get(enrollment)} are known")
        return faults
