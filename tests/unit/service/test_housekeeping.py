"""What the engine stores stays within its age limits."""

from pathlib import Path

import pytest

from engine.kernel.instants import Instant, seconds
from engine.kernel.state import State
from engine.service.housekeeping import Housekeeping, Retention
from engine.store.base import NewEvent
from engine.store.history import History
from engine.store.memory import MemoryStore
from engine.store.task_logs import TaskLogs

NOW = Instant(1_700_000_000_000)
DAY = seconds(86_400)

pytestmark = pytest.mark.anyio


async def test_events_older_than_the_limit_go_when_a_snapshot_stands_for_them(
    tmp_path: Path,
) -> None:
    store = MemoryStore()
    await store.open()
    epoch = await store.begin_epoch()
    ages = [10 * DAY, 9 * DAY, 2 * DAY, 0]
    rows = [NewEvent(at=Instant(NOW - age), kind="K", body=b"{}") for age in ages]
    last = await store.append(epoch, rows)
    await store.save_snapshot(last, b"state")
    history, logs = History(tmp_path / "history"), TaskLogs(tmp_path / "logs")
    await history.open()
    retention = Retention(journal=seconds(5 * 86_400), history=DAY, task_logs=DAY)
    housekeeping = Housekeeping(store, history, logs, retention, State, lambda: NOW)

    await housekeeping.clean_up()

    assert (await store.bounds()).first == 3
    await history.close()
    await logs.close()


async def test_nothing_goes_without_limits(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.open()
    epoch = await store.begin_epoch()
    old = NewEvent(at=Instant(0), kind="K", body=b"{}")
    last = await store.append(epoch, [old, old])
    await store.save_snapshot(last, b"state")
    history, logs = History(tmp_path / "history"), TaskLogs(tmp_path / "logs")
    await history.open()
    retention = Retention(journal=None, history=None, task_logs=None)

    await Housekeeping(store, history, logs, retention, State, lambda: NOW).clean_up()

    assert (await store.bounds()).first == 1
    await history.close()
    await logs.close()
