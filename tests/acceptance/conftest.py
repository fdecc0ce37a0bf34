"""The installed program in a private world of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installed import installed_program
from tests.support.programs import World


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The console script of the wheel, installed once for all workers."""
    base = tmp_path_factory.getbasetemp()
    return installed_program((base if worker_id == "master" else base.parent) / "installed")


@pytest.fixture
def world(program: Path, tmp_path: Path) -> Iterator[World]:
    """A place with a live folder; whatever is started in it ends with the test."""
    with World(tmp_path / "world", [str(program)]) as made:
        yield made
