"""The folder of the demo: definitions that fit it, and nothing of the examples' own places."""

import json
from pathlib import Path

import pytest

from engine.cli_demo_keeper import PLAN
from engine.cli_demo_world import (
    WRITTEN_AGENT_PORT,
    WRITTEN_FOLDER,
    WRITTEN_SSH_PORT,
    DemoWorld,
)


@pytest.mark.parametrize("lives", [True, False])
def test_definitions_get_the_ports_and_the_folder_of_this_demo(
    tmp_path: Path, *, lives: bool
) -> None:
    folder = tmp_path / "a & b"
    folder.mkdir()
    world = DemoWorld(folder, lives=lives)
    world._prepare()
    files = {path: path.read_text() for path in (folder / "config" / "live").rglob("*.xml")}
    written = [f":{WRITTEN_AGENT_PORT + index}" for index in range(3)]
    for forbidden in (*written, f'"{WRITTEN_SSH_PORT}"', WRITTEN_FOLDER):
        assert [str(path) for path, text in files.items() if forbidden in text] == []
    classes = (folder / "config" / "live" / "end_of_day.process_class.xml").read_text()
    assert all(f"127.0.0.1:{port}" in classes for port in world.ports)
    names = [part["name"] for part in json.loads((folder / PLAN).read_text())]
    agents = ["engine", "agent-1", "agent-2", "agent-3"]
    assert names == ([*agents, "host"] if lives else agents)
    assert (len(files) > 6) is lives
