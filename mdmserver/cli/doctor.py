"""`mdmserver doctor`: checks everything the server needs, changes nothing. The checks are in `check_*`."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from mdmserver.cli.check_certificates import check_device_authorities, check_tls_files
from mdmserver.cli.check_machine import check_clock, check_disk, check_ports, check_programs
from mdmserver.cli.check_state import check_database, check_modes
from mdmserver.cli.exits import Failure
from mdmserver.cli.findings import Finding, Verdict, failure, ok
from mdmserver.cli.in_force import read_in_force
from mdmserver.cli.output import Output
from mdmserver.cli.state import state_option
from mdmserver.clock import utc_now


@click.command()
@state_option
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="Another file.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for programs.")
def doctor(state: Path, config_file: Path | None, as_json: bool) -> None:
    """Check everything the server needs. Exit code 1 if a check fails; warnings do not count."""
    out, findings = Output(as_json=as_json), list(_findings(state, config_file))
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
    yield from check_ports(config, state)
