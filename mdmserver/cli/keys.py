"""`mdmctl keys …`: API keys."""

from datetime import datetime, timedelta

import click

from mdmserver.access.model import Scope
from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.times import Moment, rfc3339
from mdmserver.cli.verb import api_verb


@click.group()
def keys() -> None:
    """API keys: who may do what."""


@keys.command("list")
@api_verb
async def list_keys(api: APIClient, out: Output) -> None:
    """List keys, revoked ones too."""
    found = await api.get("keys")
    if out.as_json:
        out.json(found)
        return
    rows = [
        (
            item["id"], item["name"], sorted(item["scopes"]), out.when(item["created_at"]), item["created_by"],
            out.when(item["last_used_at"]), out.when(item["expires_at"]), out.when(item["revoked_at"]),
        )
        for item in found["items"]
    ]  # fmt: skip
    out.table(("ID", "NAME", "SCOPES", "CREATED", "BY", "LAST USED", "EXPIRES", "REVOKED"), rows)


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice([scope.value for scope in Scope]), multiple=True, required=True,
    help="What the key may do; repeat it for more. A key gives only what it has itself.",
)  # fmt: skip
@click.option("--expires", type=Moment(), help="For how long (90d) or until when (RFC 3339); otherwise for good.")
@api_verb
async def create(
    api: APIClient, out: Output, name: str, scopes: tuple[str, ...], expires: datetime | timedelta | None
) -> None:
    """Make a key and print it, this once."""
    body = {"name": name, "scopes": list(scopes), "expires_at": rfc3339(expires, now=out.now)}
    answer = await api.post("keys", body=body)
    if out.as_json:
        out.json(answer)
        return
    out.say(f"key {answer['key']['id']} made; keep it now, it is not shown again:")
    click.echo(answer["secret"])


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@api_verb
async def revoke(api: APIClient, out: Output, key_id: str) -> None:
    """End a key, at once and for good."""
    answer = await api.delete("keys", key_id)
    if out.as_json:
        out.json(answer)
        return
    out.say(f"key {key_id} is revoked")
