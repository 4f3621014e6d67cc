"""Under which address a caller of the API is counted: its peer's, or what a trusted proxy says of it (S8)."""

from aiohttp import web
from aiohttp.hdrs import X_FORWARDED_FOR

from mdmserver.web.connection import BoundedConnection
from mdmserver.web.peers import counted_as


def client_address(request: web.Request) -> str:
    """A name for counting, not for display; behind a trusted proxy the last address that it adds."""
    connection = request.protocol
    if isinstance(connection, BoundedConnection) and connection.is_from_trusted_proxy:
        forwarded = ",".join(request.headers.getall(X_FORWARDED_FOR, []))
        # What stands before the last comma came from the client, who may write anything there.
        return counted_as((forwarded.rpartition(",")[2].strip(), 0))
    transport = request.transport
    return counted_as(transport.get_extra_info("peername") if transport is not None else None)
