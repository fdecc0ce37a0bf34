"""Order and task history: projections of the journal in a SQLite file of their own.

The file knows which event it is up to, in the same transaction as what that event changed. So
applying events again changes nothing, a crash loses nothing, and the whole file can be thrown away
and made again from the journal (as far back as the journal reaches). A file that cannot be read is
put aside by itself, since nothing in it is the only copy of recent facts.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any, TypeAlias, assert_never

from engine.codec.records import codec_for
from engine.errors import EventsGone, StoreCorrupt
from engine.kernel.ids import EventNumber, HistoryId, JobKey, OrderKey, folded_path
from engine.kernel.instants import Duration, Instant
from engine.kernel.limits import (
    HISTORY_BATCH_MAX,
    HISTORY_ROWS_MAX,
    HISTORY_TEXT_CHARACTERS_MAX,
    ORDER_NOTES_MAX,
    STORE_TIMEOUT_S,
)
from engine.store.base import NO_EVENT, Store, StoredEvent
from engine.store.connections import ReadingThread, connect_to_write, prepare_schema
from engine.store.history_records import (
    HistoryFilter,
    HistoryRecord,
    OrderNote,
    OrderNoted,
    OrderNotesDropped,
    OrderRunEnded,
    OrderRunEntry,
    OrderRunStarted,
    OrderStepEnded,
    OrderStepEntry,
    OrderStepStarted,
    TaskEndedRecord,
    TaskEntry,
    TaskNoted,
    TaskRecorded,
)
from engine.store.sql import statements
from engine.store.writer import Writer

log = logging.getLogger(__name__)

Projected: TypeAlias = tuple[EventNumber, Sequence[HistoryRecord]]
"""An event and what it means for the histories; without records it only moves the progress on."""
Projector: TypeAlias = Callable[[Sequence[StoredEvent]], Sequence[Projected]]
"""Turns events into records. Called with consecutive events, never twice at a time."""

APPLICATION_ID = 0x504F4948
"""Marks the file as ours (`POIH`)."""
SCHEMA_VERSION = 1

RUNS_OF_MEDIAN = 9
"""The last runs that tell how long the next one takes."""
DURATIONS_READ_MAX = 250
"""Orders and jobs whose runs are looked up in one go, so that other readers get their turn."""

_SQL = statements("history_sqlite.sql")
_PARAMETERS = codec_for(dict[str, str])


class History:
    """The histories in the file `file`; its folder must exist."""

    def __init__(self, file: Path, *, timeout_s: float = STORE_TIMEOUT_S) -> None:
        self._file = file
        self._timeout_s = timeout_s
        self._writer = self._new_writer()
        self._reader = ReadingThread(file, timeout_s=timeout_s)

    async def open(self) -> None:
        """Prepare for use; a file that is damaged is put aside and begun anew."""
        try:
            await self._start()
        except StoreCorrupt as error:
            aside = self._put_aside()
            log.warning("The histories are made again; %s was put aside as %s", error, aside)
            self._writer = self._new_writer()
            await self._start()

    async def close(self) -> None:
        """Finish what was asked for, then let go; a second call does nothing."""
        await self._reader.close()
        await self._writer.stop()

    # --- filling ---------------------------------------------------------------------------------

    async def applied(self) -> EventNumber:
        """Return the number of the event up to which the histories are filled."""
        return await self._reader.run(_applied)

    async def apply(self, number: EventNumber, records: Sequence[HistoryRecord]) -> None:
        """Take in what one event means; nothing when it has been applied before."""
        await self.apply_all([(number, records)])

    async def apply_all(self, batch: Sequence[Projected]) -> None:
        """Take in what several events mean, in their order; durable on return."""
        for start in range(0, len(batch), HISTORY_BATCH_MAX):
            await self._apply_part(batch[start : start + HISTORY_BATCH_MAX])

    async def _apply_part(self, part: Sequence[Projected]) -> None:
        await self._writer.run(lambda connection: _apply(connection, part))

    async def catch_up(self, store: Store, project: Projector) -> EventNumber:
        """Apply what the journal has beyond this, in batches, and return how far that is.

        `project` runs in a thread. What the journal no longer has is passed over.
        """
        after = await self.applied()
        while True:
            try:
                events = await store.read(after, HISTORY_BATCH_MAX)
            except EventsGone as gone:
                after = EventNumber(gone.first - 1)
                continue
            if not events:
                return after
            batch = list(await asyncio.to_thread(project, events))
            after = events[-1].number
            if not batch or batch[-1][0] < after:
                batch.append((after, ()))
            await self.apply_all(batch)

    async def rebuild(self, store: Store, project: Projector) -> EventNumber:
        """Make everything again that the journal still tells; older rows stay as they are."""
        await self.forget_from((await store.bounds()).first)
        return await self.catch_up(store, project)

    async def forget_from(self, first: EventNumber) -> None:
        """Remove the rows that events from `first` on have begun, to apply these events again."""
        await self._writer.run(lambda connection: _forget_from(connection, first))

    async def forget_before(self, instant: Instant) -> None:
        """Remove what ended before an instant, in pieces."""
        removed = HISTORY_BATCH_MAX
        while removed:
            removed = await self._writer.run(lambda connection: _forget_before(connection, instant))

    # --- reading ---------------------------------------------------------------------------------

    async def tasks(self, wanted: HistoryFilter) -> list[TaskEntry]:
        """Return tasks, newest first."""
        conditions = [
            *_common_conditions("task", wanted),
            ("job_key = ?", _folded(wanted.job)),
            ("history_id = ?", wanted.history_id),
        ]
        statement, arguments = _query("select_tasks", "task", conditions, wanted)
        return await self._reader.run(
            lambda connection: _newest_first(
                [_task_entry(row) for row in connection.execute(statement, arguments)], wanted
            )
        )

    async def order_runs(self, wanted: HistoryFilter) -> list[OrderRunEntry]:
        """Return runs of orders with their steps, newest first."""
        conditions = [
            *_common_conditions("history_id", wanted),
            ("history_id = ?", wanted.history_id),
        ]
        statement, arguments = _query("select_order_runs", "history_id", conditions, wanted)

        def work(connection: sqlite3.Connection) -> list[OrderRunEntry]:
            rows = connection.execute(statement, arguments).fetchall()
            steps = _steps_of(connection, [row[0] for row in rows])
            return _newest_first([_run_entry(row, steps.get(row[0], ())) for row in rows], wanted)

        return await self._reader.run(work)

    async def notes(self, about: HistoryId | OrderKey) -> list[OrderNote]:
        """Return the notes of a run, or those of an order whose next run has not begun."""
        of_order = isinstance(about, OrderKey)
        statement = _SQL["select_notes_of_order" if of_order else "select_notes_of_run"]
        subject = about if isinstance(about, OrderKey) else (about,)

        def work(connection: sqlite3.Connection) -> list[OrderNote]:
            rows = connection.execute(statement, (*subject, ORDER_NOTES_MAX))
            return [OrderNote(at=at, level=level, text=text) for at, level, text in rows]

        return await self._reader.run(work)

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> dict[OrderKey | JobKey, Duration]:
        """Return how long the last runs took in the median; those that never ran are not in it."""
        found: dict[OrderKey | JobKey, Duration] = {}
        for begin in range(0, len(subjects), DURATIONS_READ_MAX):
            piece = subjects[begin : begin + DURATIONS_READ_MAX]
            found |= await self._reader.run(partial(_usual_durations, piece))
        return found

    # --- opening ---------------------------------------------------------------------------------

    def _new_writer(self) -> Writer:
        file = self._file
        return Writer(file, lambda: connect_to_write(file), timeout_s=self._timeout_s)

    async def _start(self) -> None:
        await self._writer.start()
        try:
            await self._writer.run(
                lambda connection: prepare_schema(
                    connection, self._file, _SQL["schema"], APPLICATION_ID, SCHEMA_VERSION
                )
            )
        except BaseException:
            await self._writer.stop()
            raise

    def _put_aside(self) -> Path:
        aside = self._file.with_name(f"{self._file.name}.damaged")
        self._file.replace(aside)
        for suffix in ("-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        return aside


# --- on the writing thread -----------------------------------------------------------------------


def _applied(connection: sqlite3.Connection) -> EventNumber:
    [number] = connection.execute(_SQL["applied"]).fetchone()
    return EventNumber(number)


def _apply(connection: sqlite3.Connection, batch: Sequence[Projected]) -> None:
    before = applied = _applied(connection)
    for number, records in batch:
        if number > applied:
            for record in records:
                _apply_record(connection, number, record)
            applied = number
    if applied != before:
        connection.execute(_SQL["set_applied"], (applied,))


def _apply_record(
    connection: sqlite3.Connection, number: EventNumber, record: HistoryRecord
) -> None:
    for name, arguments in _changes(number, record):
        connection.execute(_SQL[name], arguments)


def _changes(number: EventNumber, r: HistoryRecord) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the statements that a record means."""
    match r:
        case OrderRunStarted():
            chain, order_id = _text(r.chain), _text(r.order_id)
            about = (chain, folded_path(chain), order_id, _text(r.title), _text(r.parent))
            yield "order_run_started", (r.history_id, number, *about, r.started_at)
            if r.has_notes:
                yield "notes_of_run_begun", (r.history_id, folded_path(chain), order_id)
        case OrderStepStarted():
            state = _text(r.state)
            yield "order_step_started", (r.history_id, r.step, number, r.task, state, r.at)
            yield "state_of_run", (state, r.history_id)
        case OrderStepEnded():
            outcome = (r.at, int(r.error), _text(r.error_code), _cut(r.error_text))
            yield "order_step_ended", (*outcome, r.history_id, r.step)
        case OrderRunEnded():
            end = (_text(r.state), _cut(r.state_text), r.at, int(r.end_is_error))
            yield "order_run_ended", (*end, r.history_id)
        case TaskRecorded():
            yield "task_started", _task_row(number, r)
        case TaskEndedRecord():
            error = (int(r.error), _text(r.error_code), _cut(r.error_text))
            yield "task_ended", (r.at, r.exit_code, *error, r.steps, r.task)
        case TaskNoted():
            yield "task_noted", (_cut(r.text), r.task)
        case OrderNoted():
            chain, order_id = folded_path(_text(r.chain)), _text(r.order_id)
            said = (r.at, r.level, _text(r.text))
            yield "order_noted", (number, chain, order_id, r.history_id, *said)
        case OrderNotesDropped():
            yield "order_notes_dropped", (folded_path(_text(r.chain)), _text(r.order_id))
        case _:
            assert_never(r)


