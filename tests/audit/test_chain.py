"""The hash of a record covers every field and cannot be had by another split of the same text."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from mdmserver.audit.model import CHAIN_START, Actor, ActorKind, chain_hash
from mdmserver.errors import Invalid
from mdmserver.web.services import Services
from tests.fleet import START, Fleet

ANN = Actor(kind=ActorKind.KEY, name="ann")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    previous: bytes = CHAIN_START
    sequence: int = 1
    at: datetime = START
    actor: Actor = ANN
    action: str = "key.create"
    subject: str = "subject"
    detail: str = "{}"

    @property
    def hash(self) -> bytes:
        return chain_hash(
            self.previous,
            sequence=self.sequence,
            at=self.at,
            actor=self.actor,
            action=self.action,
            subject=self.subject,
            detail=self.detail,
        )


def test_every_field_is_part_of_the_hash() -> None:
    fields = Fields()
    others = [
        replace(fields, previous=b"\1" * 32),
        replace(fields, sequence=2),
        replace(fields, at=START + timedelta(microseconds=1)),
        replace(fields, actor=Actor(kind=ActorKind.CLI, name="ann")),
        replace(fields, actor=Actor(kind=ActorKind.KEY, name="bob")),
        replace(fields, action="key.revoke"),
        replace(fields, subject="object"),
        replace(fields, detail='{"a":1}'),
    ]

    assert len({fields.hash, *(other.hash for other in others)}) == len(others) + 1
    assert fields.hash == Fields().hash


def test_text_that_moves_from_one_field_to_the_next_changes_the_hash() -> None:
    assert Fields(action="ab", subject="c").hash != Fields(action="a", subject="bc").hash
    assert Fields(action='a","b', subject="c").hash != Fields(action="a", subject='b","c').hash


async def test_an_empty_chain_verifies(services: Services) -> None:
    verification = await services.audit.verify()

    assert (verification.records, verification.broken_at) == (0, None)


async def test_records_are_read_page_by_page(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    for number in range(5):
        await fleet.enqueue(f"C{number}", device)
    seen, cursor = [], None

    for _ in range(3):
        page = await fleet.services.audit.records(cursor=cursor, limit=2)
        seen += [record.subject for record in page.items]
        cursor = page.next_cursor

    assert seen == [f"C{number}" for number in range(5)]
    assert cursor is None


async def test_a_page_of_no_size_is_invalid(services: Services) -> None:
    with pytest.raises(Invalid):
        await services.audit.records(cursor=None, limit=0)
