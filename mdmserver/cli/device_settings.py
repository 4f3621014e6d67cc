"""`mdmctl devices settings | tag | tags`: what should be on a device and why it is not, and the tags that decide it."""

import click

from mdmserver.cli.client import APIClient, Missing, Refused
from mdmserver.cli.exits import Failure
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb


@click.command()
@click.argument("reference", metavar="REF")
@api_verb
async def settings(api: APIClient, out: Output, reference: str) -> None:
    """Show what should be on a device, how that stands, and why."""
    found = await api.get("enrollments", reference, "settings")
    if out.as_json:
        out.json(found)
        return
    out.facts({"device": found["id"], "tags": found["tags"] or None, "groups": found["groups"] or None})
    out.table(
        ("APP", "SETTING", "STATE", "SINCE", "VERIFIED", "WHY"),
        [
            (each["app"], each["kind"] if each["is_wanted"] or not each["kind"] else f"{each['kind']}, to be removed",
             each["state"], out.when(each["state_at"]), out.when(each["verified_at"]), each["explanation"]["text"])
            for each in found["items"]
        ],
    )  # fmt: skip


@click.command()
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@click.option("--add", metavar="TAG", multiple=True, help="Put this tag on; repeat it for more.")
@click.option("--remove", metavar="TAG", multiple=True, help="Take this tag off; repeat it for more.")
@api_verb
async def tag(
    api: APIClient, out: Output, references: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...]
) -> None:
    """Put tags on devices and take them off. Apps that are meant for a tag come and go with it."""
    if not (add or remove):
        raise click.UsageError("name tags with --add or --remove")
    done, refused = [], {}
    for reference in references:
        try:
            answer = await api.post("enrollments", reference, "tags", body={"add": list(add), "remove": list(remove)})
        except (Missing, Refused) as error:
            refused[reference] = str(error)
        else:
            done.append(answer)
    if out.as_json:
        out.json({"items": done, "refused": refused})
    else:
        out.table(("DEVICE", "TAGS", "GROUPS"), [(each["id"], each["tags"], each["groups"]) for each in done])
        for reference, why in refused.items():
            out.say(f"refused: {reference}: {why}")
    if refused:
        raise Failure(f"{len(refused)} of {len(references)} devices were not tagged")


@click.command()
@click.argument("name", metavar="[TAG]", required=False)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def tags(api: APIClient, out: Output, name: str | None, limit: int, everything: bool) -> None:
    """List tags, or the devices with one tag."""
    await show_members(api, out, "tags", name, limit=None if everything else limit)


async def show_members(api: APIClient, out: Output, noun: str, name: str | None, *, limit: int | None) -> None:
    """All tags or groups with their counts, or the devices of one."""
    if name is None:
        found = await api.get(noun)
        if out.as_json:
            out.json(found)
            return
        out.table(("NAME", "DEVICES"), [(each["name"], each["devices"]) for each in found["items"]])
        return
    items, has_more = await api.items(noun, name, "members", limit=limit)
    if out.as_json:
        out.json({"items": items, "has_more": has_more})
        return
    rows = [(each["serial_number"], each["device_name"], each["state"], each["id"]) for each in items]
    out.table(("SERIAL", "NAME", "STATE", "ID"), rows)
    if has_more:
        out.say("there are more: --all or --limit")
