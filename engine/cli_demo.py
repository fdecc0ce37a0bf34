"""`pointsman demo`: a small living world in the cockpit, or one end-of-day run told in lines."""

import contextlib
import shlex
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from engine.cli_client import EngineClient
from engine.cli_demo_world import DemoFailed, DemoWorld
from engine.kernel.commands import AfterDelay, ModifyOrder
from engine.kernel.ids import order_key

CHAIN: Final = "/end_of_day"
ORDER: Final = "end_of_day"
_RUN_TIMEOUT_S: Final = 120.0
_LOG_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run_demo(
    *, headless: bool, cockpit: Callable[[Path], int], warm_up: Callable[[], object] | None = None
) -> int:
    """Run the demo; returns its exit status. Without `headless` the cockpit is opened.

    `warm_up` is called in a thread while the engine starts: to load what the cockpit needs.
    """
    if warm_up is not None and not headless:
        threading.Thread(target=warm_up, name="warm up", daemon=True).start()
    with (
        _ending_on_signals(),
        _folder() as folder,
        DemoWorld(folder, lives=not headless) as world,
        _undisturbed_end(),
    ):
        if headless:
            return _run_once(world)
        status = cockpit(world.socket)
        _say("The demo ends; in some seconds nothing of it is left.")
        return status


def stay(engine_socket: Path) -> int:
    """Tell where the engine is, and wait for a signal; what `--no-cockpit` does."""
    address = shlex.quote(str(engine_socket))
    _say(f"The demo runs until Ctrl-C. From another terminal: pointsman --engine {address}")
    while True:
        signal.pause()


# --- its end -------------------------------------------------------------------------------------


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


# --- one run, told as it happens -----------------------------------------------------------------


@dataclass(slots=True)
class _Told:
    """What was seen of one order."""

    steps: list[str] = field(default_factory=list)
    params: Mapping[str, str] = field(default_factory=dict)
    task: int | None = None
    agent: str = ""
    end: str = ""


def _run_once(world: DemoWorld) -> int:
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
