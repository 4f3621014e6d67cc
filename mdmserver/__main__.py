"""`mdmserver` (also `python -m mdmserver`): what is done on the server itself. Over the API it is `mdmctl`."""

import click

from mdmserver.cli.lazy import LazyGroup

_VERBS = {
    "init": ("mdmserver.cli.init:init", "Make the state directory: configuration, database, keys, CA, first API key."),
    "serve": ("mdmserver.cli.serve:serve", "Run the server."),
    "doctor": ("mdmserver.cli.doctor:doctor", "Check everything the server needs."),
    "config": ("mdmserver.cli.configuration:configuration", "What is configured, and where."),
    "ca": ("mdmserver.cli.ca:ca", "Look after the built-in CA."),
    "push-certificate": (
        "mdmserver.cli.push_certificate:push_certificate",
        "Look after the push certificate, without which no device is woken.",
    ),
    "vault": ("mdmserver.cli.vault:vault", "Change the key that secrets are sealed with."),
    "audit": ("mdmserver.cli.audit_chain:audit_chain", "Check the audit trail."),
    "simulate": ("mdmserver.cli.simulate:simulate", "Simulated devices, for trials and tests."),
    "simulate-apns": ("mdmserver.cli.apns_simulator:apns_simulator", "A stand-in for Apple's push service."),
    "version": ("mdmserver.cli.version:version", "Which version this is."),
}


@click.group(cls=LazyGroup, verbs=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run and look after an mdmserver."""


if __name__ == "__main__":
    main(prog_name="mdmserver")
