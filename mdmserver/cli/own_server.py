"""The server of a state directory as server-side verbs reach it: through the process that runs there, else directly."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from mdmserver.bootstrap import open_services
from mdmserver.cli.client import APIClient, open_client
from mdmserver.cli.in_force import read_in_force
from mdmserver.cli.lock import Holder, hold_lock, lock_holder
from mdmserver.cli.verb import key_from, key_of, url_of
from mdmserver.clock import utc_now
from mdmserver.web.services import Services

SECONDS = 60
T = TypeVar("T")


@asynccontextmanager
async def open_own(
    state: Path, *, purpose: str, running: Callable[[APIClient], T], stopped: Callable[[Services], T]
) -> AsyncIterator[T]:
    """What `running` makes of a server that runs there, asked with the state directory's key; otherwise what `stopped`
    makes of its services, the directory being held meanwhile."""
    holder = lock_holder(state)
    if holder is not None and holder.listening:
        key = key_from(None, None, os.environ) or key_of(state)
        async with open_client(url_of(state, os.environ), key, timeout_seconds=SECONDS) as api:
            yield running(api)
        return
    config = read_in_force(state, None).config
    mine = Holder(pid=os.getpid(), command=purpose, since=utc_now().isoformat(timespec="seconds"))
    with hold_lock(state, mine):
        async with open_services(config, state) as services:
            yield stopped(services)
