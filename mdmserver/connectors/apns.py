"""Apple's push service, or a stand-in for it, as the `PushGateway` of push.

What is sent when, and what an answer means, is `push`. aioapns' requests, results, protocol and pool, with what is
wrong in them mended: see `apns_pool` for connections, `apns_connection` for one of them, `h2_client` for the wire.
"""

import asyncio
from collections.abc import Sequence

from mdmserver.clock import Clock, utc_now
from mdmserver.connectors.apns_answer import outcome_of
from mdmserver.connectors.apns_exchange import NoAnswer, NotSent, PoolRetired
from mdmserver.connectors.apns_pool import APNsPool, APNsServer
from mdmserver.connectors.apns_request import PushRequest
from mdmserver.push.model import Notification, Outcome, PushIdentity
from mdmserver.push.ports import PushGateway


class APNsGateway(PushGateway):
    """Pushes with the certificates of `use`, at most `concurrency` at a time; the others wait in line.

    It connects when there is something to push, and stays connected. All of its waits are bounded.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ca_file: str = "",
        concurrency: int = 500,
        connect_seconds: float = 10.0,
        answer_seconds: float = 30.0,
        ping_after_seconds: float = 3_600.0,
        ping_seconds: float = 10.0,
        reconnect_seconds: float = 1.0,
        clock: Clock = utc_now,
    ) -> None:
        self._server = APNsServer(
            host=host,
            port=port,
            ca_file=ca_file,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
            ping_after_seconds=ping_after_seconds,
            ping_seconds=ping_seconds,
            reconnect_seconds=reconnect_seconds,
        )
        self._clock = clock
        self._in_flight = asyncio.Semaphore(concurrency)
        self._identities: dict[str, PushIdentity] = {}
        self._pools: dict[str, APNsPool] = {}
        self._retired: set[APNsPool] = set()
        self._is_closed = False

    def use(self, identities: Sequence[PushIdentity]) -> None:
        """See PushGateway. A certificate that cannot be used shows in the Outcomes of its topic."""
        self._identities = {identity.topic: identity for identity in identities}
        for topic, pool in list(self._pools.items()):
            identity = self._identities.get(topic)
            if identity is None or identity.fingerprint != pool.fingerprint:
                self._retire(topic)

    async def push(self, topic: str, notification: Notification) -> Outcome:
        """See PushGateway."""
        try:
            request = PushRequest(topic, notification)
        except ValueError as error:
            return Outcome(status=None, reason=f"not sent: {error}")
        async with self._in_flight:
            while not self._is_closed and topic in self._identities:
                if notification.expires_at <= self._clock():
                    return Outcome(status=None, reason="not sent: expired")
                try:
                    return outcome_of(await self._pool(topic).send_notification(request))
                except PoolRetired:
                    continue  # it waited for a stream when the certificate was changed: the new one sends it
                except (NotSent, NoAnswer) as error:
                    return Outcome(status=None, reason=str(error))
        return Outcome(status=None, reason="not sent: closed" if self._is_closed else "not sent: topic not in use")

    async def close(self) -> None:
        """See PushGateway. Pushes that are out or waiting, and later ones, are Outcomes without status."""
        self._is_closed = True
        for topic in list(self._pools):
            self._retire(topic)
        for pool in list(self._retired):
            await pool.aclose()

    def _pool(self, topic: str) -> APNsPool:
        pool = self._pools.get(topic)
        if pool is None:
            pool = APNsPool(self._identities[topic], self._server, on_empty=self._retired.discard)
            self._pools[topic] = pool
        return pool

    def _retire(self, topic: str) -> None:
        pool = self._pools.pop(topic)
        self._retired.add(pool)
        pool.retire()
