"""An engine's host: its journal, its task logs, and the lives of the engine on them.

The engine may be killed at any moment, also while a commit is under way or between its becoming
durable and its answer, and start again; the host may be asleep; the disk may take seconds or minutes
for a commit, or refuse every write for a while, upon which the engine ends and is started again. A
life that is asleep may be given up and another one be started on the same journal: when the first one
wakes up it must do no harm.

What was committed is never lost; of the batch being written a part may be found torn.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from engine.codec.journal import NewEvent, StoredEvent
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.drivers.agent_link import AgentDriver, AgentDriverSettings
from engine.drivers.folder_watch import LiveFolder
from engine.drivers.link_parts import LinkSettings
from engine.errors import EngineError, Fenced, StoreError
from engine.kernel.commands import ApplyDefinitions, BeginEpoch, Request
from engine.kernel.decide import Answer
from engine.kernel.definitions import Definition, Include, Text
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskClosed
from engine.kernel.ids import EventNumber, TaskId
from engine.kernel.instants import Instant
from engine.kernel.invariants import check
from engine.kernel.problems import Problem
from engine.kernel.reports import NodeSettingsRead, Report
from engine.server.engine_port import HistoryQuery
from engine.service.dispatch import Dispatcher, Drivers, Surroundings
from engine.service.engine import Engine
from engine.service.exit_commands import ExitCommands, executed_by
from engine.service.histories import LATE_RESULT, Histories
from engine.service.late_results import LateResults
from engine.service.loop import EngineLoop
from engine.service.narration import Narrator
from engine.service.outputs import TaskOutputs
from engine.service.recovery import recover
from engine.store.memory import MemoryDisk, MemoryStore
from engine.store.task_logs import TaskLogs
from tests.support.protocol.clock import Clock
from tests.support.simulator.book import Book, Record
from tests.support.simulator.host_loop import HostLoop, host_loop
from tests.support.simulator.machine import Machine
from tests.support.simulator.task_log_disk import LogDisk, TaskLogsTwin
from tests.support.simulator.wire import Wiring

COMMIT_MS = 10
LOG_MS = 5
BACK_MS = 5_000
"""What looks after the engine starts it again so long after its end."""
SNAPSHOT_CHANCE = 0.02

Work = Callable[[Engine], Awaitable[None]]


class WallClock:
    """What `SystemClock` makes of a host's wall clock: it never runs backwards within a life."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last = Instant(0)

    def now(self) -> Instant:
        self._last = max(self._last, self._machine.wall_time())
        return self._last


class WatchedLoop(EngineLoop):
    """The engine's loop, with the kernel's invariants checked after every step."""

    book: Book
    dispatch: Callable[[Sequence[Event]], None]
    """For those who do it too early."""

    def _step(
        self, asked: Request | Report, by: str, events: list[Event], rows: list[NewEvent]
    ) -> Answer | Problem:
        reply = super()._step(asked, by, events, rows)
        self.book.counts["steps"] += 1
        check(self.state)
        return reply


@dataclass(frozen=True, slots=True)
class HistoriesTwin:
    """The histories, as far as somebody here asks them: how a task ended."""

    record: Record

    def begin(self, *_: Any) -> None: ...
    def seen(self, *_: Any) -> None: ...
    def committed(self, *_: Any) -> None: ...
    async def caught_up(self) -> None: ...

    async def tasks(self, query: HistoryQuery) -> Sequence[Any]:
        """Return what is known of one task."""
        (task,) = query.ids
        code = self.record.ends.get(TaskId(task))
        text = LATE_RESULT if TaskId(task) in self.record.late else ""
        return [] if code is None else [SimpleNamespace(error_code=code, error_text=text)]


