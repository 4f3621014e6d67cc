"""The office behind `mdmctl`: its background work is done when a test says so."""

from tests.web.apps.conftest import office, server

__all__ = ["office", "server"]
