"""`mdmctl devices erase | lock | clear-passcode`: said before it is done, and confirmed by typing which device."""

import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mdmserver.cli.client import NOT_CONNECTED, APIClient, Missing, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.leaving import name_of
from mdmserver.cli.output import Output
from mdmserver.cli.times import rfc3339
from mdmserver.cli.verb import api_verb
from mdmserver.commands.destructive import is_pin

_ERASE = """\
Everything on {devices} is erased, for good. An erased device is not managed any more: it has to be enrolled again.
Some Macs ask for the PIN afterwards."""
_LOCK = """\
{devices} is locked at once. An iPhone or iPad is opened with its own passcode; a Mac restarts and asks for the PIN."""
_CLEAR = """\
{devices} gives up its passcode: whoever holds it opens it without one, until its user sets a new one."""
_REFUSALS = {
    "not_found": "no such device",
    "not_enrolled": "it is not enrolled any more",
    "no_unlock_token": "it has sent no unlock token (Macs never do), so its passcode cannot be cleared",
}
_SHOWN = 20
_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
F = TypeVar("F", bound=Callable[..., Any])

_pin_file = click.option(
    "--pin-file", type=_FILE, help="File with the PIN of six digits, - for standard input (default: a new one is made)."
)


def _common(function: F) -> F:
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--now", is_flag=True, help="Go at once to several devices too: nothing can be cancelled then."),
        click.argument("references", metavar="REF…", nargs=-1, required=True),
    ):
        function = option(function)
    return function


@click.command()
@_common
@_pin_file
@click.option("--preserve-data-plan", is_flag=True, help="Keep an eSIM's data plan.")
@api_verb
async def erase(
    api: APIClient, out: Output, references: tuple[str, ...], now: bool, yes: bool, pin_file: Path | None,
    preserve_data_plan: bool,
) -> None:  # fmt: skip
    """Erase devices."""
    command = {"RequestType": "EraseDevice", **({"PreserveDataPlan": True} if preserve_data_plan else {})}
    await _send(api, out, {**command, **_pin_of(pin_file)}, _ERASE, references, now=now, yes=yes)


@click.command()
@_common
@_pin_file
@click.option("--message", help="What the locked screen says.")
@click.option("--phone", help="The telephone number that the locked screen shows.")
@api_verb
async def lock(
    api: APIClient, out: Output, references: tuple[str, ...], now: bool, yes: bool, pin_file: Path | None,
    message: str | None, phone: str | None,
) -> None:  # fmt: skip
    """Lock devices."""
    said = {name: text for name, text in (("Message", message), ("PhoneNumber", phone)) if text is not None}
    command = {"RequestType": "DeviceLock", **said, **_pin_of(pin_file)}
    await _send(api, out, command, _LOCK, references, now=now, yes=yes)


@click.command("clear-passcode")
@_common
@api_verb
async def clear_passcode(api: APIClient, out: Output, references: tuple[str, ...], now: bool, yes: bool) -> None:
    """Clear the passcode of iPhones and iPads."""
    await _send(api, out, {"RequestType": "ClearPasscode"}, _CLEAR, references, now=now, yes=yes)


def is_confirmed(typed: str, devices: Sequence[dict[str, Any]]) -> bool:
    """Whether this is the serial number or name of the one device, or the number of several."""
    text = typed.strip()
    if len(devices) > 1:
        return text == str(len(devices))
    [device] = devices
    return bool(text) and text in (device["serial_number"], device["device_name"], device["id"])


async def _send(
    api: APIClient, out: Output, command: dict[str, Any], text: str, references: Sequence[str], *, now: bool, yes: bool
) -> None:
    found = [await api.get("enrollments", reference) for reference in dict.fromkeys(references)]
    devices = list({item["key"]: item for item in found}.values())
    _confirm(out, text.format(devices=_called(devices)), devices, yes=yes)
    body: dict[str, Any] = {"command": command, "targets": [item["key"] for item in devices]}
    if now and len(devices) > 1:
        body["not_before"] = rfc3339(out.now, now=out.now)
    answer = await _queued(api, out, body)
    if out.as_json:
        out.json(answer)
    else:
        _say(out, answer, devices)
    if answer["refused"]:
        raise Failure(f"{len(answer['refused'])} of the devices were refused; the others have the command")


async def _queued(api: APIClient, out: Output, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return await api.post("commands", body=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    except Unreachable as error:
        if error.code == NOT_CONNECTED:
            raise
        message = f"{error}; it may or may not be queued: mdmctl commands list shows it, mdmctl commands cancel ends it"
        raise Failure(message, exit_code=Exit.UNREACHABLE) from error
    except Missing as error:
        _say_refused(out, error.body.get("refused", {}))
        raise


def _confirm(out: Output, what: str, devices: Sequence[dict[str, Any]], *, yes: bool) -> None:
    for line in what.splitlines():
        out.say(line)
    for item in devices[:_SHOWN]:
        out.say(f"  {name_of(item)}  {item['device_name'] or ''}  {item['id']}")
    if len(devices) > _SHOWN:
        out.say(f"  … and {len(devices) - _SHOWN} more")
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: say --yes")
    wanted = "the number of devices" if len(devices) > 1 else "the device's serial number or name"
    if not is_confirmed(click.prompt(f"To go on, type {wanted}", err=True), devices):
        raise Failure("that is something else; nothing was done")


def _called(devices: Sequence[dict[str, Any]]) -> str:
    return name_of(devices[0]) if len(devices) == 1 else f"each of these {len(devices)} devices"


def _say(out: Output, answer: dict[str, Any], devices: Sequence[dict[str, Any]]) -> None:
    out.say(f"{answer['request_type']} {answer['uuid']} queued for {answer['queued']} devices")
    if answer.get("not_before"):
        out.say(f"it goes out at {answer['not_before']}; until then: mdmctl commands cancel {answer['uuid']}")
    out.say(f"what has not gone out by {answer['expires_at']} expires")
    _say_refused(out, answer["refused"])
    if "pin" in answer:
        out.say("the PIN that a Mac asks for; keep it now, it is not shown again:")
        click.echo(answer["pin"])


def _say_refused(out: Output, refused: dict[str, str]) -> None:
    for reference, code in list(refused.items())[:_SHOWN]:
        out.say(f"refused: {reference}: {_REFUSALS.get(code, code)}")


def _pin_of(pin_file: Path | None) -> dict[str, str]:
    if pin_file is None:
        return {}
    try:
        with click.open_file(str(pin_file), encoding="utf-8") as file:
            pin = file.read(64).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{pin_file} cannot be read", exit_code=Exit.USAGE) from error
    if not is_pin(pin):
        raise Failure(f"there is no PIN of six digits in {pin_file}", exit_code=Exit.USAGE)
    return {"PIN": pin}
