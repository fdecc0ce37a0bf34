"""The cockpit's budgets: the real program on a terminal, before an engine whose drivers are played.

    PYTHONPATH=. python bench/cockpit.py [--only memory,keys] [--minutes 10]

Every row is a budget of the cockpit's design with its figure and, where a bare Textual program can
be compared, that program's figure in the same run ("floor"): where that is higher than on the
machine of the design, the budget is higher by as much. `--minutes` keeps the heaviest load up for
so long (10,000 orders in 500 chains, 200 agents, 1,000 events a second), pressing keys all the
time, and tells how memory went. A verdict is "over" when the figure is above its budget; on a
slower machine look at the floors first.
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import IO, Self

from textual.app import App, ComposeResult

from bench.terminal import Terminal
from engine.kernel.definitions import Chain, CodeRange, EndNode, JobNode, OnReturnCodes
from engine.kernel.ids import NodeState, job_key
from tui.theme_files import DEFAULT_THEME, load_theme
from tui.views.flow import flow_of
from tui.views.rail import rail_of
from tui.views.shape import shape_of
from tui.widgets.log import LogView
from tui.widgets.palette import Palette

WIDE = (160, 45)
FIRST = b"help"
"""Stands in the hints of every screen, so in the first frame."""
ROW = rb"order0\d{5}"
KEYS = 60
ROUNDS = 3
MINUTES_MAX = 60
EVENTS_PER_S = 1000
RESTING_PERCENT = 10
"""A program that uses less of a processor does nothing in particular."""
AGENTS = 200
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    CSS = "Static { height: 1; }"
    def compose(self):
        yield Static("bare help", id="text")
    def on_key(self, event):
        self.count = getattr(self, "count", 0) + 1
        self.query_one("#text", Static).update(f"pressed {self.count}")
Bare().run()
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    figure: float
    unit: str
    budget: float
    floor: float | None = None
    usual_floor: float | None = None
    """The bare program's figure where the budget was set: a slower machine is allowed more."""

    @property
    def allowed(self) -> float:
        """Return the budget on this machine."""
        if self.floor is None or self.usual_floor is None:
            return self.budget
        return self.budget * max(1.0, self.floor / self.usual_floor)

    def __str__(self) -> str:
        floor = "" if self.floor is None else f"{self.floor:.4g}"
        verdict = "ok" if self.figure <= self.allowed else "over"
        return (
            f"{self.what:<58} {self.figure:>8.4g} {self.unit:<5} {self.allowed:>8.4g} "
            f"{floor:>8}  {verdict}"
        )


