"""The configuration in force, and for every key where its value comes from."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import msgspec

from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.state import CONFIG_FILE
from mdmserver.config import Config, load_config
from mdmserver.errors import MDMError

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")


class Source(StrEnum):
    """Where a value comes from; later ones win."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A checked configuration and the source of each key (`section.key`)."""

    config: Config
    sources: Mapping[str, Source]

    def values(self) -> dict[str, Any]:
        """Every key and its value, passwords in URLs masked."""
        builtins: dict[str, Any] = msgspec.to_builtins(self.config)
        sections = {name: value for name, value in builtins.items() if isinstance(value, dict)}
        flat = {f"{name}.{key}": _masked(value) for name, keys in sections.items() for key, value in keys.items()}
        return {**flat, "device_ca": builtins["device_ca"]}


def read_in_force(
    state: Path, config_file: Path | None, settings: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> InForce:
    """Load what is configured; `settings` are `section.key=value`. Raises Failure that says what to do."""
    path = config_file or state / CONFIG_FILE
    if config_file is None and not path.exists():
        raise Failure(f"{state} is no state directory of mdmserver; make one: mdmserver init --state {state}")
    flags = dict(map(_split, settings))
    try:
        config = load_config(path, environment, flags)
        return InForce(config=config, sources=_sources(config, tomllib.loads(path.read_text()), environment, flags))
    except MDMError as error:
        raise Failure(str(error), exit_code=Exit.REFUSED) from error


def _split(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise click.UsageError(f"--set {setting!r} is not section.key=value")
    return name.strip(), value.strip()


def _sources(
    config: Config, written: Mapping[str, Any], environment: Mapping[str, str], flags: Mapping[str, str]
) -> dict[str, Source]:
    found = {"device_ca": Source.FILE if "device_ca" in written else Source.DEFAULT}
    for section in msgspec.structs.fields(Config):
        value = getattr(config, section.name)
        for key in msgspec.structs.fields(value) if isinstance(value, msgspec.Struct) else ():
            name = f"{section.name}.{key.name}"
            if name in flags:
                found[name] = Source.FLAG
            elif f"MDMSERVER_{section.name}_{key.name}".upper() in environment:
                found[name] = Source.ENVIRONMENT
            elif key.name in written.get(section.name, {}):
                found[name] = Source.FILE
            else:
                found[name] = Source.DEFAULT
    return found


def _masked(value: Any) -> Any:
    return _PASSWORD_IN_URL.sub(r"\1:***", value) if isinstance(value, str) else value
