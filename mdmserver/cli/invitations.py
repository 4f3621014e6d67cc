"""`mdmctl invitations …`: let people enroll their devices. An invitation's URL is shown once, when it is made."""

from datetime import datetime, timedelta
from typing import Any

import click

from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.qr_code import qr_for_terminal
from mdmserver.cli.times import Moment, rfc3339
from mdmserver.cli.verb import api_verb

_TIMES = ("created_at", "expires_at", "revoked_at")


@click.group()
def invitations() -> None:
    """Let people enroll their devices."""


@invitations.command("create")
@click.option("--user", metavar="NAME", help="For whom; a device of theirs that is enrolled may come back with it.")
@click.option("--serial", metavar="SERIAL", help="Only for the device with this serial number.")
@click.option("--expires", type=Moment(), default="7d", show_default=True, help="For how long, or until when.")
@click.option("--uses", type=click.IntRange(1), default=1, show_default=True, help="How many devices may enroll.")
@click.option("--allow-reenroll", is_flag=True, help="Any device that is enrolled may enroll anew with it.")
@click.option("--qr", is_flag=True, help="Draw the URL as a QR code, to be read with the device's camera.")
@click.option("--challenge", is_flag=True, help="Print a SCEP challenge too, for other SCEP clients.")
@api_verb
async def create(
    api: APIClient, out: Output, user: str | None, serial: str | None, expires: datetime | timedelta, uses: int,
    allow_reenroll: bool, qr: bool, challenge: bool,
) -> None:  # fmt: skip
    """Make an invitation and print its URL, this once.

    The person opens the URL on the device and installs the profile that it offers.
    """
    body = {
        "user": user,
        "serial_number": serial,
        "expires_at": rfc3339(expires, now=out.now),
        "uses": uses,
        "allow_reenroll": allow_reenroll,
        "challenge": challenge,
    }
    answer = await api.post("invitations", body=body)
    if out.as_json:
        out.json(answer)
    else:
        _say_made(out, answer)
        click.echo(answer["url"])
    if qr:
        click.echo(qr_for_terminal(answer["url"]), err=True)
    if challenge and not out.as_json:
        _print_challenge(answer["challenge"])


@invitations.command("challenge")
@click.argument("invitation_id", metavar="ID")
@api_verb
async def challenge(api: APIClient, out: Output, invitation_id: str) -> None:
    """Print a SCEP challenge of an invitation, for other SCEP clients; it replaces the one before."""
    answer = await api.post("invitations", invitation_id, "challenge")
    if out.as_json:
        out.json(answer)
        return
    out.say("the challenge is a secret, good for one certificate and a short time")
    _print_challenge(answer)


@invitations.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def list_invitations(api: APIClient, out: Output, limit: int, everything: bool) -> None:
    """List invitations, newest first; their URLs are not kept."""
    items, has_more = await api.items("invitations", limit=None if everything else limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    rows = [
        (item["id"], _state_of(item, out), item["user"], item["serial_number"],
         f"{item['uses']} of {item['uses_allowed']}", out.when(item["expires_at"]), out.when(item["created_at"]))
        for item in items
    ]  # fmt: skip
    out.table(("ID", "STATE", "USER", "SERIAL", "USED", "EXPIRES", "MADE"), rows)
    if has_more:
        out.say("there are more: --all or --limit")


@invitations.command("show")
@click.argument("invitation_id", metavar="ID")
@api_verb
async def show(api: APIClient, out: Output, invitation_id: str) -> None:
    """Show an invitation and what became of it; its URL is not kept."""
    item = await api.get("invitations", invitation_id)
    if out.as_json:
        out.json(item)
        return
    shown = {name: out.when(value) if value and name in _TIMES else value for name, value in item.items()}
    out.facts({"state": _state_of(item, out)} | {name.replace("_", " "): value for name, value in shown.items()})


@invitations.command("revoke")
@click.argument("invitation_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def revoke(api: APIClient, out: Output, invitation_id: str, yes: bool) -> None:
    """End an invitation and the profiles that were downloaded with it and are not installed yet."""
    item = await api.get("invitations", invitation_id)
    ask(
        f"Invitation {item['id']} ({_for_whom(item)}) ends now: its URL shows nothing any more, and profiles that were "
        "downloaded with it\nand are not installed get no certificate. Devices that enrolled with it stay enrolled.",
        yes=yes,
        out=out,
    )
    answer = await api.delete("invitations", invitation_id)
    if out.as_json:
        out.json(answer)
        return
    out.say(f"invitation {item['id']} is revoked")


def _say_made(out: Output, answer: dict[str, Any]) -> None:
    item = answer["invitation"]
    out.say(f"invitation {item['id']} {_for_whom(item)}, until {item['expires_at']}")
    if item["allow_reenroll"]:
        out.say("a device that is enrolled already may enroll anew with it, which clears its queue and tokens")
    out.say("whoever has this URL can enroll a device with it: it is a secret, and is not shown again")


def _for_whom(item: dict[str, Any]) -> str:
    number = item["uses_allowed"]
    device = f"the device {item['serial_number']}" if item["serial_number"] else f"{number} device" + "s" * (number > 1)
    return f"for {device}" + (f" of {item['user']}" if item["user"] else "")


def _state_of(item: dict[str, Any], out: Output) -> str:
    if item["revoked_at"] is not None:
        return "revoked"
    if item["uses"] >= item["uses_allowed"]:
        return "used up"
    return "open" if item["is_open"] else "expired"


def _print_challenge(access: dict[str, Any]) -> None:
    click.echo(f"SCEP URL   {access['url']}")
    click.echo(f"challenge  {access['challenge']}")
