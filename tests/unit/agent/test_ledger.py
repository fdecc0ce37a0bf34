"""The agent's ledger: leases, keys, events, take-over; no time passes but the one given."""

from dataclasses import replace

import pytest

from engine.agent.ledger import (
    PIECE_BYTES_MAX,
    RESERVATION_MS_MAX,
    RETENTION_MS,
    TIMEOUTS_KEPT,
    TOMBSTONE_MS,
    TOMBSTONES_MAX,
    Ledger,
)
from engine.agent.ledger_parts import (
    Action,
    Bury,
    Discard,
    Execution,
    Kill,
    Launch,
    News,
    OutputRange,
    SaveLease,
    SaveSession,
    Terminate,
)
from engine.codec.agent_messages import (
    Channel,
    CommandAnswer,
    CommandRequest,
    ExecutionStatus,
    Known,
    Refusal,
    RefusalReason,
    Reserve,
    SessionRequest,
    Signal,
    TakeOver,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.kernel.effects import KillMode, ProcessSpec
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

KEY = ExecutionKey("e/1.1")
SPEC = ProcessSpec(job="/j", script="true", environment={})
T = Duration(60_000)
KEPT = RETENTION_MS + TIMEOUTS_KEPT * T


class Desk:
    """A ledger with an engine talking to it, all at the moment `at`."""

    def __init__(self, engine: str = "e", ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger(run="r1", boot="b1")
        self.engine = engine
        self.epoch = Epoch(1)
        self.at = 1_000
        self.number = 0
        self.stamp = ""
        self.seen = 0
        self.ack = 0
        self.actions: list[Action] = []

    def session(self, **changes: object) -> News | Refusal:
        request = SessionRequest(
            engine=self.engine,
            epoch=self.epoch,
            run="r1",
            stamp=self.stamp,
            seen=self.seen,
            ack=self.ack,
            take=1_000_000,
            wait=Duration(10_000),
        )
        reply, self.actions = self.ledger.attend(replace(request, **changes), self.at)  # type: ignore[arg-type]
        self.stamp = self.ledger.stamp(self.at)
        return reply

    def news(self, **changes: object) -> News:
        reply = self.session(**changes)
        assert isinstance(reply, News)
        return reply

    def command(self, **commands: object) -> dict[ExecutionKey, ExecutionStatus]:
        reply = self.raw_command(**commands)
        assert isinstance(reply, CommandAnswer)
        return {outcome.key: outcome.status for outcome in reply.outcomes}

    def raw_command(self, **commands: object) -> CommandAnswer | Refusal:
        self.number += 1
        request = CommandRequest(
            engine=self.engine, epoch=self.epoch, run="r1", number=self.number, stamp=self.stamp
        )
        reply, self.actions = self.ledger.command(replace(request, **commands), self.at)  # type: ignore[arg-type]
        self.stamp = self.ledger.stamp(self.at)
        return reply

    def reserve(self, key: ExecutionKey = KEY, timeout: Duration = T) -> ExecutionStatus:
        wish = Reserve(key=key, task=TaskId(1), timeout=timeout, spec=SPEC)
        return self.command(reserve=(wish,))[key]

    def begin(self, key: ExecutionKey = KEY) -> ExecutionStatus:
        return self.command(begin=(key,))[key]

    def running(self, key: ExecutionKey = KEY) -> "Desk":
        self.session(run="")
        self.reserve(key)
        assert self.begin(key) is ExecutionStatus.RUNNING
        self.ledger.launched(key, 17, Instant(5))
        return self


def ended(key: ExecutionKey = KEY, code: int = 0) -> TaskEnded:
    return TaskEnded(
        key=key, exit_code=code, signal=None, reason=EndReason.EXITED, ended_at=Instant(9)
    )


def contents(news: News) -> list[object]:
    return [offer.content for offer in news.offers]


# --- starting --------------------------------------------------------------------------------------


def test_a_first_request_opens_the_session_and_tells_what_is_known() -> None:
    desk = Desk()
    assert desk.news(run="") == News(executions=())
    assert desk.actions == [SaveSession(engine="e", epoch=Epoch(1))]


def test_a_reservation_starts_nothing_and_a_begin_does() -> None:
    desk = Desk()
    desk.session(run="")
    assert desk.reserve() is ExecutionStatus.RESERVED
    assert [action for action in desk.actions if isinstance(action, Launch)] == []
    assert desk.begin() is ExecutionStatus.RUNNING
    assert [action for action in desk.actions if isinstance(action, Launch)] == [
        Launch(key=KEY, engine="e", task=TaskId(1), timeout=T, spec=SPEC)
    ]


def test_a_key_is_launched_once_however_often_it_is_reserved_and_begun() -> None:
    desk = Desk().running()
    assert desk.reserve() is ExecutionStatus.RUNNING
    assert desk.begin() is ExecutionStatus.RUNNING
    desk.ledger.ended(ended(), (0, 0), desk.at)
    assert desk.reserve() is ExecutionStatus.ENDED
    assert desk.begin() is ExecutionStatus.ENDED
    assert not [action for action in desk.actions if isinstance(action, Launch)]


def test_what_was_never_reserved_cannot_be_begun() -> None:
    desk = Desk()
    desk.session(run="")
    assert desk.begin() is ExecutionStatus.GONE


def test_a_reservation_expires() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    desk.at += RESERVATION_MS_MAX
    desk.session()
    desk.ledger.sweep(desk.at)
    assert desk.begin() is ExecutionStatus.GONE


def test_a_begin_with_an_old_stamp_comes_too_late() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    stamp = desk.stamp
    desk.at += T
    desk.stamp = stamp
    assert desk.begin() is ExecutionStatus.GONE


def test_a_request_that_others_have_overtaken_is_refused() -> None:
    desk = Desk().running()
    desk.number = 0
    reply = desk.raw_command(close=(KEY,))
    assert isinstance(reply, Refusal)
    assert reply.reason is RefusalReason.EXPIRED


def test_a_request_for_another_life_of_the_agent_is_refused() -> None:
    desk = Desk().running()
    reply = desk.raw_command(run="r0", close=(KEY,))
    assert isinstance(reply, Refusal)
    assert reply.reason is RefusalReason.OTHER_RUN


def test_a_terminating_agent_keeps_its_word_but_gives_no_new_one() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    desk.ledger.terminate()
    assert desk.reserve(ExecutionKey("e/2.1")) is ExecutionStatus.UNAVAILABLE
    assert desk.begin() is ExecutionStatus.RUNNING


def test_an_agent_with_its_number_of_tasks_is_unavailable() -> None:
    desk = Desk(ledger=Ledger(run="r1", boot="b1", tasks_max=1)).running()
    assert desk.reserve(ExecutionKey("e/2.1")) is ExecutionStatus.UNAVAILABLE


def test_a_launch_is_called_off_when_its_lease_is_over_or_somebody_has_killed_it() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    desk.begin()
    assert desk.ledger.may_start(KEY, desk.at)
    assert not desk.ledger.may_start(KEY, desk.at + T)
    desk.command(signal=(Signal(key=KEY, kill=KillMode.KILL),))
    assert not desk.ledger.may_start(KEY, desk.at)


# --- the lease -------------------------------------------------------------------------------------


def test_a_lease_counts_from_the_acknowledged_answer_not_from_the_request() -> None:
    desk = Desk().running()
    desk.at += 10_000
    desk.session()
    old = desk.stamp
    desk.at += 49_000
    desk.session(stamp=old)
    desk.at += 10_999
    assert desk.ledger.tick(desk.at) == []
    desk.at += 1
    assert desk.ledger.tick(desk.at) == [Kill(keys=(KEY,), reason=EndReason.LEASE_OVER)]


def test_requests_that_acknowledge_nothing_new_do_not_save_a_task() -> None:
    desk = Desk().running()
    stamp = desk.stamp
    killed: list[Action] = []
    for _ in range(70):
        desk.at += 1_000
        desk.session(stamp=stamp)
        killed += [action for action in desk.actions if isinstance(action, Kill)]
    assert killed == [Kill(keys=(KEY,), reason=EndReason.LEASE_OVER)]


def test_the_lease_is_looked_at_before_the_request_that_would_renew_it() -> None:
    desk = Desk().running()
    desk.at += T
    desk.session()
    assert Kill(keys=(KEY,), reason=EndReason.LEASE_OVER) in desk.actions


def test_a_renewed_lease_is_written_down() -> None:
    desk = Desk()
    desk.session(run="")
    desk.at += 10
    desk.session()
    assert desk.actions == [SaveLease(engine="e", base=1_000)]


def test_a_stamp_of_another_life_of_the_host_or_of_the_future_is_worth_nothing() -> None:
    desk = Desk().running()
    desk.at += T
    for stamp in ("b0.999999", f"b1.{desk.at + 1}", "nonsense", "b1.x"):
        desk.session(stamp=stamp)
        assert not [action for action in desk.actions if isinstance(action, SaveLease)]


def test_a_lease_that_is_over_does_not_touch_a_finished_task() -> None:
    desk = Desk().running()
    desk.ledger.ended(ended(), (0, 0), desk.at)
    desk.at += 2 * T
    assert desk.ledger.tick(desk.at) == []
    assert contents(desk.news())[-1] == ended()


def test_another_engine_keeps_its_tasks() -> None:
    one = Desk().running()
    other = Desk("f", one.ledger)
    other_key = ExecutionKey("f/1.1")
    other.running(other_key)
    other.at += 30_000
    other.session()
    other.at += 1
    other.session()
    assert one.ledger.tick(one.at + T) == [Kill(keys=(KEY,), reason=EndReason.LEASE_OVER)]


# --- events ----------------------------------------------------------------------------------------


def test_events_come_in_order_begin_output_end() -> None:
    desk = Desk().running()
    desk.ledger.grew(KEY, 10, 0)
    desk.ledger.ended(ended(), (15, 3), desk.at)
    begun = TaskBegun(key=KEY, pid=17, started_at=Instant(5))
    news = desk.news()
    assert contents(news) == [
        begun,
        _piece("stdout", 0, 15),
        _piece("stderr", 0, 3),
        ended(),
    ]
    assert [offer.number for offer in news.offers] == [1, 2, 3, 4]


def test_events_are_offered_until_they_are_acknowledged() -> None:
    desk = Desk().running()
    first = desk.news()
    assert desk.news(seen=0) == first
    assert desk.news(seen=1) == News()
    assert desk.news(seen=1, ack=1) == News()
    assert desk.news(seen=0, ack=1) == News(), "acknowledged ones are gone"


def test_an_answer_is_bounded_and_the_rest_follows() -> None:
    desk = Desk().running()
    desk.ledger.grew(KEY, 3 * PIECE_BYTES_MAX, 0)
    news = desk.news(take=PIECE_BYTES_MAX + 1)
    assert sum(part.length for part in contents(news) if isinstance(part, OutputRange)) == (
        2 * PIECE_BYTES_MAX
    )
    rest = desk.news(seen=news.offers[-1].number)
    assert contents(rest) == [_piece("stdout", 2 * PIECE_BYTES_MAX, PIECE_BYTES_MAX)]


def test_an_engine_that_wants_nothing_now_gets_a_heartbeat() -> None:
    desk = Desk().running()
    assert desk.news(take=0) == News()


def test_a_start_that_failed_is_told() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    desk.begin()
    refused = TaskNotBegun(key=KEY, text="no such user")
    desk.ledger.ended(refused, (0, 0), desk.at)
    assert contents(desk.news()) == [refused]


# --- signals and closing ---------------------------------------------------------------------------


def test_each_way_of_ending_is_carried_out_once() -> None:
    desk = Desk().running()
    wish = Signal(key=KEY, kill=KillMode.TERMINATE)
    desk.command(signal=(wish,))
    assert Terminate(key=KEY) in desk.actions
    desk.command(signal=(wish,))
    assert Terminate(key=KEY) not in desk.actions
    desk.command(signal=(Signal(key=KEY, kill=KillMode.KILL),))
    assert Kill(keys=(KEY,), reason=EndReason.KILLED) in desk.actions


def test_a_closed_result_goes_with_its_files() -> None:
    desk = Desk().running()
    desk.ledger.ended(ended(), (0, 0), desk.at)
    assert desk.command(close=(KEY,)) == {KEY: ExecutionStatus.GONE}
    assert Discard(key=KEY) in desk.actions
    assert desk.news() == News()
    assert desk.ledger.count() == 0


def test_closing_a_running_task_kills_it_and_drops_its_result() -> None:
    desk = Desk().running()
    assert desk.command(close=(KEY,)) == {KEY: ExecutionStatus.RUNNING}
    assert Kill(keys=(KEY,), reason=EndReason.KILLED) in desk.actions
    assert desk.ledger.ended(ended(code=137), (0, 0), desk.at) == [Discard(key=KEY)]
    assert desk.news() == News()


def test_a_signal_for_a_mere_reservation_drops_it() -> None:
    desk = Desk()
    desk.session(run="")
    desk.reserve()
    outcome = desk.command(signal=(Signal(key=KEY, kill=KillMode.KILL),))
    assert outcome == {KEY: ExecutionStatus.GONE}


def test_results_that_nobody_fetches_go_after_a_day_and_leave_their_key() -> None:
    desk = Desk().running()
    desk.ledger.ended(ended(), (0, 0), desk.at)
    assert desk.ledger.sweep(desk.at + KEPT - 1) == []
    assert desk.ledger.sweep(desk.at + KEPT) == [Bury(key=KEY)]
    assert desk.ledger.count() == 0
    desk.at += KEPT
    newer = Desk(ledger=desk.ledger)
    newer.at, newer.epoch = desk.at, Epoch(2)
    assert newer.news(run="").executions == (Known(key=KEY, status=ExecutionStatus.FORGOTTEN),)
    assert newer.reserve() is newer.begin() is ExecutionStatus.FORGOTTEN
    assert newer.command(signal=(Signal(key=KEY, kill=KillMode.KILL),)) == {
        KEY: ExecutionStatus.FORGOTTEN
    }
    assert newer.command(close=(KEY,)) == {KEY: ExecutionStatus.GONE}
    assert newer.actions == [Discard(key=KEY)]
    assert newer.reserve() is ExecutionStatus.RESERVED


def test_a_key_whose_start_the_journal_has_goes_with_its_result() -> None:
    desk = Desk().running()
    desk.seen = desk.ack = desk.news().offers[-1].number
    desk.session()
    desk.ledger.ended(ended(), (0, 0), desk.at)
    assert desk.ledger.sweep(desk.at + KEPT) == [Discard(key=KEY)]


def test_a_key_that_never_ran_goes_with_its_result() -> None:
    desk = Desk().running()
    desk.ledger.ended(TaskNotBegun(key=KEY, text="no"), (0, 0), desk.at)
    assert desk.ledger.sweep(desk.at + KEPT) == [Discard(key=KEY)]


def test_a_key_is_kept_for_a_year() -> None:
    desk = Desk(ledger=Ledger(run="r1", boot="b1"))
    desk.ledger.restore_session("e", Epoch(1), None)
    desk.ledger.restore_tombstone("e", KEY, desk.at)
    assert desk.ledger.sweep(desk.at + TOMBSTONE_MS - 1) == []
    assert desk.ledger.sweep(desk.at + TOMBSTONE_MS) == [Discard(key=KEY)]
    desk.at += TOMBSTONE_MS
    desk.session(run="")
    assert desk.reserve() is ExecutionStatus.RESERVED


def test_of_too_many_keys_the_oldest_go() -> None:
    ledger = Ledger(run="r1", boot="b1")
    keys = [ExecutionKey(f"e/{number}.1") for number in range(TOMBSTONES_MAX + 2)]
    for key in keys:
        ledger.restore_tombstone("e", key, 1)
    assert ledger.sweep(2) == [Discard(key=key) for key in keys[:2]]


# --- new lives -------------------------------------------------------------------------------------


def test_a_new_epoch_hears_everything_again_and_the_old_one_is_refused() -> None:
    desk = Desk().running()
    desk.ledger.grew(KEY, 10, 0)
    news = desk.news()
    desk.seen = desk.ack = news.offers[-1].number
    desk.ledger.ended(ended(), (12, 0), desk.at)
    desk.session()
    newer = Desk(ledger=desk.ledger)
    newer.epoch = Epoch(2)
    assert newer.news(run="").executions == (Known(key=KEY, status=ExecutionStatus.ENDED),)
    assert contents(newer.news()) == [
        TaskBegun(key=KEY, pid=17, started_at=Instant(5)),
        _piece("stdout", 10, 2),
        ended(),
    ]
    reply = desk.session()
    assert isinstance(reply, Refusal)
    assert reply.reason is RefusalReason.OLD_EPOCH


def test_a_new_epoch_may_ask_for_the_end_of_all_that_runs() -> None:
    desk = Desk().running()
    desk.reserve(ExecutionKey("e/2.1"))
    newer = Desk(ledger=desk.ledger)
    newer.epoch = Epoch(2)
    news = newer.news(run="", take_over=TakeOver.KILL)
    assert Kill(keys=(KEY,), reason=EndReason.TAKEN_OVER) in newer.actions
    assert news.executions == (Known(key=KEY, status=ExecutionStatus.RUNNING),)


def test_a_new_life_of_the_agent_goes_on_with_the_lease_of_the_former() -> None:
    ledger = Ledger(run="r2", boot="b1")
    ledger.restore_session("e", Epoch(1), 5_000)
    ledger.restore_execution(_restored())
    assert ledger.tick(5_000 + T - 1) == []
    assert ledger.tick(5_000 + T) == [Kill(keys=(KEY,), reason=EndReason.LEASE_OVER)]


@pytest.mark.parametrize("base", [None, -5])
def test_a_lease_of_another_life_of_the_host_is_over(base: int | None) -> None:
    ledger = Ledger(run="r2", boot="b2")
    ledger.restore_session("e", Epoch(1), base)
    ledger.restore_execution(_restored())
    assert ledger.tick(T)


def _restored() -> Execution:
    return Execution(
        key=KEY,
        engine="e",
        task=TaskId(1),
        job="/j",
        timeout=T,
        status=ExecutionStatus.RUNNING,
    )


def _piece(channel: str, offset: int, length: int) -> OutputRange:
    return OutputRange(
        key=KEY, task=TaskId(1), channel=Channel(channel), offset=offset, length=length
    )
