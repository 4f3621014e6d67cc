"""A server without background work, an administrator who speaks of PingID, and devices that connect when told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdmserver.apps.explain import Progress
from mdmserver.apps.model import PINGID_KEY, PINGID_TOKEN, Effect, Revision
from mdmserver.apps.progress import TargetDetail
from mdmserver.assignments.model import Scope, ScopeKind, SettingKind, Target
from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.web.services import Services
from tests.apps.handset import Handset
from tests.enrollment.world import World
from tests.fleet import ADMIN, FakeClock, certificate, device_id

EVERYONE = Scope(kind=ScopeKind.ALL)
CONFIGURATION, APP, PROFILE = SettingKind.CONFIGURATION, SettingKind.APP, SettingKind.PROFILE


def tag(name: str) -> Scope:
    """The scope of a tag."""
    return Scope(kind=ScopeKind.TAG, value=name)


def group(name: str) -> Scope:
    """The scope of a group."""
    return Scope(kind=ScopeKind.GROUP, value=name)


@dataclass(slots=True, kw_only=True)
class Office:
    """The world, its devices, and short words for what an administrator does with PingID."""

    world: World
    handsets: list[Handset] = field(default_factory=list)

    @property
    def services(self) -> Services:
        """What the edges see."""
        return self.world.services

    @property
    def clock(self) -> FakeClock:
        """The clock of all."""
        return self.world.clock

    async def phone(self, number: int = 1, product_name: str | None = "iPhone15,2") -> Handset:
        """A device that enrolled."""
        return await self.added(number, product_name, device_id(number))

    async def mac(self, number: int = 1) -> Handset:
        """A Mac that enrolled."""
        return await self.phone(number, "Mac14,2")

    async def persons_own(self, number: int = 1, product_name: str = "iPhone15,2") -> Handset:
        """A device in a user enrollment."""
        id = EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, device_id(number).device)
        return await self.added(number, product_name, id)

    async def added(self, number: int, product_name: str | None, id: EnrollmentID) -> Handset:
        """A device by all that makes it out."""
        handset = Handset(
            services=self.services, number=number, product_name=product_name, id=id, identity=certificate(number)
        )
        await handset.enroll()
        self.handsets.append(handset)
        return handset

    def reopen(self, world: World) -> None:
        """The server was started again: the devices speak to the new one."""
        self.world = world
        for handset in self.handsets:
            handset.services = world.services

    async def work(self) -> int:
        """One turn of the background jobs: results, then reconciling; how many commands were queued."""
        await self.services.results.work_through()
        return await self.world.composed.reconciler.work()

    async def quiet(self, *, most: int = 30) -> int:
        """Work and let the devices connect until nothing is left to do now; how many commands devices heard."""
        heard = 0
        for _ in range(most):
            queued = await self.work()
            online = [handset for handset in self.handsets if handset.is_online]
            now = sum([await handset.connect() for handset in online])
            heard += now
            if not queued and not now:
                return heard
        raise AssertionError(f"no quiet: {[handset.request_types for handset in self.handsets]}")

    async def later(self, **amount: float) -> int:
        """Move the clock, and work until it is quiet again."""
        self.clock.advance(**amount)
        return await self.quiet()

    async def configure(
        self, token: str = "token-1", scope: Scope = EVERYONE, *, values: Mapping[str, Any] | None = None
    ) -> Revision:
        """PingID's configuration for a scope: this token, or other values."""
        revision, _ = await self.services.apps.configure(
            PINGID_KEY, scope, values or {PINGID_TOKEN: token}, secret_keys=frozenset(), actor=ADMIN
        )
        return revision

    async def unconfigure(self, scope: Scope = EVERYONE) -> bool:
        """Take it back."""
        return await self.services.apps.unconfigure(PINGID_KEY, scope, actor=ADMIN)

    async def assign(self, scope: Scope = EVERYONE, effect: Effect = Effect.INSTALL) -> bool:
        """PingID for a scope."""
        return await self.services.apps.assign(PINGID_KEY, scope, effect, actor=ADMIN)

    async def unassign(self, scope: Scope = EVERYONE) -> bool:
        """No more."""
        return await self.services.apps.unassign(PINGID_KEY, scope, actor=ADMIN)

    async def label(self, handset: Handset, scope: Scope, *, takes_off: bool = False) -> None:
        """Put a tag on a device or the device into a group, or take it off."""
        names = [scope.value]
        await self.services.assignments.label(
            scope.kind, [handset.id.key], add=[] if takes_off else names, remove=names if takes_off else [],
            actor=ADMIN,
        )  # fmt: skip

    async def settings(self, handset: Handset) -> dict[SettingKind, TargetDetail]:
        """What should be on a device, by kind."""
        row = await self.services.devices.resolve(handset.id.key)
        details = await self.services.app_progress.settings_of(row)
        return {each.target.kind: each for each in details if each.target is not None}

    async def target(self, handset: Handset, kind: SettingKind = CONFIGURATION) -> Target:
        """One setting of a device."""
        target = (await self.settings(handset))[kind].target
        assert target is not None
        return target

    async def why(self, handset: Handset, kind: SettingKind = CONFIGURATION) -> str:
        """Why it is where it is."""
        return (await self.settings(handset))[kind].explanation.text

    async def counts(self, kind: SettingKind = CONFIGURATION) -> dict[Progress, int]:
        """How far how many devices are."""
        return dict((await self.services.app_progress.counts(PINGID_KEY)).get(kind, {}))


def tokens(handsets: Sequence[Handset]) -> list[Any]:
    """The token that PingID has on each."""
    return [(each.configuration or {}).get(PINGID_TOKEN) for each in handsets]
