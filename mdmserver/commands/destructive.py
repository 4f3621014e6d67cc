"""The rules of commands that can cost somebody a device (security.md S28): cap, hold, time to live, PINs. Pure.

A destructive command goes to few devices in ten minutes, dies within a day, and waits for a while before it goes to
several, so that it can be cancelled. Which commands those are says `protocol.request_types`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mdmserver.commands.model import NewCommand
from mdmserver.errors import Conflict, Invalid

CLEAR_PASSCODE = "clear_passcode"
"""The renderer that puts a device's UnlockToken into its ClearPasscode."""
WINDOW = timedelta(minutes=10)
ALWAYS_ALLOWED = 5
TAKE_A_PIN = frozenset({"DeviceLock", "EraseDevice"})

_PIN_DIGITS = 6
_NEVER_A_MAC = ("iPhone", "iPad", "iPod", "AppleTV", "AudioAccessory", "RealityDevice", "Watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class DestructiveRules:
    """What the configuration says. `per_ten_minutes` 0 stands for five devices or the percentage, whichever is more."""

    per_ten_minutes: int = 0
    cap_percent: float = 1.0
    time_to_live: timedelta = timedelta(hours=24)
    hold: timedelta = timedelta(minutes=5)

    def cap(self, enabled_devices: int) -> int:
        """How many devices destructive commands may go to in ten minutes."""
        return self.per_ten_minutes or max(ALWAYS_ALLOWED, int(enabled_devices * self.cap_percent / 100))


DEFAULT_RULES = DestructiveRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """So many devices were given a destructive command then."""

    at: datetime
    devices: int


def check_cap(uses: Sequence[Use], wanted: int, *, cap: int, at: datetime) -> None:
    """Raises Conflict, saying when it will be possible and what raises the cap, for more than it allows now.

    `uses` are those of the last ten minutes, oldest first.
    """
    used = sum(use.devices for use in uses)
    if used + wanted <= cap:
        return
    raised_by = "destructive.per_ten_minutes in the configuration raises the limit"
    if wanted > cap:
        raise Conflict(
            f"{wanted} devices at once are more than the {cap} that destructive commands may go to in ten minutes; "
            f"{raised_by}",
            code="destructive_cap_reached",
        )
    free_at = _free_at(uses, used + wanted - cap, at)
    raise Conflict(
        f"destructive commands went to {used} devices in the last ten minutes, and may go to {cap}: {wanted} more are "
        f"possible at {free_at.isoformat(timespec='seconds')}; {raised_by}",
        code="destructive_cap_reached",
    )


def _free_at(uses: Iterable[Use], surplus: int, at: datetime) -> datetime:
    for use in uses:
        surplus -= use.devices
        if surplus <= 0:
            # The text gives whole seconds, and at the second it names it must be possible.
            return (use.at + WINDOW + timedelta(seconds=1)).replace(microsecond=0)
    return at + WINDOW


def limited(command: NewCommand, rules: DestructiveRules, *, targets: int, at: datetime) -> NewCommand:
    """The command with the times that hold for a destructive one. Raises Invalid for an expiry too far off.

    For several targets it is held back unless the caller said from when it may go.
    """
    latest = at + rules.time_to_live
    expires_at = command.expires_at or latest
    if expires_at > latest:
        raise Invalid(
            f"a {command.request_type} must expire by {latest.isoformat(timespec='seconds')}; "
            "destructive.ttl_hours in the configuration says how long one may live",
            code="invalid_expiry",
        )
    not_before = command.not_before
    if not_before is None and targets > 1 and rules.hold:
        not_before = at + rules.hold
    if not_before is not None and not_before >= expires_at:
        raise Invalid(
            f"it would expire at {expires_at.isoformat(timespec='seconds')}, before it may go", code="invalid_expiry"
        )
    return replace(command, not_before=not_before, expires_at=expires_at)


def takes_a_new_pin(payload: Mapping[str, Any]) -> bool:
    """Whether a PIN is to be made for this Command dictionary. Raises Invalid for one that no Mac takes."""
    if payload.get("RequestType") not in TAKE_A_PIN:
        return False
    pin = payload.get("PIN")
    if pin is not None and not is_pin(pin):
        raise Invalid(f"a PIN is a string of {_PIN_DIGITS} digits", code="invalid_pin")
    return pin is None


def is_pin(value: object) -> bool:
    """Whether a Mac takes this as the PIN that unlocks it."""
    return isinstance(value, str) and len(value) == _PIN_DIGITS and value.isascii() and value.isdigit()


def may_be_a_mac(product_name: str | None) -> bool:
    """Whether a device of this ProductName may ask for a PIN; one that did not say what it is may."""
    return product_name is None or not product_name.startswith(_NEVER_A_MAC)
