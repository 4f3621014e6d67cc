"""`mdmserver config show`: what is in force."""

from pathlib import Path

import click

from mdmserver.cli.in_force import read_in_force
from mdmserver.cli.output import Output
from mdmserver.cli.state import state_option


@click.group()
def configuration() -> None:
    """What is configured, and where."""


@configuration.command()
@state_option
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="Another file.")
@click.option("--set", "settings", metavar="SECTION.KEY=VALUE", multiple=True, help="As it would be with this.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for programs.")
def show(state: Path, config_file: Path | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show every key, its value and where that comes from: default, file, environment or flag."""
    in_force, out = read_in_force(state, config_file, settings), Output(as_json=as_json)
    values = in_force.values()
    if as_json:
        out.json({name: {"value": value, "source": in_force.sources[name]} for name, value in values.items()})
        return
    authorities = values.pop("device_ca")
    rows = [(name, value, in_force.sources[name].value) for name, value in values.items()]
    rows += [(f"device_ca {authority['name']}", [authority["certificates"], authority["reenrollment"]], "file")
             for authority in authorities]  # fmt: skip
    out.table(("KEY", "VALUE", "FROM"), rows)
