"""The kinds of listener, and what was found listening. Starting them is `server`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class ListenerKind(StrEnum):
    """What a listener is for; the value is its key in the configuration's `listen` and `identity`."""

    HTTPS = "https"
    MTLS = "mtls"
    HTTP = "http"
    OPERATIONS = "operations"

    @property
    def serves_devices(self) -> bool:
        """Whether the device endpoints are reachable here; on `mtls` nothing else is."""
        return self is not ListenerKind.OPERATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where each listener can be reached, by its kind: host and the port that was really bound.

    `reload` reads renewed TLS files at once (SIGHUP); they are also noticed by themselves within seconds.
    """

    addresses: Mapping[ListenerKind, tuple[str, int]]
    reload: Callable[[], None]
