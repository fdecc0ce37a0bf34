"""Task logs: what is in the file, whatever is repeated, cut, mixed or interrupted."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.codec.agent_messages import Channel
from engine.errors import StoreUnavailable
from engine.kernel.ids import TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.limits import LOG_FOLLOWERS_MAX, LOG_LINE_BYTES_MAX, LOG_READ_BYTES_MAX
from engine.store.log_file import LogFile, companion_of
from engine.store.task_logs import TaskLogs

pytestmark = pytest.mark.anyio

TASK = TaskId(7)
OUT, ERR = Channel.STDOUT, Channel.STDERR


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[TaskLogs]:
    made = TaskLogs(tmp_path / "logs", handles_max=3)
    yield made
    await made.close()


async def content(logs: TaskLogs, task: TaskId = TASK) -> bytes:
    piece = await logs.read(task, 0, LOG_READ_BYTES_MAX)
    assert piece is not None
    return piece.data


async def test_lines_name_their_channel(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\ntwo\n")
    await logs.append_output(TASK, ERR, 0, b"bad\n")
    assert await content(logs) == b"[stdout] one\n[stdout] two\n[stderr] bad\n"


async def test_a_task_may_do_without_prefixes(logs: TaskLogs) -> None:
    await logs.begin(TASK, has_prefixes=False)
    await logs.append_output(TASK, OUT, 0, b"one\n")
    await logs.append_output(TASK, ERR, 0, b"bad\n")
    assert await content(logs) == b"one\nbad\n"


async def test_a_message_of_the_engine_has_time_and_level_on_each_line(logs: TaskLogs) -> None:
    await logs.append_line(TASK, Instant(1500), "info", "first\nsecond")
    assert await content(logs) == (
        b"1970-01-01T00:00:01.500Z [info] first\n1970-01-01T00:00:01.500Z [info] second\n"
    )


async def test_a_message_with_a_number_is_written_once(logs: TaskLogs) -> None:
    for number in (5, 5, 3, 6):
        await logs.append_line(TASK, Instant(0), "info", f"event {number}", number=number)
    assert [line[-7:] for line in (await content(logs)).splitlines()] == [b"event 5", b"event 6"]


async def test_a_repeat_and_an_overlap_write_only_what_is_new(logs: TaskLogs) -> None:
    assert await logs.append_output(TASK, OUT, 0, b"one\n") == 4
    assert await logs.append_output(TASK, OUT, 0, b"one\n") == 4
    assert await logs.append_output(TASK, OUT, 2, b"e\ntwo\n") == 8
    assert await logs.append_output(TASK, OUT, 1, b"ne") == 8
    assert await content(logs) == b"[stdout] one\n[stdout] two\n"


async def test_a_gap_is_not_taken_until_it_is_given_up(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\npart")
    assert await logs.append_output(TASK, OUT, 100, b"later\n") == 8
    await logs.skip_output(TASK, OUT, 100)
    assert await logs.append_output(TASK, OUT, 100, b"later\n") == 106
    assert await content(logs) == (
        b"[stdout] one\n[stdout] part\n"
        b"--- output on stdout up to byte 100 is lost ---\n[stdout] later\n"
    )


async def test_an_incomplete_line_waits_for_its_end(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\nha")
    await logs.append_output(TASK, ERR, 0, b"bad\n")
    assert await content(logs) == b"[stdout] one\n[stderr] bad\n"
    assert (await logs.output_offsets(TASK)).stdout == 6
    await logs.append_output(TASK, OUT, 6, b"lf\n")
    assert await content(logs) == b"[stdout] one\n[stderr] bad\n[stdout] half\n"


async def test_an_incomplete_last_line_is_written_at_the_end(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\nlast")
    await logs.append_output(TASK, ERR, 0, b"bad")
    await logs.finish(TASK)
    assert await content(logs) == b"[stdout] one\n[stdout] last\n[stderr] bad\n"
    piece = await logs.tail(TASK, 1)
    assert piece is not None
    assert piece.is_finished


async def test_what_comes_after_the_end_is_still_added_once(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\n")
    await logs.finish(TASK)
    await logs.append_output(TASK, OUT, 0, b"one\n")
    await logs.append_output(TASK, OUT, 4, b"late\n")
    assert await content(logs) == b"[stdout] one\n[stdout] late\n"


async def test_a_line_longer_than_the_limit_is_written_in_pieces_on_one_line(
    logs: TaskLogs,
) -> None:
    long = b"x" * (LOG_LINE_BYTES_MAX + 1)
    await logs.append_output(TASK, OUT, 0, long)
    await logs.append_output(TASK, OUT, len(long), b"end\nnext\n")
    assert await content(logs) == b"[stdout] " + long + b"end\n[stdout] next\n"


async def test_another_channel_breaks_a_long_line(logs: TaskLogs) -> None:
    long = b"x" * (LOG_LINE_BYTES_MAX + 1)
    await logs.append_output(TASK, OUT, 0, long)
    await logs.append_output(TASK, ERR, 0, b"bad\n")
    await logs.append_output(TASK, OUT, len(long), b"end\n")
    assert await content(logs) == b"[stdout] " + long + b"\n[stderr] bad\n[stdout] end\n"


async def test_bytes_that_are_no_text_are_kept(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"caf\xe9 \x00\n")
    piece = await logs.read(TASK, 0, 100)
    assert piece is not None
    assert piece.data == b"[stdout] caf\xe9 \x00\n"
    assert piece.text.encode("utf-8", "surrogateescape") == piece.data


async def test_reading_goes_on_where_it_stopped(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"".join(b"line %d\n" % i for i in range(1000)))
    whole, offset = b"", 0
    while True:
        piece = await logs.read(TASK, offset, 100)
        assert piece is not None
        if not piece.data:
            break
        assert len(piece.data) <= 100
        assert piece.data.endswith(b"\n")
        whole, offset = whole + piece.data, piece.next_offset
    assert whole == await content(logs)
    assert offset == piece.size


async def test_a_piece_never_ends_inside_a_character(logs: TaskLogs) -> None:
    await logs.begin(TASK, has_prefixes=False)
    await logs.append_output(TASK, OUT, 0, "€".encode() * 10 + b"\n")
    for size in (4, 5, 6, 7):
        piece = await logs.read(TASK, 0, size)
        assert piece is not None
        assert piece.data.decode()


async def test_a_negative_offset_counts_from_the_end(logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\ntwo\n")
    piece = await logs.read(TASK, -4, 100)
    assert piece is not None
    assert piece.data == b"two\n"
    piece = await logs.read(TASK, -4000, 100)
    assert piece is not None
    assert piece.offset == 0


@pytest.mark.parametrize("count", [0, 1, 2, 500, 5000])
async def test_the_tail_has_the_last_lines(logs: TaskLogs, count: int) -> None:
    await logs.begin(TASK, has_prefixes=False)
    lines = [b"line %d\n" % i for i in range(1000)]
    await logs.append_output(TASK, OUT, 0, b"".join(lines))
    piece = await logs.tail(TASK, count)
    assert piece is not None
    assert piece.data == b"".join(lines[len(lines) - min(count, 1000) :])
    assert piece.next_offset == piece.size


async def test_reads_and_tails_are_bounded(logs: TaskLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    await logs.append_output(TASK, OUT, 0, b"".join(b"line %d\n" % i for i in range(100)))
    monkeypatch.setattr("engine.store.task_logs.LOG_READ_BYTES_MAX", 100)
    monkeypatch.setattr("engine.store.task_logs.LOG_TAIL_LINES_MAX", 3)
    piece = await logs.read(TASK, 0, 10_000)
    assert piece is not None
    assert 0 < len(piece.data) <= 100
    piece = await logs.tail(TASK, 50)
    assert piece is not None
    assert piece.data == b"[stdout] line 97\n[stdout] line 98\n[stdout] line 99\n"


async def test_a_big_piece_is_taken_in_parts(
    logs: TaskLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.task_logs.LOG_APPEND_BYTES_MAX", 10)
    data = b"".join(b"line %d\n" % i for i in range(100))
    assert await logs.append_output(TASK, OUT, 0, data) == len(data)
    assert (await content(logs)).count(b"[stdout] ") == 100
    assert await logs.append_output(TASK, OUT, 0, data) == len(data)
    assert (await content(logs)).count(b"[stdout] ") == 100


async def test_a_log_that_never_was_is_none(logs: TaskLogs) -> None:
    assert await logs.read(TASK, 0, 10) is None
    assert await logs.tail(TASK, 10) is None


async def test_offsets_and_held_lines_outlive_a_restart(tmp_path: Path, logs: TaskLogs) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\nha")
    await logs.append_output(TASK, ERR, 0, b"bad\n")
    await logs.close()
    again = TaskLogs(tmp_path / "logs")
    offsets = await again.output_offsets(TASK)
    assert (offsets.stdout, offsets.stderr) == (6, 4)
    await again.append_output(TASK, OUT, 0, b"one\nhalf\n")
    assert await content(again) == b"[stdout] one\n[stderr] bad\n[stdout] half\n"
    await again.close()


async def test_more_logs_than_handles_are_written_in_turn(logs: TaskLogs) -> None:
    tasks = [TaskId(i) for i in range(10)]
    for turn in range(3):
        for task in tasks:
            await logs.append_output(task, OUT, turn * 2, b"%d\n" % turn)
    for task in tasks:
        assert await content(logs, task) == b"[stdout] 0\n[stdout] 1\n[stdout] 2\n"
    assert len(logs._open) == 3


async def test_followers_hear_of_growth_until_they_stop(logs: TaskLogs) -> None:
    heard: list[int] = []
    stop = logs.follow(TASK, lambda _task, size: heard.append(size))
    await logs.append_output(TASK, OUT, 0, b"one\n")
    await logs.append_output(TASK, OUT, 0, b"one\n")
    await logs.append_output(TaskId(8), OUT, 0, b"other\n")
    stop()
    stop()
    await logs.append_output(TASK, OUT, 4, b"two\n")
    assert heard == [13]


async def test_the_number_of_followers_is_bounded(logs: TaskLogs) -> None:
    for _ in range(LOG_FOLLOWERS_MAX):
        stop = logs.follow(TASK, lambda _task, _size: None)
    with pytest.raises(StoreUnavailable):
        logs.follow(TASK, lambda _task, _size: None)
    stop()
    logs.follow(TASK, lambda _task, _size: None)


async def test_a_log_that_is_full_says_so_once_and_keeps_counting(tmp_path: Path) -> None:
    logs = TaskLogs(tmp_path / "logs", size_max=30)
    await logs.append_output(TASK, OUT, 0, b"0123456789\n")
    await logs.append_output(TASK, OUT, 11, b"0123456789\n")
    assert await logs.append_output(TASK, OUT, 22, b"more\n") == 27
    await logs.append_line(TASK, Instant(0), "info", "ended")
    text = await content(logs)
    assert text.startswith(b"[stdout] 0123456789\n--- the log has reached 30 bytes")
    assert text.endswith(b"[info] ended\n")
    assert b"more" not in text
    await logs.close()


async def test_retention_removes_the_old_and_then_the_oldest(logs: TaskLogs) -> None:
    now = Instant(1_000_000_000)
    for task, age_s in ((1, 500), (2, 300), (3, 200), (4, 100)):
        await logs.append_output(TaskId(task), OUT, 0, b"x\n")
        moment = (now / 1000) - age_s
        os.utime(logs.file_of(TaskId(task)), (moment, moment))
    size = logs.file_of(TaskId(1)).stat().st_size
    done = await logs.retain(now, age_max=Duration(400_000), running=frozenset({TaskId(9)}))
    assert (done.removed, done.kept) == (1, 3)
    done = await logs.retain(now, total_bytes_max=2 * size, running=frozenset({TaskId(2)}))
    assert (done.removed, done.kept_bytes) == (1, 2 * size)
    assert [await logs.read(TaskId(task), 0, 9) is None for task in (1, 2, 3, 4)] == [
        True,
        False,
        True,
        False,
    ]
    assert not companion_of(logs.file_of(TaskId(1))).exists()


async def test_a_disk_that_refuses_is_reported_and_nothing_is_counted(
    logs: TaskLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await logs.append_output(TASK, OUT, 0, b"one\n")

    def refuse(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await logs.append_output(TASK, OUT, 4, b"two\n")
    assert await logs.append_output(TASK, OUT, 4, b"two\n") == 8
    assert await content(logs) == b"[stdout] one\n[stdout] two\n"


async def test_closed_logs_refuse(logs: TaskLogs) -> None:
    await logs.close()
    await logs.close()
    with pytest.raises(StoreUnavailable):
        await logs.append_output(TASK, OUT, 0, b"one\n")


async def test_producers_wait_while_the_queue_is_full(
    logs: TaskLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.task_logs.LOG_QUEUE_BYTES_MAX", 1000)
    pieces = [b"%099d\n" % i for i in range(100)]
    seen: list[int] = []
    stop = logs.follow(TASK, lambda _task, _size: seen.append(logs._waiting_bytes))
    await asyncio.gather(
        *(logs.append_output(TASK, OUT, 100 * i, piece) for i, piece in enumerate(pieces))
    )
    stop()
    assert max(seen) <= 1000
    assert (await content(logs)).count(b"\n") == 100


def test_text_without_a_recorded_position_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "task-1.log"
    log = LogFile(file)
    log.append_output(OUT, 0, b"one\n")
    log.close()
    with file.open("ab") as text:
        text.write(b"[stdout] tw")
    again = LogFile(file)
    assert again.append_output(OUT, 4, b"two\n") == 8
    again.close()
    assert file.read_bytes() == b"[stdout] one\n[stdout] two\n"


def test_a_torn_position_gives_way_to_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "task-1.log"
    log = LogFile(file)
    log.append_output(OUT, 0, b"one\n")
    log.append_output(OUT, 4, b"two\n")
    log.close()
    record = bytearray(companion_of(file).read_bytes())
    record[20] ^= 0xFF  # the second position is in the first place
    companion_of(file).write_bytes(record)
    again = LogFile(file)
    assert again.offsets.stdout == 4
    again.append_output(OUT, 4, b"two\n")
    again.close()
    assert file.read_bytes() == b"[stdout] one\n[stdout] two\n"


def test_what_was_synced_is_found_when_the_text_has_lost_its_tail(tmp_path: Path) -> None:
    file = tmp_path / "task-1.log"
    log = LogFile(file)
    log.append_output(OUT, 0, b"one\n")
    log.sync()
    synced = file.stat().st_size
    for i in range(5):
        log.append_output(OUT, 4 + 2 * i, b"x\n")
    log.close()
    os.truncate(file, synced + 3)
    again = LogFile(file)
    assert again.offsets.stdout == 4
    assert file.stat().st_size == synced
    again.close()


def test_a_log_whose_companion_was_removed_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "task-1.log"
    file.write_bytes(b"[stdout] one\n")
    log = LogFile(file)
    log.append_lines(b"more\n")
    log.close()
    assert file.read_bytes() == b"[stdout] one\nmore\n"


@pytest.mark.parametrize("seed", range(20))
def test_repeats_overlaps_and_restarts_in_any_order_give_the_same_lines(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    streams = {
        channel: b"".join(
            b"%s %d %s\n" % (channel.value.encode(), i, b"." * chance.randrange(60))
            for i in range(80)
        )
        for channel in Channel
    }
    file = tmp_path / "task-1.log"
    log = LogFile(file)
    while any(log.offsets.of(channel) < len(streams[channel]) for channel in Channel):
        channel = chance.choice(list(Channel))
        start = max(0, log.offsets.of(channel) - chance.randrange(100))
        log.append_output(channel, start, streams[channel][start : start + chance.randrange(300)])
        if chance.random() < 0.1:
            log.close()
            with file.open("ab") as text:
                text.write(b"never recorded"[: chance.randrange(14)])
            log = LogFile(file)
    log.finish()
    log.close()
    found = file.read_bytes().splitlines(keepends=True)
    for channel in Channel:
        prefix = f"[{channel.value}] ".encode()
        lines = [line.removeprefix(prefix) for line in found if line.startswith(prefix)]
        assert b"".join(lines) == streams[channel]
