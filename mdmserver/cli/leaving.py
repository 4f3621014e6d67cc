"""`mdmctl devices unenroll | retire | delete`: the three ways to end an enrollment, each said before it is done."""

from typing import Any

import click

from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb

_UNENROLL = """\
{device} is told to remove its enrollment, at its next message and at every one after it until it has done so.
Its open commands are cancelled now. On the device the MDM profile goes, and with it what it had installed: profiles,
managed apps, accounts. When the device says that it is done, its certificates are revoked; until then they still work.
A device that never connects again learns nothing; `retire` ends such an enrollment on this side."""
_RETIRE = """\
{device} is not managed any more, on this side alone: its open commands are cancelled, its tokens dropped, its
certificates revoked now. The device is not told. It keeps its profile, and whatever it sends is refused (403); a
person removes the profile there. To let the device clean up by itself, use `unenroll` while it still connects."""
_DELETE = """\
{device} and its users are retired if they are not yet (queue and certificates end now, the device is not told and is
refused), and what is known of them is deleted: names, serial number, inventory, timeline, commands and their results.
This cannot be undone. The audit trail stays. The device can enroll again, as a new one, with a new invitation."""

_WORDS = {
    "unenroll": "{device} is told to unenroll when it connects",
    "retire": "{device} is retired",
    "delete": "{device} is deleted",
}


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def unenroll(api: APIClient, out: Output, reference: str, yes: bool) -> None:
    """Tell a device to remove its enrollment, and everything that came with it."""
    item = await _asked(api, out, reference, _UNENROLL, yes=yes)
    _done(out, "unenroll", item, await api.post("enrollments", item["id"], "unenroll"))


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def retire(api: APIClient, out: Output, reference: str, yes: bool) -> None:
    """End an enrollment on this side; the device is not told."""
    item = await _asked(api, out, reference, _RETIRE, yes=yes)
    _done(out, "retire", item, await api.post("enrollments", item["id"], "retire"))


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def delete(api: APIClient, out: Output, reference: str, yes: bool) -> None:
    """Retire a device and delete what is known of it."""
    item = await _asked(api, out, reference, _DELETE, yes=yes)
    _done(out, "delete", item, await api.delete("enrollments", item["id"]))


def name_of(item: dict[str, Any]) -> str:
    """An enrollment as a person calls it."""
    return str(item["serial_number"] or item["device_name"] or item["id"])


async def _asked(api: APIClient, out: Output, reference: str, text: str, *, yes: bool) -> dict[str, Any]:
    item = await api.get("enrollments", reference)
    ask(text.format(device=f"{name_of(item)} ({item['id']}, {item['state']})"), yes=yes, out=out)
    return item


def _done(out: Output, verb: str, item: dict[str, Any], answer: dict[str, Any]) -> None:
    if out.as_json:
        out.json(answer)
        return
    out.say(_WORDS[verb].format(device=name_of(item)))
