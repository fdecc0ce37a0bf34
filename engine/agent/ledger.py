"""PURE: what the agent knows of engines and their executions, and what follows from each request.

No input or output, no clock: instants come in as milliseconds of the host's boot-time clock, which
goes on while the host sleeps and over restarts of the agent program. The outside carries out the
actions returned and tells what happened.

The rules (agents.md 3.3, 3.5, 3.13):

* A key is begun at most once, and only while the lease of its task holds.
* A stamp is the time at which an answer was sent. The engine sends back the last one it received;
  only that moves the lease: every task of the session lives until stamp + its timeout.
* Events stay until the engine has acknowledged them, results until they are closed. After a new
  epoch or a new life of this program everything not closed is offered again, in new numbers.
* The result of an engine that does not come back goes at some time. Its key stays, unless that
  engine's journal is known to have the start: who asks for it then is told that it has run.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from engine.agent.ledger_parts import (
    ENDLESS,
    NO_LEASE,
    Action,
    Bury,
    Content,
    Discard,
    Execution,
    Kill,
    Launch,
    Moment,
    News,
    Offer,
    OutputRange,
    SaveLease,
    SaveSession,
    Session,
    Terminate,
)
from engine.codec.agent_messages import (
    Channel,
    CommandAnswer,
    CommandRequest,
    ExecutionStatus,
    Known,
    Outcome,
    Refusal,
    RefusalReason,
    Reserve,
    SessionNumber,
    SessionRequest,
    Signal,
    TakeOver,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.kernel.effects import KillMode
from engine.kernel.ids import Epoch, ExecutionKey
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

RESERVATION_MS_MAX = 60_000
"""A reservation that is not begun expires after this or its timeout, whichever is shorter."""
RETENTION_MS = Duration(24 * 3_600_000)
"""How long a result waits for an engine that does not come back, from its last request on."""
TIMEOUTS_KEPT = 4
"""And so many heartbeat timeouts more: an engine that has not given the task up asks before."""
TOMBSTONE_MS = 366 * RETENTION_MS
"""How long its key is kept after that, counted anew in every life of the agent program."""
TOMBSTONES_MAX = 10_000
"""Of one engine; beyond it the oldest go first. There are only as many as tasks whose start was on
its way into the journal when the engine went, and those that ran on over a restart of the agent."""
PIECE_BYTES_MAX = 256 * 1024
"""Of one `Output` event."""
EVENTS_MAX = 1000
"""Of one answer."""


class Ledger:
    """All sessions of one agent. Every method gets the moment and returns what is to be done."""

    def __init__(
        self,
        *,
        run: str,
        boot: str,
        tasks_max: int | None = None,
        retention: Duration = RETENTION_MS,
    ) -> None:
        """`retention`: how long a result is kept for an engine that is away."""
        self.run = run
        self.boot = boot
        self.is_terminating = False
        self.sessions: dict[str, Session] = {}
        self.total_count = 0
        self._tasks_max = tasks_max
        self.retention = retention
        self._engine_of: dict[ExecutionKey, str] = {}

    # --- stamps ----------------------------------------------------------------------------------

    def stamp(self, at: Moment) -> str:
        """Return the stamp of an answer sent now."""
        return f"{self.boot}.{at}"

    def _sent_at(self, stamp: str, at: Moment) -> Moment | None:
        boot, _, moment = stamp.rpartition(".")
        if boot != self.boot or not moment.isdigit() or int(moment) > at:
            return None
        return int(moment)

    # --- the past --------------------------------------------------------------------------------

    def restore_session(self, engine: str, epoch: Epoch, base: Moment | None) -> None:
        """Take up a session that a former life of this program had."""
        session = Session(engine=engine, epoch=epoch)
        session.base = base if base is not None else NO_LEASE
        self.sessions[engine] = session

    def restore_execution(self, execution: Execution) -> None:
        """Take up a begun execution of a former life; its end, if any, is told as news."""
        session = self._restored(execution.engine)
        self._add(session, execution)
        session.shortest_timeout = min(session.shortest_timeout, execution.timeout)
        session.news[execution.key] = None

    def restore_tombstone(self, engine: str, key: ExecutionKey, at: Moment) -> None:
        """Take up a key of which nothing else is kept."""
        self._restored(engine).tombstones[key] = at

    def _restored(self, engine: str) -> Session:
        session = self.sessions.get(engine)
        if session is None:
            # Begun, but its session was never written down: it can only have an expired lease.
            session = Session(engine=engine, epoch=Epoch(0))
            self.sessions[engine] = session
        return session

    # --- session requests ------------------------------------------------------------------------

    def attend(self, request: SessionRequest, at: Moment) -> tuple[News | Refusal, list[Action]]:
        """Take a session request; empty news mean that it may wait for `request.wait`."""
        actions = self.tick(at)
        session = self.sessions.get(request.engine)
        is_new = session is None
        if session is not None and request.epoch < session.epoch:
            return self._refusal(RefusalReason.OLD_EPOCH, session), actions
        if session is None:
            session = Session(engine=request.engine, epoch=request.epoch)
            self.sessions[request.engine] = session
            actions.append(_saved(session))
        is_takeover = request.epoch > session.epoch
        if is_takeover:
            actions += self._take_over(session, request)
        session.heard_at = at
        actions += self._renew(session, request.stamp, at)
        if is_new or is_takeover or request.run != self.run:
            self._offer_again(session)
            return News(executions=tuple(_known(session))), actions
        self._acknowledge(session, request.ack)
        return self.news(request), actions

    def news(self, request: SessionRequest) -> News:
        """Return the events after those the engine has seen, giving numbers to new ones."""
        session = self.sessions[request.engine]
        if not request.take:
            return News()
        offers: list[Offer] = []
        budget = request.take
        for offer in _after(session.offers, request.seen):
            if isinstance(offer.content, OutputRange):
                budget -= offer.content.length
            if self._is_current(session, offer):
                offers.append(offer)
            if budget <= 0 or len(offers) >= EVENTS_MAX:
                return News(offers=tuple(offers))
        offers += self._number_news(session, budget, EVENTS_MAX - len(offers))
        return News(offers=tuple(offers))

    def has_news(self, engine: str) -> bool:
        """Return whether something waits for a number."""
        session = self.sessions.get(engine)
        return session is not None and bool(session.news)

    def _take_over(self, session: Session, request: SessionRequest) -> list[Action]:
        session.epoch = request.epoch
        session.command = 0
        actions: list[Action] = [_saved(session)]
        if request.take_over is TakeOver.KILL:
            for execution in list(session.executions.values()):
                if execution.status is ExecutionStatus.RESERVED:
                    self._drop(session, execution)
            running = [
                execution for execution in session.executions.values() if _is_running(execution)
            ]
            actions += _killed(running, EndReason.TAKEN_OVER)
        return actions

    def _renew(self, session: Session, stamp: str, at: Moment) -> list[Action]:
        sent_at = self._sent_at(stamp, at) if stamp else None
        if sent_at is None or sent_at <= session.base:
            return []
        session.base = sent_at
        return [SaveLease(engine=session.engine, base=sent_at)]

    def _acknowledge(self, session: Session, ack: SessionNumber) -> None:
        while session.offers and session.offers[0].number <= ack:
            content = session.offers.popleft().content
            execution = session.executions.get(content.key)
            if execution is None:
                continue
            if isinstance(content, TaskBegun):
                execution.is_begun_acknowledged = True
            elif isinstance(content, OutputRange):
                index = _index(content.channel)
                execution.acknowledged[index] = max(
                    execution.acknowledged[index], content.offset + content.length
                )

    def _offer_again(self, session: Session) -> None:
        session.offers.clear()
        session.news.clear()
        for execution in session.executions.values():
            if execution.status is ExecutionStatus.RESERVED:
                continue
            execution.is_begun_offered = False
            execution.is_end_offered = False
            execution.offered = list(execution.acknowledged)
            session.news[execution.key] = None

    def _number_news(self, session: Session, budget: int, count: int) -> Iterator[Offer]:
        while session.news and budget > 0 and count > 0:
            key = next(iter(session.news))
            del session.news[key]
            execution = session.executions.get(key)
            if execution is None or execution.is_closed:
                continue
            for content in _unnumbered(execution, budget, count):
                if isinstance(content, OutputRange):
                    budget -= content.length
                count -= 1
                session.number += 1
                offer = Offer(number=session.number, content=content)
                session.offers.append(offer)
                yield offer
            if _has_unnumbered(execution):
                session.news[key] = None

    def _is_current(self, session: Session, offer: Offer) -> bool:
        execution = session.executions.get(offer.content.key)
        return execution is not None and not execution.is_closed

    # --- command requests ------------------------------------------------------------------------

    def command(
        self, request: CommandRequest, at: Moment
    ) -> tuple[CommandAnswer | Refusal, list[Action]]:
        """Carry out commands; doing it again changes nothing."""
        actions = self.tick(at)
        session = self.sessions.get(request.engine)
        if session is None or request.run != self.run or request.epoch > session.epoch:
            return self._refusal(RefusalReason.OTHER_RUN, session), actions
        if request.epoch < session.epoch:
            return self._refusal(RefusalReason.OLD_EPOCH, session), actions
        if request.number < session.command:
            return self._refusal(RefusalReason.EXPIRED, session), actions
        session.command = request.number
        session.heard_at = at
        actions += self._renew(session, request.stamp, at)
        outcomes: dict[ExecutionKey, Outcome] = {}
        for reserve in request.reserve:
            outcomes[reserve.key] = self._reserve(session, reserve, at)
        for key in request.begin:
            outcomes[key] = self._begin(session, key, at, actions)
        for signal in request.signal:
            outcomes[signal.key] = self._signal(session, signal, actions)
        for key in request.close:
            outcomes[key] = self._close(session, key, actions)
        answer = CommandAnswer(
            run=self.run, stamp=self.stamp(at), outcomes=tuple(outcomes.values())
        )
        return answer, actions

    def _reserve(self, session: Session, reserve: Reserve, at: Moment) -> Outcome:
        known = session.executions.get(reserve.key)
        if known is not None:
            return Outcome(key=reserve.key, status=known.status)
        if reserve.key in session.tombstones:
            return Outcome(key=reserve.key, status=ExecutionStatus.FORGOTTEN)
        if self.is_terminating:
            return _unavailable(reserve.key, "the agent is terminating")
        if self._tasks_max is not None and len(self._engine_of) >= self._tasks_max:
            return _unavailable(reserve.key, f"the agent has its {self._tasks_max} tasks already")
        lifetime = min(reserve.timeout, RESERVATION_MS_MAX)
        self._add(
            session,
            Execution(
                key=reserve.key,
                engine=session.engine,
                task=reserve.task,
                job=reserve.spec.job,
                timeout=reserve.timeout,
                status=ExecutionStatus.RESERVED,
                spec=reserve.spec,
                reserved_until=at + lifetime,
            ),
        )
        return Outcome(key=reserve.key, status=ExecutionStatus.RESERVED)

    def _begin(
        self, session: Session, key: ExecutionKey, at: Moment, actions: list[Action]
    ) -> Outcome:
        execution = session.executions.get(key)
        if execution is None:
            return _unknown(session, key)
        if execution.status is not ExecutionStatus.RESERVED:
            return Outcome(key=key, status=execution.status)
        if session.base + execution.timeout <= at:
            # The engine may have given it up already; beginning now could be a second time.
            self._drop(session, execution)
            return Outcome(key=key, status=ExecutionStatus.GONE)
        assert execution.spec is not None, "a reservation has what is to be run"
        actions.append(
            Launch(
                key=key,
                engine=session.engine,
                task=execution.task,
                timeout=execution.timeout,
                spec=execution.spec,
            )
        )
        execution.spec = None
        execution.status = ExecutionStatus.RUNNING
        session.shortest_timeout = min(session.shortest_timeout, execution.timeout)
        self.total_count += 1
        return Outcome(key=key, status=ExecutionStatus.RUNNING)

    def _signal(self, session: Session, signal: Signal, actions: list[Action]) -> Outcome:
        execution = session.executions.get(signal.key)
        if execution is None:
            return _unknown(session, signal.key)
        if execution.status is ExecutionStatus.RESERVED:
            self._drop(session, execution)
            return Outcome(key=signal.key, status=ExecutionStatus.GONE)
        if _is_running(execution) and signal.kill not in execution.killed:
            execution.killed.add(signal.kill)
            if signal.kill is KillMode.TERMINATE:
                actions.append(Terminate(key=signal.key))
            else:
                actions += _killed([execution], EndReason.KILLED)
        return Outcome(key=signal.key, status=execution.status)

    def _close(self, session: Session, key: ExecutionKey, actions: list[Action]) -> Outcome:
        execution = session.executions.get(key)
        if execution is None:
            if session.tombstones.pop(key, None) is not None:
                actions.append(Discard(key=key))
            return Outcome(key=key, status=ExecutionStatus.GONE)
        if _is_running(execution):
            execution.is_closed = True
            actions += _killed([execution], EndReason.KILLED)
            return Outcome(key=key, status=ExecutionStatus.RUNNING)
        if execution.status is ExecutionStatus.ENDED:
            actions.append(Discard(key=key))
        self._drop(session, execution)
        return Outcome(key=key, status=ExecutionStatus.GONE)

    def may_start(self, key: ExecutionKey, at: Moment) -> bool:
        """Return whether a launch may still be carried out; to be asked right before the start.

        Writing it down may have taken long, and the host may have slept meanwhile.
        """
        session, execution = self._find(key)
        is_wanted = not execution.is_killed and not execution.is_closed
        return is_wanted and session.base + execution.timeout > at

    # --- what the host tells ---------------------------------------------------------------------

    def launched(self, key: ExecutionKey, pid: int, started_at: Instant) -> list[Action]:
        """Take note that the process runs."""
        session, execution = self._find(key)
        if execution.begun is None:
            execution.begun = TaskBegun(key=key, pid=pid, started_at=started_at)
            session.news[key] = None
        return []

    def grew(self, key: ExecutionKey, stdout: int, stderr: int) -> list[Action]:
        """Take note that there is more output."""
        session, execution = self._find(key)
        execution.sizes = [stdout, stderr]
        session.news[key] = None
        return []

    def ended(
        self, ending: TaskEnded | TaskNotBegun, sizes: Sequence[int], at: Moment
    ) -> list[Action]:
        """Take note of the end of a process, or that it could not be started."""
        session, execution = self._find(ending.key)
        execution.status = ExecutionStatus.ENDED
        execution.sizes = list(sizes)
        execution.ended = ending
        execution.ended_at = at
        session.news[ending.key] = None
        if not execution.is_closed:
            return []
        self._drop(session, execution)
        return [Discard(key=ending.key)]

    # --- time ------------------------------------------------------------------------------------

    def tick(self, at: Moment) -> list[Action]:
        """Carry out what time brings: leases, reservations and results that are over."""
        actions: list[Action] = []
        for session in self.sessions.values():
            if session.base + session.shortest_timeout > at:
                continue
            over = [
                execution
                for execution in session.executions.values()
                if _is_running(execution)
                and not execution.is_killed
                and session.base + execution.timeout <= at
            ]
            actions += _killed(over, EndReason.LEASE_OVER)
        return actions

    def sweep(self, at: Moment) -> list[Action]:
        """Drop what is kept too long; to be called now and then."""
        actions: list[Action] = []
        for session in self.sessions.values():
            for execution in list(session.executions.values()):
                if execution.status is ExecutionStatus.RESERVED and execution.reserved_until <= at:
                    self._drop(session, execution)
                elif (
                    execution.status is ExecutionStatus.ENDED
                    and max(execution.ended_at, session.heard_at) + self._kept_for(execution) <= at
                ):
                    self._drop(session, execution)
                    has_run = isinstance(execution.ended, TaskEnded)
                    if has_run and not execution.is_begun_acknowledged:
                        session.tombstones[execution.key] = at
                        actions.append(Bury(key=execution.key))
                    else:
                        actions.append(Discard(key=execution.key))
            actions += _cleared(session, at)
        return actions

    def _kept_for(self, execution: Execution) -> Duration:
        return Duration(self.retention + TIMEOUTS_KEPT * execution.timeout)

    # --- the program's own end -------------------------------------------------------------------

    def terminate(self) -> None:
        """Take no new tasks from now on; reservations may still be begun."""
        self.is_terminating = True

    def running(self) -> list[ExecutionKey]:
        """Return the keys whose processes run or are about to."""
        return [execution.key for execution in self.executions() if _is_running(execution)]

    def executions(self) -> Iterable[Execution]:
        """Return all executions of all engines."""
        for session in self.sessions.values():
            yield from session.executions.values()

    def engine_of(self, key: ExecutionKey) -> str:
        """Return the engine a registered execution belongs to."""
        return self._engine_of[key]

    def count(self) -> int:
        """Return how many executions are registered, ended ones not yet closed included."""
        return len(self._engine_of)

    # --- records ---------------------------------------------------------------------------------

    def _find(self, key: ExecutionKey) -> tuple[Session, Execution]:
        session = self.sessions[self._engine_of[key]]
        return session, session.executions[key]

    def _add(self, session: Session, execution: Execution) -> None:
        session.executions[execution.key] = execution
        self._engine_of[execution.key] = session.engine

    def _drop(self, session: Session, execution: Execution) -> None:
        del session.executions[execution.key]
        del self._engine_of[execution.key]
        session.news.pop(execution.key, None)
        if not session.executions:
            session.shortest_timeout = ENDLESS

    def _refusal(self, reason: RefusalReason, session: Session | None) -> Refusal:
        epoch = session.epoch if session is not None else Epoch(0)
        return Refusal(reason=reason, run=self.run, epoch=epoch)


def _is_running(execution: Execution) -> bool:
    return execution.status is ExecutionStatus.RUNNING


def _killed(executions: Iterable[Execution], reason: EndReason) -> list[Action]:
    keys = []
    for execution in executions:
        execution.is_killed = True
        keys.append(execution.key)
    return [Kill(keys=tuple(keys), reason=reason)] if keys else []


def _known(session: Session) -> Iterator[Known]:
    for execution in session.executions.values():
        if not execution.is_closed:
            yield Known(key=execution.key, status=execution.status)
    for key in session.tombstones:
        yield Known(key=key, status=ExecutionStatus.FORGOTTEN)


def _unknown(session: Session, key: ExecutionKey) -> Outcome:
    is_forgotten = key in session.tombstones
    status = ExecutionStatus.FORGOTTEN if is_forgotten else ExecutionStatus.GONE
    return Outcome(key=key, status=status)


def _cleared(session: Session, at: Moment) -> Iterator[Action]:
    """Drop the keys that are too old or too many."""
    excess = len(session.tombstones) - TOMBSTONES_MAX
    for key, since in list(session.tombstones.items()):
        if excess <= 0 and since + TOMBSTONE_MS > at:
            break
        excess -= 1
        del session.tombstones[key]
        yield Discard(key=key)


def _unavailable(key: ExecutionKey, text: str) -> Outcome:
    return Outcome(key=key, status=ExecutionStatus.UNAVAILABLE, text=text)


def _saved(session: Session) -> SaveSession:
    return SaveSession(engine=session.engine, epoch=session.epoch)


def _after(offers: deque[Offer], seen: SessionNumber) -> Iterator[Offer]:
    """Return the offers after a number; they are in the order of their numbers."""
    first = offers[0].number if offers else 0
    return islice(offers, max(0, seen + 1 - first), None)


def _index(channel: Channel) -> int:
    return 0 if channel is Channel.STDOUT else 1


def _has_unnumbered(execution: Execution) -> bool:
    return (
        (execution.begun is not None and not execution.is_begun_offered)
        or execution.offered[0] < execution.sizes[0]
        or execution.offered[1] < execution.sizes[1]
        or (execution.ended is not None and not execution.is_end_offered)
    )


def _unnumbered(execution: Execution, budget: int, count: int) -> Iterator[Content]:
    """Return what has no number yet: the begin, then output, then the end."""
    if execution.begun is not None and not execution.is_begun_offered:
        execution.is_begun_offered = True
        count -= 1
        yield execution.begun
    for channel in Channel:
        index = _index(channel)
        while execution.offered[index] < execution.sizes[index]:
            if budget <= 0 or count <= 0:
                return
            rest = execution.sizes[index] - execution.offered[index]
            length = min(rest, PIECE_BYTES_MAX)
            offset = execution.offered[index]
            execution.offered[index] += length
            budget -= length
            count -= 1
            yield OutputRange(
                key=execution.key,
                task=execution.task,
                channel=channel,
                offset=offset,
                length=length,
            )
    if execution.ended is not None and not execution.is_end_offered and count > 0:
        execution.is_end_offered = True
        yield execution.ended
