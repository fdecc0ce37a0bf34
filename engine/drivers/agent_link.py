"""The engine's sessions with its agents: carries out what `link_core` decides, for each agent.

The driver is level-triggered: `demands` tells the whole of what should be, as often as it changes;
the difference to what is known of the agents is the links' business.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, Protocol
from urllib.parse import quote

from engine.codec import agent_wire
from engine.codec.agent_messages import Output, Refusal, SessionAnswer
from engine.codec.records import dump_json, parse_json
from engine.drivers.http_client import CONNECT_S, Credentials, HttpAnswer, HttpClient, refusal_text
from engine.drivers.link_core import Link
from engine.drivers.link_parts import (
    Cancel,
    Deliver,
    FailureKind,
    LinkAction,
    LinkSettings,
    Moment,
    SendCommands,
    SendSession,
    Ticket,
)
from engine.errors import AgentRefused, AgentUnreachable, CodecError
from engine.kernel.effects import ForgetExecution, KeepAgent, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.reports import AgentContact, AgentStatus, Report

log = logging.getLogger(__name__)

PROBE_S = 5.0
"""An agent that has not told of itself in this time is not there (agents.md 7.4)."""
SLEEP_S_MAX = 3600.0
SAID_MAX = 20
"""Lines about agents in the log in one second."""
FIRST_REQUESTS_MAX = 100
"""Agents whose first answer is awaited at the same time: when an engine with thousands of them
starts, those that are spoken to already must not wait for all the others."""
FIRST_REQUEST_S = 0.5
"""After so long it is the next one's turn; this one may be away, and goes on being tried."""
DELIVERIES_MAX = 50
"""Answers of one agent whose events go to the journal together."""

Channel = Literal["stdout", "stderr"]
ReportSink = Callable[[Sequence[Report]], Awaitable[None]]
"""Returns when the journal has committed the consequences."""
OutputSink = Callable[[TaskId, Channel, int, bytes], Awaitable[None]]
"""Writes a piece at its offset; the same one again is ignored."""
OutputOffsets = Callable[[TaskId], tuple[int, int]]
"""Bytes of stdout and stderr that are stored already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPulse:
    """How an agent's session is just now: for gauges, not for the journal."""

    agent: AgentUri
    status: AgentStatus
    heard_at: int | None
    """Boot-time clock in milliseconds of the last answer; None before the first."""
    age: Duration | None
    """Since the last answer, when this was made."""
    period: Duration
    timeout: Duration
    running: int
    """Executions that are, or may be, running there."""
    run_id: str
    text: str


class AgentClient(Protocol):
    """Requests to one agent: `HttpClient`, or what the simulator puts in its place."""

    async def post(self, path: str, body: bytes, *, patience_s: float) -> HttpAnswer:
        """Send JSON. Raises AgentUnreachable without an answer, AgentRefused for TLS faults."""
        ...

    async def get(self, path: str, *, patience_s: float) -> HttpAnswer:
        """Ask for a resource; raises as `post`."""
        ...

    async def close(self) -> None:
        """Close all connections."""


Connect = Callable[[AgentUri, Credentials, float], AgentClient]
"""Returns the client for an agent; the last argument is how long connecting may take."""


