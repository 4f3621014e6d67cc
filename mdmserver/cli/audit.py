"""`mdmctl audit …`: who changed what. Checking the chain is `mdmserver audit verify`."""

import click

from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb


@click.group()
def audit() -> None:
    """Who changed what."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def list_records(api: APIClient, out: Output, limit: int, everything: bool) -> None:
    """List audit records, oldest first."""
    items, has_more = await api.items("audit", limit=None if everything else limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    rows = [
        (item["sequence"], out.when(item["at"]), f"{item['actor']['kind']} {item['actor']['name']}", item["action"],
         item["subject"], [f"{name}={value}" for name, value in item["detail"].items()])
        for item in items
    ]  # fmt: skip
    out.table(("NUMBER", "WHEN", "WHO", "ACTION", "SUBJECT", "DETAIL"), rows)
    if has_more:
        out.say("there are more: --all or --limit")
