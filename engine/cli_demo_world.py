"""The world of the demo: a private folder with an engine, agents, definitions, and a host.

Everything lies in a temporary folder: data, sockets, keys, a token that only these processes know.
Agents and host listen on free loopback ports. Whatever ends the demo, the keeper ends them all.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Self
from xml.sax.saxutils import escape

from engine.cli_client import EngineAddress, EngineClient, EngineNotReachable
from engine.cli_demo_keeper import ENDED, PLAN, SWITCHES, sweep
from engine.errors import EngineError
from engine.service.paths import EnginePaths

AGENTS: Final = 3
END_OF_DAY: Final = "end_of_day"
LIVING: Final = "living_world"
WRITTEN_AGENT_PORT: Final = 4445
"""The first of the agents' ports in the examples; the demo's own take their place."""
WRITTEN_SSH_PORT: Final = 2222
WRITTEN_FOLDER: Final = "/tmp/pointsman-demo"  # noqa: S108  # a text that is replaced
_START_S: Final = 30.0
_STOP_S: Final = 20.0
_POLL_S: Final = 0.05
_BEHIND: Final = 5
"""Niceness of what may come up a little later than engine and cockpit."""
_FOLDERS: Final = ("config/live", ENDED, SWITCHES, "ssh", "letters", "partner")


class DemoFailed(EngineError):
    """The demo did not come to its end; the text says what happened."""


def shipped_examples() -> Traversable:
    """Return the examples that came with this copy of the program."""
    packaged = resources.files("engine") / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "examples"


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class DemoWorld:
    """The engine and everything around it; `lives` adds what a newcomer can play with."""

    def __init__(self, folder: Path, *, lives: bool) -> None:
        self._folder = folder
        self._lives = lives
        *self.ports, self._ssh_port = free_ports(AGENTS + 1)
        self.socket = EnginePaths(folder / "data").socket
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self._start()
            self._await_engine()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def client(self) -> EngineClient:
        """Return a client of the demo's engine."""
        return EngineClient(EngineAddress(url="http://engine", socket=self.socket))

    # --- the folder ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True)
        live = self._folder / "config" / "live"
        examples = shipped_examples()
        self._copy(examples / END_OF_DAY / "live", live)
        if self._lives:
            self._copy(examples / LIVING / "live", live)
            self._copy(examples / LIVING / "refused", live)
        known = json.dumps(str(self._folder / "ssh" / "known_hosts"))
        (self._folder / "config" / "engine.toml").write_text(
            f"stop_timeout_s = 1\n\n[ssh]\nknown_hosts = [{known}]\nconfig_files = []\n",
            encoding="utf-8",
        )
        (self._folder / PLAN).write_text(json.dumps(self._plan()), encoding="utf-8")

    def _copy(self, source: Traversable, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for entry in source.iterdir():
            if entry.is_dir():
                self._copy(entry, target / entry.name)
            else:
                text = self._fitted(entry.read_text(encoding="utf-8"))
                (target / entry.name).write_text(text, encoding="utf-8")

    def _fitted(self, text: str) -> str:
        """Return a definition with this demo's ports and folder."""
        for index, port in enumerate(self.ports):
            written = WRITTEN_AGENT_PORT + index
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        text = text.replace(f'value="{WRITTEN_SSH_PORT}"', f'value="{self._ssh_port}"')
        return text.replace(WRITTEN_FOLDER, escape(str(self._folder)))

    def _plan(self) -> list[dict[str, object]]:
        plan: list[dict[str, object]] = []
        for number, port in enumerate(self.ports, start=1):
            name = f"agent-{number}"
            data = ["--data", str(self._folder / name)]
            command = _program("engine", "agent", "--listen", f"127.0.0.1:{port}", *data)
            plan.append(_part(name, command, _BEHIND))
        config = ["--config", str(self._folder / "config")]
        data = ["--data", str(self._folder / "data")]
        # First, and before the others: what a person waits for.
        plan.insert(0, _part("engine", _program("engine", "engine", *config, *data), 0))
        if self._lives:
            place = [str(self._folder), str(self._ssh_port)]
            host = _program("engine.cli_demo_host", *place)
            plan.append(_part("host", host, _BEHIND))
        return plan

    # --- its life --------------------------------------------------------------------------------

    def _start(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("POINTSMAN_", "SCHEDULER_"))
        }
        environment["POINTSMAN_AGENT_TOKEN"] = secrets.token_urlsafe(32)
        with (self._folder / "keeper.log").open("wb") as log:
            self._keeper = subprocess.Popen(  # our own program
                _program("engine.cli_demo_keeper", str(self._folder)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                # A Ctrl-C in the terminal is the demo's to handle, in its own order.
                start_new_session=True,
            )

    def _await_engine(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._has_lost_a_part():
                words = self._last_words()
                raise DemoFailed(f"a part of the demo has ended by itself:\n{words}")
            with contextlib.suppress(EngineNotReachable), self.client() as client:
                if self._is_complete(client):
                    return
            time.sleep(_POLL_S)
        raise DemoFailed(f"the engine does not answer:\n{self._last_words()}")

    def _is_complete(self, client: EngineClient) -> bool:
        """Whether the engine answers; for a run without a person, knows all of its agents too."""
        agents = client.get("/api/agents")["agents"]
        coupled = sum(each["status"] == "coupled" for each in agents)
        return self._lives or coupled == AGENTS

    def _has_lost_a_part(self) -> bool:
        assert self._keeper is not None, "started before"
        return self._keeper.poll() is not None or any((self._folder / ENDED).iterdir())

    def _last_words(self) -> str:
        texts = []
        for log in sorted(self._folder.glob("*.log")):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            texts += [f"{log.name}: {line}" for line in tail]
        return "\n".join(texts)

    def end(self) -> None:
        """End everything with its tasks; nothing stays."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            assert keeper.stdin is not None, "it is a pipe"
            keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(_STOP_S)
            if keeper.poll() is None:
                keeper.kill()
                keeper.wait()
            if keeper.returncode != 0:
                sweep(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)


def _part(name: str, command: list[str], niceness: int) -> dict[str, object]:
    return {"name": name, "command": command, "niceness": niceness}


def _program(module: str, *arguments: str) -> list[str]:
    """Return a command line; a folder named engine where the person stands is none of ours."""
    return [sys.executable, "-P", "-m", module, *arguments]
