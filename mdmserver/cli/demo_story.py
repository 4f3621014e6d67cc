"""The story of the demonstration: from an invitation to a token that is proved to be on three devices, and changed."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from mdmserver.cli.demo_devices import LID_CLOSED, OFFLINE, DemoDevices
from mdmserver.cli.demo_narrator import Narrator
from mdmserver.cli.demo_programs import DemoFailed, Programs
from mdmserver.cli.demo_progress import KEY, DemoProgress
from mdmserver.simulator.device import SimulatedDevice

_SETTINGS = 5
"""The app and its configuration on iPhone and iPad, the profile on the Mac."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is in the story, and on which ground: `new_token` makes up a token as PingID's administrators do."""

    programs: Programs
    narrator: Narrator
    devices: DemoDevices
    progress: DemoProgress
    push_certificate: Path
    new_token: Callable[[], str]


async def tell(cast: Cast) -> None:
    """The whole story. Raises DemoFailed, and what simulated devices raise when they are refused."""
    await _be_able_to_push(cast)
    await _enroll(cast)
    await _give_pingid_to_everybody(cast)
    await _change_the_token(cast)
    await _change_it_while_two_are_away(cast)
    await _let_them_come_back(cast)


async def _be_able_to_push(cast: Cast) -> None:
    say = cast.narrator
    say.chapter("A push certificate")
    say.say(
        "Without one no device is woken. This one is made by the stand-in for Apple's push service, which answers on "
        "this machine as Apple does; with Apple's own the command is the same."
    )
    await cast.programs.show("mdmserver", "push-certificate", "install", str(cast.push_certificate))
    await say.pause()


async def _enroll(cast: Cast) -> None:
    say, devices = cast.narrator, cast.devices
    say.chapter("Three devices enroll by an invitation")
    made = await cast.programs.show(
        "mdmctl", "invitations", "create", "--user", "ada", "--uses", "3", note="the URL is a secret; --qr draws it"
    )
    invitation = next((line for line in made.split() if "/enroll/" in line), "")
    say.say("")
    say.say("Each device opens the page, downloads the profile, gets its identity by SCEP, then checks in:")
    for device in (devices.iphone, devices.ipad, devices.mac):
        await devices.enroll(device, invitation)
        say.good(f"{_name(device)}: page → profile → SCEP identity → Authenticate → TokenUpdate")
        await say.pause(0.3)
    say.say("From now on they connect when they are pushed, and only then.")
    await cast.programs.show("mdmctl", "devices", "list", "--type", "Device")
    await say.pause()


async def _give_pingid_to_everybody(cast: Cast) -> None:
    say = cast.narrator
    say.chapter("PingID for everybody, with its token")
    say.say(
        "iPhone and iPad get PingID as a managed app and PINGID_MDM_TOKEN as its managed configuration. A Mac has no "
        "such app: it gets the token in PingID's preference domain, by a signed profile."
    )
    began = time.monotonic()
    await cast.programs.show("mdmctl", "apps", "assign", KEY, "--all")
    token = await _configure(cast)
    seconds = await cast.progress.until_everywhere(_SETTINGS, since=began)
    say.say("")
    say.good(
        f"installed, configured, and read back as wanted (the Mac lists its profile), {seconds:.1f} s after the first "
        "of these commands"
    )
    _check_tokens(cast, token, cast.devices.iphone, cast.devices.ipad, cast.devices.mac)
    await cast.programs.show("mdmctl", "apps", "status", KEY)
    await say.pause()


async def _change_the_token(cast: Cast) -> None:
    say = cast.narrator
    say.chapter("The token changes")
    say.say("Verified is what the device itself reads back, not what it acknowledged. One command, nothing else:")
    began = time.monotonic()
    token = await _configure(cast)
    seconds = await cast.progress.until_everywhere(_SETTINGS, since=began)
    say.say("")
    say.good(f"the new token is on every device, {seconds:.1f} s after the command was typed")
    _check_tokens(cast, token, cast.devices.iphone, cast.devices.ipad, cast.devices.mac)
    await say.pause()


async def _change_it_while_two_are_away(cast: Cast) -> None:
    say, devices, progress = cast.narrator, cast.devices, cast.progress
    say.chapter("It changes again while one device is locked and one is offline")
    devices.hold(devices.mac, LID_CLOSED)
    devices.hold(devices.ipad, OFFLINE)
    say.say("The Mac is locked, its lid closed: in Power Nap it answers NotNow. The iPad is in no network.")
    began = time.monotonic()
    token = await _configure(cast)
    seconds = await progress.until_verified_on(devices.iphone.facts.serial_number, since=began)
    say.say("")
    say.good(f"the iPhone has it, verified after {seconds:.1f} s; nobody waits for the others")
    _check_tokens(cast, token, devices.iphone)
    locked = await progress.until_it_waits(devices.mac.facts.serial_number, "profile", because="not_now")
    offline = await progress.until_it_waits(
        devices.ipad.facts.serial_number, "configuration", because="device_not_connected"
    )
    say.say("The server says of each why it is not there yet, in its own words:")
    say.say(escape(f"  the Mac:  {locked}"))
    say.say(escape(f"  the iPad: {offline}"))
    await cast.programs.show("mdmctl", "apps", "status", KEY)
    for device in (devices.mac, devices.ipad):
        await cast.programs.show("mdmctl", "devices", "settings", device.facts.serial_number)
    await say.pause(2)


async def _let_them_come_back(cast: Cast) -> None:
    say, devices = cast.narrator, cast.devices
    say.chapter("They come back")
    say.say("The Mac is opened, the iPad is in a network again. Nobody types anything:")
    began = time.monotonic()
    for device in (devices.mac, devices.ipad):
        devices.let_go(device)
    seconds = await cast.progress.until_everywhere(_SETTINGS, since=began)
    say.good(f"everything is there, {seconds:.1f} s later")
    token = devices.token(devices.iphone)
    _check_tokens(cast, token, devices.ipad, devices.mac)
    await cast.programs.show("mdmctl", "apps", "status", KEY)
    await say.pause()


async def _configure(cast: Cast) -> str:
    """Give PingID a new token; the token, which is never an argument and never printed."""
    token = cast.new_token()
    note = f"a new token on its standard input, SHA-256 {_digest(token)}…"
    await cast.programs.show("mdmctl", "apps", "configure", KEY, "--token", "-", given=f"{token}\n", note=note)
    return token


def _check_tokens(cast: Cast, token: str, *devices: SimulatedDevice) -> None:
    """What PingID really finds on the devices, which the server cannot see. Raises DemoFailed."""
    for device in devices:
        found = cast.devices.token(device)
        if found != token:
            raise DemoFailed(f"the server says that {_name(device)} has the token, and it has not")
        cast.narrator.good(f"on the {_name(device)} PingID reads a token with SHA-256 {_digest(found)}…")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def _name(device: SimulatedDevice) -> str:
    return f"{device.facts.platform} {device.facts.serial_number}"
