"""PURE: the engine's side of the session with one agent (agents.md 3.5, 3.11, 3.13).

No input or output, no clock: instants come in as milliseconds of the engine's boot-time clock.
Whoever drives the core sends what it says, feeds back what came of it, and calls `tick` when
`wakeup` is due.

Two promises hold whatever is lost, repeated, delayed or reordered on the way:

* `TaskNotLaunched` is reported only for a key whose begin was never sent, or was refused.
* `TaskLost` is reported only when the agent's lease and the kill grace are over, counted from the
  last answer received: every answer that the agent counts its lease from was sent before that.
"""

from collections.abc import Collection, Iterable, Mapping

from engine.codec.agent_messages import (
    CommandAnswer,
    CommandRequest,
    Numbered,
    Refusal,
    RefusalReason,
    Reserve,
    SessionAnswer,
    SessionRequest,
    Signal,
)
from engine.drivers.link_executions import Executions, size_of
from engine.drivers.link_parts import (
    Cancel,
    Deliver,
    FailureKind,
    LinkAction,
    LinkSettings,
    LinkView,
    Moment,
    SendCommands,
    SendSession,
    SentCommands,
    Ticket,
)
from engine.kernel.effects import KeepAgent, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey
from engine.kernel.instants import Duration
from engine.kernel.reports import AgentContact, AgentStatus, LaunchFailure, TaskExitedLate

TAKE_BYTES = 1_000_000
"""Of output in one answer."""
UNDELIVERED_BYTES_MAX = 4_000_000
"""Output received and not yet committed; beyond it only heartbeats are asked for."""
FULL_WAIT_MS = 500
"""While there is so much of it, the next request comes soon."""
TRANSMISSIONS_MAX = 3
"""Of one session request at the same time, over a link that swallows packets."""
COMMANDS_MAX = 200
"""Reservations, and closes, in one request."""

_FINE = frozenset({AgentStatus.COUPLED, AgentStatus.TERMINATING})


