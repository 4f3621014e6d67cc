"""`mdmserver doctor`: checks everything the server needs, or the public way to it; changes nothing.

The checks are in `check_*`.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click

from mdmserver.cli.check_certificates import check_device_authorities, check_tls_files
from mdmserver.cli.check_machine import check_clock, check_disk, check_ports, check_programs
from mdmserver.cli.check_public import PublicName, check_public
from mdmserver.cli.check_push import check_apns
from mdmserver.cli.check_state import check_database, check_modes
from mdmserver.cli.exits import Failure
from mdmserver.cli.findings import Finding, Verdict, failure, ok
from mdmserver.cli.in_force import read_in_force
from mdmserver.cli.output import Output
from mdmserver.cli.state import CONFIG_FILE, state_option
from mdmserver.clock import utc_now
from mdmserver.config import Config


@click.command()
@state_option
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="Another file.")
@click.option(
    "--url", metavar="URL", help="Check the public way in instead, as https://mdm.example.com; from anywhere."
)
@click.option("--ca-file", type=click.Path(dir_okay=False, path_type=Path), help="With --url: PEM of a CA that your "
              "devices trust beside the public ones.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for programs.")
def doctor(state: Path, config_file: Path | None, url: str | None, ca_file: Path | None, as_json: bool) -> None:
    """Check everything the server needs. Exit code 1 if a check fails; warnings do not count.

    With --url the public name is checked from outside, best from another network: name, certificate, and that a proxy
    lets through what devices send, unchanged, and nothing that they could forge. The configuration, if there is one
    here, says under which paths and headers. Nothing secret is sent.
    """
    if url is not None:
        findings = asyncio.run(_public_findings(_public_name(state, config_file, url, ca_file)))
    else:
        findings = list(_findings(state, config_file))
    out = Output(as_json=as_json)
    if as_json:
        out.json(findings)
    else:
        out.table(("VERDICT", "CHECK", "FOUND"), [(each.verdict.value, each.check, each.text) for each in findings])
    failures = sum(finding.verdict is Verdict.FAILURE for finding in findings)
    if failures:
        raise Failure(f"{failures} of {len(findings)} checks failed")


def _findings(state: Path, config_file: Path | None) -> Iterator[Finding]:
    yield from check_programs()
    yield from check_modes(state)
    yield from check_disk(state)
    yield from check_clock(state, now=utc_now())
    yield from check_database(state)
    try:
        config = read_in_force(state, config_file, environment=os.environ).config
    except Failure as error:
        yield failure("configuration", error.message)
        return
    yield ok("configuration", "loads")
    yield from check_tls_files(config, now=utc_now())
    yield from check_device_authorities(config, now=utc_now())
    yield from check_apns(config)
    yield from check_ports(config, state)


def _public_name(state: Path, config_file: Path | None, url: str, ca_file: Path | None) -> PublicName:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise click.UsageError(f"{url!r} is no URL such as https://mdm.example.com")
    if ca_file is not None and not ca_file.is_file():
        raise click.UsageError(f"there is no file {ca_file}")
    is_configured = config_file is not None or (state / CONFIG_FILE).exists()
    config = read_in_force(state, config_file).config if is_configured else Config()
    return PublicName(url=url, config=config, ca_file=ca_file)


async def _public_findings(name: PublicName) -> list[Finding]:
    return [finding async for finding in check_public(name, now=utc_now())]
