"""The engine's side of a session: what is sent when, and what is reported of it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import pytest

from engine.codec.agent_messages import (
    Channel,
    CommandAnswer,
    CommandRequest,
    Event,
    ExecutionStatus,
    Known,
    Numbered,
    Outcome,
    Output,
    Refusal,
    RefusalReason,
    SessionAnswer,
    SessionRequest,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.drivers.link_core import UNDELIVERED_BYTES_MAX, Link
from engine.drivers.link_parts import (
    Cancel,
    Deliver,
    FailureKind,
    LinkAction,
    LinkSettings,
    SendCommands,
    SendSession,
)
from engine.kernel.effects import KeepAgent, KillMode, ProcessSpec, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    LaunchFailure,
    Report,
    TaskExited,
    TaskExitedLate,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)

AGENT = AgentUri("http://agent:4445")
KEY = ExecutionKey("e/1.1")
T = TypeVar("T")


def run(key: ExecutionKey = KEY, **changes: object) -> RunProcess:
    fields: dict[str, object] = {
        "key": key,
        "task": TaskId(1),
        "agent": AGENT,
        "heartbeat_period": Duration(10_000),
        "heartbeat_timeout": Duration(60_000),
        "spec": ProcessSpec(job="/j", script="true", environment={}),
    }
    return RunProcess(**{**fields, **changes})  # type: ignore[arg-type]


class Wire:
    """A link and everything it has done, at the moment `at`."""

    def __init__(self, epoch: int = 1, period: int = 10_000, timeout: int = 60_000) -> None:
        self.at = 100_000
        self.link = Link(
            agent=AGENT, engine="e", epoch=Epoch(epoch), settings=LinkSettings(), at=self.at
        )
        self.keep = KeepAgent(
            agent=AGENT, heartbeat_period=Duration(period), heartbeat_timeout=Duration(timeout)
        )
        self.actions: list[LinkAction] = []
        self.reports: list[Report | Output] = []
        self.marks: list[int] = []
        self.number = 0

    def take(self, actions: list[LinkAction]) -> "Wire":
        self.actions = actions
        for action in actions:
            if isinstance(action, Deliver):
                self.reports += action.items
                self.marks.append(action.mark)
        return self

    def demand(self, *runs: RunProcess, may_be_older: bool = False) -> "Wire":
        wanted = {each.key: each for each in runs}
        return self.take(self.link.demand(self.keep, wanted, self.at, may_be_older=may_be_older))

    def tick(self) -> "Wire":
        return self.take(self.link.tick(self.at))

    def tick_to(self, moment: int) -> list[int]:
        """Let time pass as the link wants it; returns when it sent session requests."""
        sent = []
        while self.link.wakeup() <= moment:
            self.at = max(self.at, self.link.wakeup())
            self.tick()
            sent += [self.at for action in self.actions if isinstance(action, SendSession)]
        self.at = moment
        return sent

    def sent(self, kind: type[T]) -> T:
        found = [action for action in self.actions if isinstance(action, kind)]
        assert len(found) == 1, self.actions
        return found[0]

    def session(self) -> SessionRequest:
        return self.sent(SendSession).request

    def commands_sent(self) -> list[CommandRequest]:
        return [each.request for each in self._history if isinstance(each, SendCommands)]

    def commands(self) -> CommandRequest:
        return self.sent(SendCommands).request

    def answer(self, *events: Event, **changes: object) -> "Wire":
        ticket = self.ticket(SendSession)
        numbered = []
        for event in events:
            self.number += 1
            numbered.append(Numbered(number=self.number, event=event))
        fields: dict[str, object] = {
            "run": "r1",
            "ledger": "l1",
            "stamp": f"b.{self.at}",
            "events": tuple(numbered),
        }
        answer = SessionAnswer(**{**fields, **changes})  # type: ignore[arg-type]
        return self.take(self.link.session_answered(ticket, answer, self.at))

    def couple(self, *known: Known, **changes: object) -> "Wire":
        return self.answer(executions=known, **changes)

    def outcome(self, status: ExecutionStatus, key: ExecutionKey = KEY) -> "Wire":
        answer = CommandAnswer(
            run="r1", stamp=f"b.{self.at}", outcomes=(Outcome(key=key, status=status),)
        )
        return self.take(self.link.commands_answered(self.ticket(SendCommands), answer, self.at))

    def fail(self, kind: FailureKind = FailureKind.UNREACHABLE, of: type = SendSession) -> "Wire":
        failed = self.link.session_failed if of is SendSession else self.link.commands_failed
        return self.take(failed(self.ticket(of), kind, "refused", self.at))

    def ticket(self, kind: type) -> int:
        for action in reversed(self._history):
            if isinstance(action, SendSession | SendCommands) and isinstance(action, kind):
                return action.ticket
        raise AssertionError(f"no {kind} was sent")

    @property
    def actions(self) -> list[LinkAction]:
        return self._actions

    @actions.setter
    def actions(self, actions: list[LinkAction]) -> None:
        self._history = [*getattr(self, "_history", []), *actions]
        self._actions = actions

    def told(self, kind: type[T]) -> list[T]:
        return [report for report in self.reports if isinstance(report, kind)]

    def statuses(self) -> list[AgentStatus]:
        return [contact.status for contact in self.told(AgentContact)]


def begun(wire: Wire, *runs: RunProcess) -> Wire:
    """Bring an execution to where its process runs."""
    wire.demand(*(runs or (run(),))).couple()
    wire.outcome(ExecutionStatus.RESERVED).outcome(ExecutionStatus.RUNNING)
    return wire.answer(TaskBegun(key=KEY, pid=17, started_at=Instant(5)))


def ended(code: int | None = 0, key: ExecutionKey = KEY) -> TaskEnded:
    return TaskEnded(
        key=key, exit_code=code, signal=None, reason=EndReason.EXITED, ended_at=Instant(9)
    )


# --- starting --------------------------------------------------------------------------------------


def test_a_task_is_reserved_begun_and_reported() -> None:
    wire = Wire().demand(run())
    assert wire.session() == SessionRequest(engine="e", epoch=Epoch(1), take=1_000_000)
    wire.couple()
    commands = wire.commands()
    assert [reserve.key for reserve in commands.reserve] == [KEY]
    assert (commands.begin, commands.run) == ((), "r1")
    wire.outcome(ExecutionStatus.RESERVED)
    assert wire.commands().begin == (KEY,)
    assert wire.commands().number > commands.number
    wire.outcome(ExecutionStatus.RUNNING)
    wire.answer(TaskBegun(key=KEY, pid=17, started_at=Instant(5)))
    assert wire.told(TaskLaunched) == [TaskLaunched(key=KEY, pid=17, started_at=Instant(5))]


def test_an_agent_that_refuses_connections_is_told_at_once_and_nothing_is_begun() -> None:
    wire = Wire().demand(run()).fail()
    assert wire.told(TaskNotLaunched) == [
        TaskNotLaunched(key=KEY, failure=LaunchFailure.UNREACHABLE, text="refused")
    ]
    assert wire.statuses() == [AgentStatus.LOST]


def test_a_wrong_token_is_a_refusal_not_an_absence() -> None:
    wire = Wire().demand(run()).fail(FailureKind.REFUSED)
    assert [each.failure for each in wire.told(TaskNotLaunched)] == [LaunchFailure.REFUSED]


def test_a_task_demanded_after_the_failing_attempt_gets_one_of_its_own() -> None:
    wire = Wire().demand()
    wire.at += 5
    wire.demand(run()).fail()
    assert wire.told(TaskNotLaunched) == []
    wire.session()
    wire.fail()
    assert len(wire.told(TaskNotLaunched)) == 1


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (ExecutionStatus.UNAVAILABLE, LaunchFailure.UNREACHABLE),
        (ExecutionStatus.REFUSED, LaunchFailure.REFUSED),
    ],
)
def test_a_refused_reservation_is_told(status: ExecutionStatus, failure: LaunchFailure) -> None:
    wire = Wire().demand(run()).couple().outcome(status)
    assert [each.failure for each in wire.told(TaskNotLaunched)] == [failure]


def test_a_reservation_is_tried_three_times_before_another_agent_may_have_it() -> None:
    wire = Wire().demand(run()).couple()
    for _ in range(2):
        wire.fail(of=SendCommands)
        assert wire.told(TaskNotLaunched) == []
        wire.at += 1_000
        assert wire.tick().commands().reserve
    wire.fail(of=SendCommands)
    assert [each.failure for each in wire.told(TaskNotLaunched)] == [LaunchFailure.UNREACHABLE]


def test_a_begin_without_an_answer_is_repeated_and_never_given_to_another_agent() -> None:
    wire = Wire().demand(run()).couple().outcome(ExecutionStatus.RESERVED)
    for _ in range(20):
        wire.fail(of=SendCommands)
        wire.at += 1_000
        assert wire.tick().commands().begin == (KEY,)
    assert wire.told(TaskNotLaunched) == []


def test_a_reservation_that_has_expired_is_made_again() -> None:
    wire = Wire().demand(run()).couple().outcome(ExecutionStatus.RESERVED)
    wire.outcome(ExecutionStatus.GONE)
    assert [reserve.key for reserve in wire.commands().reserve] == [KEY]


def test_a_start_that_failed_at_the_agent_is_a_refusal() -> None:
    wire = Wire().demand(run()).couple()
    wire.outcome(ExecutionStatus.RESERVED).outcome(ExecutionStatus.RUNNING)
    wire.answer(TaskNotBegun(key=KEY, text="no such user"))
    assert [each.text for each in wire.told(TaskNotLaunched)] == ["no such user"]


def test_a_task_that_must_not_start_any_more_does_not() -> None:
    wire = Wire().demand(run())
    wire.demand(run(kill=KillMode.KILL, may_start=False)).couple()
    assert [each.failure for each in wire.told(TaskNotLaunched)] == [LaunchFailure.REFUSED]
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]


# --- the end of tasks ------------------------------------------------------------------------------


def test_an_end_is_reported_after_its_output_and_acknowledged_only_when_committed() -> None:
    wire = begun(Wire())
    piece = Output(key=KEY, task=TaskId(1), channel=Channel.STDOUT, offset=0, data=b"x")
    wire.answer(piece, ended(3))
    assert wire.reports[-2:] == [
        piece,
        TaskExited(key=KEY, exit_code=3, signal=None, reason=EndReason.EXITED, ended_at=Instant(9)),
    ]
    assert (wire.session().seen, wire.session().ack) == (3, 0)
    for mark in wire.marks:
        wire.take(wire.link.committed(mark, wire.at))
    wire.answer()
    assert (wire.session().seen, wire.session().ack) == (3, 3)


def test_an_event_that_comes_again_is_reported_once() -> None:
    wire = begun(Wire())
    again = Numbered(number=1, event=TaskBegun(key=KEY, pid=17, started_at=Instant(5)))
    wire.answer(events=(again,))
    assert len(wire.told(TaskLaunched)) == 1


def test_what_is_no_longer_demanded_is_closed_until_the_agent_confirms() -> None:
    wire = begun(Wire()).answer(ended()).demand()
    assert wire.commands().close == (KEY,)
    wire.fail(of=SendCommands)
    wire.at += 1_000
    assert wire.tick().commands().close == (KEY,)
    wire.outcome(ExecutionStatus.RUNNING)
    wire.at += 2_000
    assert wire.tick().commands().close == (KEY,)
    wire.outcome(ExecutionStatus.GONE)
    wire.at += 60_000
    assert not [action for action in wire.tick().actions if isinstance(action, SendCommands)]


def test_what_the_agent_has_and_nobody_demands_is_closed() -> None:
    wire = Wire().demand()
    wire.couple(Known(key=KEY, status=ExecutionStatus.RUNNING))
    assert wire.commands().close == (KEY,)


def test_a_kill_is_sent_once_for_each_mode() -> None:
    wire = begun(Wire())
    wire.demand(run(kill=KillMode.TERMINATE, may_start=False))
    assert [signal.kill for signal in wire.commands().signal] == [KillMode.TERMINATE]
    wire.outcome(ExecutionStatus.RUNNING)
    assert not wire.tick().actions
    wire.demand(run(kill=KillMode.KILL, may_start=False))
    assert [signal.kill for signal in wire.commands().signal] == [KillMode.KILL]


def test_a_result_of_a_host_that_went_down_is_a_loss() -> None:
    wire = begun(Wire()).answer(ended(None))
    assert [each.key for each in wire.told(TaskLost)] == [KEY]


# --- silence ---------------------------------------------------------------------------------------


def profile_times(period: int, timeout: int) -> tuple[list[int], Wire]:
    wire = Wire(period=period, timeout=timeout)
    task = run(heartbeat_period=Duration(period), heartbeat_timeout=Duration(timeout))
    begun(wire, task)
    start = wire.at
    sent = wire.tick_to(start + 2 * timeout)
    return [moment - start for moment in sent], wire


def test_silence_is_answered_with_repeats_then_given_up_after_the_timeout_and_the_grace() -> None:
    repeats, wire = profile_times(10_000, 60_000)
    assert repeats[0] == 12_000
    assert repeats[1] == 13_000
    assert wire.statuses()[-2:] == [AgentStatus.DELAYED, AgentStatus.LOST]
    lost = wire.told(TaskLost)
    assert len(lost) == 1
    assert "lost for longer than the timeout of 60 s" in lost[0].text


@pytest.mark.parametrize(
    ("period", "timeout"), [(5_000, 10_000), (10_000, 60_000), (120_000, 7_200_000), (1_000, 2_000)]
)
def test_a_task_is_not_lost_before_its_lease_and_the_grace_are_over(
    period: int, timeout: int
) -> None:
    wire = Wire(period=period, timeout=timeout)
    task = run(heartbeat_period=Duration(period), heartbeat_timeout=Duration(timeout))
    begun(wire, task)
    start = wire.at
    wire.tick_to(start + timeout + 1_999)
    assert wire.told(TaskLost) == []
    wire.tick_to(start + timeout + 2_000)
    assert len(wire.told(TaskLost)) == 1


def test_an_agent_is_asked_for_less_than_a_third_of_the_timeout_at_a_time() -> None:
    wire = begun(Wire(period=5_000, timeout=10_000), run(heartbeat_timeout=Duration(10_000)))
    assert wire.session().wait == 3_333


def test_repeats_do_not_wait_and_the_first_request_may_still_be_answered() -> None:
    wire = begun(Wire())
    first = wire.ticket(SendSession)
    wire.at += 12_000
    assert wire.tick().session().wait == 0
    second = wire.ticket(SendSession)
    cancelled = []
    for _ in range(20):
        third = wire.ticket(SendSession)
        wire.at += 1_000
        wire.actions.clear()
        wire.tick()
        cancelled += [action.ticket for action in wire.actions if isinstance(action, Cancel)]
        if second in cancelled:
            break
        assert third == second or cancelled[-1] == third, "the last one gives way to the next"
    assert cancelled.index(second) == 10, "an answer may take the period and the delay"
    assert first not in cancelled


def test_an_agent_that_is_back_in_time_loses_nothing() -> None:
    wire = begun(Wire())
    wire.tick_to(wire.at + 50_000)
    wire.answer()
    wire.tick_to(wire.at + 9_000)
    assert wire.told(TaskLost) == []
    assert wire.statuses()[-1] is AgentStatus.COUPLED


def test_one_broken_connection_is_a_delay_two_are_an_absence() -> None:
    wire = begun(Wire()).fail()
    assert wire.statuses()[-1] is AgentStatus.DELAYED
    wire.at += 1_000
    wire.tick().fail()
    assert wire.statuses()[-1] is AgentStatus.LOST


def test_an_agent_that_is_away_is_asked_often_only_as_long_as_a_lease_can_be_saved() -> None:
    def pauses(wire: Wire, until: int) -> list[int]:
        moments = []
        while wire.at < until:
            wire.at = wire.link.wakeup()
            if any(isinstance(action, SendSession) for action in wire.tick().actions):
                moments.append(wire.at)
                wire.fail()
        return [later - sooner for sooner, later in pairwise(moments)]

    wire = begun(Wire()).fail()
    start = wire.at
    assert set(pauses(wire, start + 55_000)) == {1_000}
    assert set(pauses(wire, start + 200_000)[10:]) == {10_000}


# --- new lives -------------------------------------------------------------------------------------


def test_a_restarted_agent_with_the_same_ledger_goes_on() -> None:
    wire = begun(Wire()).fail()
    wire.at += 1_000
    wire.tick().couple(Known(key=KEY, status=ExecutionStatus.RUNNING), run="r2")
    assert wire.session().seen == 0
    assert wire.told(TaskLost) == []
    again = Numbered(number=1, event=ended(4))
    wire.answer(run="r2", events=(again,))
    assert [each.exit_code for each in wire.told(TaskExited)] == [4]


def test_a_task_that_the_same_ledger_does_not_know_has_never_run_and_is_started() -> None:
    wire = Wire().demand(run()).couple().outcome(ExecutionStatus.RESERVED)
    wire.fail(of=SendCommands).fail()
    wire.at += 1_000
    wire.tick().couple(run="r2").fail(of=SendCommands)
    wire.at += 1_000
    assert [reserve.key for reserve in wire.tick().commands().reserve] == [KEY]


def test_a_task_begun_under_a_ledger_that_has_gone_is_lost_after_its_lease() -> None:
    wire = begun(Wire())
    heard_at = wire.at
    wire.fail()
    wire.at += 1_000
    wire.tick().couple(run="r2", ledger="l2")
    wire.tick_to(heard_at + 61_999)
    assert wire.told(TaskLost) == []
    wire.tick_to(heard_at + 62_000)
    assert len(wire.told(TaskLost)) == 1


def test_a_former_lifes_task_is_taken_over() -> None:
    wire = Wire(epoch=2).demand(run(), may_be_older=True)
    wire.couple(Known(key=KEY, status=ExecutionStatus.RUNNING))
    wire.answer(ended(5))
    assert [each.exit_code for each in wire.told(TaskExited)] == [5]


def test_a_former_lifes_task_that_was_never_begun_is_started() -> None:
    wire = Wire(epoch=2).demand(run(ledger="l1"), may_be_older=True).couple()
    assert [reserve.key for reserve in wire.commands().reserve] == [KEY]


def test_a_former_lifes_task_is_not_given_to_another_agent_when_its_own_is_away() -> None:
    wire = Wire(epoch=2).demand(run(), may_be_older=True)
    start = wire.at
    while wire.at < start + 61_000:
        wire.fail()
        wire.at = wire.link.wakeup()
        wire.tick()
    assert wire.told(TaskNotLaunched) == []
    wire.tick_to(start + 62_000)
    assert len(wire.told(TaskLost)) == 1


def test_a_former_lifes_task_at_an_agent_that_never_heard_of_us_is_lost_after_its_lease() -> None:
    wire = Wire(epoch=2).demand(run(ledger="l0"), may_be_older=True)
    start = wire.at
    wire.couple()
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]
    while not wire.told(TaskLost):
        wire.at = wire.link.wakeup()
        wire.tick()
    assert wire.at == start + 62_000


def test_an_engine_that_was_replaced_reports_its_agents_as_lost() -> None:
    wire = begun(Wire())
    refusal = Refusal(reason=RefusalReason.OLD_EPOCH, run="r1", epoch=Epoch(2))
    wire.take(wire.link.session_refused(wire.ticket(SendSession), refusal, wire.at))
    assert wire.statuses()[-1] is AgentStatus.LOST
    assert "newer" in wire.told(AgentContact)[-1].text


def test_a_refusal_of_a_former_life_of_the_agent_changes_nothing() -> None:
    wire = Wire().demand(run()).couple()
    refusal = Refusal(reason=RefusalReason.OTHER_RUN, run="r1", epoch=Epoch(1))
    wire.take(wire.link.commands_refused(wire.ticket(SendCommands), refusal, wire.at))
    wire.at += 1_000
    assert wire.tick().commands().reserve


# --- limits ----------------------------------------------------------------------------------------


def test_no_more_is_asked_for_while_too_much_is_not_committed() -> None:
    wire = begun(Wire())
    data = bytes(UNDELIVERED_BYTES_MAX)
    wire.answer(Output(key=KEY, task=TaskId(1), channel=Channel.STDOUT, offset=0, data=data))
    assert (wire.session().take, wire.session().wait) == (0, 500)
    for mark in wire.marks:
        wire.take(wire.link.committed(mark, wire.at))
    wire.answer()
    assert wire.session().take > 0


# --- results that come late --------------------------------------------------------------------------


def lost(wire: Wire) -> Wire:
    """Lose the begun execution, with its demand gone and the agent to be asked to forget it."""
    begun(wire)
    wire.tick_to(wire.at + 70_000)
    assert len(wire.told(TaskLost)) == 1
    wire.demand()
    return wire.take(wire.link.forget([KEY], wire.at))


def test_the_end_of_a_lost_task_is_told_and_then_it_is_forgotten() -> None:
    wire = lost(Wire())
    wire.at += 50_000
    wire.tick().answer(Output(key=KEY, task=TaskId(1), channel=Channel.STDOUT, offset=0, data=b"x"))
    wire.answer(ended(7))
    (late,) = wire.told(TaskExitedLate)
    assert (late.key, late.exit_code) == (KEY, 7)
    assert wire.told(Output), "its output belongs into the log"
    assert not any(isinstance(action, SendCommands) for action in wire.actions)
    for mark in wire.marks[-2:]:
        wire.take(wire.link.committed(mark, wire.at))
    assert wire.commands().close == (KEY,)


def test_a_lost_task_that_the_agent_has_killed_is_forgotten_without_a_word() -> None:
    wire = lost(Wire())
    wire.tick().answer(replace(ended(137), reason=EndReason.LEASE_OVER))
    assert wire.commands().close == (KEY,)
    assert not wire.told(TaskExitedLate)


def test_an_agent_that_does_not_tell_the_end_of_a_lost_task_is_asked_to_forget_it() -> None:
    wire = lost(Wire())
    wire.tick().answer()
    wire.tick_to(wire.at + 31_000)
    assert wire.commands_sent()[-1].close == (KEY,)


def test_what_an_agent_tells_before_the_loss_is_committed_is_not_dropped() -> None:
    wire = begun(Wire())
    wire.tick_to(wire.at + 70_000)
    assert len(wire.told(TaskLost)) == 1
    wire.tick().answer(Output(key=KEY, task=TaskId(1), channel=Channel.STDOUT, offset=0, data=b"x"))
    assert wire.told(Output), "nobody would offer it again"
    wire.answer(ended(7))
    assert len(wire.told(TaskExitedLate)) == 1


def closes(wire: Wire) -> list[ExecutionKey]:
    return [key for request in wire.commands_sent() for key in request.close]


def lost_and_not_committed() -> Wire:
    """Lose the begun execution while the journal's disk is slow: it is still demanded."""
    wire = begun(Wire())
    wire.tick_to(wire.at + 70_000)
    assert len(wire.told(TaskLost)) == 1
    return wire.tick()


