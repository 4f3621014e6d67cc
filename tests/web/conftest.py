"""Fixtures of the tests that talk to a whole server."""

from tests.web.api_server import server

__all__ = ["server"]
