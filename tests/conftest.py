"""Fixtures for all tests. Asynchronous tests carry `pytest.mark.anyio`."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the only loop this program uses."""
    return "asyncio"
