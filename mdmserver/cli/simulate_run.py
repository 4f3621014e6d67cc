"""Runs the plan of `mdmserver simulate`: makes or loads the devices, shows how far it is, keeps them, sums up."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit

from certs import CertificateError, load_pem_certificates, load_private_key
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.simulate_display import live_line, print_summary, progress
from mdmserver.cli.simulate_invitation import hand_out_invitations
from mdmserver.cli.simulate_plan import SIGNATURES, Plan
from mdmserver.cli.simulate_reach import reach
from mdmserver.cli.state import CONFIG_FILE
from mdmserver.clock import utc_now
from mdmserver.config import load_config
from mdmserver.errors import MDMError
from mdmserver.simulator.apns_listener import Wakes, listening
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.conversation import ServerAddress
from mdmserver.simulator.device import SimulatedDevice
from mdmserver.simulator.fleet import Fleet
from mdmserver.simulator.fleet_file import load_fleet, save_fleet
from mdmserver.simulator.identity import MAKE_KEYS, IdentityIssuer, RSAKeys, own_keys, shared_keys
from mdmserver.simulator.measures import Summary, Tally
from mdmserver.simulator.proof import ClientCertificate
from mdmserver.simulator.scep import SCEPClient
from mdmserver.simulator.transport import Transport

SHARED_KEYS = 8


def run_plan(plan: Plan, runner: asyncio.Runner, out: Output) -> Summary:
    """Carry the plan out and print the summary.

    Raises ServerUnreachable, ServerRefused, EnrollmentRefused, FeedUnreachable, FleetFileInvalid, Failure, UsageError.
    """
    tally = Tally()
    devices = _devices(plan, tally, out)
    tally.enrolled = sum(device.is_enrolled for device in devices)
    if plan.is_by_invitation:
        runner.run(_invite(plan, [device for device in devices if not device.is_enrolled]))
    try:
        summary = runner.run(_simulate(plan, devices, tally, out))
    finally:
        if plan.fleet_file is not None:
            save_fleet(plan.fleet_file, devices)
    print_summary(summary, out)
    return summary


async def _simulate(plan: Plan, devices: list[SimulatedDevice], tally: Tally, out: Output) -> Summary:
    stop = asyncio.Event()
    _stop_at_interrupt(stop)
    began = time.monotonic()
    # The feed first: a server may push a device as soon as it has enrolled.
    async with _wakes(plan, devices, tally) as wakes, _transport(plan, tally) as transport:
        random = Random(plan.seed)  # noqa: S311 — chance, not secrets
        fleet = Fleet(devices, transport, tally=tally, pace=plan.pace, random=random)
        with progress("Enrolling", sum(not device.is_enrolled for device in devices), out) as enrolled:
            await fleet.enroll(stop, enrolled)
        tally.enrolling_seconds = time.monotonic() - began
        if plan.fleet_file is not None:
            save_fleet(plan.fleet_file, devices)
        if plan.duration_seconds is not None:
            asyncio.get_running_loop().call_later(plan.duration_seconds, stop.set)
        async with live_line(tally, out):
            if plan.once:
                await fleet.connect_once(stop)
            elif wakes is not None:
                await fleet.run_when_pushed(wakes, stop)
            else:
                await fleet.run(stop)
    return tally.summary(devices=len(devices), seconds=time.monotonic() - began)


@asynccontextmanager
async def _wakes(plan: Plan, devices: list[SimulatedDevice], tally: Tally) -> AsyncIterator[Wakes | None]:
    if plan.feed is None:
        yield None
        return
    wakes = Wakes(devices, tally)
    async with listening(*plan.feed, wakes.heard):
        yield wakes


def _transport(plan: Plan, tally: Tally) -> Transport:
    return Transport(
        _address(plan),
        proofs=(ClientCertificate(),) if plan.uses_mtls else (SIGNATURES[plan.signature][1],),
        server_ca=plan.server_ca,
        took=tally.took,
    )


def _stop_at_interrupt(stop: asyncio.Event) -> None:
    """The first Ctrl-C lets connects in progress end, the second does not wait for them."""
    main = asyncio.current_task()

    def interrupted() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)


def _devices(plan: Plan, tally: Tally, out: Output) -> list[SimulatedDevice]:
    """The devices of the fleet file, and those that are missing."""
    builder = DeviceBuilder(seed=plan.seed, tally=tally, habits=plan.habits, applicant=_applicant(plan, tally))
    has_file = plan.fleet_file is not None and plan.fleet_file.exists()
    devices = load_fleet(plan.fleet_file, builder.build) if plan.fleet_file is not None and has_file else []
    numbers = range(len(devices), plan.devices)
    bare = [device for device in devices if device.identity is None]
    issuer = None if plan.is_by_invitation or not (numbers or bare) else _issuer(plan)
    if issuer is not None:
        for device in bare:
            device.take_over(issuer.issue(device.facts.udid), None)
    with progress("Certificates", len(numbers) if issuer else 0, out) as made:
        devices += builder.draw(numbers, platforms=plan.platforms, topic=plan.topic, issuer=issuer, made=made)
    return devices


def _applicant(plan: Plan, tally: Tally) -> Applicant:
    return Applicant(
        keys=RSAKeys(shared=None if plan.has_own_keys else SHARED_KEYS),
        scep=SCEPClient(clock=utc_now, pause=asyncio.sleep, lost=tally.lost_reply),
        may_visit=reach(allow_remote=plan.allow_remote),
    )


async def _invite(plan: Plan, devices: list[SimulatedDevice]) -> None:
    for device in devices:
        device.invitation = plan.invitation
    if plan.invites:
        await hand_out_invitations(
            devices, url=plan.url, state=plan.state, server_ca=plan.server_ca, allow_remote=plan.allow_remote
        )


def _issuer(plan: Plan) -> IdentityIssuer:
    try:
        authority_der = load_pem_certificates(plan.authority.read_bytes())[0]
        authority_key = load_private_key(plan.authority_key.read_bytes())
    except FileNotFoundError as error:
        raise Failure(
            f"there is no {error.filename}: `mdmserver init --simulator-ca` makes a CA for simulated devices, or name "
            "one with --ca and --ca-key",
            exit_code=Exit.USAGE,
        ) from error
    except (OSError, CertificateError) as error:
        raise Failure(f"the CA {plan.authority} cannot be used: {error}", exit_code=Exit.USAGE) from error
    make = MAKE_KEYS[SIGNATURES[plan.signature][0]]
    return IdentityIssuer(
        authority_der=authority_der,
        authority_key=authority_key,
        keys=own_keys(make) if plan.has_own_keys else shared_keys(make, SHARED_KEYS),
        clock=utc_now,
        new_serial_number=lambda: secrets.randbits(120) + 1,
    )


def _address(plan: Plan) -> ServerAddress:
    """The URL as given if it has a path; otherwise the paths of the configuration in the state directory."""
    if urlsplit(plan.url).path.strip("/"):
        return ServerAddress(command_url=plan.url)
    base = plan.url.rstrip("/")
    try:
        device = load_config(plan.state / CONFIG_FILE, os.environ).device
    except MDMError:
        return ServerAddress(command_url=f"{base}/mdm")
    return ServerAddress(command_url=base + device.command_path, checkin_url=base + device.checkin_path)
