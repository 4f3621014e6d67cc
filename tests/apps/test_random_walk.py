"""Administrators, people and devices do whatever they like in any order; when it is quiet, all is as it is meant.

The model is a few dictionaries: which token and which effect is meant for which scope, and who is in it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from mdmserver.apps.model import PINGID_TOKEN, Effect
from mdmserver.assignments.model import Scope, ScopeKind, TargetState
from mdmserver.errors import NotFound
from mdmserver.protocol import CommandUUID, ErrorItem
from tests.apps.handset import Handset, Heard
from tests.apps.office import APP, CONFIGURATION, EVERYONE, PROFILE, Office, group, tag
from tests.fleet import ADMIN, Fleet

STEPS = 90
BUSY = ErrorItem(code=12006, domain="MCMDMErrorDomain", us_english_description="The device is busy.")
FAILING = ("InstallApplication", "ManagedApplicationList", "ManagedApplicationConfiguration", "ProfileList")
SCOPES = (EVERYONE, tag("pilot"), group("sales"))
OPEN_COMMANDS = (
    "SELECT count(*) FROM queue_item q JOIN command c ON c.id = q.command_id "
    "WHERE c.created_by = 'assignments' AND q.finished_at IS NULL AND q.state <> 'withdrawn'"
)
OPEN_OF_TARGETS = (
    "SELECT count(*) FROM target_state t JOIN queue_item q ON q.enrollment_id = t.enrollment_id "
    "AND q.command_id = t.command_id WHERE q.finished_at IS NULL AND q.state <> 'withdrawn'"
)
SHARED_COMMANDS = "SELECT count(command_id) - count(DISTINCT command_id) FROM target_state"


@dataclass(slots=True, kw_only=True)
class Walk:
    """An office, the model of what is meant, and what happens next by chance."""

    office: Office
    random: Random
    tokens: dict[Scope, str] = field(default_factory=dict)
    effects: dict[Scope, Effect] = field(default_factory=dict)
    labels: dict[int, set[Scope]] = field(default_factory=dict)
    held: dict[int, Heard] = field(default_factory=dict)
    number: int = 0

    def handset(self) -> Handset:
        return self.random.choice(self.office.handsets)

    async def configure(self) -> None:
        scope = self.random.choice(SCOPES)
        self.number += 1
        self.tokens[scope] = f"token-{self.number}"
        await self.office.configure(self.tokens[scope], scope)

    async def unconfigure(self) -> None:
        scope = self.random.choice(SCOPES)
        assert await self.office.unconfigure(scope) == (self.tokens.pop(scope, None) is not None)

    async def assign(self) -> None:
        scope = self.random.choice(SCOPES)
        effect = self.random.choice((Effect.INSTALL, Effect.INSTALL, Effect.INSTALL, Effect.REMOVE))
        assert await self.office.assign(scope, effect) == (self.effects.get(scope) is not effect)
        self.effects[scope] = effect

    async def unassign(self) -> None:
        scope = self.random.choice(SCOPES)
        assert await self.office.unassign(scope) == (self.effects.pop(scope, None) is not None)

    async def label(self) -> None:
        handset, scope = self.handset(), self.random.choice(SCOPES[1:])
        mine = self.labels.setdefault(handset.number, set())
        try:
            await self.office.label(handset, scope, takes_off=scope in mine)
        except NotFound:
            return  # It is not enrolled.
        mine ^= {scope}

    async def go_away_or_come_back(self) -> None:
        handset = self.handset()
        handset.is_online = not handset.is_online

    async def lock_or_unlock(self) -> None:
        handset = self.handset()
        handset.is_locked = not handset.is_locked

    async def fail_or_recover(self) -> None:
        handset, request_type = self.handset(), self.random.choice(FAILING)
        if handset.errors.pop(request_type, None) is None:
            handset.errors[request_type] = BUSY

    async def forget_settings_or_not(self) -> None:
        handset = self.handset()
        handset.forgets_settings = not handset.forgets_settings

    async def drift(self) -> None:
        handset = self.handset()
        for name in [name for name, configuration in handset.apps.items() if configuration is not None]:
            handset.apps[name] = self.random.choice((None, {PINGID_TOKEN: "drifted"}))

    async def remove_the_app(self) -> None:
        handset = self.handset()
        handset.apps.clear()
        handset.profiles.clear()

    async def enroll_again(self) -> None:
        handset = self.handset()
        self.held.pop(handset.number, None)
        await handset.enroll_again()

    async def connect(self) -> None:
        handset = self.handset()
        if handset.is_online:
            self.held.pop(handset.number, None)
            await handset.connect()

    async def hold_a_command(self) -> None:
        handset = self.handset()
        if handset.is_online and (heard := await handset.take()) is not None:
            self.held[handset.number] = heard

    async def answer_what_is_held(self) -> None:
        handset = self.handset()
        if handset.is_online and (heard := self.held.pop(handset.number, None)) is not None:
            await handset.answer(heard)

    async def cancel_something(self) -> None:
        handset = self.handset()
        items = await Fleet(self.office.services).items(handset.id)
        unfinished = [uuid for uuid, item in items.items() if item.finished_at is None]
        if unfinished:
            uuid = CommandUUID(self.random.choice(unfinished))
            await self.office.services.commands.cancel(uuid, None, actor=ADMIN)

    async def work(self) -> None:
        await self.office.work()

    async def read_results(self) -> None:
        await self.office.services.results.work_through()

    async def find_stalled(self) -> None:
        await self.office.world.composed.reconciler.find_stalled()

    async def let_time_pass(self) -> None:
        self.office.clock.advance(minutes=self.random.choice((1, 20, 300, 1500)))

    def steps(self) -> list[Callable[[], Awaitable[None]]]:
        """What may happen, as often as it should."""
        often = [self.connect, self.work, self.connect, self.work, self.configure, self.hold_a_command]
        return [
            *often, *often, self.unconfigure, self.assign, self.assign, self.unassign, self.label,
            self.go_away_or_come_back, self.lock_or_unlock, self.fail_or_recover, self.forget_settings_or_not,
            self.drift, self.remove_the_app, self.enroll_again, self.answer_what_is_held, self.answer_what_is_held,
            self.cancel_something, self.read_results, self.find_stalled, self.let_time_pass, self.let_time_pass,
        ]  # fmt: skip

    def meant(self, handset: Handset) -> tuple[Effect | None, str | None]:
        """The model's word: what the most particular scope says."""
        mine = [EVERYONE, *sorted(self.labels.get(handset.number, ()), key=lambda scope: scope.kind is ScopeKind.GROUP)]
        effects = [self.effects[scope] for scope in mine if scope in self.effects]
        tokens = [self.tokens[scope] for scope in mine if scope in self.tokens]
        return (effects[-1] if effects else None), (tokens[-1] if tokens else None)

    async def let_all_be_well(self) -> None:
        """Everybody is there, unlocked and able, for long enough that everything was tried and looked at again."""
        for handset in self.office.handsets:
            handset.is_online, handset.is_locked, handset.forgets_settings = True, False, False
            handset.errors.clear()
        for _ in range(4):
            await self.office.world.composed.reconciler.find_stalled()
            await self.office.later(days=1, minutes=1)
        await self.office.later(days=8)
        await self.office.later(minutes=20)
        await self.office.later(minutes=20)

    async def check_invariants(self) -> None:
        """One command at a time for each setting of a device, and none that belongs to no setting."""
        count = self.office.world.count
        assert await count(OPEN_COMMANDS) == await count(OPEN_OF_TARGETS)
        assert await count(SHARED_COMMANDS) == 0

    async def check_the_end(self, handset: Handset) -> None:
        effect, token = self.meant(handset)
        settings = await self.office.settings(handset)
        there = {kind: detail.target.state for kind, detail in settings.items() if detail.target is not None}
        is_mac = handset.product_name == "Mac14,2"
        if effect is not Effect.INSTALL:
            assert there == {}
            assert not handset.profiles
            assert handset.configuration is None
        elif is_mac:
            assert there == ({PROFILE: TargetState.INSTALLED} if token else {})
            assert (token in repr(handset.profiles)) if token else not handset.profiles
        elif token is None:
            assert there == {APP: TargetState.VERIFIED}
            assert handset.configuration is None
        else:
            assert there == {APP: TargetState.VERIFIED, CONFIGURATION: TargetState.VERIFIED}
            assert handset.configuration == {PINGID_TOKEN: token}


@pytest.mark.parametrize("seed", range(24))
async def test_whatever_happens_it_ends_as_it_is_meant(office: Office, seed: int) -> None:
    walk = Walk(office=office, random=Random(seed))
    for number, product in enumerate(("iPhone15,2", "iPad13,1", "Mac14,2"), 1):
        await office.phone(number, product)
    await walk.configure()
    await office.assign()
    walk.effects[EVERYONE] = Effect.INSTALL

    for _ in range(STEPS):
        await walk.random.choice(walk.steps())()
        await walk.check_invariants()
    await walk.let_all_be_well()

    await walk.check_invariants()
    for handset in office.handsets:
        await walk.check_the_end(handset)
