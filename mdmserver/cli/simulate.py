"""`mdmserver simulate`: a fleet of simulated devices against a server, for trying it out and for load."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

import click
import uvloop

from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.simulate_plan import SIGNATURES, Plan
from mdmserver.cli.simulate_reach import check_url, feed_address
from mdmserver.cli.simulate_run import run_plan
from mdmserver.cli.simulator_ca import CERTIFICATE_FILE, KEY_FILE
from mdmserver.cli.state import SIMULATOR_CA_FOLDER, state_option
from mdmserver.cli.verb import url_of
from mdmserver.simulator.device import Habits
from mdmserver.simulator.errors import (
    EnrollmentRefused,
    FeedUnreachable,
    FleetFileInvalid,
    ServerRefused,
    ServerUnreachable,
)
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Pace

_TOPIC = "com.apple.mgmt.External.00000000-0000-4000-8000-000000000000"
_KNOWN = (
    " it knows these devices already and their re-enrollment waits for release: see `mdmctl devices pending`, and "
    "`mdmctl devices allow-reenroll`."
)
_FILE = click.Path(dir_okay=False, path_type=Path)
_PERCENT = click.FloatRange(0, 100)


def _platforms(context: click.Context, parameter: click.Parameter, value: str) -> tuple[Platform, ...]:
    try:
        return tuple(Platform(name.strip()) for name in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{error}; known are {', '.join(Platform)}") from error


@click.command()
@state_option
@click.option("--devices", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="How many.")
@click.option("--url", help="The server; with a path, all messages go to it. [default: the one of --state]")
@click.option("--allow-remote", is_flag=True, help="Allow a server that is not on this machine.")
@click.option("--invitation", metavar="URL", help="Enroll by this invitation: its page, its profile, and SCEP.")
@click.option("--invite", is_flag=True, help="Ask the server for an invitation. [default where there is no CA]")
@click.option("--ca", type=_FILE, help="PEM of the CA that issues certificates. [default: STATE/simulator-ca/ca.pem]")
@click.option("--ca-key", type=_FILE, help="Its key. [default: STATE/simulator-ca/ca.key]")
@click.option("--server-ca", type=_FILE, help="PEM to trust for https instead of the system's CAs.")
@click.option("--mtls", is_flag=True, help="Present the certificate in the TLS handshake instead of signing.")
@click.option("--platforms", default=",".join(Platform), show_default=True, callback=_platforms, help="Taken in turn.")
@click.option("--locked", type=_PERCENT, default=0, help="Percent of connects that find the device locked.")
@click.option("--lost-replies", type=_PERCENT, default=0, help="Percent of results whose reply gets lost.")
@click.option("--renewal-mishaps", type=_PERCENT, default=0, help="Percent of renewals in which something goes wrong.")
@click.option("--app-rejections", type=_PERCENT, default=0, help="Percent of apps that persons decline.")
@click.option("--interval", type=click.FloatRange(0), default=2, show_default=True, help="Seconds between connects.")
@click.option("--apns-feed", metavar="HOST:PORT", help="Connect when pushed, as `simulate-apns` tells at this address.")
@click.option("--offline", type=_PERCENT, default=0, help="Percent of pushes that find the device off for a while.")
@click.option("--duration", type=click.FloatRange(0), help="Stop after so many seconds of connecting.")
@click.option("--once", is_flag=True, help="Let every device connect one time, then stop.")
@click.option("--concurrency", type=click.IntRange(1, 10_000), default=32, show_default=True, help="At the same time.")
@click.option(
    "--signature",
    type=click.Choice(tuple(SIGNATURES)),
    default="rsa-sha256",
    show_default=True,
    help="Kind of key and signature; rsa-sha1 is without signed attributes, as on old devices.",
)
@click.option("--own-keys", is_flag=True, help="One key per device instead of a few shared ones (slow to make).")
@click.option("--fleet-file", type=_FILE, help="Keep the devices here and go on with the same ones next time.")
@click.option("--topic", default=_TOPIC, help="Push topic that the devices name.")
@click.option("--seed", type=int, help="The same number gives the same devices and the same behaviour.")
@click.option("--large-lists", is_flag=True, help="Macs have hundreds of apps (130 kB per list).")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, for programs.")
def simulate(**options: Any) -> None:
    """Simulate devices: they enroll, connect, carry out commands and report, until Ctrl-C.

    They enroll as a person's device does, by an invitation (--invitation, --invite); or with certificates that a CA
    in our hands issues and the server trusts: `mdmserver init --simulator-ca` makes one, and where it is there it is
    used. They connect at intervals, or with --apns-feed when the server pushes them.
    """
    out = Output(as_json=options["as_json"])
    plan = _plan(options)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            summary = run_plan(plan, runner, out)
    except ServerUnreachable as error:
        hint = "; --server-ca names a CA to trust" if error.reason == "tls" else ""
        raise Failure(f"no server: {error}{hint}", exit_code=Exit.UNREACHABLE) from error
    except EnrollmentRefused as error:
        raise Failure(str(error)) from error
    except ServerRefused as error:
        raise Failure(_explained(error, plan)) from error
    except FeedUnreachable as error:
        raise Failure(f"{error}; is `mdmserver simulate-apns` running?", exit_code=Exit.UNREACHABLE) from error
    except FleetFileInvalid as error:
        raise Failure(str(error), exit_code=Exit.USAGE) from error
    except asyncio.CancelledError:
        raise Failure("interrupted", exit_code=Exit.INTERRUPTED) from None
    if summary.enrolled < plan.devices and summary.errors:
        missing = plan.devices - summary.enrolled
        raise Failure(f"{missing} of {plan.devices} devices are not enrolled{_waiting(summary.errors)}")


def _plan(options: dict[str, Any]) -> Plan:
    url = options["url"] or url_of(options["state"], os.environ)
    for each in (url, options["invitation"] or url):
        check_url(each, allow_remote=options["allow_remote"])
    feed: str | None = options["apns_feed"]
    folder = options["state"] / SIMULATOR_CA_FOLDER
    _check_together(options, url)
    has_ca = options["ca"] is not None or (folder / CERTIFICATE_FILE).exists()
    return Plan(
        url=url,
        state=options["state"],
        allow_remote=options["allow_remote"],
        devices=options["devices"],
        invitation=options["invitation"],
        invites=options["invite"] or (options["invitation"] is None and not has_ca),
        authority=options["ca"] or folder / CERTIFICATE_FILE,
        authority_key=options["ca_key"] or folder / KEY_FILE,
        server_ca=options["server_ca"],
        uses_mtls=options["mtls"],
        platforms=options["platforms"],
        signature=options["signature"],
        has_own_keys=options["own_keys"],
        topic=options["topic"],
        seed=options["seed"] if options["seed"] is not None else secrets.randbits(32),
        has_fixed_seed=options["seed"] is not None,
        fleet_file=options["fleet_file"],
        duration_seconds=options["duration"],
        once=options["once"],
        feed=None if feed is None else feed_address(feed, allow_remote=options["allow_remote"]),
        pace=Pace(
            concurrency=options["concurrency"],
            interval_seconds=options["interval"],
            locked=options["locked"] / 100,
            offline=options["offline"] / 100,
        ),
        habits=Habits(
            lost_replies=options["lost_replies"] / 100,
            renewal_mishaps=options["renewal_mishaps"] / 100,
            app_rejections=options["app_rejections"] / 100,
            has_many_applications=options["large_lists"],
        ),
    )


def _check_together(options: dict[str, Any], url: str) -> None:
    """Raises UsageError for options that exclude each other."""
    if (options["ca"] is None) != (options["ca_key"] is None):
        raise click.UsageError("--ca and --ca-key belong together")
    if options["once"] and options["apns_feed"]:
        raise click.UsageError("--once connects without a push: it does not go with --apns-feed")
    if options["offline"] and not options["apns_feed"]:
        raise click.UsageError("--offline is about pushes: it needs --apns-feed")
    if options["mtls"] and not url.startswith("https:"):
        raise click.UsageError("--mtls needs a URL with https")
    if sum((options["invite"], options["invitation"] is not None, options["ca"] is not None)) > 1:
        raise click.UsageError("devices enroll one way: --invitation, --invite or --ca")
    if (options["invite"] or options["invitation"]) and SIGNATURES[options["signature"]][0] != "rsa":
        raise click.UsageError("a profile asks for RSA keys: --signature p256 goes with --ca")


def _explained(error: ServerRefused, plan: Plan) -> str:
    if error.status != 403:
        return str(error)
    if plan.is_by_invitation:
        return f"{error}.{_KNOWN}" if plan.has_fixed_seed or plan.fleet_file is not None else str(error)
    text = f"{error}. The server does not trust this CA: add it as device_ca ({plan.authority})."
    if plan.has_fixed_seed or plan.fleet_file is not None:
        text += f" If it does:{_KNOWN}"
    return text


def _waiting(errors: dict[str, int]) -> str:
    if "status 403" not in errors:
        return ""
    return "; those refused with 403 may wait for release: see `mdmctl devices pending`"
