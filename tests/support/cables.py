"""Engines and agents in network namespaces of their own, joined by cables that can be pulled.

A pulled cable closes no connection: packets just vanish, in both directions, and nobody is told.
Needs root, `ip` (iproute2) and a kernel that permits namespaces; `why_not` says what is missing.
The namespaces hang on no interface of the host, so nothing of the host's network changes.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.programs import Program, World, wait_for

AGENT_PORT = 4445
_networks = itertools.count(1)


def why_not() -> str:
    """Return why there can be no namespaces here; nothing when there can."""
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"pm{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if tried.returncode != 0:
        return f"network namespaces are not permitted: {tried.stderr.decode().strip()}"
    ip("netns", "del", name)
    return ""


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Cable:
    """A virtual cable from the engines' place to that of one agent."""

    space: str
    """The agent's namespace."""
    end: str
    """Its interface there."""
    address: str
    """Of the agent."""

    def pull(self) -> None:
        """Let nothing pass any more."""
        ip("-n", self.space, "link", "set", self.end, "down")

    def plug(self) -> None:
        """Let everything pass again."""
        ip("-n", self.space, "link", "set", self.end, "up")


class Network:
    """One namespace for engines and one for each agent, like spokes."""

    def __init__(self, agents: int) -> None:
        self._prefix = f"pm{os.getpid()}-{next(_networks)}"
        self.hub = f"{self._prefix}-e"
        self._count = agents
        self.cables: list[Cable] = []

    def __enter__(self) -> Self:
        try:
            self._join(self.hub)
            for number in range(1, self._count + 1):
                self._lay_cable(number)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _join(self, space: str) -> None:
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")

    def _lay_cable(self, number: int) -> None:
        space, here, there = f"{self._prefix}-{number}", f"to{number}", "eth0"
        self._join(space)
        peer = ("peer", "name", there, "netns", space)
        ip("-n", self.hub, "link", "add", here, "type", "veth", *peer)
        ip("-n", self.hub, "addr", "add", f"10.78.{number}.1/30", "dev", here)
        ip("-n", self.hub, "link", "set", here, "up")
        ip("-n", space, "addr", "add", f"10.78.{number}.2/30", "dev", there)
        ip("-n", space, "link", "set", there, "up")
        self.cables.append(Cable(space, there, f"10.78.{number}.2"))

    def _remove(self) -> None:
        for space in (self.hub, *(f"{self._prefix}-{n}" for n in range(1, self._count + 1))):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


class CabledWorld(World):
    """A world whose engine stands in the hub of a network, and whose agents at its ends."""

    def __init__(self, folder: Path, network: Network) -> None:
        super().__init__(folder)
        self.network = network
        self.spoke_agents: dict[int, Program] = {}
        """The agents by number: 0 for the one at the first cable."""

    def address(self, number: int) -> str:
        """Return what a process class calls an agent."""
        return f"http://{self.network.cables[number].address}:{AGENT_PORT}"

    def agent_data(self, number: int) -> Path:
        """Return the data folder of an agent."""
        return self.folder / f"agent-{number}"

    def run(self, name: str, arguments: Sequence[str]) -> Program:
        """Start `pointsman` where it belongs: the engine in the hub, an agent at its end."""
        place = self.network.hub
        if name.startswith("agent-"):
            place = self.network.cables[int(name.removeprefix("agent-"))].space
        plain, self.command = self.command, ["ip", "netns", "exec", place, *self.command]
        try:
            return super().run(name, arguments)
        finally:
            self.command = plain

    def launch_agent(self, number: int, *options: str) -> Program:
        """Start an agent at its end of the cable, without waiting."""
        listen = ["--listen", f"{self.network.cables[number].address}:{AGENT_PORT}"]
        data = ["--data", str(self.agent_data(number)), "--allow-insecure"]
        agent = self.run(f"agent-{number}", ["agent", *listen, *data, *options])
        self.spoke_agents[number] = agent
        return agent

    def agent_row(self, number: int) -> Mapping[str, object]:
        """Return what the engine knows of an agent."""
        rows = self.get("/api/agents")["agents"]
        return next((row for row in rows if row["uri"] == self.address(number)), {})

    def await_agent(self, number: int, *statuses: str) -> None:
        """Wait until the engine says one of these of an agent."""
        wait_for(
            f"agent {number} to be {' or '.join(statuses)}",
            lambda: self.agent_row(number).get("status") in statuses,
        )
