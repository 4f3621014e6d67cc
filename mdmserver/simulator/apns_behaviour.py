"""How the stand-in for APNs behaves: well, unless told otherwise. Everything here may be changed while it runs.

Shares are from 0 to 1. Those of tokens always hit the same tokens, as with dead devices; those of pushes hit each by
chance. What was said about one token goes before what was said about the next pushes, and that before the shares.
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from mdmserver.simulator.apns_answers import Reset, Silence, Treatment, refusal


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """What goes wrong on purpose.

    `unregistered` and `refused` are shares of tokens, of which the first get 410 with the time `unregistered_at`, the
    second `refused_reason`. `resets`, `stalls` and `busy` (429) and `failing` (503) are shares of pushes.
    `goaway_every`: so many pushes on a connection, then a graceful GOAWAY. `refuses_certificates`: TLS takes no client
    certificate. `knows_only`: the topic of each token that is registered, None: any token is for any topic.
    """

    seed: int = 0
    delay_seconds: float = 0
    max_streams: int = 1000
    goaway_every: int | None = None
    refuses_certificates: bool = False
    knows_only: dict[str, str] | None = None
    unregistered: float = 0
    unregistered_at: datetime | None = None
    refused: float = 0
    refused_reason: str = "BadDeviceToken"
    resets: float = 0
    stalls: float = 0
    busy: float = 0
    failing: float = 0
    _tokens: dict[str, Treatment] = field(default_factory=dict)
    _next: deque[Treatment] = field(default_factory=deque)
    _random: Random | None = None

    def treat(self, token: str, treatment: Treatment) -> None:
        """From now on this token (hexadecimal) gets this."""
        self._tokens[token.lower()] = treatment

    def forgive(self, token: str) -> None:
        """From now on this token is like all others."""
        self._tokens.pop(token.lower(), None)

    def treat_next(self, treatment: Treatment, count: int = 1) -> None:
        """The next pushes of whatever token get this."""
        self._next.extend([treatment] * count)

    def calm(self) -> None:
        """Forget what was said about the next pushes."""
        self._next.clear()

    def treatment_of(self, token: str, topic: str, now: datetime) -> Treatment | None:
        """What becomes of a push that is in order; None: it is accepted."""
        if self.knows_only is not None and token not in self._tokens:
            registered = self.knows_only.get(token)
            if registered != topic:
                return refusal("BadDeviceToken" if registered is None else "DeviceTokenNotForTopic")
        if token in self._tokens:
            return self._tokens[token]
        if self._next:
            return self._next.popleft()
        return self._by_token(token, now) or self._by_chance()

    def _by_token(self, token: str, now: datetime) -> Treatment | None:
        if not (self.unregistered or self.refused):
            return None
        drawn = hashlib.blake2b(f"{self.seed}/{token}".encode(), digest_size=4).digest()
        lot = int.from_bytes(drawn, "big") / 2**32
        if lot < self.unregistered:
            return refusal("Unregistered", timestamp=self.unregistered_at or now)
        return refusal(self.refused_reason) if lot < self.unregistered + self.refused else None

    def _by_chance(self) -> Treatment | None:
        if not (self.resets or self.stalls or self.busy or self.failing):
            return None
        if self._random is None:
            self._random = Random(self.seed)  # noqa: S311 — chance, not secrets
        lot = self._random.random()
        for share, treatment in (
            (self.resets, Reset()),
            (self.stalls, Silence()),
            (self.busy, refusal("TooManyRequests")),
            (self.failing, refusal("ServiceUnavailable")),
        ):
            if lot < share:
                return treatment
            lot -= share
        return None