class Link:
    """The session of one engine life with one agent."""

    def __init__(
        self,
        *,
        agent: AgentUri,
        engine: str,
        epoch: Epoch,
        settings: LinkSettings,
        at: Moment,
    ) -> None:
        self.agent = agent
        self._engine = engine
        self._epoch = epoch
        self._settings = settings
        self._period = Duration(10_000)
        self._timeout = Duration(60_000)
        self._wait = self._period
        self._is_kept = False
        self._executions = Executions(agent, settings)
        self._actions: list[LinkAction] = []
        # the agent
        self._run = ""
        self._ledger = self._told_ledger = ""
        self._stamp = ""
        self._is_coupled = False
        """The agent's executions were compared with what is demanded."""
        self._heard_at = at
        """The last answer; at first the begin of this life, since no lease was renewed after it."""
        self._was_heard = False
        self._status = AgentStatus.UNKNOWN
        self._text = ""
        # the session request
        self._tickets: dict[Ticket, Moment] = {}
        self._last_ticket: Ticket = 0
        self._opened_at: Moment = at
        """When the request now open was sent for the first time."""
        self._repeat_at: Moment = at
        self._failures = 0
        self._seen = 0
        self._ack = 0
        # the command request
        self._number = at
        """Grows within an epoch over links to the same agent that come and go, hence the clock."""
        self._commands: SentCommands | None = None
        self._commands_at: Moment = at
        # deliveries
        self._mark = 0
        self._marks: dict[int, tuple[str, int, int, tuple[ExecutionKey, ...]]] = {}
        """Mark -> the agent's run, the last event, bytes of output, ends told late."""
        self._undelivered = 0

    # --- looks -----------------------------------------------------------------------------------

    def view(self) -> LinkView:
        """Return what there is to see."""
        return LinkView(
            status=self._status,
            run=self._run,
            heard_at=self._heard_at if self._was_heard else None,
            period=self._period,
            timeout=self._timeout,
            running=len(self._executions.begun),
            text=self._text,
        )

    def is_idle(self) -> bool:
        """Return whether nobody needs this link any more."""
        return not (self._is_kept or len(self._executions) or self._executions.closing)

    def wakeup(self) -> Moment:
        """Return when `tick` is due."""
        moments = [self._repeat_at, self._executions.next_loss(self._heard_at)]
        if self._is_coupled and self._commands is None:
            moments.append(max(self._commands_at, self._executions.next_command()))
        if self._tickets and self._status is not AgentStatus.LOST:
            moments.append(self._opened_at + self._timeout)
        return min(moments)

    # --- what is demanded ------------------------------------------------------------------------

    def demand(
        self,
        keep: KeepAgent | None,
        runs: Mapping[ExecutionKey, RunProcess],
        at: Moment,
        *,
        may_be_older: bool = False,
    ) -> list[LinkAction]:
        """Take the whole of what is demanded of this agent.

        `may_be_older`: an earlier life of the engine may have begun these executions.
        """
        self._is_kept = keep is not None
        asking: list[KeepAgent | RunProcess] = [keep] if keep is not None else []
        asking += runs.values()
        if asking:
            self._period = min(each.heartbeat_period for each in asking)
            self._timeout = asking[0].heartbeat_timeout
            # A lost request is repeated after a whole wait, and the lease then counts from the
            # answer before it: with a wait of half the timeout a moment's outage would kill.
            shortest = min(each.heartbeat_timeout for each in asking)
            self._wait = min(self._period, Duration(shortest // 3))
        if self._executions.demand(runs, at, may_be_older=may_be_older) and not self._tickets:
            # Somebody wants an agent that was away.
            self._repeat_at = min(self._repeat_at, at)
        return self._proceed(at)

    def forget(self, keys: Iterable[ExecutionKey], at: Moment) -> list[LinkAction]:
        """Have the agent drop what it keeps of these."""
        self._executions.forget(keys, at)
        return self._proceed(at)

    def begin(self, at: Moment) -> list[LinkAction]:
        """Send the first request now: what was to be sent so far had to wait, and is void."""
        self._tickets.clear()
        self._repeat_at = at
        return self._proceed(at)

    # --- the session request ---------------------------------------------------------------------

    def session_answered(
        self, ticket: Ticket, answer: SessionAnswer, at: Moment
    ) -> list[LinkAction]:
        """Take an answer; only the first one to a request counts."""
        if ticket not in self._tickets:
            return []
        if answer.run != self._run and answer.executions is None:
            return self.session_failed(ticket, FailureKind.UNREACHABLE, "a stray answer", at)
        for other in self._tickets:
            if other != ticket:
                self._actions.append(Cancel(ticket=other))
        self._tickets.clear()
        self._failures = 0
        if answer.executions is not None:
            self._couple(answer, at)
        self._hear(answer.stamp, at)
        self._take_events(answer.events, at)
        self._executions.heard(at)
        is_ending = answer.is_terminating
        self._set_status(AgentStatus.TERMINATING if is_ending else AgentStatus.COUPLED)
        self._repeat_at = at
        return self._proceed(at)

    def session_refused(self, ticket: Ticket, refusal: Refusal, at: Moment) -> list[LinkAction]:
        """Take a refusal of the protocol: the agent lives, but not for this engine life."""
        text = f"The agent refuses the session: {refusal.reason.value}"
        if refusal.reason is RefusalReason.OLD_EPOCH:
            text = "A newer life of this engine has taken the agent over"
        return self.session_failed(ticket, FailureKind.REFUSED, text, at)

    def session_failed(
        self, ticket: Ticket, kind: FailureKind, text: str, at: Moment
    ) -> list[LinkAction]:
        """Take the failure of one transmission."""
        sent_at = self._tickets.pop(ticket, None)
        if sent_at is None:
            return []
        self._text = text
        is_refused = kind is FailureKind.REFUSED
        if not self._tickets:
            self._failures += 1
            # One failure is an accident of the connection, a second one is the agent's absence.
            is_away = self._failures > 1 or self._status not in _FINE
            self._set_status(AgentStatus.LOST if is_refused or is_away else AgentStatus.DELAYED)
        failure = LaunchFailure.REFUSED if is_refused else LaunchFailure.UNREACHABLE
        is_waited_for = self._executions.fail_waiting(sent_at, failure, text)
        if not self._tickets:
            self._repeat_at = at if is_waited_for else at + self._pause(at)
        return self._proceed(at)

    def _couple(self, answer: SessionAnswer, at: Moment) -> None:
        """Compare what the agent knows with what is demanded."""
        self._executions.compare(
            answer.executions or (),
            at,
            ledger=answer.ledger,
            heard_at=self._heard_at,
        )
        self._run = answer.run
        self._ledger = answer.ledger
        self._seen = 0
        self._ack = 0
        self._is_coupled = True
        self._commands_at = at

    def _hear(self, stamp: str, at: Moment) -> None:
        self._stamp = stamp
        self._heard_at = at
        self._was_heard = True

    def _take_events(self, events: Collection[Numbered], at: Moment) -> None:
        before = self._seen
        for numbered in events:
            if numbered.number > self._seen:
                self._seen = numbered.number
                self._executions.take(numbered.event, at)
        if self._seen > before:
            self._deliver()

    # --- deliveries ------------------------------------------------------------------------------

    def _deliver(self) -> None:
        items = tuple(self._executions.pending)
        self._executions.pending.clear()
        size = size_of(items)
        self._mark += 1
        late = tuple(item.key for item in items if isinstance(item, TaskExitedLate))
        self._marks[self._mark] = (self._run, self._seen, size, late)
        self._undelivered += size
        self._actions.append(Deliver(mark=self._mark, items=items))

    def committed(self, mark: int, at: Moment) -> list[LinkAction]:
        """Take note that the journal has everything up to this delivery."""
        run, number, size, late = self._marks.pop(mark)
        self._undelivered -= size
        self._executions.late_over(late, at)
        if run == self._run:
            self._ack = max(self._ack, number)
        return self._proceed(at)

    # --- the command request ---------------------------------------------------------------------

    def commands_answered(
        self, ticket: Ticket, answer: CommandAnswer, at: Moment
    ) -> list[LinkAction]:
        """Take the outcomes of a command request."""
        sent = self._take_back_commands(ticket)
        if sent is None or answer.run != self._run:
            return self._proceed(at)
        self._hear(answer.stamp, at)
        outcomes = {outcome.key: outcome for outcome in answer.outcomes}
        for key in sent.reserve:
            self._executions.reserved(key, outcomes.get(key))
        for key in sent.begin:
            self._executions.begun_outcome(key, outcomes.get(key))
        for key, mode in sent.signal:
            self._executions.signalled(key, mode)
        for key in sent.close:
            self._executions.closed(key, outcomes.get(key), at)
        return self._proceed(at)

    def commands_refused(self, ticket: Ticket, refusal: Refusal, at: Moment) -> list[LinkAction]:
        """Take a refusal of the protocol: nothing of the request was carried out."""
        if self._take_back_commands(ticket) is None:
            return []
        if refusal.reason is RefusalReason.EXPIRED:
            self._number = max(self._number, at)
        elif refusal.run != self._run or refusal.reason is RefusalReason.OLD_EPOCH:
            # The session finds out what the agent knows now.
            self._is_coupled = False
            self._run = ""
            self._repeat_at = min(self._repeat_at, at + self._settings.interval(self._period))
        self._commands_at = at + self._settings.interval(self._period)
        return self._proceed(at)

    def commands_failed(
        self, ticket: Ticket, kind: FailureKind, text: str, at: Moment
    ) -> list[LinkAction]:
        """Take the failure of a command request; it may or may not have been carried out."""
        sent = self._take_back_commands(ticket)
        if sent is None:
            return []
        is_refused = kind is FailureKind.REFUSED
        failure = LaunchFailure.REFUSED if is_refused else LaunchFailure.UNREACHABLE
        self._executions.reserve_failed(sent.reserve, failure, text)
        self._commands_at = at + self._settings.interval(self._period)
        return self._proceed(at)

    def _take_back_commands(self, ticket: Ticket) -> SentCommands | None:
        sent = self._commands
        if sent is None or sent.ticket != ticket:
            return None
        self._commands = None
        return sent

    # --- what is due -----------------------------------------------------------------------------

    def tick(self, at: Moment) -> list[LinkAction]:
        """Do what is due."""
        return self._proceed(at)

    def _proceed(self, at: Moment) -> list[LinkAction]:
        self._executions.lose(self._heard_at, self._text or "no answer", at)
        self._look_at_silence(at)
        self._send_session(at)
        self._send_commands(at)
        if self._executions.pending:
            self._deliver()
        actions, self._actions = self._actions, []
        return actions

    def _look_at_silence(self, at: Moment) -> None:
        is_over = self._tickets and at >= self._opened_at + self._timeout
        if is_over and self._status is not AgentStatus.LOST:
            self._text = self._text or f"no answer for {self._timeout / 1000:g} s"
            self._set_status(AgentStatus.LOST)
            self._executions.fail_waiting(at, LaunchFailure.UNREACHABLE, self._text)

    def _send_session(self, at: Moment) -> None:
        if at < self._repeat_at:
            return
        is_repeat = bool(self._tickets) or self._failures > 0
        if self._tickets and self._status in _FINE:
            self._text = f"no answer for {(at - self._opened_at) / 1000:g} s"
            self._set_status(AgentStatus.DELAYED)
        if not is_repeat:
            self._opened_at = at
        self._make_room(at)
        is_full = self._undelivered >= UNDELIVERED_BYTES_MAX
        # A repeat wants to know at once whether the agent is there.
        wait = Duration(0) if is_repeat or not self._is_coupled else self._wait
        wait = min(wait, Duration(FULL_WAIT_MS)) if is_full else wait
        request = SessionRequest(
            engine=self._engine,
            epoch=self._epoch,
            run=self._run,
            stamp=self._stamp,
            seen=self._seen,
            ack=self._ack,
            take=0 if is_full else TAKE_BYTES,
            wait=wait,
            take_over=self._settings.take_over,
        )
        ticket = self._next_ticket()
        self._tickets[ticket] = at
        patience = Duration(wait + self._timeout)
        self._actions.append(SendSession(ticket=ticket, request=request, patience=patience))
        if is_repeat:
            pause = self._pause(at)
        else:
            # Also a first request that is not to wait gets the whole time: the agent is as far
            # away as for the others.
            pause = Duration(self._wait + self._settings.delay(self._period))
        self._repeat_at = at + pause

    def _make_room(self, at: Moment) -> None:
        """Give one transmission up when there are as many as may be.

        The first one stays for its whole patience, for answers that are very late; the second one
        for as long as an answer should take at most; the last one gives way to the next repeat, so
        that a link that works again is noticed at once.
        """
        if len(self._tickets) < TRANSMISSIONS_MAX:
            return
        _, second, *_, newest = self._tickets
        allowed = self._period + self._settings.delay(self._period)
        given_up = second if self._tickets[second] + allowed <= at else newest
        del self._tickets[given_up]
        self._actions.append(Cancel(ticket=given_up))

    def _pause(self, at: Moment) -> Duration:
        """Return the time until the next repeat: short as long as a lease can be saved by it."""
        interval = self._settings.interval(self._period)
        is_urgent = self._executions.begun and at < self._heard_at + self._timeout
        if is_urgent or self._status is not AgentStatus.LOST:
            return interval
        return max(interval, self._period)

    def _send_commands(self, at: Moment) -> None:
        executions = self._executions
        executions.expire_closing(at)
        if not self._is_coupled or self._commands is not None:
            return
        if at < max(self._commands_at, executions.next_command()):
            return
        reserve = list(executions.to_reserve)[:COMMANDS_MAX]
        begin = list(executions.to_begin)
        signals = executions.signals()
        close = [key for key, due in executions.closing.items() if due <= at][:COMMANDS_MAX]
        if not (reserve or begin or signals or close):
            return
        executions.beginning(begin)
        ticket = self._next_ticket()
        self._commands = SentCommands(
            ticket=ticket, reserve=reserve, begin=begin, signal=signals, close=close
        )
        self._number += 1
        request = CommandRequest(
            engine=self._engine,
            epoch=self._epoch,
            run=self._run,
            number=self._number,
            stamp=self._stamp,
            reserve=tuple(_reserve(executions.reserving(key)) for key in reserve),
            begin=tuple(begin),
            signal=tuple(Signal(key=key, kill=mode) for key, mode in signals),
            close=tuple(close),
        )
        patience = self._settings.command_timeout
        self._actions.append(SendCommands(ticket=ticket, request=request, patience=patience))

    def _set_status(self, status: AgentStatus) -> None:
        if status in _FINE:
            self._text = ""
        if status is self._status and self._told_ledger == self._ledger:
            return
        self._status = status
        self._told_ledger = self._ledger
        self._executions.pending.append(
            AgentContact(
                agent=self.agent,
                status=status,
                run_id=self._run,
                text=self._text,
                ledger=self._ledger,
            )
        )

    def _next_ticket(self) -> Ticket:
        self._last_ticket += 1
        return self._last_ticket


def _reserve(run: RunProcess) -> Reserve:
    return Reserve(key=run.key, task=run.task, timeout=run.heartbeat_timeout, spec=run.spec)
