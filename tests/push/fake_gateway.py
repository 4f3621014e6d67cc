"""APNs as tests want it: it answers what it was told to, holds pushes until they are released, and remembers them.

Nothing here waits for time; `arrived` waits for pushes. Without instructions every push is accepted.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mdmserver.push.model import Notification, Outcome, PushIdentity
from mdmserver.push.ports import PushGateway

ACCEPTED = Outcome(status=200)
NO_ANSWER = Outcome(status=None, reason="connection lost")
UNREGISTERED = Outcome(status=410, reason="Unregistered")
BAD_DEVICE_TOKEN = Outcome(status=400, reason="BadDeviceToken")
NOT_FOR_TOPIC = Outcome(status=400, reason="DeviceTokenNotForTopic")
TOO_MANY = Outcome(status=429, reason="TooManyRequests")
SERVER_ERROR = Outcome(status=500, reason="InternalServerError")

_LONGEST_WAIT_SECONDS = 20

Answer = Outcome | Exception | Callable[[str, Notification], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A push as the gateway was given it."""

    topic: str
    notification: Notification

    @property
    def token(self) -> bytes:
        """The token in clear."""
        return self.notification.token.reveal()

    @property
    def apns_id(self) -> str:
        """The id that it was given."""
        return self.notification.apns_id


@dataclass(slots=True, kw_only=True)
class _Script:
    answer: Answer
    token: bytes | None
    topic: str | None
    left: int | None

    def fits(self, pushed: Pushed) -> bool:
        is_used_up = self.left is not None and self.left <= 0
        return not is_used_up and self.token in (None, pushed.token) and self.topic in (None, pushed.topic)


class FakeGateway(PushGateway):
    """`pushes` are all that came, `identities` what is in use (None: `use` was never called, any topic will do)."""

    def __init__(self) -> None:
        self.pushes: list[Pushed] = []
        self.identities: tuple[PushIdentity, ...] | None = None
        self.uses = 0
        self.most_in_flight = 0
        self.cancelled = 0
        self.is_closed = False
        self._scripts: list[_Script] = []
        self._held: dict[asyncio.Future[None], Pushed] = {}
        self._is_holding = False
        self._in_flight = 0
        self._arrival = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many have no answer yet."""
        return self._in_flight

    @property
    def tokens(self) -> list[bytes]:
        """The tokens that were pushed to, in order."""
        return [pushed.token for pushed in self.pushes]

    def answer(
        self, answer: Answer, *, token: bytes | None = None, topic: str | None = None, times: int | None = None
    ) -> None:
        """From now on answer so, to pushes that fit, at most so many times; the latest instruction that fits holds."""
        self._scripts.insert(0, _Script(answer=answer, token=token, topic=topic, left=times))

    def forget_answers(self) -> None:
        """Accept everything again."""
        self._scripts.clear()

    def hold(self) -> None:
        """Keep pushes without an answer from now on."""
        self._is_holding = True

    def release(self, number: int | None = None, *, token: bytes | None = None) -> int:
        """Let so many go on, the oldest first (None: all, and hold no more), or those to one token; how many."""
        waiting = [each for each, pushed in self._held.items() if token in (None, pushed.token) and not each.done()]
        if number is None and token is None:
            self._is_holding = False
        for each in waiting[:number]:
            each.set_result(None)
        return len(waiting[:number])

    async def arrived(self, number: int) -> None:
        """Wait until this many pushes have come in all; a test in which they never come fails."""
        async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
            while len(self.pushes) < number:
                self._arrival.clear()
                await self._arrival.wait()

    def use(self, identities: Sequence[PushIdentity]) -> None:
        """From now on these and no others."""
        self.identities = tuple(identities)
        self.uses += 1

    async def push(self, topic: str, notification: Notification) -> Outcome:
        """Remember it, wait while it is held, and answer as told."""
        pushed = Pushed(topic=topic, notification=notification)
        self.pushes.append(pushed)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        self._arrival.set()
        try:
            # A real gateway never answers at once: whoever relies on that must not pass here.
            await (self._hold(pushed) if self._is_holding else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._in_flight -= 1
        return self._outcome(pushed)

    async def close(self) -> None:
        """No connection is left."""
        self.is_closed = True

    async def _hold(self, pushed: Pushed) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held[future] = pushed
        try:
            await future
        finally:
            del self._held[future]

    def _outcome(self, pushed: Pushed) -> Outcome:
        if self.identities is not None and pushed.topic not in {each.topic for each in self.identities}:
            return Outcome(status=None, reason="no certificate for this topic")
        answer = self._answer_for(pushed)
        if isinstance(answer, Exception):
            raise answer
        outcome = answer if isinstance(answer, Outcome) else answer(pushed.topic, pushed.notification)
        return outcome if outcome.apns_id or outcome.status is None else replace(outcome, apns_id=pushed.apns_id)

    def _answer_for(self, pushed: Pushed) -> Answer:
        script = next((each for each in self._scripts if each.fits(pushed)), None)
        if script is None:
            return ACCEPTED
        if script.left is not None:
            script.left -= 1
        return script.answer
