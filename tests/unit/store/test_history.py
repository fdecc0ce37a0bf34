"""The histories: what they are told, what they answer, and how they are made again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.codec.journal import EventCodec
from engine.kernel.ids import (
    EventNumber,
    HistoryId,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Instant
from engine.kernel.limits import HISTORY_BATCH_MAX, HISTORY_TEXT_CHARACTERS_MAX
from engine.store.base import NewEvent, StoredEvent
from engine.store.history import History, Projected
from engine.store.history_records import (
    HistoryFilter,
    HistoryRecord,
    OrderNoted,
    OrderNotesDropped,
    OrderRunEnded,
    OrderRunStarted,
    OrderStepEnded,
    OrderStepStarted,
    TaskEndedRecord,
    TaskRecorded,
)
from engine.store.memory import MemoryStore

pytestmark = pytest.mark.anyio

ALL = HistoryFilter()


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    opened = History(tmp_path / "history.sqlite")
    await opened.open()
    yield opened
    await opened.close()


def run(number: int, *, chain: str = "/Daily", order_id: str = "1") -> list[HistoryRecord]:
    history_id, task = HistoryId(number), TaskId(number * 10)
    return [
        OrderRunStarted(
            history_id=history_id,
            chain=chain,
            order_id=OrderId(order_id),
            title=f"run {number}",
            started_at=Instant(number * 1000),
            parent="/Daily,0",
        ),
        TaskRecorded(
            task=task,
            job="/Load",
            cause="order",
            at=Instant(number * 1000),
            agent="http://a:1",
            pid=99,
            parameters={"a": "ü"},
            chain=chain,
            order_id=OrderId(order_id),
            history_id=history_id,
        ),
        OrderStepStarted(
            history_id=history_id,
            step=1,
            task=task,
            state=NodeState("load"),
            at=Instant(number * 1000),
        ),
        OrderStepEnded(
            history_id=history_id,
            step=1,
            at=Instant(number * 1000 + 500),
            error=True,
            error_code="SCHEDULER-280",
            error_text="exit 1",
        ),
        TaskEndedRecord(
            task=task,
            at=Instant(number * 1000 + 500),
            exit_code=1,
            error=True,
            error_code="SCHEDULER-280",
            error_text="exit 1",
        ),
        OrderRunEnded(
            history_id=history_id,
            state=NodeState("failed"),
            state_text="bad",
            at=Instant(number * 1000 + 600),
            end_is_error=True,
        ),
    ]


async def test_a_run_is_told_with_its_steps(history: History) -> None:
    await history.apply(EventNumber(1), run(1))
    [entry] = await history.order_runs(ALL)
    assert (entry.history_id, entry.chain, entry.order_id) == (1, "/Daily", "1")
    assert (entry.title, entry.parent) == ("run 1", "/Daily,0")
    assert (entry.started_at, entry.ended_at) == (1000, 1600)
    assert (entry.state, entry.state_text, entry.end_is_error) == ("failed", "bad", True)
    [step] = entry.steps
    assert (step.step, step.task, step.state) == (1, 10, "load")
    assert (step.started_at, step.ended_at) == (1000, 1500)
    assert (step.error, step.error_code, step.error_text) == (True, "SCHEDULER-280", "exit 1")


def noted(text: str, history_id: HistoryId | None = None) -> OrderNoted:
    return OrderNoted(
        chain="/Daily",
        order_id=OrderId("1"),
        history_id=history_id,
        at=Instant(5),
        level="info",
        text=text,
    )


async def test_notes_of_an_order_go_with_the_run_that_begins(history: History) -> None:
    key = OrderKey(chain_key("/Daily"), OrderId("1"))
    await history.apply(EventNumber(1), [noted("suspended")])
    await history.apply(EventNumber(2), [noted("resumed")])
    assert [note.text for note in await history.notes(key)] == ["suspended", "resumed"]
    await history.apply(EventNumber(3), run(7))
    assert not await history.notes(key)
    await history.apply(EventNumber(4), [noted("refused", HistoryId(7))])
    notes = await history.notes(HistoryId(7))
    assert [note.text for note in notes] == ["suspended", "resumed", "refused"]
    await history.forget_before(Instant(10_000))
    assert not await history.notes(HistoryId(7))


async def test_notes_go_with_an_order_that_goes_before_its_run(history: History) -> None:
    key = OrderKey(chain_key("/Daily"), OrderId("1"))
    await history.apply(EventNumber(1), [noted("suspended")])
    dropped = OrderNotesDropped(chain="/Daily", order_id=OrderId("1"))
    await history.apply(EventNumber(2), [dropped])
    assert not await history.notes(key)


async def test_a_task_is_told(history: History) -> None:
    await history.apply(EventNumber(1), run(1))
    [entry] = await history.tasks(ALL)
    assert (entry.task, entry.job, entry.cause, entry.agent) == (10, "/Load", "order", "http://a:1")
    assert (entry.pid, entry.started_at, entry.ended_at, entry.exit_code) == (99, 1000, 1500, 1)
    assert (entry.error, entry.error_code, entry.steps) == (True, "SCHEDULER-280", 1)
    assert entry.parameters == {"a": "ü"}
    assert (entry.chain, entry.order_id, entry.history_id) == ("/Daily", "1", 1)


async def test_what_is_under_way_has_no_end_and_the_state_of_its_step(history: History) -> None:
    await history.apply(EventNumber(1), run(1)[:3])
    [entry] = await history.order_runs(ALL)
    assert (entry.ended_at, entry.state, entry.steps[0].ended_at) == (None, "load", None)
    [task] = await history.tasks(ALL)
    assert (task.ended_at, task.exit_code, task.error) == (None, None, False)


async def test_events_are_applied_once(history: History) -> None:
    await history.apply(EventNumber(5), run(1))
    await history.apply(EventNumber(5), run(2))
    await history.apply(EventNumber(4), run(3))
    assert await history.applied() == 5
    assert [entry.history_id for entry in await history.order_runs(ALL)] == [1]


async def test_everything_is_there_after_opening_again(tmp_path: Path, history: History) -> None:
    await history.apply(EventNumber(7), run(1))
    await history.close()
    again = History(tmp_path / "history.sqlite")
    await again.open()
    assert await again.applied() == 7
    assert len(await again.tasks(ALL)) == 1
    await again.close()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (HistoryFilter(), [5, 4, 3, 2, 1]),
        (HistoryFilter(limit=2), [5, 4]),
        (HistoryFilter(limit=0), []),
        (HistoryFilter(chain="/DAILY"), [5, 3, 1]),
        (HistoryFilter(chain="/other"), [4, 2]),
        (HistoryFilter(order_id="o2"), [2]),
        (HistoryFilter(chain="/daily", order_id="o2"), []),
        (HistoryFilter(ids=(1, 4, 9)), [4, 1]),
        (HistoryFilter(since=Instant(3000)), [5, 4, 3]),
        (HistoryFilter(before=3), [2, 1]),
        (HistoryFilter(before=4, limit=2), [3, 2]),
        (HistoryFilter(after=2), [5, 4, 3]),
        (HistoryFilter(after=2, limit=2), [4, 3]),
        (HistoryFilter(history_id=HistoryId(3)), [3]),
    ],
)
async def test_runs_are_found_newest_first(
    history: History, wanted: HistoryFilter, expected: list[int]
) -> None:
    for number in range(1, 6):
        chain = "/Daily" if number % 2 else "/Other"
        await history.apply(EventNumber(number), run(number, chain=chain, order_id=f"o{number}"))
    assert [entry.history_id for entry in await history.order_runs(wanted)] == expected
    tasks = replace(
        wanted,
        ids=tuple(10 * each for each in wanted.ids),
        before=wanted.before and wanted.before * 10,
        after=wanted.after and wanted.after * 10,
    )
    assert [entry.task // 10 for entry in await history.tasks(tasks)] == expected


async def test_tasks_are_found_by_job_in_any_spelling(history: History) -> None:
    await history.apply(EventNumber(1), run(1))
    assert len(await history.tasks(HistoryFilter(job="/LOAD"))) == 1
    assert await history.tasks(HistoryFilter(job="/save")) == []


async def test_texts_are_cut_and_names_that_are_no_text_are_taken(history: History) -> None:
    started, task, *_, ended = run(1)
    assert isinstance(ended, OrderRunEnded)
    assert isinstance(task, TaskRecorded)
    await history.apply(
        EventNumber(1),
        [
            started,
            replace(task, job="/caf\udce9", parameters={"f": "caf\udce9"}),
            replace(ended, state_text="x" * 1000),
        ],
    )
    [entry] = await history.order_runs(ALL)
    assert len(entry.state_text) == HISTORY_TEXT_CHARACTERS_MAX
    [found] = await history.tasks(ALL)
    assert found.parameters == {"f": "caf\udce9"}
    assert found.job.startswith("/caf")


async def test_no_query_returns_more_rows_than_the_general_limit(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        await history.apply(EventNumber(number), run(number))
    monkeypatch.setattr("engine.store.history.HISTORY_ROWS_MAX", 3)
    assert len(await history.order_runs(HistoryFilter(limit=100))) == 3
    assert len(await history.tasks(HistoryFilter(limit=100, ids=(10, 20, 30, 40, 50)))) == 3


async def test_old_rows_are_forgotten_with_their_steps(history: History) -> None:
    for number in range(1, 6):
        await history.apply(EventNumber(number), run(number))
    await history.apply(EventNumber(6), run(6)[:3])
    await history.forget_before(Instant(4000))
    assert [entry.history_id for entry in await history.order_runs(ALL)] == [6, 5, 4]
    assert len(await history.tasks(ALL)) == 3
    await history.forget_before(Instant(10**12))
    assert [entry.history_id for entry in await history.order_runs(ALL)] == [6]


async def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    file.write_bytes(b"this is not a database at all" * 100)
    history = History(file)
    await history.open()
    assert await history.applied() == 0
    assert file.with_name("history.sqlite.damaged").exists()
    await history.close()


# --- from the journal ----------------------------------------------------------------------------

CODEC: EventCodec[OrderRunStarted | OrderRunEnded] = EventCodec(OrderRunStarted | OrderRunEnded)


def project(events: Sequence[StoredEvent]) -> list[Projected]:
    return [(event.number, [CODEC.event_of(event)]) for event in events]


async def journal(runs: int) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    epoch = await store.begin_epoch()
    events: list[NewEvent] = []
    for number in range(1, runs + 1):
        records = run(number)
        for record in (records[0], records[-1]):
            assert isinstance(record, OrderRunStarted | OrderRunEnded)
            events.append(CODEC.new_event(record, Instant(number)))
    await store.append(epoch, events)
    return store


async def test_the_histories_catch_up_with_the_journal_in_batches(history: History) -> None:
    store = await journal(HISTORY_BATCH_MAX)
    assert await history.catch_up(store, project) == 2 * HISTORY_BATCH_MAX
    assert await history.applied() == 2 * HISTORY_BATCH_MAX
    found = await history.order_runs(HistoryFilter(limit=10_000))
    assert len(found) == HISTORY_BATCH_MAX
    assert all(entry.ended_at for entry in found)
    assert await history.catch_up(store, project) == 2 * HISTORY_BATCH_MAX


async def test_events_that_mean_nothing_move_the_progress_on(history: History) -> None:
    store = await journal(3)
    assert await history.catch_up(store, lambda _events: []) == 6
    assert await history.applied() == 6


async def test_what_the_journal_no_longer_has_is_passed_over(history: History) -> None:
    store = await journal(5)
    await store.save_snapshot(EventNumber(6), b"state")
    await store.truncate_before(EventNumber(7))
    await history.catch_up(store, project)
    assert [entry.history_id for entry in await history.order_runs(ALL)] == [5, 4]


async def test_rebuilding_corrects_what_the_journal_tells_and_keeps_what_is_older(
    history: History,
) -> None:
    store = await journal(5)
    await history.catch_up(store, project)
    before = await history.order_runs(ALL)
    await store.save_snapshot(EventNumber(5), b"state")
    await store.truncate_before(EventNumber(6))
    started = run(9)[0]
    await history.apply(EventNumber(99), [started])
    await history.rebuild(store, project)
    assert await history.order_runs(ALL) == before
    assert await history.applied() == 10


async def test_the_usual_duration_is_the_median_of_the_last_runs(history: History) -> None:
    for number in range(1, 21):
        # The older runs took an hour, the last nine 1 to 9 seconds.
        took = 3_600_000 if number < 12 else (number - 11) * 1000
        await history.apply(EventNumber(number), ended_run(number, took))
    await history.apply(EventNumber(21), run(21, order_id="other")[:1])
    known = OrderKey(chain_key("/daily"), OrderId("1"))
    never = OrderKey(chain_key("/daily"), OrderId("other"))
    found = await history.usual_durations([known, never, job_key("/load"), job_key("/none")])
    assert found == {known: 5000, job_key("/load"): 5000}


async def test_the_durations_of_many_are_looked_up_in_pieces(history: History) -> None:
    await history.apply(EventNumber(1), ended_run(1, 1000))
    keys = [OrderKey(chain_key("/daily"), OrderId(str(number))) for number in range(2000)]
    assert await history.usual_durations(keys) == {keys[1]: 1000}


def ended_run(number: int, took: int) -> list[HistoryRecord]:
    end = Instant(number * 1000 + took)
    return [
        *run(number)[:2],
        TaskEndedRecord(task=TaskId(number * 10), at=end, exit_code=0),
        OrderRunEnded(history_id=HistoryId(number), state=NodeState("end"), at=end),
    ]
