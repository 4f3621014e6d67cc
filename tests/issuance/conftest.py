"""A server with a CA, on every engine."""

from tests.enrollment.conftest import world

__all__ = ["world"]
