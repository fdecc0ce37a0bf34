"""Engines and agents as real processes: started, listened to, killed, and gone afterwards.

Serves the acceptance tests and the benches. Each process writes its output into a file, listens on
loopback only, and is ended by its own process id. Nothing here sleeps on a guess: every wait looks
again until a deadline, and says what it waited for when that passes.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import psutil

from engine.cli_client import EngineAddress, EngineClient
from engine.codec.json_api import REQUESTS, PublicRequest
from engine.service.paths import EnginePaths

CHECKOUT = Path(__file__).parents[2]
MARK = "ACCEPTANCE_WORLD"
"""A variable that all processes of a world inherit, so that leftovers are found."""
POLL_S = 0.05
PATIENCE_S = 60.0

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Return what `look` finds, as soon as it is true. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(POLL_S)


def free_port() -> int:
    """Return a loopback port that is free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Program:
    """One process and what it has said."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """All that the process has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Ask it to end, insist at the deadline; return its exit status."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class World:
    """A private place with an engine, its live folder and some agents."""

    def __init__(self, folder: Path, command: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.command = [sys.executable, "-P", "-m", "engine"] if command is None else list(command)
        self.live = folder / "config" / "live"
        self.live.mkdir(parents=True)
        self.data = folder / "data"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.mark = secrets.token_hex(8)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("POINTSMAN_", "SCHEDULER_", "PYTHON", "COV_"))
        }
        if command is None:
            self.environment["PYTHONPATH"] = str(CHECKOUT)
        self.environment |= {
            MARK: self.mark,
            "TZ": "UTC",
            "POINTSMAN_AGENT_TOKEN": secrets.token_urlsafe(32),
            # A home of its own: nothing is read from, or written to, that of the person.
            "HOME": str(self.elsewhere),
            "XDG_DATA_HOME": str(self.elsewhere / "share"),
            "XDG_CONFIG_HOME": str(self.elsewhere / "settings"),
            "XDG_STATE_HOME": str(self.elsewhere / "state"),
            "XDG_CACHE_HOME": str(self.elsewhere / "cache"),
        }
        self.engine: Program | None = None
        self.agents: dict[int, Program] = {}
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill everything: the programs, and what is found by its mark."""
        for program in self._programs:
            program.kill()
        for process in marked(self.mark):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def other_processes(self) -> list[psutil.Process]:
        """Return the processes of this world that are none of its programs: those of tasks."""
        own = {program.process.pid for program in self._programs}
        return [process for process in marked(self.mark) if process.pid not in own]

    # --- definitions -------------------------------------------------------------------------

    def write(self, name: str, xml: str) -> Path:
        """Write a file of the live folder; it appears in one piece."""
        file = self.live / name
        draft = self.folder / "draft"
        draft.write_text(xml, encoding="utf-8")
        draft.replace(file)
        return file

    def write_job(self, name: str, script: str, attributes: str = "") -> Path:
        """Write an order job with a shell script."""
        return self.write(
            f"{name}.job.xml",
            f'<job order="yes" stop_on_error="no" {attributes}>'
            f'<script language="shell"><![CDATA[{script}]]></script><run_time/></job>',
        )

    def write_chain(self, name: str, jobs: Sequence[str]) -> Path:
        """Write a chain through these jobs, one after another, to the end nodes done and failed."""
        states = [f"{index}" for index in range(1, len(jobs) + 1)]
        nodes = [
            f'<job_chain_node state="{state}" job="{job}" next_state="{following}"'
            ' error_state="failed"/>'
            for state, following, job in zip(states, [*states[1:], "done"], jobs, strict=True)
        ]
        ends = '<job_chain_node state="done"/><job_chain_node state="failed"/>'
        return self.write(f"{name}.job_chain.xml", f"<job_chain>{''.join(nodes)}{ends}</job_chain>")

    def use_example(self, ports: Sequence[int]) -> None:
        """Copy the end-of-day example and put the agents' ports into its process class."""
        shutil.copytree(CHECKOUT / "examples/end_of_day/live", self.live, dirs_exist_ok=True)
        file = self.live / "end_of_day.process_class.xml"
        text = file.read_text(encoding="utf-8")
        for written, port in zip((4445, 4446, 4447), ports, strict=True):
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        file.write_text(text, encoding="utf-8")

    # --- programs ----------------------------------------------------------------------------

    def start_engine(self, *options: str, is_awaited: bool = True) -> Program:
        """Start the engine and wait until it takes requests."""
        self.engine = self.run(
            "engine", ["engine", "--config", str(self.folder / "config"), *self._data, *options]
        )
        if is_awaited:
            self.await_ready()
        return self.engine

    def start_agent(self, port: int, *options: str) -> Program:
        """Start an agent at this port and wait until it answers."""
        listen = ["--listen", f"127.0.0.1:{port}"]
        data = ["--data", str(self.folder / f"agent-{port}")]
        agent = self.run(f"agent-{port}", ["agent", *listen, *data, *options])
        self.agents[port] = agent

        def answers() -> bool:
            assert agent.process.poll() is None, f"the agent has ended: {agent.text}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait_for(f"an agent at port {port}", answers)
        return agent

    def run(self, name: str, arguments: Sequence[str]) -> Program:
        """Start `pointsman` with these arguments, in a folder that has nothing to do with it."""
        log = self.folder / f"{name}.log"
        program = Program([*self.command, *arguments], log, self.environment, self.elsewhere)
        self._programs.append(program)
        return program

    def call(
        self, *arguments: str, patience_s: float = PATIENCE_S, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run `pointsman` with these arguments to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            check=False,
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=patience_s,
            env=self.environment | variables,
            cwd=self.elsewhere,
        )

    def ask(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a subcommand that talks to this engine, and expect it to succeed."""
        done = self.call(*arguments, "--data", str(self.data))
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    @property
    def _data(self) -> list[str]:
        return ["--data", str(self.data)]

    # --- questions ---------------------------------------------------------------------------

    def client(self) -> EngineClient:
        """Return a client at the engine's socket."""
        return EngineClient(EngineAddress(socket=EnginePaths(self.data).socket))

    def get(self, path: str, **query: object) -> Any:
        """Return the answer of a resource of the HTTP API. Raises OSError when nobody is there."""
        with contextlib.closing(self._connection()) as connection:
            connection.request("GET", f"{path}?{urlencode(query)}")
            response = connection.getresponse()
            answer = response.read().decode()
            assert response.status == HTTPStatus.OK, f"{path}: {answer}"
            return json.loads(answer)

    def await_ready(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until the engine answers."""
        engine = self.engine
        assert engine is not None, "there is an engine to wait for"

        def answers() -> bool:
            assert engine.process.poll() is None, f"the engine has ended: {engine.text}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                return bool(self.get("/api/overview")["number"])
            return False

        wait_for("an answer of the engine", answers, patience_s)

    def await_agents(self, count: int) -> None:
        """Wait until the engine is in touch with so many agents."""

        def coupled() -> bool:
            agents = self.get("/api/agents")["agents"]
            return [each["status"] for each in agents].count("coupled") == count

        wait_for(f"{count} coupled agents", coupled)

    def submit_all(self, requests: Sequence[PublicRequest], at_a_time: int = 8) -> None:
        """Send many requests over some connections, so that they share commits."""

        def submit(some: Sequence[PublicRequest]) -> None:
            with contextlib.closing(self._connection()) as connection:
                for request in some:
                    body = json.dumps(REQUESTS.to_builtins(request))
                    head = {"Content-Type": "application/json"}
                    connection.request("POST", "/api/command", body, head)
                    response = connection.getresponse()
                    answer = response.read()
                    assert response.status == HTTPStatus.OK, answer.decode()

        with ThreadPoolExecutor(at_a_time) as pool:
            for _ in pool.map(submit, [requests[part::at_a_time] for part in range(at_a_time)]):
                pass

    def _connection(self) -> "_UnixConnection":
        return _UnixConnection(EnginePaths(self.data).socket)

    def orders_in(self, chain: str) -> int:
        """Return how many orders there are in a chain; what it costs does not depend on them."""
        rows = self.get("/api/chains")["chains"]
        return next(int(row["orders"]) for row in rows if row["path"] == chain)

    def order(self, chain: str, order: str) -> Mapping[str, Any] | None:
        """Return an order, None when there is none."""
        rows = self.get("/api/orders", chain=chain, limit=100_000)["orders"]
        return next((row for row in rows if row["id"] == order), None)

    def runs(self, chain: str, limit: int = 1000) -> list[Mapping[str, Any]]:
        """Return the ended runs of a chain's orders from the history, newest first."""
        rows = self.get("/api/history/orders", chain=chain, limit=limit)["orders"]
        return [row for row in rows if row["ended_at"] is not None]

    def facts(self, after: int) -> Iterator[Mapping[str, Any]]:
        """Iterate over the events of the journal after this number, for ever."""
        with self.client() as client:
            for name, data in client.events(after):
                if name == "fact":
                    yield data

    def task_log(self, task: int) -> str:
        """Return the log of a task."""
        return str(self.get(f"/api/tasks/{task}/log", limit=1_000_000)["text"])


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix domain socket: a fraction of what a full client costs per request."""

    def __init__(self, file: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        try:
            self.sock.connect(str(self._file))
        except OSError:
            self.sock.close()
            raise


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes that carry a world's mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def words_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process, nothing when it has gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def parsed(text: str) -> Any:
    """Return a program's JSON output."""
    return json.loads(text)
