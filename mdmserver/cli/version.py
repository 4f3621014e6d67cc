"""`mdmserver version`."""

import click

from mdmserver.web.version import VERSION


@click.command()
def version() -> None:
    """Which version this is."""
    click.echo(VERSION)