class World:
    """An engine of the bench in a process of its own."""

    def __init__(
        self, place: Path, *, orders: int, chains: int = 500, agents: int = 0, at_rest: bool = False
    ) -> None:
        self.address = str(place / f"engine-{orders}-{agents}.sock")
        script = Path(__file__).with_name("cockpit_world.py")
        counts = {"orders": orders, "chains": chains, "agents": agents}
        options = [word for name, count in counts.items() for word in (f"--{name}", str(count))]
        if at_rest:
            options.append("--at-rest")
        self._process = subprocess.Popen(
            [sys.executable, str(script), self.address, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._output.readline() == "ready\n"

    @property
    def _output(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def tell(self, line: str) -> None:
        """Command it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def count(self) -> int:
        """Return how many events there have been."""
        self.tell("cpu")
        return int(self._output.readline().split()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.tell("quit")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Bench:
    """Starts cockpits and bare programs with an environment of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bare_file = place / "bare.py"
        self.bare_file.write_text(BARE)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self.environment = kept | {
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "HOME": str(place),
            "XDG_CONFIG_HOME": str(place),
            "XDG_STATE_HOME": str(place),
        }

    def cockpit(self, address: str, link: str = ":orders", **more: str) -> Terminal:
        """Start the cockpit."""
        words = [sys.executable, "-m", "tui", address, link]
        return Terminal(words, size=WIDE, environment=self.environment | more)

    def bare(self, **more: str) -> Terminal:
        """Start the bare program."""
        words = [sys.executable, str(self.bare_file)]
        return Terminal(words, size=WIDE, environment=self.environment | more)

    @contextmanager
    def settled(self, address: str, link: str = ":orders") -> Iterator[Terminal]:
        """Start the cockpit and wait until it shows what there is."""
        with self.cockpit(address, link) as terminal:
            terminal.wait(ROW if link == ":orders" else FIRST)
            terminal.quiet(1.5, 10)
            yield terminal


# --- start and memory --------------------------------------------------------------------------


def start(bench: Bench) -> Iterator[Figure]:
    """Measure the way to the first frame, and to the data."""
    with World(bench.place, orders=10_000) as world:
        yield from _start(bench, world, "warm", (0.6, 0.24), {}, ROUNDS)
        if _can_drop_caches():
            yield from _start(bench, world, "cold disk", (0.85, 0.34), {}, 1, prepare=_drop_caches)
        empty = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(bench.place / "none")}
        yield from _start(bench, world, "no byte code", (2.3, 0.92), empty, 1)
        floors, live = [], []
        for _ in range(ROUNDS):
            with bench.bare() as terminal:
                floors.append(terminal.wait(FIRST) - terminal.began)
            with bench.cockpit(world.address) as terminal:
                first = terminal.wait(FIRST)
                live.append(terminal.wait(ROW) - first)
        what = "first frame to live data, 10,000 orders"
        yield Figure(what, min(live), "s", 0.5, min(floors), 0.24)


def _start(
    bench: Bench,
    world: World,
    how: str,
    limits: tuple[float, float],
    more: Mapping[str, str],
    rounds: int,
    prepare: Callable[[], None] = lambda: None,
) -> Iterator[Figure]:
    floors, times = [], []
    for _ in range(rounds):
        prepare()
        with bench.bare(**more) as terminal:
            floors.append(terminal.wait(FIRST) - terminal.began)
        prepare()
        with bench.cockpit(world.address, **more) as terminal:
            times.append(terminal.wait(FIRST) - terminal.began)
    budget, usual = limits
    yield Figure(
        f"process start to first frame, {how}", min(times), "s", budget, min(floors), usual
    )


def _can_drop_caches() -> bool:
    return os.access("/proc/sys/vm/drop_caches", os.W_OK)


def _drop_caches() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1")


def memory(bench: Bench) -> Iterator[Figure]:
    """Measure the resident memory with more and more orders."""
    with bench.bare() as terminal:
        terminal.wait(FIRST)
        terminal.quiet()
        floor = terminal.memory_mb()
    worlds = (
        ("empty", 0, 0, 60.0),
        ("(500 chains, 3,000 jobs, no orders)", 0, 500, 1e9),
        ("10,000 orders", 10_000, 500, 90.0),
        ("100,000 orders", 100_000, 500, 220.0),
    )
    for name, orders, chains, budget in worlds:
        with (
            World(bench.place, orders=orders, chains=chains) as world,
            bench.cockpit(world.address) as terminal,
        ):
            terminal.wait(ROW if orders else FIRST)
            terminal.quiet(2, 10)
            yield Figure(f"memory, {name}", terminal.memory_mb(), "MB", budget, floor, 34)


# --- at rest and under load --------------------------------------------------------------------


def idle(bench: Bench) -> Iterator[Figure]:
    """Measure what is written and used when nothing happens."""
    with bench.bare() as terminal:
        terminal.wait(FIRST)
        terminal.quiet()
        _, floor = over(terminal, 10)
    resting = World(bench.place, orders=100, chains=10, at_rest=True)
    with resting as world, bench.settled(world.address) as shown:
        written, processor = over(shown, 10)
    yield Figure("idle: bytes", written, "B/s", 120)
    yield Figure("idle: processor", processor, "%", 0.5, floor, 0.1)


def gauges(bench: Bench) -> Iterator[Figure]:
    """Measure 50 gauges that all move once a second."""
    with World(bench.place, orders=100, chains=10, agents=50) as world:
        for link, name in ((":pulses", "start screen"), (":agents", "agents")):
            with bench.settled(world.address, link) as terminal:
                world.tell("beat 1")
                time.sleep(2)
                written, processor = over(terminal, 10)
                world.tell("beat 0")
            what = f"{name} 160x45, 50 gauges once a second"
            yield Figure(f"{what}: bytes", written / 1000, "kB/s", 25)
            yield Figure(f"{what}: processor", processor, "%", 3)


def load(bench: Bench, minutes: float = 0.3) -> Iterator[Figure]:
    """Measure 1,000 events a second on 10,000 rows, with and without keys."""
    with (
        World(bench.place, orders=10_000, agents=AGENTS) as world,
        bench.settled(world.address) as terminal,
    ):
        world.tell(f"rate {EVENTS_PER_S}")
        world.tell("beat 0.1")
        time.sleep(5)
        events, began = world.count(), time.perf_counter()
        written, processor = over(terminal, 15)
        rate = (world.count() - events) / (time.perf_counter() - began)
        frames = bursts(terminal, began) / (time.perf_counter() - began)
        yield Figure("(events a second that came)", rate, "1/s", 1e9)
        yield Figure("1,000 events/s, 10,000 rows: bytes", written / 1000, "kB/s", 5)
        yield Figure("1,000 events/s, 10,000 rows: processor", processor, "%", 10)
        yield Figure("redraw rate for data", frames, "1/s", 5.5)
        memory = [terminal.memory_mb()]
        slow: list[float] = []
        end = time.monotonic() + min(minutes, MINUTES_MAX) * 60
        while time.monotonic() < end:
            slow.extend(press(terminal, KEYS))
            terminal.forget()
            memory.append(terminal.memory_mb())
        yield Figure("key to first byte under it: median", 1000 * middle(slow), "ms", 50)
        yield Figure("key to first byte under it: p95", 1000 * tail(slow), "ms", 50)
        yield Figure("keys pressed", len(slow), "", 1e9)
        bound = max(5, 0.1 * memory[0])
        grown = memory[-1] - memory[0]
        yield Figure(f"memory grown in {minutes:g} minutes", grown, "MB", bound)
        # What is remembered of each order and job is there once all of them have had an event.
        later = memory[-1] - memory[len(memory) // 2]
        yield Figure("memory grown in the second half of them", later, "MB", 5)


def keys(bench: Bench) -> Iterator[Figure]:
    """Measure a quiet cockpit under keys."""
    with bench.bare() as terminal:
        terminal.wait(FIRST)
        terminal.quiet()
        bare = []
        for _ in range(KEYS):
            sent = terminal.send("j")
            bare.append(terminal.wait(rb".", sent) - sent)
            terminal.quiet(0.05)
    with World(bench.place, orders=10_000) as world, bench.settled(world.address) as terminal:
        began = time.perf_counter()
        times = press(terminal, KEYS)
        terminal.quiet()
        size = terminal.written(began) / KEYS / 1000
        yield Figure(
            "key to first byte, quiet: p95", 1000 * tail(times), "ms", 50, 1000 * tail(bare)
        )
        yield Figure("bytes for a cursor key", size, "kB", 4)
        began = time.perf_counter()
        for _ in range(120):
            terminal.send("j")
            time.sleep(1 / 60)
        frames = bursts(terminal, began) / (time.perf_counter() - began)
        yield Figure("redraw rate while keys repeat at 60 a second", frames, "1/s", 33)


def round_trip(bench: Bench) -> Iterator[Figure]:
    """Measure keys over a line with a delay: a relay that holds every byte back."""
    relay = str(Path(__file__).with_name("slow_line.py"))
    with World(bench.place, orders=1_000, chains=50) as world:
        for round_trip_ms in (50, 200):
            words = [sys.executable, relay, str(round_trip_ms / 1000)]
            words += [sys.executable, "-m", "tui", world.address, ":orders"]
            with Terminal(words, size=WIDE, environment=bench.environment) as terminal:
                terminal.wait(ROW)
                terminal.quiet(1.5, 10)
                times = press(terminal, 20)
                terminal.end("\x03")
            what = f"key to first byte, {round_trip_ms} ms round trip: p95"
            yield Figure(what, 1000 * tail(times), "ms", round_trip_ms + 50)


# --- screens -----------------------------------------------------------------------------------


def screens(bench: Bench) -> Iterator[Figure]:
    """Measure changes of the screen."""
    with (
        World(bench.place, orders=10_000, agents=50) as world,
        bench.settled(world.address) as terminal,
    ):
        changes = []
        for _ in range(5):
            changes += repeated(terminal, ":jobs\r", rb"_job\d", rounds=1)
            changes += repeated(terminal, ":orders\r", ROW, rounds=1)
        yield Figure("change of main screen", 1000 * middle(changes), "ms", 50)
        pushed = repeated(terminal, "\r", rb"what happened", before="\x1b")
        yield Figure("screen pushed", 1000 * middle(pushed), "ms", 150)
        asked = repeated(terminal, "\x04", rb"emove", before="\x1b")
        yield Figure("question opens", 1000 * middle(asked), "ms", 100)
        yield Figure("filter 10,000 orders, a letter", 1000 * middle(filtered(terminal)), "ms", 30)


def log(bench: Bench) -> Iterator[Figure]:
    """Measure the filter of a log: of the lines that are here, and of the whole by the engine."""
    here = 1000 * asyncio.run(_filter_here())
    yield Figure("filter 100,000 log lines that are here", here, "ms", 50)
    with (
        World(bench.place, orders=10, chains=10) as world,
        bench.cockpit(world.address, ":log 1") as terminal,
    ):
        terminal.wait(rb"line 99999")
        terminal.quiet(1.5, 10)
        times = []
        for number in range(5):
            terminal.send(f"/{70_001 + number}")
            terminal.quiet(1, 10)
            sent = terminal.send("\r")
            times.append(terminal.wait(rb"as long as such", sent, 10) - sent)
            terminal.send("\x1b")
            terminal.quiet(1, 10)
        yield Figure("(the same lines by the engine)", 1000 * middle(times), "ms", 1e9)


async def _filter_here() -> float:
    """Return the processor time of a letter on 100,000 lines in memory."""
    view = LogView(Palette(load_theme(DEFAULT_THEME)))

    class Held(App[None]):
        def compose(self) -> ComposeResult:
            yield view

    times = []
    async with Held().run_test(size=WIDE):
        view.add(f"{number:06} line {number} of a log" for number in range(100_000))
        for number in range(5):
            began = time.process_time()
            view.search(re.compile(f"{70_001 + number}"))
            times.append(time.process_time() - began)
            assert view.shown == 1
    return min(times)


def graph(_bench: Bench) -> Iterator[Figure]:
    """Measure both drawings of a chain."""
    for nodes, budget in ((60, 10), (500, 80)):
        shape = shape_of(_chain(nodes))
        widths = {node.state: 12 for node in shape.nodes}
        for name, draw in (("rail", rail_of), ("map", partial(flow_of, widths=widths))):
            times = []
            for _ in range(5):
                began = time.process_time()
                draw(shape)
                times.append(time.process_time() - began)
            yield Figure(f"graph layout, {nodes} nodes, {name}", 1000 * min(times), "ms", budget)


def _chain(count: int) -> Chain:
    """Return a chain in which some nodes lead to two others further on."""
    chance = Random(count)
    names = [NodeState(f"node{number}") for number in range(count)]
    nodes: list[JobNode | EndNode] = []
    for at, name in enumerate(names[:-1]):
        later = names[min(at + chance.randint(2, 6), count - 1)]
        second = (CodeRange(first=1, last=1),) if chance.random() < 0.27 else ()
        nodes.append(
            JobNode(
                state=name,
                job=job_key("/job"),
                job_path="/job",
                next_state=names[at + 1],
                error_state=names[-1],
                on_return_codes=tuple(
                    OnReturnCodes(codes=(codes,), to_state=later) for codes in second
                ),
            )
        )
    return Chain(path="/chain", nodes=(*nodes, EndNode(state=names[-1])))


# --- measuring ---------------------------------------------------------------------------------


def over(terminal: Terminal, seconds_: float) -> tuple[float, float]:
    """Return bytes a second and percent of a processor over a time."""
    began, used = time.perf_counter(), terminal.processor_s()
    time.sleep(seconds_)
    took = time.perf_counter() - began
    return terminal.written(began) / took, 100 * (terminal.processor_s() - used) / took


def press(terminal: Terminal, count: int) -> list[float]:
    """Move the cursor down and up; return how long each took until the row was drawn."""
    times = []
    row = 4
    for number in range(count):
        down = (number // 20) % 2 == 0
        row += 1 if down else -1
        sent = terminal.send("j" if down else "k")
        drawn = terminal.wait(rb"\x1b\[%d;1H\x1b\[7;" % row, sent, 10)
        times.append(drawn - sent)
        time.sleep(0.03)
    while row > 4:
        row -= 1
        sent = terminal.send("k")
        terminal.wait(rb"\x1b\[%d;1H\x1b\[7;" % row, sent, 10)
    return times


def repeated(
    terminal: Terminal, typed: str, expected: bytes, before: str = "", rounds: int = 5
) -> list[float]:
    """Type the same some times, going back in between; return how long each took."""
    times = []
    for _ in range(rounds):
        for letter in typed[:-1]:
            terminal.send(letter)
            time.sleep(0.01)
        terminal.quiet(0.3, 5)
        sent = terminal.send(typed[-1])
        times.append(terminal.wait(expected, sent, 10) - sent)
        terminal.quiet(0.3, 5)
        if before:
            terminal.send(before)
            terminal.quiet(0.4, 5)
    return times


def filtered(terminal: Terminal) -> list[float]:
    """Filter the orders down to one; return how long its last letter took."""
    times = []
    for number in range(5):
        order = f"order00{4000 + number}"
        terminal.send("/")
        at_rest(terminal)  # it has read ahead, while a person thinks
        terminal.send(order[:-1])
        terminal.quiet(0.5, 5)
        sent = terminal.send(order[-1])
        times.append(terminal.wait(rb"[^0]1 of 10000\D", sent, 10) - sent)
        terminal.send("\x1b")  # once: the next one goes back to another screen
        terminal.quiet(0.5, 5)
    return times


def at_rest(terminal: Terminal, longest_s: float = 20.0) -> None:
    """Wait until a program has done what it had to do."""
    deadline = time.perf_counter() + longest_s
    time.sleep(0.3)
    while time.perf_counter() < deadline:
        _, processor = over(terminal, 0.2)
        if processor < RESTING_PERCENT:
            return


def bursts(terminal: Terminal, since: float) -> int:
    """Return how many times something was drawn: writes with a pause before them."""
    count, last = 0, 0.0
    for at, _ in list(terminal.chunks):
        if at >= since and at - last > 0.006:
            count += 1
        last = at
    return count


def middle(times: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(times)


def tail(times: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[int(0.95 * (len(times) - 1))]


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "start": start,
    "memory": memory,
    "idle": idle,
    "gauges": gauges,
    "load": load,
    "keys": keys,
    "roundtrip": round_trip,
    "screens": screens,
    "log": log,
    "graph": graph,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"of {','.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=0.0, help="keep the load up for so long")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(PARTS)
    place = Path(tempfile.mkdtemp(prefix="pointsman-bench-"))
    print(f"{'':<58} {'figure':>8} {'':<5} {'budget':>8} {'floor':>8}")
    try:
        bench = Bench(place)
        for name in wanted:
            found = (
                load(bench, arguments.minutes)
                if name == "load" and arguments.minutes
                else PARTS[name](bench)
            )
            for figure in found:
                print(figure, flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