def test_a_restarted_agent_keeps_a_lost_task_until_the_loss_is_committed() -> None:
    wire = lost_and_not_committed()
    wire.couple(Known(key=KEY, status=ExecutionStatus.ENDED), run="r2")
    wire.tick_to(wire.at + 60_000)
    assert closes(wire) == [], "another life of the engine would start it a second time"
    again = Numbered(number=1, event=ended(7))
    wire.answer(run="r2", events=(again,))
    assert [late.exit_code for late in wire.told(TaskExitedLate)] == [7]
    wire.demand()
    for mark in wire.marks:
        wire.take(wire.link.committed(mark, wire.at))
    assert closes(wire) == [KEY]


@pytest.mark.parametrize("status", [ExecutionStatus.RUNNING, None])
def test_a_lost_task_without_a_result_is_closed_when_the_loss_is_committed(
    status: ExecutionStatus | None,
) -> None:
    wire = lost_and_not_committed()
    wire.couple(*([] if status is None else [Known(key=KEY, status=status)]), run="r2")
    wire.tick_to(wire.at + 60_000)
    assert closes(wire) == []
    assert wire.demand().commands().close == (KEY,)


@pytest.mark.parametrize(
    "event",
    [replace(ended(137), reason=EndReason.LEASE_OVER), TaskNotBegun(key=KEY, text="not wanted")],
)
def test_an_agent_that_has_killed_a_lost_task_keeps_it_until_the_loss_is_committed(
    event: Event,
) -> None:
    wire = lost_and_not_committed()
    wire.answer(event)
    wire.tick_to(wire.at + 60_000)
    assert closes(wire) == [], "another life of the engine would start it a second time"
    assert not wire.told(TaskExitedLate)
    assert wire.demand().commands().close == (KEY,)


