"""Works through results in the background: what a device answered becomes what we know of it.

Found in storage, claimed by lease, handled idempotently: a crash between a result and its handling loses nothing,
and a handler that fails is tried again when the lease runs out.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from mdmserver.clock import Clock
from mdmserver.commands.model import StoredResult
from mdmserver.commands.store import CommandStore
from mdmserver.transaction import Storage, Transaction

ResultHandler = Callable[[Transaction, StoredResult], Awaitable[None]]
"""Applies one result inside the transaction that marks it processed."""

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
            for result in claimed:
                handled += await self._handle(result)
        return handled

    async def _claim(self) -> list[StoredResult]:
        at = self._clock()
        return await self._storage.run(partial(self._commands.claim_results, at=at, until=at + _LEASE, limit=_CHUNK))

    async def _handle(self, result: StoredResult) -> bool:
        async def body(tx: Transaction) -> None:
            handler = self._handlers.get(result.request_type)
            if handler is not None and result.is_readable:
                await handler(tx, result)
            await self._commands.result_processed(tx, result.item)

        try:
            await self._storage.run(body)
        except Exception:
            # One result that nobody can handle must not stop the others; it is tried again after its lease.
            _log.exception("result_not_handled", extra={"command_uuid": result.command_uuid})
            return False
        return True
