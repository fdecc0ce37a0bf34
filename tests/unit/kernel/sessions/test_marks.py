"""Whose a process is, as the browser shows it."""

from collections.abc import Mapping
from dataclasses import replace

from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.sessions.browser import HostState, HostView, each_once
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.marks import Badge, KnownRun, Mark, Marked, RunEnd, mark_host
from engine.kernel.sessions.processes import HostTable, Process, RunDirectory

TOKEN = token_of(ExecutionKey("e/1.1"))
OTHER = token_of(ExecutionKey("other/1.1"))
BOOT = "11111111-2222"


def process(pid: int, parent: int = 1, group: int = 0, **more: object) -> Process:
    base = Process(
        pid=pid,
        parent=parent,
        group=group or pid,
        session=group or pid,
        user="me",
        is_own=True,
        state="S",
        start=f"t{pid}",
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name


def run(token: RunToken, pid: int, start: str | None = None) -> RunDirectory:
    fields = {
        "pid": str(pid),
        "pgid": str(pid),
        "sid": str(pid),
        "uid": "7",
        "start": start or f"t{pid}",
        "boot": BOOT,
    }
    return RunDirectory(token=token, result=None, fields=fields)


def table(*processes: Process, runs: tuple[RunDirectory, ...] = ()) -> HostTable:
    return HostTable(
        now=1000,
        uid=7,
        user="me",
        system="Linux",
        boot=BOOT,
        processes={each.pid: each for each in processes},
        runs={each.token: each for each in runs},
        tokens_readable=True,
    )


def known(end: RunEnd) -> Mapping[RunToken, KnownRun]:
    return {
        TOKEN: KnownRun(token=TOKEN, key=ExecutionKey("e/1.1"), task=TaskId(1), job="/job", end=end)
    }


def marks(rows: tuple[Marked, ...]) -> dict[int, Mark]:
    return {row.process.pid: row.mark for row in rows}


RUNNING = table(
    process(10),
    process(20, token=TOKEN),
    process(21, 20, 20, token=TOKEN),
    process(30, token=OTHER),
    runs=(run(TOKEN, 20), run(OTHER, 30)),
)


def test_a_process_of_an_open_step_is_a_step_and_of_another_engine_lost() -> None:
    rows = mark_host(RUNNING, known(RunEnd.OPEN)).processes
    assert marks(rows) == {10: Mark.FOREIGN, 20: Mark.STEP, 21: Mark.STEP, 30: Mark.LOST}


def test_what_outlives_its_step_is_left_behind_or_an_orphan_by_the_steps_end() -> None:
    assert marks(mark_host(RUNNING, known(RunEnd.NORMAL)).processes)[20] is Mark.LEFT_BEHIND
    assert marks(mark_host(RUNNING, known(RunEnd.BROKEN)).processes)[20] is Mark.ORPHAN


def test_children_inherit_a_mark_and_say_so() -> None:
    host = table(process(20, token=TOKEN), process(25, 20), process(26, 25))
    rows = mark_host(host, known(RunEnd.OPEN)).processes
    assert [(row.process.pid, row.mark, row.is_inherited, row.depth) for row in rows] == [
        (20, Mark.STEP, False, 0),
        (25, Mark.STEP, True, 1),
        (26, Mark.STEP, True, 2),
    ]


def test_a_leaderless_group_with_a_recorded_number_is_another_session() -> None:
    host = table(process(41, 1, 40), runs=(run(TOKEN, 40),))
    rows = mark_host(host, known(RunEnd.OPEN)).processes
    assert marks(rows) == {41: Mark.OTHER_SESSION}


def test_a_reused_leader_is_another_session_and_not_the_step() -> None:
    host = table(process(40), runs=(run(TOKEN, 40, start="t5"),))
    assert marks(mark_host(host, known(RunEnd.OPEN)).processes) == {40: Mark.OTHER_SESSION}


def test_a_token_beats_a_group() -> None:
    host = table(process(41, 1, 40, token=OTHER), runs=(run(TOKEN, 40),))
    (row,) = mark_host(host, known(RunEnd.OPEN)).processes
    assert (row.mark, row.token) == (Mark.LOST, OTHER)


def test_others_processes_are_a_toggle() -> None:
    host = table(process(10), process(11, is_own=False, user="you"))
    assert list(marks(mark_host(host, {}).processes)) == [10]
    assert list(marks(mark_host(host, {}, everyone=True).processes)) == [10, 11]


def test_badges_tell_what_is_odd() -> None:
    host = table(
        process(20, token=TOKEN),
        process(2, token=TOKEN, state="T"),
        process(22, 20, state="Z"),
        process(23, 20, state="D", is_own=False, user="root"),
        runs=(run(TOKEN, 20),),
    )
    rows = mark_host(host, known(RunEnd.OPEN), everyone=True).processes
    assert {row.process.pid: set(row.badges) for row in rows} == {
        20: set(),
        2: {Badge.STOPPED, Badge.OLDER_THAN_RECORD},
        22: {Badge.ZOMBIE},
        23: {Badge.UNINTERRUPTIBLE, Badge.OTHER_USER},
    }


def test_a_circle_of_parents_is_shown_once_each() -> None:
    host = table(process(5, 6), process(6, 5))
    assert sorted(marks(mark_host(host, {}).processes)) == [5, 6]


def look(host: str, boot: str) -> HostView:
    seen = replace(table(process(10, token=TOKEN), process(20, token=OTHER)), boot=boot)
    marks = mark_host(seen, known(RunEnd.BROKEN), everyone=True)
    return HostView(host=host, state=HostState.SHOWN, table=seen, marks=marks)


def pids(view: HostView) -> list[int]:
    return [row.process.pid for row in view.marks.processes]


def test_a_machine_reached_in_two_ways_shows_a_process_where_its_run_belongs() -> None:
    views = {"agent": look("agent", BOOT), "ssh": look("ssh", BOOT)}
    shown = each_once(views, lambda token: "ssh" if token == TOKEN else None)
    # A run that nobody knows stands with the first of them.
    assert pids(shown["agent"]) == [20]
    assert pids(shown["ssh"]) == [10]
    assert TOKEN not in shown["agent"].marks.verdicts


def test_two_machines_show_the_same_numbers_each_for_itself() -> None:
    views = {"one": look("one", BOOT), "two": look("two", "33333333-4444")}
    shown = each_once(views, lambda _token: "one")
    assert pids(shown["one"]) == pids(shown["two"]) == [10, 20]


def test_hosts_without_a_boot_id_are_machines_of_their_own() -> None:
    views = {"one": look("one", "-"), "two": look("two", "-")}
    assert pids(each_once(views, lambda _token: "one")["two"]) == [10, 20]
