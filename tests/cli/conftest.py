"""What the tests of the command line share: a server, and `mdmctl` as a person types it."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from certs import Authority, dump_private_key, generate_rsa
from mdmserver.__main__ import main as mdmserver_main
from mdmserver.cli.mdmctl import main as mdmctl_main
from tests.web.api_server import RunningServer, server

__all__ = ["server"]

Mdmctl = Callable[..., Coroutine[Any, Any, Result]]
Mdmserver = Callable[..., Result]


@pytest.fixture
def mdmctl(server: RunningServer, tmp_path: Path) -> Mdmctl:
    """Runs mdmctl against `server` with the administrator's key, in a thread: it has an event loop of its own."""
    key_file = tmp_path / "key"
    key_file.write_text(server.admin_key + "\n")

    async def run(*arguments: str, input: str | None = None, url: str = server.url) -> Result:
        whole = ["--url", url, "--key-file", str(key_file), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, mdmctl_main, whole, input=input)

    return run


@pytest.fixture
def mdmserver() -> Mdmserver:
    """Runs mdmserver in this process."""

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(mdmserver_main, list(arguments), input=input)

    return run


@pytest.fixture
def state(mdmserver: Mdmserver, tmp_path: Path) -> Path:
    """A state directory made by `mdmserver init`."""
    result = mdmserver("init", "--state", str(tmp_path / "state"), "--yes", "--simulator-ca")
    assert result.exit_code == 0, result.output
    return tmp_path / "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingCA:
    """A CA that somebody has already, in two PEM files."""

    certificate: Path
    key: Path
    der: bytes

    @property
    def options(self) -> list[str]:
        """The options of `mdmserver init` that take it."""
        return ["--ca-certificate", str(self.certificate), "--ca-key", str(self.key)]


@pytest.fixture
def existing(tmp_path: Path) -> ExistingCA:
    """A CA made elsewhere."""
    now = datetime.now(UTC)
    authority = Authority.create(
        common_name="Company CA", key=generate_rsa(), not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=400), serial_number=7,
    )  # fmt: skip
    made = ExistingCA(certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key", der=authority.certificate_der)
    made.certificate.write_text(ssl.DER_cert_to_PEM_cert(authority.certificate_der))
    made.key.write_bytes(dump_private_key(authority.private_key))
    return made
