"""The lists of verbs say what is there."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mdmserver.__main__ import main as mdmserver_main
from mdmserver.cli.mdmctl import main as mdmctl_main

GROUPS = {"mdmserver": mdmserver_main, "mdmctl": mdmctl_main}


def verbs(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, *path, name)
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize("name", GROUPS)
def test_every_verb_can_be_imported_and_explains_itself(name: str) -> None:
    found = dict(verbs(GROUPS[name]))

    assert len(found) > 5
    assert all(command.help for command in found.values())


def test_every_verb_of_mdmctl_takes_json() -> None:
    without = [
        path
        for path, command in verbs(mdmctl_main)
        if not any("--json" in parameter.opts for parameter in command.params)
    ]

    assert without == []


@pytest.mark.parametrize("name", GROUPS)
def test_help_lists_the_verbs(name: str) -> None:
    result = CliRunner().invoke(GROUPS[name], ["--help"])

    assert result.exit_code == 0
    assert all(verb in result.output for verb in GROUPS[name].list_commands(click.Context(GROUPS[name])))


def test_the_help_of_mdmctl_says_the_exit_codes() -> None:
    result = CliRunner().invoke(mdmctl_main, ["--help"])

    assert "5    waited, and not every device acknowledged" in result.output


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert CliRunner().invoke(mdmctl_main, ["erase-everything"]).exit_code == 2
