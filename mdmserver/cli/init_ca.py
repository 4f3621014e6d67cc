"""The CA that a new state directory gets: a new one, an existing one, or none."""

from dataclasses import dataclass
from pathlib import Path

import click

from mdmserver.cli.actor import cli_actor
from mdmserver.cli.own_ca import CAFiles, ca_name
from mdmserver.issuance.authorities import Authorities, OwnAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class CAChoice:
    """Which CA a new state directory gets: none, the one in `files`, or a new one."""

    is_wanted: bool
    files: CAFiles | None

    @classmethod
    def of(cls, no_ca: bool, certificate: Path | None, key: Path | None) -> "CAChoice":
        """What the options say. Raises UsageError for what does not go together, Failure for files of no use."""
        if (certificate is None) != (key is None):
            raise click.UsageError("--ca-certificate and --ca-key go together")
        if no_ca and certificate is not None:
            raise click.UsageError("--no-ca and --ca-certificate: which?")
        return cls(is_wanted=not no_ca, files=CAFiles(certificate, key) if certificate and key else None)

    def names_another_than(self, present: OwnAuthority) -> bool:
        """Whether `files` are of another CA than this one."""
        return self.files is not None and self.files.authority.certificate_der != present.authority.certificate_der


async def present_ca(authorities: Authorities, url: str, ca: CAChoice) -> OwnAuthority | None:
    """The CA that issues, made or taken if there is none; None where none is wanted."""
    if authorities.all:
        return authorities.issuing
    if ca.files is not None:
        return await authorities.import_existing(ca.files.certificate, ca.files.key, actor=cli_actor())
    return await authorities.create(common_name=ca_name(url), actor=cli_actor()) if ca.is_wanted else None


def print_ca(authority: OwnAuthority | None) -> None:
    """What a person is to know of it; None is none."""
    if authority is None:
        click.echo("CA                none; `mdmserver ca rollover` makes one, `mdmserver ca import` takes one")
        return
    click.echo(f"CA                {authority.authority.name}, until {authority.authority.not_after.date()}")
    click.echo(f"                  SHA-256 {authority.authority.sha256_fingerprint.hex()}")
