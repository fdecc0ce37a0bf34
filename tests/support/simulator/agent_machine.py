"""An agent's host: the agent program, with its real service and ledger, and what surrounds it.

The program may be killed at any moment and start again, be asked to end, go down with its host and
come back in another life of it or with an empty disk, and be slow in writing to it. What its disk may do stands in
`processes.py`; sessions are always written through, leases with the next life of the program in mind
only. A proxy before it may answer in its place that it is not there, or with an error.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from engine.agent.host import TaskHost
from engine.agent.ledger import RETENTION_MS, Ledger
from engine.agent.service import AgentService
from engine.agent.session_files import LeaseRecord, SessionFiles, SessionRecord
from engine.codec import agent_wire
from engine.codec.agent_messages import Refusal
from engine.codec.records import parse_json
from engine.drivers.http_client import HttpAnswer
from engine.kernel.instants import Duration
from engine.kernel.reports import EndReason
from tests.support.protocol.clock import Clock
from tests.support.simulator.book import Book
from tests.support.simulator.host_loop import HostLoop, host_loop
from tests.support.simulator.machine import Machine
from tests.support.simulator.processes import Processes, RunsOnDisk, TaskHostTwin

WARDEN_MS = 200
STOP_KILL_MS = 5_000
BACK_MS = 3_000

LedgerFactory = Callable[..., Ledger]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A request as it travels."""

    path: str
    body: bytes


class SessionsOnDisk:
    """What stands in for `SessionFiles`."""

    def __init__(self) -> None:
        self.records: dict[str, SessionRecord] = {}
        self.leases: dict[str, LeaseRecord] = {}

    def save(self, record: SessionRecord) -> None:
        self.records[record.engine] = record

    def save_lease(self, engine: str, lease: LeaseRecord) -> None:
        self.leases[engine] = lease

    def read(self) -> list[tuple[SessionRecord, LeaseRecord | None]]:
        return [(record, self.leases.get(name)) for name, record in self.records.items()]


@dataclass(slots=True)
class Life:
    """One life of the program."""

    loop: HostLoop
    service: AgentService
    host: TaskHostTwin
    breaks: dict[int, Callable[[], None]]
    """Open requests: what tells their senders that the connection is broken."""


