"""`mdmctl push …`: wake devices, and see how it stands with waking them."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from mdmserver.cli.client import APIClient
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.references import target_ids
from mdmserver.cli.verb import api_verb
from mdmserver.protocol import EnrollmentType
from mdmserver.push.service import MOST_AT_ONCE


@click.group()
def push() -> None:
    """Wake devices. REF is an enrollment id or a serial number."""


@push.command("send")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every enrolled device, at the server's pace.")
@click.option("--type", "kinds", multiple=True, type=click.Choice([kind.value for kind in EnrollmentType]),
              help="With --all: enrollments of this type instead; repeat it for more.")  # fmt: skip
@api_verb
async def send(
    api: APIClient, out: Output, references: tuple[str, ...], everyone: bool, kinds: tuple[str, ...]
) -> None:
    """Push to devices now, whether something waits for them or not. Exit code 5 if APNs did not accept all.

    Commands need none of it: what is queued is pushed by itself.
    """
    if bool(references) == everyone:
        raise click.UsageError("name devices, or --all")
    if kinds and not everyone:
        raise click.UsageError("--type goes with --all")
    if everyone:
        answer = await api.post("push", body={"everyone": True, "types": list(kinds)})
        if out.as_json:
            out.json(answer)
            return
        out.say(f"{answer['queued']} enrollments are pushed, at the server's pace: mdmctl push status")
        return
    results, refused = await _sent(api, await target_ids(api, references))
    failed = len(refused) + sum(not each["is_accepted"] for each in results.values())
    if out.as_json:
        out.json({"results": results, "refused": refused, "queued": None})
    else:
        out.table(("DEVICE", "PUSH", "STATUS", "REASON", "APNS-ID"), list(_rows(results, refused)))
    if failed:
        raise Failure(
            f"{failed} of {len(results) + len(refused)} pushes were not accepted", exit_code=Exit.NOT_ALL_SUCCEEDED
        )


@push.command("status")
@api_verb
async def status(api: APIClient, out: Output) -> None:
    """Show what is due, what came of pushes, and the topics with their certificates."""
    found = await api.get("push")
    if out.as_json:
        out.json(found)
        return
    out.facts(
        {
            "due now": found["due"],
            "waiting": found["waiting"],
            "dead tokens": found["stopped"],
            "pace": f"up to {found['per_second']:.0f} a second",
            "since the start": ", ".join(f"{number} {name}" for name, number in found["outcomes"].items()),
        }
    )
    out.table(
        ("TOPIC", "VALID UNTIL", "DAYS LEFT", "HALTED", "WHY"),
        [
            (each["topic"], each["not_after"], each["days_left"], out.when(each["halted_at"]), each["halted_reason"])
            for each in found["topics"]
        ],
    )
    if not found["topics"]:
        out.say("there is no push certificate: devices are not woken; mdmserver push-certificate --help")


@push.command("history")
@click.argument("reference", metavar="REF")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@api_verb
async def history(api: APIClient, out: Output, reference: str, limit: int) -> None:
    """Show the newest pushes to one enrollment."""
    found = await api.get("enrollments", reference, "pushes", query={"limit": limit})
    if out.as_json:
        out.json(found)
        return
    rows = [(out.when(each["at"]), *_answer(each)) for each in found["items"]]
    out.table(("WHEN", "PUSH", "STATUS", "REASON", "APNS-ID"), rows)


@push.command("resume")
@click.argument("topic")
@api_verb
async def resume(api: APIClient, out: Output, topic: str) -> None:
    """Push again on a topic that was halted. The server tries by itself too, now and then."""
    answer = await api.post("push-certificates", topic, "resume")
    if out.as_json:
        out.json(answer)
        return
    out.say(f"{topic} is pushed again: what waits is due now")


async def _sent(api: APIClient, references: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    results: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for start in range(0, len(references), MOST_AT_ONCE):
        answer = await api.post("push", body={"targets": list(references[start : start + MOST_AT_ONCE])})
        results |= answer["results"]
        refused |= answer["refused"]
    return results, refused


def _rows(results: dict[str, Any], refused: dict[str, str]) -> Iterator[tuple[object, ...]]:
    for reference, each in results.items():
        yield (reference, *_answer(each))
    for reference, code in refused.items():
        yield (reference, "not sent", None, code, None)


def _answer(outcome: dict[str, Any]) -> tuple[object, ...]:
    said = "accepted" if outcome["is_accepted"] else "no answer" if outcome["status"] is None else "refused"
    return (said, outcome["status"], outcome["reason"], outcome["apns_id"])
