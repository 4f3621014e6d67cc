"""`mdmctl commands send`: queue a command, and with --wait follow it to its end."""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from mdmserver.cli.client import NOT_CONNECTED, APIClient, Missing, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.payload import payload_of
from mdmserver.cli.references import read_references, target_ids
from mdmserver.cli.times import Duration, Moment, rfc3339
from mdmserver.cli.verb import api_verb
from mdmserver.cli.waiting import wait_and_report
from mdmserver.commands.model import MAXIMUM_PRIORITY
from mdmserver.protocol import EnrollmentType

_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
_SHOWN = 20


@click.command()
@click.argument("request_type", required=False)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE …]")
@click.option("--to", "references", metavar="REF", multiple=True, help="A device; repeat it for more.")
@click.option("--to-file", type=_FILE, help="File with one REF a line; - is standard input.")
@click.option("--all", "everyone", is_flag=True, help="Every enrolled device.")
@click.option(
    "--type",
    "types",
    type=click.Choice([kind.value for kind in EnrollmentType]),
    multiple=True,
    help="With --all: enrollments of this type (default: device channels).",
)
@click.option("--plist", type=_FILE, help="A whole command as a plist; its bytes are sent as they are.")
@click.option("--json-command", type=_FILE, help="The Command dictionary as JSON.")
@click.option("--expires", type=Moment(), help="For how long (2d) or until when it may be sent.")
@click.option("--not-before", type=Moment(), help="How long to hold it back, or until when.")
@click.option("--priority", type=click.IntRange(-MAXIMUM_PRIORITY, MAXIMUM_PRIORITY), default=0, show_default=True)
@click.option("--idempotency-key", help="The same key again queues nothing new (default: a new one each time).")
@click.option("--wait", is_flag=True, help="Wait until every device has answered.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait.")
@api_verb
async def send(
    api: APIClient, out: Output, request_type: str | None, pairs: tuple[str, ...], references: tuple[str, ...],
    to_file: Path | None, everyone: bool, types: tuple[str, ...], plist: Path | None, json_command: Path | None,
    expires: datetime | timedelta | None, not_before: datetime | timedelta | None, priority: int,
    idempotency_key: str | None, wait: bool, timeout: timedelta,
) -> None:  # fmt: skip
    """Queue a command for devices.

    \b
    mdmctl commands send DeviceInformation Queries:='["OSVersion","SerialNumber"]' --to C02XG0PWJGH5 --wait
    mdmctl commands send RestartDevice NotifyUser=true --all --expires 2d

    KEY=VALUE: true, false and integers are what they look like, everything else is a string; KEY:=JSON gives any
    value ({"$data": BASE64} and {"$date": RFC3339} for data and dates).
    """
    body: dict[str, Any] = {
        **payload_of(request_type, pairs, plist=plist, json_command=json_command),
        **await _targets(api, references, to_file, everyone, types),
        "not_before": rfc3339(not_before, now=out.now),
        "expires_at": rfc3339(expires, now=out.now),
        "priority": priority,
    }
    answer = await _queue(api, body, idempotency_key or str(uuid.uuid4()), out)
    if wait:
        _say_queued(out, answer)
        await wait_and_report(api, out, answer["uuid"], timeout=timeout, queued=answer)
        return
    if out.as_json:
        out.json(answer)
    else:
        _say_queued(out, answer)
        click.echo(answer["uuid"])
    if answer["refused"]:
        raise Failure(f"{len(answer['refused'])} of the targets were refused; the others have the command")


async def _targets(
    api: APIClient, references: tuple[str, ...], to_file: Path | None, everyone: bool, types: tuple[str, ...]
) -> dict[str, Any]:
    if everyone == bool(references or to_file):
        raise click.UsageError("say for whom: --to REF, --to-file FILE or --all")
    if everyone:
        return {"everyone": True, **({"types": list(types)} if types else {})}
    if types:
        raise click.UsageError("--type goes with --all")
    named = [*references, *(read_references(to_file) if to_file else [])]
    if not named:
        raise click.UsageError(f"there is no device in {to_file}")
    return {"targets": await target_ids(api, named)}


async def _queue(api: APIClient, body: dict[str, Any], key: str, out: Output) -> dict[str, Any]:
    try:
        return await api.post("commands", body=body, headers={"Idempotency-Key": key})
    except Unreachable as error:
        if error.code == NOT_CONNECTED:
            raise
        message = f"{error}; it may or may not be queued, so repeat it with --idempotency-key {key}"
        raise Failure(message, exit_code=Exit.UNREACHABLE) from error
    except Missing as error:
        _say_refused(out, error.body.get("refused", {}))
        raise


def _say_queued(out: Output, answer: dict[str, Any]) -> None:
    out.say(f"{answer['request_type']} {answer['uuid']} queued for {answer['queued']} devices")
    _say_refused(out, answer["refused"])


def _say_refused(out: Output, refused: dict[str, str]) -> None:
    for reference, code in list(refused.items())[:_SHOWN]:
        out.say(f"refused: {reference} ({code})")
    if len(refused) > _SHOWN:
        out.say(f"… and {len(refused) - _SHOWN} more refused")