def boot_time() -> Moment:
    """Return the boot-time clock in milliseconds: it goes on while the host sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def over_http(agent: AgentUri, credentials: Credentials, connect_s: float) -> AgentClient:
    """Return a client that really connects."""
    return HttpClient(agent, credentials, connect_s=connect_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDriverSettings:
    """Timeouts, credentials by agent, and how to get outside."""

    link: LinkSettings = field(default_factory=LinkSettings)
    connect_s: float = CONNECT_S
    probe_s: float = PROBE_S
    credentials: Credentials = field(default_factory=Credentials)
    """For agents that have none of their own."""
    credentials_by_agent: Mapping[AgentUri, Credentials] = field(default_factory=dict)
    connect: Connect = over_http
    """With `clock` the whole outside; the simulator brings its own."""
    clock: Callable[[], Moment] = boot_time


class AgentDriver:
    """All agents of one engine life. Use from one event loop."""

    def __init__(
        self,
        *,
        engine_id: str,
        epoch: Epoch,
        report: ReportSink,
        output: OutputSink,
        output_offsets: OutputOffsets,
        pulse: Callable[[AgentPulse], None],
        settings: AgentDriverSettings | None = None,
    ) -> None:
        self.engine_id = engine_id
        self.epoch = epoch
        self.report = report
        self.output = output
        self.output_offsets = output_offsets
        self.pulse = pulse
        self.settings = settings or AgentDriverSettings()
        self._lines: dict[AgentUri, _Line] = {}
        self._keeps: dict[AgentUri, KeepAgent] = {}
        self._group: asyncio.TaskGroup | None = None
        self._is_first = True
        self._turns = asyncio.Semaphore(FIRST_REQUESTS_MAX)
        self._saying = (0, 0)
        """A second of the clock, and how much was to be said of agents in it."""

    async def run(self) -> None:
        """Keep the sessions, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for line in self._lines.values():
                    line.start(group)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def demands(self, agents: Collection[KeepAgent], runs: Collection[RunProcess]) -> None:
        """Take the whole of what should be; local tasks among the runs are left to others.

        The first call of an engine's second or later life must come before anything new was decided
        in it: what is demanded then may have been begun by an earlier life.
        """
        self._keeps = keeps = {keep.agent: keep for keep in agents}
        by_agent: dict[AgentUri, dict[ExecutionKey, RunProcess]] = {}
        for run in runs:
            if run.agent:
                by_agent.setdefault(run.agent, {})[run.key] = run
        may_be_older = self._is_first and self.epoch > 1
        self._is_first = False
        for agent in list(dict.fromkeys([*keeps, *by_agent, *self._lines])):
            line = self._lines.get(agent) or self._open(agent)
            line.demand(keeps.get(agent), by_agent.get(agent, {}), may_be_older=may_be_older)

    def changed(self, runs: Mapping[AgentUri, Collection[RunProcess]]) -> None:
        """Take the whole of what should be running on these agents; others are as before."""
        for agent, wanted in runs.items():
            line = self._lines.get(agent) or self._open(agent)
            by_key = {run.key: run for run in wanted}
            line.demand(self._keeps.get(agent), by_key, may_be_older=False)

    def forget(self, executions: Collection[ForgetExecution]) -> None:
        """Have agents drop what they keep of executions whose end the journal has."""
        by_agent: dict[AgentUri, list[ExecutionKey]] = {}
        for execution in executions:
            if execution.agent:
                by_agent.setdefault(execution.agent, []).append(execution.key)
        for agent, keys in by_agent.items():
            line = self._lines.get(agent) or self._open(agent)
            line.forget(keys)

    async def probe(self, agent: AgentUri) -> bool:
        """Return whether an agent answers within five seconds and takes tasks."""
        client = self.settings.connect(agent, self._credentials(agent), self.settings.probe_s)
        try:
            async with asyncio.timeout(self.settings.probe_s):
                answer = await client.get(
                    agent_wire.AGENT_API + "/", patience_s=self.settings.probe_s
                )
            if answer.status != HTTPStatus.OK:
                log.info("Agent is not available: %s", refusal_text(agent, answer))
                return False
            overview = parse_json(answer.body)
        except (AgentUnreachable, AgentRefused, CodecError, TimeoutError) as error:
            log.info("Agent %s is not available: %s", agent, error)
            return False
        finally:
            await client.close()
        return isinstance(overview, dict) and not overview.get("isTerminating", True)

    def pulses(self) -> list[AgentPulse]:
        """Return how all sessions are just now."""
        return [line.look() for line in self._lines.values()]

    def say(self, level: int, text: str) -> None:
        """Put a line about an agent into the log, but not thousands when a network fails."""
        second = self.settings.clock() // 1000
        if second != self._saying[0]:
            if self._saying[1] > SAID_MAX:
                log.warning("%d more agents have changed like that", self._saying[1] - SAID_MAX)
            self._saying = (second, 0)
        self._saying = (second, self._saying[1] + 1)
        if self._saying[1] <= SAID_MAX:
            log.log(level, "The agent %s", text)

    async def await_turn(self) -> Callable[[], None]:
        """Wait until a line may speak to its agent; returns what ends its turn."""
        await self._turns.acquire()
        return _Turn(self._turns).end

    def drop(self, line: "_Line") -> None:
        """Let go of a session that nobody needs any more."""
        if self._lines.get(line.agent) is line:
            del self._lines[line.agent]

    def _open(self, agent: AgentUri) -> "_Line":
        client = self.settings.connect(agent, self._credentials(agent), self.settings.connect_s)
        line = _Line(self, agent, client)
        self._lines[agent] = line
        if self._group is not None:
            line.start(self._group)
        return line

    def _credentials(self, agent: AgentUri) -> Credentials:
        return self.settings.credentials_by_agent.get(agent, self.settings.credentials)


class _Turn:
    """A line's leave to be among those that wait for their first answer."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def end(self) -> None:
        """Let the next one have its turn."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._turns.release()

    def _wait(self) -> None:
        due = self._loop.time() + FIRST_REQUEST_S
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        if self._loop.time() - due > FIRST_REQUEST_S / 5:
            self._wait()  # it is us who are slow: more of them would make it worse
        else:
            self.end()


