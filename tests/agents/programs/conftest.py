"""Fixtures for programs: a sandbox, and a probe of the event loop."""

from collections.abc import AsyncIterator

import pytest

from one_runtime.agents.programs.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(size=2)
    yield sandbox
    await sandbox.close()
