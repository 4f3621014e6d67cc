"""`mdmctl apps assign | unassign`: which devices an app is for."""

from typing import Any

import click

from mdmserver.cli.apps_scope import as_stored, chosen, devices, whom_options
from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb

_UNINSTALL = """\
{name} is removed from the devices that {scope} takes in and that got it from this server, with its data and its
configuration: now it is meant for {number}. A device that a more particular assignment names keeps it."""
_UNASSIGN = """\
{name} is no longer meant for {scope} ({effect}). On devices that no other assignment takes in, its configuration is
removed, on Macs its profile; the app itself stays where it is. To remove the app too: assign --uninstall."""


@click.command()
@click.argument("key")
@whom_options
@click.option("--uninstall", is_flag=True, help="Remove the app there instead, where this server installed it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def assign(
    api: APIClient, out: Output, key: str, everyone: bool, scope: str | None, uninstall: bool, yes: bool
) -> None:
    """Have an app, with its configuration, on devices; of several assignments the most particular counts."""
    wanted = chosen(scope, everyone=everyone)
    app = await api.get("apps", key)
    if uninstall:
        counts = (await api.get("apps", key, "status"))["counts"].get("app", {})
        number = devices(sum(counts.values()))
        ask(_UNINSTALL.format(name=app["name"], scope=wanted, number=number), yes=yes, out=out)
    body = {"scope": wanted, "effect": "remove" if uninstall else "install"}
    answer = await api.put("apps", key, "assignments", body=body)
    if out.as_json:
        out.json(answer)
        return
    _show(out, app, answer, uninstall=uninstall)


@click.command()
@click.argument("key")
@whom_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def unassign(api: APIClient, out: Output, key: str, everyone: bool, scope: str | None, yes: bool) -> None:
    """Take an assignment back: the configuration goes where nothing else means it, the app stays."""
    wanted = chosen(scope, everyone=everyone)
    app = await api.get("apps", key)
    stored = await as_stored(api, wanted)
    present = next((each for each in app["assignments"] if each["scope"] == stored), None)
    if present is not None:
        ask(_UNASSIGN.format(name=app["name"], scope=stored, effect=present["effect"]), yes=yes, out=out)
    answer = await api.delete("apps", key, "assignments", query={"scope": stored})
    if out.as_json:
        out.json(answer)
    elif answer["changed"]:
        out.say(f"{app['name']} is not meant for {answer['scope']} any more")
    else:
        meant = ", ".join(each["scope"] for each in app["assignments"]) or "nobody"
        out.say(f"{app['name']} was not assigned to {answer['scope']}; it is assigned to {meant}")


def _show(out: Output, app: dict[str, Any], answer: dict[str, Any], *, uninstall: bool) -> None:
    out.facts(
        {
            "app": f"{app['name']} ({app['key']})",
            "scope": answer["scope"],
            "devices": f"{devices(answer['devices'])} now, and those that come" if not uninstall else
            devices(answer["devices"]),
            "effect": "remove" if uninstall else "install, with its configuration",
            "changed": answer["changed"],
        }
    )  # fmt: skip
    if uninstall:
        out.say(f"next: mdmctl apps status {app['key']} --watch")
    elif not app["configurations"]:
        how = "--token -" if app["key"] == "pingid" else "--set KEY=VALUE"
        out.say(f"next: {app['name']} has no configuration yet: mdmctl apps configure {app['key']} {how}")
    else:
        out.say(f"next: mdmctl apps status {app['key']} --watch")
