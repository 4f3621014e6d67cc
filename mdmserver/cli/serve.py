"""`mdmserver serve`: one process from its lock to its last flush. What it serves is composed in `bootstrap`."""

import asyncio
import gc
import logging
import os
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from certs import CertificateError
from mdmserver.bootstrap import open_services, own_tls
from mdmserver.cli.exits import Failure
from mdmserver.cli.in_force import InForce, Source, read_in_force
from mdmserver.cli.lock import Holder, StateLock, hold_lock
from mdmserver.cli.state import state_option
from mdmserver.cli.verb import reachable
from mdmserver.clock import utc_now
from mdmserver.config import Config
from mdmserver.errors import MDMError
from mdmserver.logs import logging_to
from mdmserver.web.app import build_application
from mdmserver.web.profile_signer import TLSProfileSigner
from mdmserver.web.server import serve as open_listeners

_log = logging.getLogger(__name__)
_COLLECT_AFTER = 100_000  # young objects: with the frozen rest, collections cost next to nothing


@click.command()
@state_option
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file (default: config.toml in the state directory).",
)
@click.option("--set", "settings", metavar="SECTION.KEY=VALUE", multiple=True, help="Set a key of the configuration.")
@click.option("--listen-http", metavar="HOST:PORT", help="Short for --set listen.http=HOST:PORT; port 0 is a free one.")
def serve(
    state: Path, config_file: Path | None, settings: tuple[str, ...], listen_http: str | None
) -> None:  # fmt: skip
    """Run the server until SIGTERM or Ctrl-C. SIGHUP loads renewed TLS files.

    Logs go to standard error, as JSON lines or, on a terminal, as text.
    """
    if listen_http is not None:
        settings = (*settings, f"listen.http={listen_http}")
    in_force = read_in_force(state, config_file, settings)
    holder = Holder(pid=os.getpid(), command="serve", since=utc_now().isoformat(timespec="seconds"))
    level = in_force.config.log.level
    with hold_lock(state, holder) as lock, logging_to(sys.stderr, level=level, form=log_form(in_force)):
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(in_force.config, state, lock, holder))
        except (MDMError, CertificateError, OSError) as error:
            raise Failure(f"cannot serve: {error}") from error


async def _serve(config: Config, state: Path, lock: StateLock, holder: Holder) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    async with (
        open_services(config, state, profile_signer=TLSProfileSigner(config.tls)) as services,
        own_tls(config, services, state) as served,
        open_listeners(served, services, build_application=build_application) as listening,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, listening.reload)
        addresses = {kind.value: address for kind, address in listening.addresses.items()}
        lock.describe(Holder(pid=holder.pid, command=holder.command, since=holder.since, listening=addresses))
        for kind, (host, port) in addresses.items():
            scheme = "https" if kind in ("https", "mtls") else "http"
            click.echo(f"mdmserver listens on {scheme}://{reachable(host)}:{port} ({kind})")
        _log.info("serving", extra={"count": len(addresses)})
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        await stop.wait()
        _log.info("stopping")
    _log.info("stopped")


def log_form(in_force: InForce) -> Literal["json", "text"]:
    """What the configuration says; text on a terminal when it says nothing."""
    if in_force.sources["log.format"] is Source.DEFAULT and sys.stderr.isatty():
        return "text"
    return in_force.config.log.format


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)  # a second one ends it at once; what is committed is safe

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # an option: asyncio's own loop does the same, slower
        return None
    return uvloop.new_event_loop