class AgentMachine(Machine):
    """One agent, as the network sees it."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        rng: random.Random,
        book: Book,
        ledger_factory: LedgerFactory = Ledger,
        task_host: type[TaskHostTwin] = TaskHostTwin,
        tick_s: float = 0.2,
        retention: Duration = RETENTION_MS,
    ) -> None:
        super().__init__(name, clock, rng)
        self._book = book
        self._make_ledger = ledger_factory
        self._make_host = task_host
        self.tick_s = tick_s
        self._retention = retention
        self._disks = 1
        self._sessions = SessionsOnDisk()
        self.processes = Processes(self, rng, book)
        self._boots = 0
        self._lives = 0
        self._requests = 0
        self.is_powered = False
        self.is_scrapped = False
        """It never comes back."""
        self.life: Life | None = None
        self.power_on()

    # --- the host --------------------------------------------------------------------------------

    def is_up(self) -> bool:
        return self.is_powered

    def is_listening(self) -> bool:
        return self.life is not None

    def power_on(self) -> None:
        if self.is_powered or self.is_scrapped:
            return
        self._boots += 1
        self._set_clocks()
        self.is_powered = True
        self.processes.boot = f"{self.name}-boot{self._boots}"
        self._book.trace(f"{self.name} power on")
        self.start()

    def power_off(self) -> None:
        if not self.is_powered:
            return
        self._book.trace(f"{self.name} power off")
        self.kill(breaks_connections=False)
        self.is_powered = False
        self.processes.die()

    def come_back_empty(self) -> None:
        """The host goes down and is set up anew: nothing is left of what the agent kept."""
        if self.is_scrapped:
            return
        self.power_off()
        self._book.trace(f"{self.name} loses its disk")
        self._book.emptied.add(self.name)
        self._disks += 1
        self._sessions = SessionsOnDisk()
        self.processes.disk = RunsOnDisk()
        self.power_on()

    def scrap(self) -> None:
        """The host goes down for good."""
        self.is_scrapped = True
        self.power_off()

    def fall_asleep(self) -> None:
        super().fall_asleep()
        self._book.trace(f"{self.name} falls asleep")
        for folder in self.processes.disk.folders.values():
            if folder.is_alive:
                self._book.frozen.add(folder.about.key)

    # --- the program -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the program on what the disk holds."""
        if self.life is not None or not self.is_powered:
            return
        self._lives += 1
        run = f"{self.name}-life{self._lives}"
        self._book.trace(f"{run} begins")
        ledger = self._make_ledger(run=run, boot=self.processes.boot, retention=self._retention)
        files = cast("SessionFiles", self._sessions)
        service = AgentService(
            ledger,
            files,
            f"{self.name}-disk{self._disks}",
            clock=self.boot_time,
            tick_s=self.tick_s,
        )
        host = self._make_host(self.processes, service)
        service.host = cast("TaskHost", host)
        service.restore_sessions()
        service.restore_runs(host.open())
        loop = host_loop(self, self._book.note)
        self.life = Life(loop, service, host, {})
        host.watch_found()
        loop.start(service.run(), "leases")

    def kill(self, *, breaks_connections: bool = True) -> None:
        """Kill the program; its processes go on, watched by the warden."""
        life = self.life
        if life is None:
            return
        self._book.trace(f"{life.service.ledger.run} is killed")
        self.life = None
        life.host.die()
        life.loop.kill()
        if breaks_connections:
            for tell_broken in list(life.breaks.values()):
                tell_broken()
        self._watch()

    def stop(self) -> None:
        """Ask the program to end in good order; it comes back later."""
        life = self.life
        if life is None:
            return
        self._book.trace(f"{life.service.ledger.run} is told to end")
        life.service.terminate()
        life.service.send_all(kill=False)
        self.wait(STOP_KILL_MS, lambda: self._stop_hard(life))

    def _stop_hard(self, life: Life) -> None:
        if self.life is life:
            life.service.send_all(kill=True)
            self.wait(BACK_MS, lambda: self._restart(life))

    def _restart(self, life: Life) -> None:
        if self.life is life:
            self.kill()
            self.start()

    def _watch(self) -> None:
        """The warden: looks after the leases while the program is away."""
        if self.life is not None or not self.is_powered:
            return
        for key, folder in list(self.processes.disk.folders.items()):
            if folder.is_alive:
                lease = self._sessions.leases.get(folder.about.engine)
                is_ours = lease is not None and lease.boot == self.processes.boot
                base = lease.base if lease is not None and is_ours else -(2**62)
                if base + folder.about.timeout <= self.boot_time():
                    self._book.trace(f"{self.name} warden ends {key}")
                    self.processes.kill(folder, EndReason.LEASE_OVER)
        self.wait(WARDEN_MS, self._watch)

    # --- requests --------------------------------------------------------------------------------

    def receive(
        self, letter: Letter, respond: Callable[[HttpAnswer], None], broken: Callable[[], None]
    ) -> None:
        """Take a request from the network."""
        if self.is_asleep:
            self._deferred.append(lambda: self.receive(letter, respond, broken))
            return
        life = self.life
        if life is None:
            broken()
            return
        self._requests += 1
        number = self._requests
        life.breaks[number] = broken

        async def attend() -> None:
            answer = await _answer(life.service, letter)
            del life.breaks[number]
            respond(answer)

        life.loop.start(attend(), "request")

    def close(self) -> None:
        """End without a trace: the world is over."""
        if self.life is not None:
            self.life.host.is_dead = True
            self.life.loop.kill()

    # --- looks -----------------------------------------------------------------------------------

    def left_over(self) -> list[Any]:
        """Return what is still kept here of any engine."""
        if self.is_scrapped:
            return []
        disk = self.processes.disk
        left: list[Any] = [*disk.begun, *disk.folders]
        if self.life is None:
            left.append("no program runs")
        else:
            left += [execution.key for execution in self.life.service.ledger.executions()]
        return left


async def _answer(service: AgentService, letter: Letter) -> HttpAnswer:
    """Do what `engine.agent.app` does between HTTP and the service."""
    if letter.path == agent_wire.COMMAND_PATH:
        data = cast("dict[str, Any]", parse_json(letter.body))
        del data["$TYPE"]
        done = service.command(agent_wire.command_request.from_builtins(data))
        if isinstance(done, Refusal):
            return _refused(done)
        return _ok(agent_wire.command_answer.to_json(done))
    answer = await service.session(agent_wire.session_request.from_json(letter.body))
    if isinstance(answer, Refusal):
        return _refused(answer)
    if agent_wire.is_heartbeat(answer):
        headers = agent_wire.heartbeat_headers(answer)
        return HttpAnswer(status=HTTPStatus.ACCEPTED, headers=headers, body=b"")
    return _ok(agent_wire.session_answer.to_json(answer))


def _ok(body: bytes) -> HttpAnswer:
    return HttpAnswer(status=HTTPStatus.OK, headers={}, body=body)


def _refused(refusal: Refusal) -> HttpAnswer:
    status = agent_wire.REFUSAL_STATUS[refusal.reason]
    return HttpAnswer(status=status, headers={}, body=agent_wire.refusal.to_json(refusal))
