"""What every verb of `mdmctl` has in common: the server and key to use, `--json`, and how errors end it."""

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mdmserver.cli.client import APIClient, APIError, Missing, Unreachable, open_client
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.lock import lock_holder
from mdmserver.cli.output import Output
from mdmserver.cli.state import ADMIN_KEY_FILE, CONFIG_FILE
from mdmserver.config import load_config
from mdmserver.errors import MDMError
from mdmserver.secret import Secret

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the global options said; None where they said nothing."""

    state: Path
    url: str | None
    key: Secret[str] | None
    ca_file: Path | None


def api_verb(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Turns `async def verb(api, out, …)` into the body of a click command with `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")
    def command(as_json: bool, **options: Any) -> None:
        server = click.get_current_context().find_object(Server)
        assert server is not None  # the group puts it there
        try:
            asyncio.run(_run(lambda api, out: function(api, out, **options), server, Output(as_json=as_json)))
        except Missing as error:
            raise Failure(str(error), exit_code=Exit.NOT_FOUND) from error
        except Unreachable as error:
            raise Failure(str(error), exit_code=Exit.UNREACHABLE) from error
        except APIError as error:
            raise Failure(str(error)) from error

    return functools.update_wrapper(command, function)


async def _run(verb: Callable[[APIClient, Output], Awaitable[None]], server: Server, out: Output) -> None:
    url = server.url or url_of(server.state, os.environ)
    try:
        client = open_client(url, server.key or key_of(server.state), ca_file=server.ca_file)
        api = await client.__aenter__()
    except OSError as error:
        raise Failure(f"--ca-file {server.ca_file}: {error}", exit_code=Exit.USAGE) from error
    try:
        await verb(api, out)
    finally:
        await client.__aexit__(None, None, None)


def url_of(state: Path, environment: Mapping[str, str]) -> str:
    """The server of this state directory: where it listens while it runs, else what its configuration says."""
    holder = lock_holder(state)
    if holder is not None and "http" in holder.listening:
        host, port = holder.listening["http"]
        return f"http://{reachable(host)}:{port}"
    try:
        config = load_config(state / CONFIG_FILE, environment)
    except MDMError:
        return DEFAULT_URL
    host, _, port_text = config.listen.http.rpartition(":")
    if not host or port_text == "0":
        return config.server.url
    return f"http://{reachable(host.strip('[]'))}:{port_text}"


def reachable(host: str) -> str:
    """The host of a listener as a client on this machine writes it in a URL."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"[{own}]" if ":" in own else own


def key_of(state: Path) -> Secret[str] | None:
    """The key that `mdmserver init` left in the state directory; None if there is none that this user may read."""
    try:
        return Secret((state / ADMIN_KEY_FILE).read_text().strip())
    except (OSError, ValueError):
        return None


def key_from(key_file: Path | None, key: str | None, environment: Mapping[str, str]) -> Secret[str] | None:
    """The key that the options or the environment give; None if they give none. Raises UsageError, Failure."""
    if key is not None and key != "-":
        raise click.UsageError("a key is never an argument: others see it. Use --key - and standard input, --key-file "
                               "or MDMCTL_KEY.")  # fmt: skip
    if key == "-":
        return _given(sys.stdin.readline(), "standard input")
    if key_file is not None:
        try:
            return _given(key_file.read_text(), str(key_file))
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"the key file {key_file} cannot be read", exit_code=Exit.USAGE) from error
    text = environment.get("MDMCTL_KEY")
    return _given(text, "MDMCTL_KEY") if text is not None else None


def _given(text: str, source: str) -> Secret[str]:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Failure(f"there is no API key in {source}", exit_code=Exit.USAGE)
    return Secret(key)
