"""`scripts/demo`: the whole story in the terminal, then a server to look around in. Nothing leaves this machine."""

import asyncio
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import click
import uvloop
from rich.console import Console

from mdmserver.cli.apns_simulator import FOLDER
from mdmserver.cli.client import APIError, open_client
from mdmserver.cli.demo_devices import demo_devices
from mdmserver.cli.demo_narrator import Narrator
from mdmserver.cli.demo_programs import DemoFailed, Programs
from mdmserver.cli.demo_progress import DemoProgress
from mdmserver.cli.demo_story import Cast, tell
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.state import CONFIG_FILE
from mdmserver.cli.verb import key_of
from mdmserver.clock import utc_now
from mdmserver.simulator.apns import LOOPBACK, APNsStandIn, open_stand_in
from mdmserver.simulator.apns_behaviour import Behaviour
from mdmserver.simulator.apns_credentials import write_apns_files
from mdmserver.simulator.errors import SimulatorError

_PAUSE_SECONDS = 2.0
_REACTION_SECONDS = 0.4


@click.command()
@click.option("--fast", is_flag=True, help="Without pauses for reading.")
@click.option("--no-wait", is_flag=True, help="End when the story is told, instead of leaving the server running.")
@click.option("--keep", is_flag=True, help="Keep the state directory afterwards.")
def demo(fast: bool, no_wait: bool, keep: bool) -> None:
    """Show it all: an iPhone, an iPad and a Mac, simulated, enroll and get PingID with its token, proved by read-back.

    It runs the real server and the real commands, in a fresh state directory and on free ports of the loopback.
    """
    narrator = Narrator(Console(highlight=False), pause_seconds=0 if fast else _PAUSE_SECONDS)
    state = Path(tempfile.mkdtemp(prefix="mdmserver-demo-"))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_demonstrate(state, narrator, reaction=0 if fast else _REACTION_SECONDS, waits=not no_wait))
    except (DemoFailed, SimulatorError, APIError, OSError) as error:
        raise Failure(f"the demonstration cannot go on: {error}") from error
    except asyncio.CancelledError:
        raise Failure("interrupted", exit_code=Exit.INTERRUPTED) from None
    finally:
        if keep:
            narrator.say(f"The state directory is kept: {state}")
        else:
            shutil.rmtree(state, ignore_errors=True)


async def _demonstrate(state: Path, narrator: Narrator, *, reaction: float, waits: bool) -> None:
    main = asyncio.current_task()
    assert main is not None
    _on_signals(main.cancel)
    programs = Programs(state, narrator)
    narrator.say("[bold]mdmserver, live[/bold]: the server and the commands are real, the devices are simulated.")
    async with _stage(state, programs, narrator) as (url, stand_in):
        feed = (LOOPBACK, stand_in.feed_port)
        async with (
            demo_devices(feed=feed, reaction_seconds=reaction) as devices,
            open_client(url, key_of(state)) as api,
            devices.connecting(),
        ):
            cast = Cast(
                programs=programs,
                narrator=narrator,
                devices=devices,
                progress=DemoProgress(api),
                push_certificate=stand_in.files.push_certificate,
                new_token=lambda: str(uuid4()),
            )
            await tell(cast)
            narrator.chapter("The story is told")
            narrator.say(f"It took {stand_in.counts.accepted} pushes; nobody's token was printed or logged.")
            if waits:
                _say_what_to_try(narrator, url, state)
                await _until_interrupted()
    narrator.say("Server, stand-in and devices have ended.")


@asynccontextmanager
async def _stage(state: Path, programs: Programs, narrator: Narrator) -> AsyncIterator[tuple[str, APNsStandIn]]:
    """The stand-in for APNs and the server, running; its URL."""
    files = write_apns_files(state / FOLDER, topic=None, now=utc_now(), new_uuid=lambda: str(uuid4()))
    async with open_stand_in(files, Behaviour()) as stand_in:
        port, operations = _free_ports(2)
        url = f"http://{LOOPBACK}:{port}"
        narrator.chapter("A server, from nothing")
        await programs.show("mdmserver", "init", "--yes", "--url", url)
        _name_stand_in(state / CONFIG_FILE, stand_in, files.ca)
        settings = ("--set", f"listen.operations={LOOPBACK}:{operations}")
        narrator.command("mdmserver serve", note="in the background; its [apns] names the stand-in")
        async with programs.serving(*settings):
            narrator.good(f"it listens on {url}")
            await narrator.pause()
            yield url, stand_in


def _name_stand_in(config: Path, stand_in: APNsStandIn, ca: Path) -> None:
    with config.open("a") as file:
        file.write(f'\n[apns]\nhost = "{LOOPBACK}"\nport = {stand_in.port}\nca_file = "{ca}"\n')


def _say_what_to_try(narrator: Narrator, url: str, state: Path) -> None:
    narrator.say("The server and the three devices go on until Ctrl-C. In another terminal:")
    narrator.say("")
    for line in (
        f"export MDMSERVER_STATE={state}",
        "scripts/mdmctl apps status pingid --watch",
        "scripts/mdmctl apps configure pingid --token -",
        "scripts/mdmctl commands send DeviceInformation --all --wait",
        "scripts/mdmctl push status",
        "scripts/mdmctl audit list",
    ):
        narrator.say(f"  [bold green]{line}[/bold green]")
    narrator.say("")
    narrator.say(f"The API is described at {url}/api/v1/openapi.json.")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; the server's stands in what devices are enrolled with, so it is chosen first."""
    opened = [socket.socket() for _ in range(count)]
    try:
        for each in opened:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in opened]
    finally:
        for each in opened:
            each.close()


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    _on_signals(stop.set)
    await stop.wait()


def _on_signals(action: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, action)


if __name__ == "__main__":
    demo(prog_name="scripts/demo")
