"""What `mdmserver simulate-apns` says: where it listens and what to do with that, and in the end what happened."""

from dataclasses import dataclass

import click
import msgspec

from mdmserver.cli.output import Output
from mdmserver.simulator.apns import APNsStandIn, Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Where the stand-in listens, and the files to use it with."""

    host: str
    port: int
    feed: str
    ca_file: str
    push_certificate: str
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What happened. `tokens` are those pushed with success, `most_per_token` how often the most frequent one."""

    accepted: int
    tokens: int
    most_per_token: int
    refused: dict[str, int]
    resets: int
    stalls: int
    hangups: int
    goaways: int
    connections: int
    listeners_dropped: int


def started(stand_in: APNsStandIn, host: str) -> Started:
    """The facts of a stand-in that listens."""
    files = stand_in.files
    return Started(
        host=host,
        port=stand_in.port,
        feed=f"[{host}]:{stand_in.feed_port}" if ":" in host else f"{host}:{stand_in.feed_port}",
        ca_file=str(files.ca.absolute()),
        push_certificate=str(files.push_certificate.absolute()),
        topic=files.topic,
    )


def ended(counts: Counts, *, listeners_dropped: int) -> Ended:
    """The counts of a stand-in that has ended."""
    return Ended(
        accepted=counts.accepted,
        tokens=len(counts.tokens),
        most_per_token=max(counts.tokens.values(), default=0),
        refused=dict(sorted(counts.refused.items())),
        resets=counts.resets,
        stalls=counts.silences,
        hangups=counts.hangups,
        goaways=counts.goaways,
        connections=counts.connections,
        listeners_dropped=listeners_dropped,
    )


def print_started(facts: Started, out: Output) -> None:
    """What to do now, for a person; one JSON line for a program."""
    if out.as_json:
        click.echo(msgspec.json.encode(facts))
        return
    click.echo(
        f"A stand-in for APNs listens on {facts.host} port {facts.port}. In the server's configuration:\n\n"
        f'[apns]\nhost = "{facts.host}"\nport = {facts.port}\nca_file = "{facts.ca_file}"\n\n'
        f"The push certificate to install, with its key, is {facts.push_certificate}\n"
        f"(topic {facts.topic}).\n\n"
        f"Devices that wait for its pushes: mdmserver simulate --apns-feed {facts.feed} --topic {facts.topic}\n"
        "Ctrl-C ends it."
    )


def print_ended(facts: Ended, out: Output) -> None:
    """The counts, as a table or as one JSON line."""
    if out.as_json:
        click.echo(msgspec.json.encode(facts))
        return
    rows = [
        ("pushes accepted", facts.accepted),
        ("tokens", facts.tokens),
        ("most pushes of a token", facts.most_per_token),
        *((f"refused: {reason}", count) for reason, count in facts.refused.items()),
        ("streams reset", facts.resets),
        ("never answered", facts.stalls),
        ("GOAWAY", facts.goaways),
        ("connections", facts.connections),
        ("slow listeners dropped", facts.listeners_dropped),
    ]
    out.table(("", "total"), rows)