def test_a_late_end_that_the_journal_has_not_taken_leaves_its_task_with_the_agent() -> None:
    wire = lost_and_not_committed()
    wire.answer(ended(7))
    for mark in wire.marks:
        wire.take(wire.link.committed(mark, wire.at))
    wire.tick_to(wire.at + 60_000)
    assert closes(wire) == []


def test_another_life_of_the_engine_hears_of_late_ends_too() -> None:
    wire = Wire(epoch=2).demand().couple(Known(key=KEY, status=ExecutionStatus.ENDED))
    wire.answer(ended(0))
    assert len(wire.told(TaskExitedLate)) == 1


def test_a_link_that_nobody_needs_is_idle() -> None:
    wire = begun(Wire()).answer(ended())
    assert not wire.link.is_idle()
    wire.take(wire.link.demand(None, {}, wire.at))
    assert not wire.link.is_idle(), "the agent has still to forget"
    wire.outcome(ExecutionStatus.GONE)
    assert wire.link.is_idle()


def test_the_wakeup_is_never_in_the_past_after_a_tick() -> None:
    situations: list[Callable[[], Wire]] = [
        lambda: Wire().demand(),
        lambda: Wire().demand(run()).couple(),
        lambda: begun(Wire()),
        lambda: begun(Wire()).fail(),
        lambda: begun(Wire()).answer(ended()),
        lambda: Wire(epoch=2).demand(run(ledger="l0"), may_be_older=True).couple(),
    ]
    for situation in situations:
        wire = situation()
        wire.tick()
        assert wire.link.wakeup() > wire.at


