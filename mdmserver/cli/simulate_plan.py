"""What `mdmserver simulate` is to do, put together from its options."""

from dataclasses import dataclass
from pathlib import Path

from mdmserver.simulator.device import Habits
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Pace
from mdmserver.simulator.proof import MessageSignature

SIGNATURES: dict[str, tuple[str, MessageSignature]] = {
    "rsa-sha256": ("rsa", MessageSignature()),
    "rsa-sha1": ("rsa", MessageSignature(digest="sha1", signed_attributes=False)),
    "rsa-sha256-noattr": ("rsa", MessageSignature(signed_attributes=False)),
    "p256": ("p256", MessageSignature()),
}
"""What `--signature` may say: the kind of key, and how it signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the options of the command say."""

    url: str
    state: Path
    allow_remote: bool
    devices: int
    invitation: str | None
    invites: bool
    authority: Path
    authority_key: Path
    server_ca: Path | None
    uses_mtls: bool
    platforms: tuple[Platform, ...]
    signature: str
    has_own_keys: bool
    topic: str
    seed: int
    has_fixed_seed: bool
    fleet_file: Path | None
    duration_seconds: float | None
    once: bool
    feed: tuple[str, int] | None
    pace: Pace
    habits: Habits

    @property
    def is_by_invitation(self) -> bool:
        """Whether devices get their identities by page, profile and SCEP, and not from a CA in our hands."""
        return self.invites or self.invitation is not None
