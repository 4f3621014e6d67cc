"""`mdmctl devices …`: who is enrolled."""

from typing import Any

import click

from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.destructive import clear_passcode, erase, lock
from mdmserver.cli.device_settings import settings, tag, tags
from mdmserver.cli.leaving import delete, name_of, retire, unenroll
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb
from mdmserver.devices.model import EnrollmentState
from mdmserver.protocol import EnrollmentType

_TITLES = ("SERIAL", "NAME", "MODEL", "OS", "STATE", "LAST SEEN", "TYPE", "ID")
_TIMES = ("created_at", "enrolled_at", "last_seen_at")


@click.group()
def devices() -> None:
    """Who is enrolled. REF is an enrollment id or a serial number."""


@devices.command("list")
@click.option("--state", type=click.Choice([state.value for state in EnrollmentState]))
@click.option("--serial", help="Serial number, exactly.")
@click.option("--type", "kind", type=click.Choice([kind.value for kind in EnrollmentType]))
@click.option("--device", help="Device part of the id: the device and all its users.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def list_devices(
    api: APIClient, out: Output, state: str | None, serial: str | None, kind: str | None, device: str | None,
    limit: int, everything: bool,
) -> None:  # fmt: skip
    """List enrollments."""
    query = {"state": state, "serial": serial, "type": kind, "device": device}
    items, has_more = await api.items("enrollments", query=query, limit=None if everything else limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    out.table(_TITLES, [_row(item, out) for item in items])
    out.say(f"{len(items)} enrollments" + ("; there are more: --all or --limit" if has_more else ""))


@devices.command("show")
@click.argument("reference", metavar="REF")
@api_verb
async def show(api: APIClient, out: Output, reference: str) -> None:
    """Show one enrollment."""
    item = await api.get("enrollments", reference)
    if out.as_json:
        out.json(item)
        return
    shown = {
        name: out.when(value) if name in _TIMES else value
        for name, value in item.items()
        if name not in ("problems", "push")
    }
    out.facts({**{name.replace("_", " "): value for name, value in shown.items()}, **_pushed(item["push"], out)})
    _say_problems(item, out)


@devices.command("timeline")
@click.argument("reference", metavar="REF")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@api_verb
async def timeline(api: APIClient, out: Output, reference: str, limit: int) -> None:
    """Show what happened to an enrollment."""
    found = await api.get("enrollments", reference, "timeline", query={"limit": limit})
    if out.as_json:
        out.json(found)
        return
    rows = [(out.when(entry["at"]), entry["kind"], entry["detail"], entry["life"]) for entry in found["items"]]
    out.table(("WHEN", "WHAT", "DETAIL", "LIFE"), rows)


@devices.command("commands")
@click.argument("reference", metavar="REF")
@click.option("--state", help="Only commands in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@api_verb
async def list_commands(api: APIClient, out: Output, reference: str, state: str | None, limit: int) -> None:
    """List the commands of an enrollment."""
    path = ("enrollments", reference, "commands")
    items, has_more = await api.items(*path, query={"state": state}, limit=limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    out.table(
        ("COMMAND", "TYPE", "STATE", "QUEUED", "SENT", "FINISHED", "REASON"),
        [
            (
                item["command_uuid"], item["request_type"], item["state"], out.when(item["queued_at"]),
                out.when(item["sent_at"]), out.when(item["finished_at"]), item["reason"],
            )
            for item in items
        ],
    )  # fmt: skip


@devices.command("clear-queue")
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def clear_queue(api: APIClient, out: Output, reference: str, yes: bool) -> None:
    """Cancel every open command of an enrollment."""
    ask(f"Every open command of {reference} is cancelled.", yes=yes, out=out)
    answer = await api.delete("enrollments", reference, "commands")
    if out.as_json:
        out.json(answer)
        return
    out.say(f"{answer['cancelled']} commands cancelled")


@devices.command("pending")
@api_verb
async def pending(api: APIClient, out: Output) -> None:
    """List known devices that ask to enroll again with a certificate that nobody vouched for."""
    found = await api.get("reenrollments")
    if out.as_json:
        out.json(found)
        return
    out.table(
        ("ID", "SERIAL", "CERTIFICATE", "FIRST", "LAST", "ATTEMPTS"),
        [
            (
                item["id"], item["serial_number"], item["fingerprint"][:16], out.when(item["first_at"]),
                out.when(item["last_at"]), item["attempts"],
            )
            for item in found["items"]
        ],
    )  # fmt: skip


@devices.command("allow-reenroll")
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def allow_reenroll(api: APIClient, out: Output, reference: str, yes: bool) -> None:
    """Let a device that is known enroll again with a new certificate."""
    item = await api.get("enrollments", reference)
    ask(
        f"{name_of(item)} ({item['id']}, {item['state']}) may enroll once more with a certificate that this server "
        "has not seen.\nWhen it does, that begins a new life: its queue, push token, stored tokens and users are "
        "cleared,\nand the certificate it had is refused. Be sure that it is the device that asks.",
        yes=yes,
        out=out,
    )
    answer = await api.post("enrollments", item["id"], "allow-reenroll")
    if out.as_json:
        out.json(answer)
        return
    out.say(f"{name_of(item)} may enroll again")


for _verb in (settings, tag, tags, unenroll, retire, delete, erase, lock, clear_passcode):
    devices.add_command(_verb)


def _row(item: dict[str, Any], out: Output) -> tuple[object, ...]:
    return (
        item["serial_number"], item["device_name"] or item["user_short_name"], item["product_name"] or item["model"],
        item["os_version"], item["state"], out.when(item["last_seen_at"]), item["type"], item["id"],
    )  # fmt: skip


def _pushed(push: dict[str, Any], out: Output) -> dict[str, str]:
    answer = "–"
    if push["pushed_at"] is not None:
        said = (
            "accepted" if push["status"] == 200 else f"{push['status'] or 'no answer'} {push['reason'] or ''}".strip()
        )
        answer = f"{out.when(push['pushed_at'])}, {said}"
    return {"last pushed": answer, "what is next": push["next"]}


def _say_problems(item: dict[str, Any], out: Output) -> None:
    for problem in item["problems"]:
        out.say(f"problem: {problem['text']} ({problem['code']})")
