"""`mdmctl apps …`: the catalogue. What an app is told is `apps_configure`, for whom it is `apps_assign`."""

from typing import Any

import click
import msgspec

from mdmserver.apps.model import PINGID_KEY, PreferenceForm
from mdmserver.assignments.model import Platform
from mdmserver.cli.apps_assign import assign, unassign
from mdmserver.cli.apps_configure import configure
from mdmserver.cli.apps_status import again, status
from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.exits import Failure
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb

_PLATFORMS = click.Choice([platform.value for platform in Platform])
_FORMS = click.Choice([form.value for form in PreferenceForm])
_FACTS = ("name", "app_store_id", "bundle_id", "manifest_url", "platforms", "preference_domain", "preference_form")


@click.group()
def apps() -> None:
    """Apps, for whom they are, and what they are told. KEY is an app's short name, such as pingid."""


for _verb in (configure, assign, unassign, status, again):
    apps.add_command(_verb)


@apps.command("list")
@api_verb
async def list_apps(api: APIClient, out: Output) -> None:
    """List the catalogue."""
    found = await api.get("apps")
    if out.as_json:
        out.json(found)
        return
    out.table(
        ("KEY", "NAME", "APP STORE", "BUNDLE ID", "PLATFORMS", "PREFERENCE DOMAIN"),
        [
            (each["key"], each["name"], each["app_store_id"], each["bundle_id"], each["platforms"],
             each["preference_domain"])
            for each in found["items"]
        ],
    )  # fmt: skip


@apps.command("show")
@click.argument("key")
@api_verb
async def show(api: APIClient, out: Output, key: str) -> None:
    """Show an app, for whom it is, and its configurations; of a secret value the fingerprint."""
    app = await api.get("apps", key)
    if out.as_json:
        out.json(app)
        return
    out.facts({name.replace("_", " "): app[name] for name in ("key", *_FACTS)})
    out.table(("FOR", "EFFECT"), [(each["scope"], each["effect"]) for each in app["assignments"]])
    out.table(
        ("CONFIGURED FOR", "REVISION", "MADE", "KEY", "VALUE"),
        [
            (each["scope"], each["revision"], out.when(each["created_at"]), name, _shown(value))
            for each in app["configurations"]
            for name, value in each["values"].items()
        ],
    )
    if not app["assignments"]:
        out.say(f"nobody is assigned it: mdmctl apps assign {key} --all")


def _app_options(function: Any) -> Any:
    for option in (
        click.option("--preference-form", type=_FORMS, help="How a Mac's profile carries them. [default: managed]"),
        click.option("--preference-domain", help="On Macs its configuration is a profile with this domain."),
        click.option("--platform", "platforms", type=_PLATFORMS, multiple=True, help="Where it is installed; repeat "
                     "it for more. [default: ios, which is iPad too]"),
        click.option("--manifest-url", help="https URL of the manifest of an enterprise app."),
        click.option("--app-store-id", type=click.IntRange(1, 2**63 - 1), help="Its number in the App Store."),
    ):  # fmt: skip
        function = option(function)
    return function


@apps.command("add")
@click.argument("key")
@click.option("--name", required=True)
@click.option("--bundle-id", required=True)
@_app_options
@api_verb
async def add(api: APIClient, out: Output, key: str, **facts: Any) -> None:
    """Add an app to the catalogue. PingID is there already."""
    answer = await api.post("apps", body={"key": key, **_given(facts)})
    if out.as_json:
        out.json(answer)
        return
    out.say(f"{answer['name']} is in the catalogue; next: mdmctl apps assign {key} --all")


@apps.command("change")
@click.argument("key")
@click.option("--name")
@click.option("--bundle-id")
@_app_options
@api_verb
async def change(api: APIClient, out: Output, key: str, **facts: Any) -> None:
    """Change what is known of an app; an empty value takes it out. Devices that it is meant for are looked at again."""
    given = _given(facts)
    if not given:
        raise click.UsageError("say what to change, such as --bundle-id or --preference-domain")
    app = await api.get("apps", key)
    answer = await api.put("apps", key, body={name: app[name] for name in _FACTS} | given)
    if out.as_json:
        out.json(answer)
        return
    out.facts({name.replace("_", " "): answer[name] for name in given})
    out.say(f"{answer['name']} is changed")


@apps.command("remove")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def remove(api: APIClient, out: Output, key: str, yes: bool) -> None:
    """Take an app that is assigned to nobody out of the catalogue, with its configurations."""
    app = await api.get("apps", key)
    if meant := [each["scope"] for each in app["assignments"]]:
        raise Failure(f"{app['name']} is assigned to {', '.join(meant)}; first: mdmctl apps unassign {key} --scope …")
    text = f"{app['name']} and all its configurations are deleted here. Devices are not told: what they have they keep."
    if key == PINGID_KEY:
        text += "\nPingID is built in: it comes back, without configuration, when the server starts again."
    ask(text, yes=yes, out=out)
    answer = await api.delete("apps", key)
    if out.as_json:
        out.json(answer)
        return
    out.say(f"{app['name']} is out of the catalogue")


def _given(facts: dict[str, Any]) -> dict[str, Any]:
    """What was said; an empty text is nothing."""
    return {name: value or None for name, value in facts.items() if value not in (None, ())}


def _shown(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"$fingerprint"}:
        return f"secret, fingerprint {value['$fingerprint']}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
