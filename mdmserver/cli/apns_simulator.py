"""`mdmserver simulate-apns`: the stand-in for APNs as a program, for demonstrations, trials and load."""

import asyncio
import ipaddress
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import uvloop

from certs import CertificateError
from mdmserver.cli.apns_simulator_display import ended, print_ended, print_started, started
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.state import state_option
from mdmserver.clock import utc_now
from mdmserver.simulator.apns import open_stand_in
from mdmserver.simulator.apns_answers import STATUS_OF
from mdmserver.simulator.apns_behaviour import Behaviour
from mdmserver.simulator.apns_credentials import APNsFiles, write_apns_files

FOLDER = "apns-simulator"
_PERCENT = click.FloatRange(0, 100)


def _loopback(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
        number = int(port)
    except ValueError as error:
        raise click.BadParameter(f"{value} is no ADDRESS:PORT") from error
    if not address.is_loopback:
        raise click.BadParameter(f"{host} is not the loopback: a stand-in listens on this machine alone")
    if not 0 <= number <= 65_535:
        raise click.BadParameter(f"{number} is no port")
    return str(address), number


@click.command()
@state_option
@click.option(
    "--listen", default="127.0.0.1:2197", show_default=True, callback=_loopback, help="Pushes; port 0 is a free one."
)
@click.option("--feed", type=click.IntRange(0, 65_535), default=2198, show_default=True, help="Port of the deliveries.")
@click.option("--topic", help="Topic of the push certificate. [default: as before, or a new one]")
@click.option("--unregistered", type=_PERCENT, default=0, help="Percent of tokens that are no more: 410.")
@click.option("--refused", type=_PERCENT, default=0, help="Percent of tokens that are refused.")
@click.option("--reason", type=click.Choice(sorted(STATUS_OF)), default="BadDeviceToken", help="Why they are refused.")
@click.option("--busy", type=_PERCENT, default=0, help="Percent of pushes answered 429 TooManyRequests.")
@click.option("--failing", type=_PERCENT, default=0, help="Percent of pushes answered 503 ServiceUnavailable.")
@click.option("--resets", type=_PERCENT, default=0, help="Percent of pushes whose stream is reset.")
@click.option("--stalls", type=_PERCENT, default=0, help="Percent of pushes that are never answered.")
@click.option("--goaway-every", type=click.IntRange(1), help="GOAWAY after so many pushes on a connection.")
@click.option("--max-streams", type=click.IntRange(1), default=1000, show_default=True, help="Pushes at the same time.")
@click.option("--delay-ms", type=click.FloatRange(0), default=0, help="Answer after so many milliseconds.")
@click.option("--seed", type=int, default=0, help="Another number hits other tokens and pushes.")
@click.option("--duration", type=click.FloatRange(0), help="End after so many seconds.")
@click.option(
    "--json", "as_json", is_flag=True, help="Say what listens, and in the end the counts, as a JSON line each."
)
def apns_simulator(state: Path, as_json: bool, **options: Any) -> None:
    """Stand in for Apple's push service until Ctrl-C: nothing of it goes to Apple or to a device.

    It makes a CA, its own certificate and a push certificate in STATE/apns-simulator, and says what to put into the
    server's configuration. Simulated devices hear of pushes with `mdmserver simulate --apns-feed`.
    """
    out = Output(as_json=as_json)
    behaviour = _behaviour(options)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = write_apns_files(state / FOLDER, topic=options["topic"], now=utc_now(), new_uuid=lambda: str(uuid4()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_stand_in(files, behaviour, options, out))
    except BrokenPipeError:
        raise  # nobody reads what it says any more: click ends it quietly
    except (OSError, CertificateError) as error:
        raise Failure(f"cannot stand in for APNs: {error}", exit_code=Exit.USAGE) from error


def _behaviour(options: dict[str, Any]) -> Behaviour:
    shares = ("unregistered", "refused", "busy", "failing", "resets", "stalls")
    for together in (shares[:2], shares[2:]):
        if sum(options[name] for name in together) > 100:
            raise click.UsageError(f"{', '.join(f'--{name}' for name in together)}: more than 100 percent in all")
    return Behaviour(
        seed=options["seed"],
        delay_seconds=options["delay_ms"] / 1000,
        max_streams=options["max_streams"],
        goaway_every=options["goaway_every"],
        refused_reason=options["reason"],
        **{name: options[name] / 100 for name in shares},
    )


async def _stand_in(files: APNsFiles, behaviour: Behaviour, options: dict[str, Any], out: Output) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options["duration"] is not None:
        loop.call_later(options["duration"], stop.set)
    host, port = options["listen"]
    async with open_stand_in(files, behaviour, host=host, port=port, feed_port=options["feed"]) as stand_in:
        print_started(started(stand_in, host), out)
        await stop.wait()
    print_ended(ended(stand_in.counts, listeners_dropped=stand_in.feed.dropped), out)