def _task_row(number: EventNumber, record: TaskRecorded) -> tuple[object, ...]:
    job, chain = _text(record.job), _text(record.chain)
    return (
        record.task,
        number,
        job,
        folded_path(job),
        _text(record.cause),
        _text(record.agent),
        record.pid,
        record.at,
        _PARAMETERS.to_json(dict(record.parameters)).decode(),
        chain,
        folded_path(chain),
        _text(record.order_id),
        record.history_id,
    )


def _text(text: str) -> str:
    """Return a text that SQLite can take, whatever bytes a name was made of."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _cut(text: str) -> str:
    return _text(text[:HISTORY_TEXT_CHARACTERS_MAX])


def _forget_from(connection: sqlite3.Connection, first: EventNumber) -> None:
    for table in ("tasks", "order_runs", "order_steps", "order_notes"):
        name = f"forget_{table}_from"
        connection.execute(_SQL[name], (first,))
    connection.execute(_SQL["set_applied"], (max(first - 1, NO_EVENT),))


def _forget_before(connection: sqlite3.Connection, instant: Instant) -> int:
    tasks = connection.execute(_SQL["tasks_before"], (instant, HISTORY_BATCH_MAX)).fetchall()
    runs = connection.execute(_SQL["order_runs_before"], (instant, HISTORY_BATCH_MAX)).fetchall()
    connection.executemany(_SQL["forget_task"], tasks)
    connection.executemany(_SQL["forget_order_steps"], runs)
    connection.executemany(_SQL["forget_notes_of_run"], runs)
    connection.execute(_SQL["forget_notes_before"], (instant,))
    connection.executemany(_SQL["forget_order_run"], runs)
    return len(tasks) + len(runs)


# --- on the reading thread -----------------------------------------------------------------------


def _usual_durations(
    subjects: Sequence[OrderKey | JobKey], connection: sqlite3.Connection
) -> dict[OrderKey | JobKey, Duration]:
    found: dict[OrderKey | JobKey, Duration] = {}
    for subject in subjects:
        if isinstance(subject, OrderKey):
            rows = connection.execute(
                _SQL["last_durations_of_order"], (subject.id, subject.chain, RUNS_OF_MEDIAN)
            ).fetchall()
        else:
            rows = connection.execute(
                _SQL["last_durations_of_job"], (subject, RUNS_OF_MEDIAN)
            ).fetchall()
        if rows:
            found[subject] = Duration(median_low(max(0, duration) for (duration,) in rows))
    return found


_Condition: TypeAlias = tuple[str, Any]


def _common_conditions(key: str, wanted: HistoryFilter) -> Iterator[_Condition]:
    yield "chain_key = ?", _folded(wanted.chain)
    yield "order_id = ?", wanted.order_id
    yield "started_at >= ?", wanted.since
    yield f"{key} < ?", wanted.before
    yield f"{key} > ?", wanted.after


def _query(
    name: str, key: str, conditions: Iterable[_Condition], wanted: HistoryFilter
) -> tuple[str, list[Any]]:
    """Return a SELECT with the conditions that have a value; names come from this module only."""
    used = [(text, value) for text, value in conditions if value is not None]
    arguments = [value for _, value in used]
    ids = wanted.ids[:HISTORY_ROWS_MAX]
    if ids:
        used.append((f"{key} IN ({', '.join('?' * len(ids))})", None))
        arguments += ids
    where = f" WHERE {' AND '.join(text for text, _ in used)}" if used else ""
    direction = "DESC" if wanted.after is None else "ASC"
    limit = max(0, min(wanted.limit, HISTORY_ROWS_MAX))
    return f"{_SQL[name]}{where} ORDER BY {key} {direction} LIMIT {limit}", arguments


def _newest_first(entries: list[Any], wanted: HistoryFilter) -> list[Any]:
    return entries if wanted.after is None else entries[::-1]


def _folded(path: str | None) -> str | None:
    return None if path is None else folded_path(path)


def _task_entry(row: Sequence[Any]) -> TaskEntry:
    task, job, cause, agent, pid, started_at, ended_at, exit_code, is_error, *rest = row
    error_code, error_text, steps, parameters, chain, order_id, history_id = rest
    return TaskEntry(
        task=task,
        job=job,
        cause=cause,
        agent=agent,
        pid=pid,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=exit_code,
        error=bool(is_error),
        error_code=error_code,
        error_text=error_text,
        steps=steps,
        parameters=_PARAMETERS.from_json(parameters.encode()),
        chain=chain,
        order_id=order_id,
        history_id=history_id,
    )


def _run_entry(row: Sequence[Any], steps: Sequence[OrderStepEntry]) -> OrderRunEntry:
    history_id, chain, order_id, title, parent, started_at, ended_at, state, text, is_error = row
    return OrderRunEntry(
        history_id=history_id,
        chain=chain,
        order_id=order_id,
        title=title,
        parent=parent,
        started_at=started_at,
        ended_at=ended_at,
        state=state,
        state_text=text,
        end_is_error=bool(is_error),
        steps=tuple(steps),
    )


def _steps_of(
    connection: sqlite3.Connection, runs: Sequence[HistoryId]
) -> dict[HistoryId, list[OrderStepEntry]]:
    found: dict[HistoryId, list[OrderStepEntry]] = {}
    for start in range(0, len(runs), 500):  # SQLite takes a bounded number of arguments
        part = runs[start : start + 500]
        marks = ", ".join("?" * len(part))
        statement = f"{_SQL['select_order_steps']} WHERE history_id IN ({marks}) ORDER BY step"
        for row in connection.execute(statement, part):
            found.setdefault(row[0], []).append(_step_entry(row))
    return found


def _step_entry(row: Sequence[Any]) -> OrderStepEntry:
    history_id, step, task, state, started_at, ended_at, is_error, code, text = row
    return OrderStepEntry(
        history_id=history_id,
        step=step,
        task=task,
        state=state,
        started_at=started_at,
        ended_at=ended_at,
        error=bool(is_error),
        error_code=code,
        error_text=text,
    )
