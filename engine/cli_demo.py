"""`pointsman demo`: an engine, three agents and the end-of-day example, gone without a trace.

Everything lies in a private temporary folder: data, sockets, a token that only these processes
know. The agents listen on free loopback ports. Whatever ends the demo ends them all.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import FrameType
from typing import Any, Self

from engine.cli_client import EngineAddress, EngineClient, EngineNotReachable
from engine.errors import EngineError
from engine.kernel.commands import AfterDelay, ModifyOrder
from engine.kernel.ids import order_key
from engine.service.paths import EnginePaths

AGENTS = 3
EXAMPLE = "end_of_day"
CHAIN = "/end_of_day"
ORDER = "end_of_day"
_START_TIMEOUT_S = 30.0
_RUN_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_LOG_TIMEOUT_S = 5.0
_POLL_S = 0.05
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class DemoFailed(EngineError):
    """The demo did not come to its end; the text says what happened."""


def run_demo(*, headless: bool, cockpit: Callable[[Path], int]) -> int:
    """Run the demo; returns its exit status. Without `headless` the cockpit is opened."""
    with (
        _ending_on_signals(),
        _folder() as folder,
        _World(folder) as world,
        _undisturbed_end(),
    ):
        if not headless:
            return cockpit(world.socket)
        return _run_once(world)


# --- the world -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Turn SIGTERM, SIGHUP and SIGINT into an orderly end."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _undisturbed_end() -> Iterator[None]:
    """Let no second signal interrupt the cleaning up: a terminal that is closed sends several."""
    try:
        yield
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pointsman-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shipped_examples() -> Traversable:
    """Return the examples that came with this copy of the program."""
    packaged = resources.files("engine") / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "examples"


def _copy(source: Traversable, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class _World:
    """The engine and its agents as child processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = EnginePaths(folder / "data").socket
        self.ports = free_ports(AGENTS)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._prepare()
            for port in self.ports:
                listen = ["--listen", f"127.0.0.1:{port}"]
                self._start(f"agent-{port}", ["agent", *listen])
            self._start("engine", ["engine", "--config", str(self.folder / "config")], "data")
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

    def _prepare(self) -> None:
        live = self.folder / "config" / "live"
        _copy(shipped_examples() / EXAMPLE / "live", live)
        process_class = live / f"{EXAMPLE}.process_class.xml"
        text = process_class.read_text(encoding="utf-8")
        for written, port in zip(range(4445, 4445 + AGENTS), self.ports, strict=True):
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        process_class.write_text(text, encoding="utf-8")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("POINTSMAN_", "SCHEDULER_"))
        }
        self._environment["POINTSMAN_AGENT_TOKEN"] = secrets.token_urlsafe(32)

    def _start(self, name: str, arguments: Sequence[str], data: str | None = None) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # a folder named engine where the person stands is none of ours
                    "-m",
                    "engine",
                    *arguments,
                    "--data",
                    str(self.folder / (data or name)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                # A Ctrl-C in the terminal is the demo's to handle, in its own order.
                start_new_session=True,
            )
        self._processes.append(process)

    def _await_engine(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise DemoFailed(
                        f"a part of the demo has ended by itself:\n{self._last_words()}"
                    )
            with contextlib.suppress(EngineNotReachable), self.client() as client:
                if self._is_complete(client):
                    return
            time.sleep(_POLL_S)
        raise DemoFailed(f"the engine does not answer:\n{self._last_words()}")

    @staticmethod
    def _is_complete(client: EngineClient) -> bool:
        """Whether the engine answers and knows all of its agents."""
        agents = client.get("/api/agents")["agents"]
        return len(agents) == AGENTS and all(each["status"] == "coupled" for each in agents)

    def _last_words(self) -> str:
        texts = []
        for log in sorted(self.folder.glob("*.log")):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            texts += [f"{log.name}: {line}" for line in tail]
        return "\n".join(texts)

    def end(self) -> None:
        """End the agents with their tasks, and the engine; nothing stays."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        self._processes.clear()


# --- one run, told as it happens -----------------------------------------------------------------


@dataclass(slots=True)
class _Told:
    """What was seen of one order."""

    steps: list[str] = field(default_factory=list)
    params: Mapping[str, str] = field(default_factory=dict)
    task: int | None = None
    agent: str = ""
    end: str = ""


def _run_once(world: _World) -> int:
    with world.client() as client:
        number = client.submit(ModifyOrder(order=order_key(CHAIN, ORDER), at=AfterDelay()))[
            "number"
        ]
        _say(f"The order {ORDER} is started; its steps as they happen:")
        told, succeeded = _follow(client, int(number) - 1)
        _summarise(client, told)
    if not succeeded:
        _say("The order did not reach its success node.")
    return 0 if succeeded else 1


def _follow(client: EngineClient, after: int) -> tuple[dict[str, _Told], bool]:
    told: dict[str, _Told] = {}
    tasks: dict[int, tuple[str, str]] = {}
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    for name, data in client.events(after):
        if time.monotonic() > deadline:
            raise DemoFailed("the order has not ended in time")
        if name != "fact":
            continue
        _tell(data["kind"], data["body"], told, tasks)
        if ORDER in told and all(each.end for each in told.values()):
            return told, told[ORDER].end == "success"
    raise DemoFailed("the engine has ended before the order")


def _tell(
    kind: str, body: Mapping[str, Any], told: dict[str, _Told], tasks: dict[int, tuple[str, str]]
) -> None:
    """Print one event and note what the summary needs."""
    order = _order_id(body)
    match kind:
        case "OrderAdded":
            definition = body["definition"]
            order = definition["key"][1]
            told[order] = _Told(params=definition.get("params", {}))
            low, high = (definition["params"].get(f"{end}_account") for end in ("min", "max"))
            _say(f"  {order}: added at {body['state']} for the accounts {low} - {high}")
        case "TaskCreated":
            tasks[body["task"]] = (order, str(body.get("state", "")))
        case "TaskAssigned" if body["agent"]:
            owner, state = tasks.get(body["task"], ("", ""))
            entry = told.setdefault(owner, _Told())  # the main order was there before
            entry.task, entry.agent = body["task"], body["agent"]
            _say(f"  {owner}: {state} runs as task {body['task']} on the agent {body['agent']}")
        case "OrderStepEnded":
            _say(f"  {order}: step at {body['state']} ended: {body['transition']}")
        case "OrderSuspended":
            _say(f"  {order}: waits ({body.get('reason', '')})")
        case "OrderNodeChanged" if body["state"] != body["former"]:
            _say(f"  {order}: goes to {body['state']}")
        case "OrderFinished":
            told.setdefault(order, _Told()).end = body["state"]
            _say(f"  {order}: has ended at {body['state'] or 'no node'}")
        case _:
            pass


def _order_id(body: Mapping[str, Any]) -> str:
    key = body.get("order")
    return key[1] if isinstance(key, list) else ""


def _summarise(client: EngineClient, told: Mapping[str, _Told]) -> None:
    rows = [("ORDER", "ACCOUNTS", "AGENT", "TASK", "END")]
    children = {name: each for name, each in told.items() if name != ORDER}
    for name, each in sorted(children.items()):
        low, high = (each.params.get(f"{end}_account", "") for end in ("min", "max"))
        rows.append((name, f"{low} - {high}", each.agent, str(each.task or ""), each.end))
    main = told.get(ORDER, _Told())
    rows.append((ORDER, "", "", "", main.end))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    _say("")
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for name, each in sorted(children.items()):
        if each.task is not None:
            _say(f"\nLog of task {each.task} ({name}):")
            for line in _whole_log(client, each.task).splitlines():
                _say(f"  {line}")


def _whole_log(client: EngineClient, task: int) -> str:
    """Return the log of an ended task; its last lines are written behind the events' back."""
    deadline = time.monotonic() + _LOG_TIMEOUT_S
    while True:
        part = client.get(f"/api/tasks/{task}/log")
        if part["complete"] or time.monotonic() > deadline:
            return str(part["text"])
        time.sleep(_POLL_S)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # this is what the command is for
