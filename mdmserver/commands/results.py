"""Works through results in the background: what a device answered becomes what we know of it.

Found in storage, claimed by lease, handled idempotently: a crash between a result and its handling loses nothing,
and a handler that fails is tried again when the lease runs out. Reading a result happens in a thread, since an
application list takes milliseconds; only what was learnt goes into the transaction.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from mdmserver.clock import Clock
from mdmserver.commands.model import StoredResult
from mdmserver.commands.store import CommandStore
from mdmserver.protocol import ProtocolError
from mdmserver.transaction import Storage, Transaction

Change = Callable[[Transaction], Awaitable[None]]
ResultHandler = Callable[[StoredResult], Change | None]
"""Reads a result, without storage; the change it asks for is made in the transaction that marks it processed."""

_LEASE = timedelta(minutes=1)
_CHUNK = 50
_log = logging.getLogger(__name__)


class ResultProcessor:
    """Gives each stored result to the handler of its request type."""

    def __init__(
        self,
        *,
        storage: Storage,
        commands: CommandStore,
        clock: Clock,
        handlers: Mapping[str, ResultHandler],
    ) -> None:
        self._storage = storage
        self._commands = commands
        self._clock = clock
        self._handlers = dict(handlers)

    @property
    def request_types(self) -> frozenset[str]:
        """Request types whose results somebody handles."""
        return frozenset(self._handlers)

    async def work_through(self) -> int:
        """Handle what is unprocessed and unclaimed; how many results were handled."""
        handled = 0
        while claimed := await self._claim():
            changes = await asyncio.to_thread(self._read, claimed)
            done = await asyncio.gather(*(self._apply(result, change) for result, change in changes))
            handled += sum(done)
        return handled

    async def _claim(self) -> list[StoredResult]:
        at = self._clock()
        return await self._storage.run(partial(self._commands.claim_results, at=at, until=at + _LEASE, limit=_CHUNK))

    def _read(self, claimed: list[StoredResult]) -> list[tuple[StoredResult, Change | None]]:
        return [(result, self._change(result)) for result in claimed]

    def _change(self, result: StoredResult) -> Change | None:
        handler = self._handlers.get(result.request_type)
        if handler is None or not result.is_readable:
            return None
        try:
            return handler(result)
        except ProtocolError as error:
            # What cannot be read today cannot be read tomorrow: it stays stored, and nothing is learnt from it.
            _log.warning("result_unreadable", extra={"command_uuid": result.command_uuid, "code": error.code})
            return None

    async def _apply(self, result: StoredResult, change: Change | None) -> bool:
        async def body(tx: Transaction) -> None:
            if change is not None:
                await change(tx)
            await self._commands.result_processed(tx, result.item)

        try:
            await self._storage.run(body)
        except Exception:
            # One result that cannot be applied must not stop the others; it is tried again after its lease.
            _log.exception("result_not_handled", extra={"command_uuid": result.command_uuid})
            return False
        return True
