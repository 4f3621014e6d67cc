"""The fixtures of these tests; they are shared, see `tests.journeys.fixtures`."""

from tests.journeys.fixtures import allowing_world, world

__all__ = ["allowing_world", "world"]
