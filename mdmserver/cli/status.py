"""`mdmctl status`."""

from typing import Any

import click

from mdmserver.cli.client import APIClient
from mdmserver.cli.output import Output
from mdmserver.cli.verb import api_verb


@click.command()
@api_verb
async def status(api: APIClient, out: Output) -> None:
    """How the server is: enrollments, open commands, problems."""
    found = await api.get("status")
    if out.as_json:
        out.json(found)
        return
    out.facts(
        {
            "server": api.url,
            "public name": found["url"],
            "version": found["version"],
            "enrollments": _counts(found["enrollments"]),
            "open commands": _counts(found["open_commands"]),
            "asking to enroll again": found["pending_reenrollments"],
            "push": _push(found["push"]),
        }
    )
    for problem in found["problems"]:
        out.say(f"problem: {problem['text']} ({problem['code']})")


def _push(push: dict[str, Any]) -> str:
    topics = ", ".join(f"{each['topic']} ({each['days_left']} days left)" for each in push["topics"])
    counts = _counts({"due": push["due"], "waiting": push["waiting"], "with a dead token": push["stopped"]})
    return f"{topics or 'no certificate'}; {counts}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "none"