# --- what the agent has forgotten ------------------------------------------------------------------


def test_a_started_task_that_its_agent_does_not_know_any_more_is_lost_not_started() -> None:
    wire = Wire(epoch=2).demand(run(has_started=True, ledger="l1"), may_be_older=True).couple()
    assert "forgotten its result" in wire.told(TaskLost)[0].text
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]


def test_a_task_of_which_the_agent_has_only_the_key_is_lost_not_started() -> None:
    wire = Wire(epoch=2).demand(run(), may_be_older=True)
    wire.couple(Known(key=KEY, status=ExecutionStatus.FORGOTTEN))
    assert len(wire.told(TaskLost)) == 1
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]
    wire.take(wire.link.forget([KEY], wire.at))
    assert wire.commands().close == (KEY,)


@pytest.mark.parametrize("begins", [False, True])
def test_a_command_for_a_task_of_which_the_agent_has_only_the_key_loses_it(begins: bool) -> None:
    wire = Wire().demand(run()).couple()
    if begins:
        wire.outcome(ExecutionStatus.RESERVED)
    wire.outcome(ExecutionStatus.FORGOTTEN)
    assert len(wire.told(TaskLost)) == 1
    wire.at += 10_000
    wire.tick()
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]


def test_a_key_that_only_the_agent_has_is_closed() -> None:
    wire = Wire(epoch=2).demand().couple(Known(key=KEY, status=ExecutionStatus.FORGOTTEN))
    assert wire.commands().close == (KEY,)


def test_a_memory_that_came_after_the_key_cannot_say_that_it_was_never_begun() -> None:
    wire = Wire(epoch=3).demand(run(ledger="l1"), may_be_older=True)
    start = wire.at
    wire.couple(ledger="l2")
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]
    while not wire.told(TaskLost):
        wire.at = wire.link.wakeup()
        wire.tick()
    assert wire.at == start + 62_000


def test_a_memory_lost_in_between_cannot_say_it_either_when_it_is_asked_again() -> None:
    wire = begun(Wire()).fail()
    wire.at += 1_000
    wire.tick().couple(run="r2", ledger="l2").fail()
    wire.at += 1_000
    wire.tick().couple(run="r3", ledger="l2")
    assert not [action for action in wire.actions if isinstance(action, SendCommands)]
    assert wire.told(TaskLost) == []


def test_the_journal_is_told_of_an_agents_other_memory() -> None:
    wire = Wire().demand().couple()
    wire.tick_to(wire.at + 1_000)
    wire.fail()
    wire.at += 1_000
    wire.tick().couple(run="r2", ledger="l2")
    told = [(each.status, each.ledger) for each in wire.told(AgentContact)]
    assert told[-1] == (AgentStatus.COUPLED, "l2")
