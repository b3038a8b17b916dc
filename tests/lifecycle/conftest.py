"""Fixtures of the tests of a connection's life: those of the authorization tests."""

from tests.connecting.conftest import entry_changes, runtime

__all__ = ["entry_changes", "runtime"]