class Quiet:
    """Nothing of it matters here: narration, drivers that nobody has work for."""

    def committed(self, *_: Any) -> None: ...
    def demands(self, *_: Any) -> None: ...
    def forget(self, *_: Any) -> None: ...

    @staticmethod
    def read_script(parts: Sequence[Text | Include]) -> str:
        return "".join(part.text for part in parts if isinstance(part, Text))

    @staticmethod
    def read_settings(_: ReadNodeSettings) -> NodeSettingsRead:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What can be replaced to see whether it is missed."""

    loop: type[WatchedLoop] = WatchedLoop


@dataclass(slots=True)
class Life:
    """One life of the engine."""

    host: Machine
    loop: HostLoop
    logs: TaskLogsTwin
    engine: Engine | None = None
    is_ready: bool = False
    is_over: bool = False


class EngineMachine:
    """One engine with its disks, and the host it is on."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        rng: random.Random,
        book: Book,
        wiring: Wiring,
        definitions: Sequence[Definition],
        link: LinkSettings,
        parts: Parts,
    ) -> None:
        self.name = name
        self.clock = clock
        self.rng = rng
        self.host = Machine(name, clock, rng)
        self._book = book
        self._wiring = wiring
        self.definitions = tuple(definitions)
        self._link = link
        self._parts = parts
        self.commit_ms = COMMIT_MS
        self._dies_in: int | None = None
        self._dies_durable = False
        self._away_ms = BACK_MS
        self._away_until = 0
        self._given_up: list[Life] = []
        """Lives on hosts that nobody hears of any more; they may wake up."""
        self.disk = MemoryDisk()
        self.disk.faults.before_commit = self._before_commit
        self.disk.faults.after_commit = self._after_commit
        book.records[name] = Record()
        self._log_disk = LogDisk(rng, partial(book.logged, name))
        self.life: Life | None = None
        self.start()

    # --- the disk --------------------------------------------------------------------------------

    def slow_down(self, longest_ms: int) -> None:
        """Let commits take up to so long from now on; 0: as usual."""
        self.commit_ms = longest_ms or COMMIT_MS
        self._log_disk.delay_ms = max(LOG_MS, longest_ms // 4)

    def die_at_commit(self, commits: int, *, is_durable: bool, away_ms: int = BACK_MS) -> None:
        """Let the engine be killed in a commit after so many, before or after it is durable."""
        self._dies_in = commits
        self._dies_durable = is_durable
        self._away_ms = away_ms

    async def _before_commit(self) -> None:
        await asyncio.sleep(self.rng.randrange(1, self.commit_ms) / 1000)
        if self._dies_in is not None and not self._dies_durable:
            await self._die_at_last()

    async def _die_at_last(self) -> None:
        assert self._dies_in is not None
        self._dies_in -= 1
        if self._dies_in < 0:
            self._dies_in = None
            self.clock.after(0, self.kill)
            self.clock.after(self._away_ms, self.start)
            await asyncio.Event().wait()

    async def _after_commit(self) -> None:
        self._tell_book()
        if self._dies_in is not None and self._dies_durable:
            await self._die_at_last()
        if self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.randrange(1, self.commit_ms) / 1000)

    def _tell_book(self) -> None:
        known = self._book.records[self.name].number
        rows = [self.disk.rows.get(EventNumber(n)) for n in range(known + 1, self.disk.last + 1)]
        self._book.durable(self.name, [row.event for row in rows if row is not None])

    # --- lives -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine on what the disks hold."""
        if self.life is not None or self.clock.now < self._away_until:
            return
        self._book.counts["lives"] += 1
        self._book.trace(f"{self.name} starts")
        loop = host_loop(self.host, self._book.note)
        life = Life(self.host, loop, TaskLogsTwin(self._log_disk))
        self.life = life
        life.loop.start(self._live(life), "engine")

    def kill(self) -> None:
        """Kill the engine."""
        life = self.life
        if life is None:
            return
        self._book.trace(f"{self.name} is killed")
        self._end(life)

    def stay_away(self, span: int) -> None:
        """Kill the engine; nobody starts it again for so long."""
        self.kill()
        self._away_until = self.clock.now + span
        self.clock.after(span, self.start)

    def come_back(self) -> None:
        """Start the engine in any case."""
        self._away_until = 0
        self.start()

    def _end(self, life: Life) -> None:
        if life.is_over:
            return
        life.is_over = True
        life.logs.is_dead = True
        if self.life is life:
            self.life = None
            torn = self.rng.choice((0, 0, 1, len(self.disk.pending)))
            self.disk.crash(torn=min(torn, len(self.disk.pending)))
            self._log_disk.crash()
        life.loop.kill()
        engine = life.engine
        if engine is not None and engine.loop._at_rest.is_set() and self._owns_journal(engine):
            self._book.same(self.name, engine.state)

    def _owns_journal(self, engine: Engine) -> bool:
        """Return whether no other life has begun a newer epoch, perhaps without our knowing."""
        return engine.loop._epoch == self.disk.epoch

    def fall_asleep(self) -> None:
        self.host.fall_asleep()

    def usurp(self) -> None:
        """Give up a host that is asleep and go on on another one, with the same disks."""
        life = self.life
        if life is None or not self.host.is_asleep:
            return
        self._book.trace(f"{self.name} is taken over")
        self._given_up.append(life)
        self.host = Machine(self.name, self.clock, self.rng)
        self.life = None
        self.start()

    def wake_up(self) -> None:
        """Wake up the host, and those given up."""
        self.host.wake_up()
        for life in self._given_up:
            life.host.wake_up()

    def close(self) -> None:
        """End all lives without a trace: the world is over."""
        for life in [*self._given_up, *([] if self.life is None else [self.life])]:
            life.is_over = True
            life.logs.is_dead = True
            life.loop.kill()

    async def _live(self, life: Life) -> None:
        """Run the engine until something of it ends."""
        try:
            await self._run(life)
        except (StoreError, Fenced) as error:
            self._book.trace(f"{self.name} ends: {error}")
            self.clock.after(0, lambda: self._end(life))
            if self.life is life:
                self.clock.after(BACK_MS, self.start)
        except Exception as error:
            if isinstance(error, AssertionError) and error is self._book.failure:
                raise
            self._book.fail(f"{self.name} has broken down: {error!r}")

    async def _run(self, life: Life) -> None:
        store = MemoryStore(self.disk)
        await store.open()
        epoch = await store.begin_epoch()
        histories = cast("Histories", HistoriesTwin(self._book.records[self.name]))
        recovered = await recover(store, histories.begin, histories.seen)
        self._book.recovered(self.name, recovered.state, recovered.number)
        logs = cast("TaskLogs", life.logs)
        outputs = TaskOutputs(logs)
        await outputs.recover(recovered.state)
        clock = WallClock(life.host)
        spread: list[Callable[[Sequence[Event], Sequence[StoredEvent]], None]] = []

        def committed(events: Sequence[Event], rows: Sequence[StoredEvent]) -> None:
            for each in spread:
                each(events, rows)

        loop = self._parts.loop(recovered.state, recovered.number, epoch, store, clock, committed)
        loop.book = self._book
        commands = Context(zone=ZoneInfo("UTC"), environment=Variables({}))
        engine = Engine(
            loop,
            store,
            clock,
            logs,
            histories,
            cast("Narrator", Quiet()),
            cast("LiveFolder", Quiet()),
            commands,
        )
        life.engine = engine
        agents = AgentDriver(
            engine_id=self.name,
            epoch=epoch,
            report=LateResults(engine.task_history, engine.report, histories.caught_up).report,
            output=outputs.write,
            output_offsets=outputs.offsets,
            pulse=lambda _: None,
            settings=AgentDriverSettings(
                link=self._link,
                connect=partial(self._wiring.connect, life.loop),
                clock=life.host.boot_time,
            ),
        )
        dispatcher = self._dispatcher(life, engine, agents)
        loop.dispatch = dispatcher.committed
        exit_commands = ExitCommands(recovered.state, executed_by(engine), engine.submit)

        def told(_: Sequence[Event], rows: Sequence[StoredEvent]) -> None:
            self._book.told(self.name, rows)
            if self.rng.random() < SNAPSHOT_CHANCE:
                engine.begin_snapshot()

        def forget(events: Sequence[Event], _: Sequence[StoredEvent]) -> None:
            for event in events:
                if isinstance(event, TaskClosed):
                    outputs.forget(event.task)

        spread += [
            told,
            engine.committed,
            lambda events, _: dispatcher.committed(events),
            lambda events, _: exit_commands.committed(events),
            forget,
        ]
        dispatcher.begin()
        crew = [
            life.loop.create_task(loop.run(), name="loop"),
            life.loop.create_task(agents.run(), name="agents"),
        ]
        begin = BeginEpoch(
            epoch=epoch, engine_id=self.name, time_zone="UTC", down_since=recovered.last_at
        )
        beginning = life.loop.create_task(self._begin(engine, begin, life), name="begin")
        await asyncio.wait([beginning, *crew], return_when=asyncio.FIRST_COMPLETED)
        if beginning.done():
            beginning.result()
            crew.append(life.loop.create_task(exit_commands.run(), name="on-exit commands"))
        done, _ = await asyncio.wait(crew, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
        self._book.fail(f"a part of {self.name} has ended by itself")

    async def _begin(self, engine: Engine, begin: BeginEpoch, life: Life) -> None:
        await engine.submit(begin, "start")
        found = ApplyDefinitions(defined=self.definitions, complete=True)
        await engine.submit(found, "live folder")
        life.is_ready = True

    def _dispatcher(self, life: Life, engine: Engine, agents: AgentDriver) -> Dispatcher:
        async def report(report: Report) -> None:
            await engine.report([report])

        def spawn(errand: Awaitable[None]) -> None:
            life.loop.create_task(cast("Any", errand), name="errand")

        nobody = cast("Any", Quiet())
        return Dispatcher(
            engine.state,
            Drivers(local=nobody, remote=agents, native=nobody, ssh=nobody),
            Surroundings(
                read_script=Quiet.read_script,
                read_settings=Quiet.read_settings,
                live=Path("/live"),
                environment={},
            ),
            report,
            spawn,
        )

    # --- people and programs ---------------------------------------------------------------------

    def ask(self, work: Work) -> bool:
        """Have something asked of the engine in its own loop; False when it takes no requests."""
        life = self.life
        if life is None or not life.is_ready or life.engine is None or life.host.is_asleep:
            return False
        engine = life.engine

        async def asking() -> None:
            try:
                await work(engine)
            except EngineError as error:
                self._book.trace(f"{self.name} does not answer: {error}")

        life.loop.start(asking(), "client")
        return True

    def look(self) -> Engine | None:
        """Return the engine when it is at rest, to look at it."""
        life = self.life
        if life is None or life.engine is None or not life.is_ready:
            return None
        is_settled = life.engine.loop._at_rest.is_set() and self._owns_journal(life.engine)
        return life.engine if is_settled else None
