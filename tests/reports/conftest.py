"""Fixtures of the reports: those of the connections."""

from tests.connections.conftest import actor, database

__all__ = ["actor", "database"]
