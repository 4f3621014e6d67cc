"""`mdmctl`: everything that can be done over the API, from anywhere. The verbs stand in one module per noun."""

import os
from pathlib import Path

import click

from mdmserver.cli.exits import EXIT_CODES_HELP
from mdmserver.cli.lazy import LazyGroup
from mdmserver.cli.state import state_option

_VERBS = {
    "status": ("mdmserver.cli.status:status", "How the server is: enrollments, open commands, problems."),
    "devices": ("mdmserver.cli.devices:devices", "Who is enrolled."),
    "invitations": ("mdmserver.cli.invitations:invitations", "Let people enroll their devices."),
    "commands": ("mdmserver.cli.commands:commands", "Send commands, follow them, see what devices answered."),
    "apps": ("mdmserver.cli.apps:apps", "Apps and their configuration: PingID's token first of all."),
    "groups": ("mdmserver.cli.groups:groups", "Groups of devices, for which apps are meant."),
    "profiles": ("mdmserver.cli.profiles:profiles", "Configuration profiles as files."),
    "push": ("mdmserver.cli.push:push", "Wake devices, and see how that goes."),
    "keys": ("mdmserver.cli.keys:keys", "API keys."),
    "audit": ("mdmserver.cli.audit:audit", "Who changed what."),
}


@click.group(
    cls=LazyGroup, verbs=_VERBS, epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--url", envvar="MDMCTL_URL", help="The server (else MDMCTL_URL, else that of the state directory).")
@click.option(
    "--key-file", type=click.Path(dir_okay=False, path_type=Path), help="File with the API key (else MDMCTL_KEY, "
    "else STATE/admin.key)."
)  # fmt: skip
@click.option("--key", metavar="-", help="`-` reads the API key from standard input.")
@click.option(
    "--ca-file", type=click.Path(dir_okay=False, path_type=Path), envvar="MDMCTL_CA_FILE",
    help="PEM file of the CA that the server's certificate comes from, if it is not a public one.",
)  # fmt: skip
@state_option
@click.pass_context
def main(
    context: click.Context, url: str | None, key_file: Path | None, key: str | None, ca_file: Path | None, state: Path
) -> None:
    """Talk to an mdmserver over its API.

    Answers go to standard output, everything else to standard error; every verb takes --json.
    """
    from mdmserver.cli.verb import Server, key_from  # brings the HTTP client: not needed for --help

    context.obj = Server(state=state, url=url, key=key_from(key_file, key, os.environ), ca_file=ca_file)


if __name__ == "__main__":
    main(prog_name="mdmctl")
