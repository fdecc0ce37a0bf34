"""PURE: the executions demanded of one agent, how far each has come, and what to report of them."""

from collections.abc import Collection, Iterable, Mapping

from engine.codec.agent_messages import (
    Event,
    ExecutionStatus,
    Known,
    Outcome,
    Output,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.drivers.link_parts import FAR, Execution, LinkSettings, Moment, Phase
from engine.kernel.effects import KillMode, RunProcess
from engine.kernel.ids import AgentUri, ExecutionKey
from engine.kernel.instants import Duration
from engine.kernel.reports import (
    EndReason,
    LaunchFailure,
    Report,
    TaskExited,
    TaskExitedLate,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)

RESERVE_ATTEMPTS_MAX = 3
"""The first one and two repeats, before another agent may be tried (agents.md 4.6)."""
CLOSE_AGAIN_MS = 2_000
LATE_WAIT_MS = 30_000
"""For the news of how a lost task ended, once its agent is back (agents.md 3.5)."""
CLOSING_MS_MAX = 24 * 3_600_000
"""An agent that does not come back is not asked to forget for ever (agents.md 3.5)."""
_ENDLESS = Duration(2**62)


class Executions:
    """Phases and indexes; whoever changes a phase goes through `_set_phase`."""

    def __init__(self, agent: AgentUri, settings: LinkSettings) -> None:
        self._agent = agent
        self._settings = settings
        self._items: dict[ExecutionKey, Execution] = {}
        self._ledger = ""
        """Whose memory was compared last."""
        self.to_reserve: dict[ExecutionKey, None] = {}
        self.to_begin: dict[ExecutionKey, None] = {}
        """Reserved ones, and those whose begin was sent and not answered."""
        self.to_signal: dict[ExecutionKey, None] = {}
        self.begun: dict[ExecutionKey, None] = {}
        """May be running: also doubtful ones."""
        self.closing: dict[ExecutionKey, Moment] = {}
        """Key -> when the agent is to be asked (again) to forget it."""
        self._closing_since: dict[ExecutionKey, Moment] = {}
        self._shortest_timeout = _ENDLESS
        """Of the begun ones; never longer than the truth."""
        self._lost_at: dict[ExecutionKey, Moment] = {}
        """Executions begun in a ledger that has gone: answers of another one renew no lease."""
        self._late: set[ExecutionKey] = set()
        """Called lost, or nobody's any more; the agent is heard on how they ended, then closed."""
        self.pending: list[Report | Output] = []
        """To be delivered, in this order."""

    # --- looks -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: ExecutionKey) -> bool:
        return key in self._items

    def run(self, key: ExecutionKey) -> RunProcess:
        """Return what is demanded under a key."""
        return self._items[key].run

    def next_command(self) -> Moment:
        """Return when there is something to command: 0 for now."""
        if self.to_reserve or self.to_begin or self.to_signal:
            return 0
        return min(self.closing.values(), default=FAR)

    # --- what is demanded ------------------------------------------------------------------------

    def demand(
        self, runs: Mapping[ExecutionKey, RunProcess], at: Moment, *, may_be_older: bool
    ) -> bool:
        """Take the whole of what is demanded; returns whether something new is to be started."""
        has_new = False
        for key in [key for key in self._items if key not in runs]:
            self._leave(key, at)
        for key, run in runs.items():
            execution = self._items.get(key)
            if execution is None:
                execution = Execution(run=run, asked_at=at, ledger=run.ledger)
                self._items[key] = execution
                self._set_phase(key, execution, Phase.BEGUN if may_be_older else Phase.NEW)
                has_new = has_new or not may_be_older
            elif execution.run is run:
                continue
            execution.run = run
            self._look_at_kill(key, execution)
        return has_new

    def forget(self, keys: Iterable[ExecutionKey], at: Moment) -> None:
        """Have the agent drop what it keeps of these."""
        for key in keys:
            execution = self._items.get(key)
            if execution is not None:
                if execution.is_forgotten:
                    continue
                execution.is_forgotten = True
                self._set_phase(key, execution, Phase.OVER)
            self.close(key, at)

    def close(self, key: ExecutionKey, at: Moment) -> None:
        """Ask the agent to forget a key, until it confirms."""
        if key not in self.closing:
            self.closing[key] = FAR if key in self._late else at
            self._closing_since.setdefault(key, at)

    def _leave(self, key: ExecutionKey, at: Moment) -> None:
        execution = self._items[key]
        is_untouched = execution.phase is Phase.NEW and not execution.attempts
        self._set_phase(key, execution, Phase.OVER)
        del self._items[key]
        if not is_untouched and not execution.is_forgotten:
            self.close(key, at)

    def _look_at_kill(self, key: ExecutionKey, execution: Execution) -> None:
        run = execution.run
        if execution.phase in {Phase.NEW, Phase.RESERVED} and not run.may_start:
            text = run.refusal or "The task was ended before it was started"
            self._not_launched(key, execution, LaunchFailure.REFUSED, text)
        elif (
            execution.is_confirmed
            and execution.phase is Phase.BEGUN
            and run.kill is not None
            and run.kill not in execution.signalled
        ):
            self.to_signal[key] = None

    # --- what the agent knows --------------------------------------------------------------------

    def compare(
        self,
        known: Iterable[Known],
        at: Moment,
        *,
        ledger: str,
        heard_at: Moment,
    ) -> None:
        """Take the agent's list of all executions of this engine.

        `ledger`: whose memory that is. `heard_at`: the last answer before this one.
        """
        self._ledger = ledger
        statuses = {each.key: each.status for each in known}
        ended_there = {key for key in statuses if statuses[key] is ExecutionStatus.ENDED}
        for key, execution in self._items.items():
            status = statuses.pop(key, None)
            if execution.phase is Phase.OVER:
                continue
            if status in {ExecutionStatus.RUNNING, ExecutionStatus.ENDED}:
                execution.signalled.clear()
                self._confirm(key, execution)
            elif status is ExecutionStatus.FORGOTTEN:
                self._forgotten(key, execution)
            elif execution.phase is Phase.BEGUN and execution.ledger != ledger:
                # It may run on under a ledger that has gone; its lease is what ends it.
                grace = self._settings.kill_grace
                lost_at = heard_at + execution.run.heartbeat_timeout + grace
                self.to_begin.pop(key, None)
                self._lost_at.setdefault(key, lost_at)
            elif execution.run.has_started:
                # This ledger has known it, and would know it if its result were still kept.
                self._forgotten(key, execution)
            else:
                # This ledger would know it if it had been begun: it has certainly never run.
                is_reserved = status is ExecutionStatus.RESERVED
                self._set_phase(key, execution, Phase.RESERVED if is_reserved else Phase.NEW)
                self._look_at_kill(key, execution)
        for key in self._late:
            if self._may_be_forgotten(key):
                self.closing[key] = at
        self._late = {key for key in ended_there if key not in self._items or key in self._late}
        for key in statuses:
            self.close(key, at)
        self.heard(at)

    def take(self, event: Event, at: Moment) -> None:
        """Take an event of the session."""
        key = event.key
        execution = self._items.get(key)
        if execution is None or (execution.phase is Phase.OVER and key in self._late):
            # Also while the loss is still on its way into the journal.
            self._take_late(event, at)
            return
        if execution.phase is Phase.OVER:
            return
        match event:
            case Output():
                self.pending.append(event)
            case TaskBegun():
                self._confirm(key, execution)
                self.pending.append(
                    TaskLaunched(key=key, pid=event.pid, started_at=event.started_at)
                )
            case TaskNotBegun():
                self._not_launched(key, execution, LaunchFailure.REFUSED, event.text)
            case TaskEnded():
                self._set_phase(key, execution, Phase.OVER)
                self.pending.append(_ended(event))

    def _take_late(self, event: Event, at: Moment) -> None:
        """Take an event of an execution that nobody waits for any more."""
        if event.key not in self._late:
            self.close(event.key, at)
            return
        match event:
            case TaskBegun():
                pass
            case Output():
                self.pending.append(event)
            case TaskNotBegun():
                self.late_over([event.key], at)
            case TaskEnded():
                code = event.exit_code
                if event.reason is not EndReason.EXITED or code is None:
                    self.late_over([event.key], at)
                    return
                self.pending.append(
                    TaskExitedLate(
                        key=event.key,
                        exit_code=code,
                        signal=event.signal,
                        ended_at=event.ended_at,
                    )
                )

    def late_over(self, keys: Iterable[ExecutionKey], at: Moment) -> None:
        """Have the agent forget these: nothing more is to be heard of them.

        One whose loss is still on its way into the journal is closed when it is there.
        """
        for key in keys:
            self._late.discard(key)
            if self._may_be_forgotten(key):
                self.closing[key] = at
                self._closing_since.setdefault(key, at)

    def _may_be_forgotten(self, key: ExecutionKey) -> bool:
        """Return whether the journal has an end of it.

        Until then it is demanded: another life of this engine would ask for it, and take an
        execution that the agent has forgotten for one that was never begun.
        """
        execution = self._items.get(key)
        return execution is None or execution.is_forgotten

    def heard(self, at: Moment) -> None:
        """Take note of an answer: what the agent knows of late ends comes soon, or not at all."""
        for key in self._late:
            if self.closing.get(key) == FAR:
                self.closing[key] = at + LATE_WAIT_MS

    def _confirm(self, key: ExecutionKey, execution: Execution) -> None:
        execution.ledger = self._ledger
        execution.is_confirmed = True
        self._set_phase(key, execution, Phase.BEGUN)
        self._look_at_kill(key, execution)

    # --- outcomes of commands --------------------------------------------------------------------

    def reserving(self, key: ExecutionKey) -> RunProcess:
        """Count an attempt to reserve and return what to reserve."""
        execution = self._items[key]
        execution.attempts += 1
        return execution.run

    def beginning(self, keys: Iterable[ExecutionKey]) -> None:
        """Take note that the begin of these is being sent."""
        for key in keys:
            execution = self._items[key]
            execution.ledger = self._ledger
            self._set_phase(key, execution, Phase.BEGUN)
            self.to_begin[key] = None  # until the agent confirms it

    def signals(self) -> list[tuple[ExecutionKey, KillMode]]:
        """Return which signals to send."""
        found = []
        for key in self.to_signal:
            mode = self._items[key].run.kill
            assert mode is not None, "a kill is not taken back"
            found.append((key, mode))
        return found

    def reserved(self, key: ExecutionKey, outcome: Outcome | None) -> None:
        """Take the outcome of a reservation."""
        execution = self._items.get(key)
        if execution is None or outcome is None or execution.phase is not Phase.NEW:
            return
        match outcome.status:
            case ExecutionStatus.FORGOTTEN:
                self._forgotten(key, execution)
            case ExecutionStatus.RESERVED:
                self._set_phase(key, execution, Phase.RESERVED)
                self._look_at_kill(key, execution)
            case ExecutionStatus.RUNNING | ExecutionStatus.ENDED:
                self._confirm(key, execution)
            case ExecutionStatus.UNAVAILABLE:
                self._not_launched(key, execution, LaunchFailure.UNREACHABLE, outcome.text)
            case ExecutionStatus.REFUSED:
                self._not_launched(key, execution, LaunchFailure.REFUSED, outcome.text)
            case ExecutionStatus.GONE:
                pass  # asked again with the next request

    def begun_outcome(self, key: ExecutionKey, outcome: Outcome | None) -> None:
        """Take the outcome of a begin."""
        execution = self._items.get(key)
        if execution is None or outcome is None or execution.phase is not Phase.BEGUN:
            return
        if outcome.status is ExecutionStatus.FORGOTTEN:
            self._forgotten(key, execution)
            return
        if outcome.status is not ExecutionStatus.GONE:
            self._confirm(key, execution)
            return
        # The reservation had expired, so it has never run. No earlier request can begin it any
        # more either, since the agent refuses lower numbers.
        if execution.attempts >= RESERVE_ATTEMPTS_MAX:
            text = "The agent has dropped the reservation again and again"
            self._not_launched(key, execution, LaunchFailure.UNREACHABLE, text)
            return
        self._set_phase(key, execution, Phase.NEW)
        self._look_at_kill(key, execution)

    def signalled(self, key: ExecutionKey, mode: KillMode) -> None:
        """Take note that the agent has carried out a signal."""
        execution = self._items.get(key)
        if execution is None:
            return
        execution.signalled.add(mode)
        if execution.run.kill in execution.signalled:
            self.to_signal.pop(key, None)

    def closed(self, key: ExecutionKey, outcome: Outcome | None, at: Moment) -> None:
        """Take the outcome of a close."""
        if outcome is not None and outcome.status is ExecutionStatus.GONE:
            self.closing.pop(key, None)
            self._closing_since.pop(key, None)
        elif key in self.closing:
            self.closing[key] = at + CLOSE_AGAIN_MS

    # --- failures --------------------------------------------------------------------------------

    def reserve_failed(
        self, keys: Iterable[ExecutionKey], failure: LaunchFailure, text: str
    ) -> None:
        """Take the failure of a request with these reservations."""
        for key in keys:
            execution = self._items.get(key)
            if execution is None or execution.phase is not Phase.NEW:
                continue
            is_final = failure is LaunchFailure.REFUSED
            if is_final or execution.attempts >= RESERVE_ATTEMPTS_MAX:
                self._not_launched(key, execution, failure, text)

    def fail_waiting(self, asked_until: Moment, failure: LaunchFailure, text: str) -> bool:
        """Give up what was never begun; returns whether some came too late for this attempt."""
        is_waited_for = False
        for key in [*self.to_reserve, *self.to_begin]:
            execution = self._items[key]
            if execution.phase is Phase.BEGUN:
                continue
            if execution.asked_at > asked_until:
                is_waited_for = True
            else:
                self._not_launched(key, execution, failure, text)
        return is_waited_for

    # --- time ------------------------------------------------------------------------------------

    def next_loss(self, heard_at: Moment) -> Moment:
        """Return the earliest moment at which an execution may be lost."""
        fixed = min(self._lost_at.values(), default=FAR)
        if not self.begun:
            return fixed
        return min(fixed, heard_at + self._shortest_timeout + self._settings.kill_grace)

    def lose(self, heard_at: Moment, why: str, at: Moment) -> None:
        """Report what cannot be running any more, `heard_at` being the last answer."""
        if self.next_loss(heard_at) > at:
            return
        grace = self._settings.kill_grace
        shortest = _ENDLESS
        for key in list(self.begun):
            execution = self._items[key]
            timeout = execution.run.heartbeat_timeout
            if self._lost_at.get(key, heard_at + timeout + grace) > at:
                shortest = min(shortest, timeout)
                continue
            # Not closed before the journal has it (`_may_be_forgotten`).
            self._set_phase(key, execution, Phase.OVER)
            self._late.add(key)
            text = (
                f"The connection to agent {self._agent} was lost for longer than the "
                f"timeout of {timeout / 1000:g} s: {why}"
            )
            self.pending.append(TaskLost(key=key, text=text))
        self._shortest_timeout = shortest

    def expire_closing(self, at: Moment) -> None:
        """Stop asking agents that have been away for too long."""
        for key, since in list(self._closing_since.items()):
            if since + CLOSING_MS_MAX > at:
                break
            del self._closing_since[key]
            self.closing.pop(key, None)
            self._late.discard(key)

    # --- phases ----------------------------------------------------------------------------------

    def _set_phase(self, key: ExecutionKey, execution: Execution, phase: Phase) -> None:
        for index in (self.to_reserve, self.to_begin, self.to_signal, self.begun, self._lost_at):
            index.pop(key, None)
        execution.phase = phase
        match phase:
            case Phase.NEW:
                self.to_reserve[key] = None
            case Phase.RESERVED:
                self.to_begin[key] = None
            case Phase.BEGUN:
                self.begun[key] = None
                timeout = execution.run.heartbeat_timeout
                self._shortest_timeout = min(self._shortest_timeout, timeout)
            case Phase.OVER:
                pass

    def _not_launched(
        self,
        key: ExecutionKey,
        execution: Execution,
        failure: LaunchFailure,
        text: str,
    ) -> None:
        self._set_phase(key, execution, Phase.OVER)
        self.pending.append(TaskNotLaunched(key=key, failure=failure, text=text))

    def _forgotten(self, key: ExecutionKey, execution: Execution) -> None:
        """Report the loss of one that has run, and whose end nobody knows any more."""
        self._set_phase(key, execution, Phase.OVER)
        text = f"The agent {self._agent} has ended the task and forgotten its result"
        self.pending.append(TaskLost(key=key, text=text))


def size_of(items: Collection[Report | Output]) -> int:
    """Return the bytes of output among items to be delivered."""
    return sum(len(item.data) for item in items if isinstance(item, Output))


def _ended(event: TaskEnded) -> Report:
    if event.exit_code is None:
        return TaskLost(
            key=event.key,
            text="The task's host went down while it ran, its result is not known",
        )
    return TaskExited(
        key=event.key,
        exit_code=event.exit_code,
        signal=event.signal,
        reason=event.reason,
        ended_at=event.ended_at,
        first_line=event.first_line,
        error_line=event.error_line,
        returned=event.returned,
        returned_problem=event.returned_problem,
    )
