"""Makes the devices of a fleet: as many as wanted, platforms in turn, each drawn from the seed and its own number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import DeviceFacts, Platform, draw_facts
from mdmserver.simulator.identity import Identity, IdentityIssuer
from mdmserver.simulator.measures import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBuilder:
    """Makes devices; the same seed gives the same devices, their certificates apart."""

    seed: int
    tally: Tally
    habits: Habits
    applicant: Applicant | None = None

    def draw(
        self,
        numbers: range,
        *,
        platforms: Sequence[Platform],
        topic: str,
        issuer: IdentityIssuer | None = None,
        made: Callable[[], None] = lambda: None,
    ) -> list[SimulatedDevice]:
        """The devices with these numbers; `made` is called for each. Without an issuer they need an invitation."""
        devices = []
        for number in numbers:
            random = Random(f"{self.seed}/facts/{number}")  # noqa: S311 — chance, not secrets
            facts = draw_facts(platforms[number % len(platforms)], random)
            devices.append(self.build(facts, issuer.issue(facts.udid) if issuer else None, topic))
            made()
        return devices

    def build(self, facts: DeviceFacts, identity: Identity | None, topic: str) -> SimulatedDevice:
        """The device with these facts, as it is before it enrolls."""
        return SimulatedDevice(
            facts=facts,
            identity=identity,
            applicant=self.applicant,
            topic=topic,
            random=Random(f"{self.seed}/behaviour/{facts.udid}"),  # noqa: S311 — chance, not secrets
            observer=self.tally,
            habits=self.habits,
        )
