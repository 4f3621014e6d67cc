"""`mdmctl apps configure`: what an app is told, for all or for some devices. Of a secret it shows the fingerprint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.cli.apps_scope import as_stored, devices, scope_option
from mdmserver.cli.apps_token import read_token, token_option
from mdmserver.cli.apps_values import TYPES, values_in_file, values_of_pairs
from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb

_REMOVE = """\
The configuration of {name} for {scope} ({keys}) is taken back: it is removed from every device that has it. On a
device that another scope of it takes in, that one is set instead; a Mac loses the profile that carries it."""
_PINGID = "\nPingID then blocks pairing and authentication on such a device where the token is required."


@click.command()
@click.argument("key")
@token_option
@click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="A value; repeat it for more. KEY=- reads it "
              "from standard input.")  # fmt: skip
@click.option("--type", "types", type=click.Choice(TYPES), multiple=True,
              help="Of what type they are: once for all, or once for each --set. [default: string]")  # fmt: skip
@click.option("--from-file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
              help="The whole configuration: a plist, or JSON with $data and $date.")  # fmt: skip
@click.option("--secret", "secret_keys", metavar="KEY", multiple=True, help="Never show the value of this key.")
@click.option("--replace", is_flag=True, help="Keep nothing of the configuration before.")
@click.option("--remove", is_flag=True, help="Take the configuration back.")
@scope_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def configure(
    api: APIClient, out: Output, key: str, token: bool, pairs: tuple[str, ...], types: tuple[str, ...],
    from_file: Path | None, secret_keys: tuple[str, ...], replace: bool, remove: bool, scope: str, yes: bool,
) -> None:  # fmt: skip
    """Set the configuration of an app; devices that have the app are told at once.

    \b
    mdmctl apps configure pingid --token -
    mdmctl apps configure crm --set server=https://crm.example.com --set retries=3 --type string --type integer
    mdmctl apps configure crm --from-file crm.plist --secret apiKey --scope tag:sales

    --token and --set change these keys and keep the others; --from-file is the whole configuration. The token never
    stands on the command line: it is read from standard input, or asked for.
    """
    _check_one_source(token=token, pairs=pairs, from_file=from_file, remove=remove, types=types)
    app = await api.get("apps", key)
    present = await _in_force(api, app, scope)
    if remove:
        await _remove(api, out, app, present, scope, yes=yes)
        return
    given: dict[str, Any] = {PINGID_TOKEN: read_token(out)} if token else {}
    given |= values_of_pairs(pairs, types, secret_keys)
    if from_file is not None:
        given = values_in_file(from_file)
    before = [] if present is None else sorted(present["values"])
    keep = [] if replace or from_file is not None else [name for name in before if name not in given]
    if unknown := sorted({*secret_keys} - {*keep, *given}):
        raise click.UsageError(f"--secret {unknown[0]}: there is no such key in the configuration")
    if dropped := [name for name in before if name not in {*keep, *given}]:
        ask(f"{app['name']} loses {', '.join(dropped)}, which it has now for {scope}.", yes=yes, out=out)
    body = {"scope": scope, "values": given, "secret_keys": list(secret_keys), "keep": keep}
    answer = await api.put("apps", key, "configuration", body=body)
    if out.as_json:
        out.json(answer)
        return
    _show(out, app, answer, given, keep)


def _check_one_source(
    *, token: bool, pairs: Sequence[str], from_file: Path | None, remove: bool, types: Sequence[str]
) -> None:
    if (token or bool(pairs)) + (from_file is not None) + remove != 1:
        raise click.UsageError("say what to configure: --token -, --set KEY=VALUE, --from-file FILE, or --remove")
    if types and not pairs:
        raise click.UsageError("--type goes with --set")


async def _in_force(api: APIClient, app: dict[str, Any], scope: str) -> dict[str, Any] | None:
    stored = await as_stored(api, scope)
    return next((each for each in app["configurations"] if each["scope"] == stored), None)


async def _remove(
    api: APIClient, out: Output, app: dict[str, Any], present: dict[str, Any] | None, scope: str, *, yes: bool
) -> None:
    if present is not None:
        text = _REMOVE.format(name=app["name"], scope=present["scope"], keys=", ".join(present["values"]))
        ask(text + (_PINGID if PINGID_TOKEN in present["values"] else ""), yes=yes, out=out)
        scope = present["scope"]
    answer = await api.delete("apps", app["key"], "configuration", query={"scope": scope})
    if out.as_json:
        out.json(answer)
    elif answer["changed"]:
        out.say(f"the configuration of {app['name']} for {scope} is taken back")
    else:
        out.say(f"{app['name']} had no configuration for {scope}; nothing was changed")


def _show(
    out: Output, app: dict[str, Any], answer: dict[str, Any], given: Mapping[str, Any], kept: Sequence[str]
) -> None:
    number = answer["revision"]
    out.facts(
        {
            "app": f"{app['name']} ({app['key']})",
            "scope": f"{answer['scope']}, {devices(answer['devices'])} now",
            "revision": f"{number}, new" if answer["changed"] else f"{number}, as it was: nothing is sent",
            "set": list(given),
            "kept": kept or None,
            **{f"fingerprint of {name}": fingerprint for name, fingerprint in answer["secrets"].items()},
        }
    )
    if not any(each["effect"] == "install" for each in app["assignments"]):
        out.say(f"next: nobody is assigned {app['name']} yet: mdmctl apps assign {app['key']} --all")
    elif answer["changed"]:
        out.say(f"next: devices are told when they connect: mdmctl apps status {app['key']} --watch")
