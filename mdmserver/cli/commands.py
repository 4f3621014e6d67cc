"""`mdmctl commands …`: send commands, follow them, see what devices answered. Composing one is in `payload`."""

from typing import Any

import click

from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.send import send
from mdmserver.cli.verb import api_verb
from mdmserver.cli.waiting import counts_of
from mdmserver.commands.model import ItemState

_STATES = click.Choice([state.value for state in ItemState])
_RESULTS_AT_ONCE = 20
_TIMES = ("created_at", "not_before", "expires_at")


@click.group()
def commands() -> None:
    """Commands. REF is an enrollment id or a serial number."""


commands.add_command(send)


@commands.command("list")
@click.option("--request-type", help="Only commands of this RequestType.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def list_commands(api: APIClient, out: Output, request_type: str | None, limit: int, everything: bool) -> None:
    """List commands, newest first."""
    query = {"request_type": request_type}
    items, has_more = await api.items("commands", query=query, limit=None if everything else limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    rows = [
        (item["uuid"], item["request_type"], item["priority"], out.when(item["created_at"]), item["created_by"])
        for item in items
    ]
    out.table(("UUID", "TYPE", "PRIORITY", "CREATED", "BY"), rows)


@commands.command("show")
@click.argument("uuid")
@api_verb
async def show(api: APIClient, out: Output, uuid: str) -> None:
    """Show a command and how far it is."""
    found = await api.get("commands", uuid)
    if out.as_json:
        out.json(found)
        return
    progress = found.pop("progress")
    out.facts({name.replace("_", " "): out.when(at) if name in _TIMES and at else at for name, at in found.items()})
    out.table(("STATE", "DEVICES"), list(counts_of(progress).items()))
    out.say(f"{progress['finished']} of {progress['total']} finished")


@commands.command("targets")
@click.argument("uuid")
@click.option("--state", type=_STATES)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def targets(api: APIClient, out: Output, uuid: str, state: str | None, limit: int, everything: bool) -> None:
    """List the devices of a command and where each stands."""
    items, has_more = await api.items(
        "commands", uuid, "targets", query={"state": state}, limit=None if everything else limit
    )
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    out.table(
        ("DEVICE", "STATE", "QUEUED", "SENT", "DELIVERIES", "NOT NOW", "FINISHED", "REASON"),
        [
            (
                item["id"], item["state"], out.when(item["queued_at"]), out.when(item["sent_at"]), item["deliveries"],
                item["not_now_count"], out.when(item["finished_at"]), item["reason"],
            )
            for item in items
        ],
    )  # fmt: skip


@commands.command("results")
@click.argument("uuid")
@click.option("--to", "reference", metavar="REF", help="Only this device's.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@api_verb
async def results(api: APIClient, out: Output, uuid: str, reference: str | None, limit: int) -> None:
    """Show what devices answered, as JSON: that is what results are."""
    if reference is None:
        items, has_more = await api.items("commands", uuid, "results", limit=limit, page=_RESULTS_AT_ONCE)
    else:
        target = await api.get("commands", uuid, "targets", reference)
        items, has_more = [found for found in [target["result"]] if found is not None], False
    out.json({"items": items, "has_more": has_more})
    if not items:
        out.say(f"no result yet; why: mdmctl commands targets {uuid}")
    elif has_more and not out.as_json:
        out.say("there are more: --limit")


@commands.command("why")
@click.argument("uuid")
@click.argument("reference", metavar="REF")
@api_verb
async def why(api: APIClient, out: Output, uuid: str, reference: str) -> None:
    """Say why a command is not done yet on a device, or how it ended."""
    found = await api.get("commands", uuid, "targets", reference)
    if out.as_json:
        out.json(found)
        return
    item: dict[str, Any] = found["item"]
    click.echo(f"{item['request_type']} for {out.cell(item['id'])} is {item['state']}.")
    click.echo(out.cell(found["explanation"]["text"]))
    rows = [(out.when(entry["at"]), entry["kind"], entry["detail"]) for entry in found["timeline"]]
    out.table(("WHEN", "WHAT", "DETAIL"), rows)


@commands.command("release")
@click.argument("uuid")
@api_verb
async def release(api: APIClient, out: Output, uuid: str) -> None:
    """Let a command go that is held after a restore from backup."""
    answer = await api.post("commands", uuid, "release")
    if out.as_json:
        out.json(answer)
        return
    out.say(f"released for {answer['released']} devices")


@commands.command("cancel")
@click.argument("uuid")
@click.option("--to", "references", metavar="REF", multiple=True, help="Only for this device; repeat it for more.")
@api_verb
async def cancel(api: APIClient, out: Output, uuid: str, references: tuple[str, ...]) -> None:
    """Cancel a command where it is not finished. One that is out at a device may yet be done."""
    body = {"targets": list(references)} if references else {}
    answer = await api.post("commands", uuid, "cancel", body=body)
    if out.as_json:
        out.json(answer)
        return
    out.say(f"cancelled for {answer['cancelled']} devices")
