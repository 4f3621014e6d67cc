"""Faults of the network by kind, so that they can be counted: `no connection`, `tls`, `timeout`, `connection lost`."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from mdmserver.simulator.errors import ServerUnreachable


@contextmanager
def network_faults(url: str) -> Iterator[None]:
    """Raises ServerUnreachable where the block fails because of the network."""
    try:
        yield
    except TimeoutError as error:
        raise ServerUnreachable(f"no answer from {url} in time", reason="timeout") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ServerUnreachable(f"{url}: {error}", reason=_reason(error)) from error


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            return "no connection"
        case _:
            return "connection lost"
