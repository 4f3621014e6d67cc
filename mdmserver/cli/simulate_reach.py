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
    if not allow_remote and not is_this_machine(parts.hostname):
        raise click.UsageError(
            f"{parts.hostname} is not this machine, and simulated devices would fill that server and put load on it. "
            "If it is yours and meant for this, say --allow-remote."
        )


def feed_address(value: str, *, allow_remote: bool) -> tuple[str, int]:
    """Host and port of HOST:PORT; raises UsageError as `check_url` does."""
    parts = urlsplit(f"//{value}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise click.UsageError(f"--apns-feed {value}: write HOST:PORT")
    if not allow_remote and not is_this_machine(parts.hostname):
        raise click.UsageError(f"--apns-feed: {parts.hostname} is not this machine; --allow-remote allows that")
    return parts.hostname, port


def reach(*, allow_remote: bool) -> Callable[[str], bool]:
    """Tells of a URL that a profile names whether devices may go there."""
    return lambda url: allow_remote or is_this_machine(urlsplit(url).hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether a host is the loopback, by name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