class _Line:
    """One agent: its link core, its connections, its deliveries."""

    def __init__(self, driver: AgentDriver, agent: AgentUri, client: AgentClient) -> None:
        self._driver = driver
        self._clock = driver.settings.clock
        self.agent = agent
        self._client = client
        self._path = f"{agent_wire.SESSION_PATH}/{quote(driver.engine_id, safe='')}"
        self._link = Link(
            agent=agent,
            engine=driver.engine_id,
            epoch=driver.epoch,
            settings=driver.settings.link,
            at=self._clock(),
        )
        self._told: tuple[KeepAgent | None, Mapping[ExecutionKey, RunProcess]] | None = None
        self._said = AgentStatus.UNKNOWN
        """What the log says of the agent."""
        self._waiting: list[LinkAction] = []
        """Actions from before its turn."""
        self._end_turn: Callable[[], None] = _do_nothing
        self._sending: dict[Ticket, asyncio.Task[None]] = {}
        # Bounded by the core: it asks for no more events while too much is not committed.
        self._deliveries: asyncio.Queue[Deliver] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    # --- wishes ----------------------------------------------------------------------------------

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to work."""
        group.create_task(self._run(), name=f"agent {self.agent}")

    def demand(
        self,
        keep: KeepAgent | None,
        runs: Mapping[ExecutionKey, RunProcess],
        *,
        may_be_older: bool,
    ) -> None:
        """Pass on what is demanded, when it is something else than before."""
        if (keep, runs) == self._told:
            return
        self._told = (keep, runs)
        self._do(self._link.demand(keep, runs, self._clock(), may_be_older=may_be_older))
        self._wake.set()

    def forget(self, keys: Collection[ExecutionKey]) -> None:
        """Pass on what is to be forgotten."""
        self._do(self._link.forget(keys, self._clock()))
        self._wake.set()

    def look(self) -> AgentPulse:
        """Return how the session is."""
        view = self._link.view()
        age = None if view.heard_at is None else Duration(self._clock() - view.heard_at)
        return AgentPulse(
            agent=self.agent,
            status=view.status,
            heard_at=view.heard_at,
            age=age,
            period=view.period,
            timeout=view.timeout,
            running=view.running,
            run_id=view.run,
            text=view.text,
        )

    # --- the loop --------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            self._end_turn = await self._driver.await_turn()
            async with asyncio.TaskGroup() as group:
                self._group = group
                deliverer = group.create_task(self._deliver_all())
                self._do([action for action in self._waiting if isinstance(action, Deliver)])
                self._waiting.clear()
                self._do(self._link.begin(self._clock()))
                await self._tick_until_idle()
                deliverer.cancel()
                for task in self._sending.values():
                    task.cancel()
        finally:
            self._end_turn()
            self._group = None
            self._driver.drop(self)
            await self._client.close()

    async def _tick_until_idle(self) -> None:
        while not (self._link.is_idle() and self._deliveries.empty()):
            self._wake.clear()
            pause_s = (self._link.wakeup() - self._clock()) / 1000
            if pause_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(pause_s, SLEEP_S_MAX)):
                        await self._wake.wait()
            else:
                await asyncio.sleep(0)
            self._do(self._link.tick(self._clock()))
        # Before anything is awaited: what is demanded from now on gets a line of its own.
        self._driver.drop(self)

    def _do(self, actions: Sequence[LinkAction]) -> None:
        if self._group is None:
            self._waiting += actions
            return
        for action in actions:
            match action:
                case SendSession() | SendCommands():
                    task = self._group.create_task(self._carry_out(action))
                    self._sending[action.ticket] = task
                case Cancel():
                    cancelled = self._sending.pop(action.ticket, None)
                    if cancelled is not None:
                        cancelled.cancel()
                case Deliver():
                    self._deliveries.put_nowait(action)

    async def _carry_out(self, action: SendSession | SendCommands) -> None:
        if isinstance(action, SendSession):
            actions = await self._send_session(action)
        else:
            actions = await self._send_commands(action)
        self._sending.pop(action.ticket, None)
        self._end_turn()
        self._do(actions)
        self._driver.pulse(self.look())
        self._wake.set()

    # --- requests --------------------------------------------------------------------------------

    async def _send_session(self, action: SendSession) -> list[LinkAction]:
        ticket = action.ticket
        body = agent_wire.session_request.to_json(action.request)
        try:
            answer = await self._client.post(self._path, body, patience_s=action.patience / 1000)
            if answer.status == HTTPStatus.ACCEPTED and not answer.body:
                heartbeat = _heartbeat(answer)
                return self._link.session_answered(ticket, heartbeat, self._clock())
            if answer.status == HTTPStatus.OK:
                news = agent_wire.session_answer.from_json(answer.body)
                return self._link.session_answered(ticket, news, self._clock())
            refusal = _refusal(answer)
            if refusal is not None:
                return self._link.session_refused(ticket, refusal, self._clock())
            kind, text = FailureKind.REFUSED, refusal_text(self.agent, answer)
        except AgentUnreachable as error:
            kind, text = FailureKind.UNREACHABLE, str(error)
        except (AgentRefused, CodecError) as error:
            kind, text = FailureKind.REFUSED, str(error)
        log.debug("Session with %s failed: %s", self.agent, text)
        return self._link.session_failed(ticket, kind, text, self._clock())

    async def _send_commands(self, action: SendCommands) -> list[LinkAction]:
        ticket = action.ticket
        data = agent_wire.command_request.to_builtins(action.request)
        body = dump_json({"$TYPE": agent_wire.COMMAND_TYPE, **data})
        try:
            answer = await self._client.post(
                agent_wire.COMMAND_PATH, body, patience_s=action.patience / 1000
            )
            if answer.status == HTTPStatus.OK:
                outcomes = agent_wire.command_answer.from_json(answer.body)
                return self._link.commands_answered(ticket, outcomes, self._clock())
            refusal = _refusal(answer)
            if refusal is not None:
                return self._link.commands_refused(ticket, refusal, self._clock())
            kind, text = FailureKind.REFUSED, refusal_text(self.agent, answer)
        except AgentUnreachable as error:
            kind, text = FailureKind.UNREACHABLE, str(error)
        except (AgentRefused, CodecError) as error:
            kind, text = FailureKind.REFUSED, str(error)
        log.debug("Commands to %s failed: %s", self.agent, text)
        return self._link.commands_failed(ticket, kind, text, self._clock())

    # --- deliveries ------------------------------------------------------------------------------

    async def _deliver_all(self) -> None:
        while True:
            deliveries = [await self._deliveries.get()]
            while not self._deliveries.empty() and len(deliveries) < DELIVERIES_MAX:
                deliveries.append(self._deliveries.get_nowait())
            pieces: dict[TaskId, list[Output]] = {}
            reports: list[Report] = []
            for delivery in deliveries:
                for item in delivery.items:
                    if isinstance(item, Output):
                        pieces.setdefault(item.task, []).append(item)
                    else:
                        reports.append(item)
                        if isinstance(item, AgentContact):
                            self._say(item)
            # Output first: when an end is committed, all that was said before is stored.
            await asyncio.gather(*(self._store(each) for each in pieces.values()))
            if reports:
                await self._driver.report(reports)
            for delivery in deliveries:
                self._do(self._link.committed(delivery.mark, self._clock()))
            self._wake.set()

    def _say(self, contact: AgentContact) -> None:
        """Tell people of a change, once, however often requests are repeated (agents.md 3.12)."""
        former, self._said = self._said, contact.status
        say = self._driver.say
        match contact.status:
            case AgentStatus.DELAYED:
                say(logging.WARNING, f"{self.agent} is late ({contact.text}); asking again")
            case AgentStatus.LOST:
                say(logging.ERROR, f"{self.agent} is lost: {contact.text}")
            case AgentStatus.TERMINATING:
                say(logging.INFO, f"{self.agent} takes no new tasks and ends")
            case AgentStatus.COUPLED if former in {AgentStatus.DELAYED, AgentStatus.LOST}:
                say(logging.INFO, f"{self.agent} answers again")
            case AgentStatus.COUPLED | AgentStatus.UNKNOWN:
                pass

    async def _store(self, pieces: Sequence[Output]) -> None:
        """Store the pieces of one task, in their order."""
        for piece in pieces:
            await self._driver.output(piece.task, piece.channel.value, piece.offset, piece.data)


def _do_nothing() -> None:
    """End no turn."""


def _heartbeat(answer: HttpAnswer) -> SessionAnswer:
    return SessionAnswer(
        run=answer.headers.get(agent_wire.RUN_HEADER, ""),
        ledger=answer.headers.get(agent_wire.LEDGER_HEADER, ""),
        stamp=answer.headers.get(agent_wire.HEARTBEAT_HEADER, ""),
    )


def _refusal(answer: HttpAnswer) -> Refusal | None:
    if answer.status not in agent_wire.REFUSAL_STATUS.values():
        return None
    try:
        return agent_wire.refusal.from_json(answer.body)
    except CodecError:
        return None
