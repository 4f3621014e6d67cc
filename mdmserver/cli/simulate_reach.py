"""Where simulated devices may go: this machine alone, unless a person says otherwise."""

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

import click


def check_url(url: str, *, allow_remote: bool) -> None:
    """Raises UsageError for what is no http or https URL, or a server that is not this machine and was not allowed."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"{url} is not an http or https URL")
    if not allow_remote and not _is_this_machine(parts.hostname):
        raise click.UsageError(
            f"{parts.hostname} is not this machine, and simulated devices would fill that server and put load on it. "
            "If it is yours and meant for this, say --allow-remote."
        )


def reach(*, allow_remote: bool) -> Callable[[str], bool]:
    """Tells of a URL that a profile names whether devices may go there."""
    return lambda url: allow_remote or _is_this_machine(urlsplit(url).hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
