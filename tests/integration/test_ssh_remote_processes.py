"""The browser's service on real hosts: looking, marking, ending, refusing, remembering."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.drivers.remote_processes import RemoteProcesses, WatchedHost
from engine.drivers.ssh_hosts import SshHosts
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Instant, seconds
from engine.kernel.sessions.browser import (
    Act,
    AuditRecord,
    HostState,
    Outcome,
    SignalRequest,
    shown_state,
)
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.marks import KnownRun, Mark, RunEnd
from engine.kernel.sessions.parameters import Target, target_of
from engine.kernel.sessions.verdicts import Alive, Leader
from tests.support.ssh_world import SshWorld, login, settings_for, ssh_world, until
from tests.support.sshd import SshServer, free_port, missing, needs_own_accounts, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[SshServer]:
    with ssh_server(options=("LogLevel VERBOSE",)) as running:
        needs_own_accounts(running)
        yield running


@pytest.fixture
def server(shared: SshServer) -> Iterator[SshServer]:
    yield shared
    shared.end_all_processes()


def target(server: SshServer) -> Target:
    found = target_of(login(server))
    assert isinstance(found, Target)
    return found


@dataclass
class Browser:
    """The service with what it asks the engine for."""

    service: RemoteProcesses
    audit: list[AuditRecord]
    known: dict[RunToken, KnownRun] = field(default_factory=dict)

    def knows(self, key: str, end: RunEnd, **more: object) -> RunToken:
        token = token_of(ExecutionKey(key))
        run = KnownRun(
            token=token, key=ExecutionKey(key), task=TaskId(7), job="/j", end=end, order="/c,o"
        )
        self.known[token] = replace(run, **more)  # type: ignore[arg-type]  # fields by name
        return token

    def request(self, token: RunToken | None, act: Act, **more: object) -> SignalRequest:
        base = SignalRequest(
            host="here", act=act, by="ada", origin="key", token=token, may_act=True
        )
        return replace(base, **more)  # type: ignore[arg-type]  # fields by name

    async def marks(self) -> dict[str, Mark]:
        view = await self.service.refresh("here")
        assert view.state is HostState.SHOWN, view.problem
        return {row.process.arguments: row.mark for row in view.marks.processes}


@contextlib.asynccontextmanager
async def browser(
    world: SshWorld, *hosts: WatchedHost, period_s: float = 5
) -> AsyncIterator[Browser]:
    audit: list[AuditRecord] = []

    async def kept(record: AuditRecord) -> None:
        audit.append(record)

    known: dict[RunToken, KnownRun] = {}
    service = RemoteProcesses(
        world.hosts,
        known_runs=lambda: known,
        audit=kept,
        now=lambda: Instant(time.time_ns() // 1_000_000),
        period_s=period_s,
    )
    service.set_hosts(hosts)
    task = asyncio.create_task(service.run())
    try:
        yield Browser(service, audit, known)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def here(server: SshServer) -> WatchedHost:
    return WatchedHost(name="here", target=target(server))


async def running(
    world: SshWorld, server: SshServer, key: str, command: str, process: str | None = None
) -> None:
    """Start a run, until a process of these words is there if any are given."""
    world.start(key, login(server) | {"command": command})
    await world.launched(key)
    if process is not None:
        await until(lambda: process in server.processes().values())


async def test_a_host_shows_steps_orphans_what_is_left_behind_and_what_others_have_lost(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        for number in range(701, 705):
            sleep = f"sleep {number}"
            await running(world, server, f"e/{number}.1", f"{sleep} & {sleep}", sleep)
        screen.knows("e/701.1", RunEnd.OPEN)
        screen.knows("e/702.1", RunEnd.BROKEN)
        screen.knows("e/703.1", RunEnd.NORMAL)
        marks = await screen.marks()
        assert {
            text: mark for text, mark in marks.items() if re.fullmatch(r"sleep 70\d", text)
        } == {
            "sleep 701": Mark.STEP,
            "sleep 702": Mark.ORPHAN,
            "sleep 703": Mark.LEFT_BEHIND,
            "sleep 704": Mark.LOST,
        }


async def test_one_keypress_ends_an_orphan_with_all_its_children(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        await running(world, server, "e/1.1", "nohup sleep 711 & setsid sleep 712 & sleep 713")
        token = screen.knows("e/1.1", RunEnd.BROKEN)
        await until(lambda: sum("sleep 71" in each for each in server.processes().values()) >= 3)
        dry = await screen.service.signal(screen.request(token, Act.DRY_RUN))
        assert dry.outcome is Outcome.DRY
        assert "carries the run's token" in dry.text
        assert {member.pid for member in dry.members} == {
            pid for pid, text in server.processes().items() if " -s" not in text
        }
        done = await screen.service.signal(screen.request(token, Act.END))
        assert done.outcome is Outcome.DONE, done
        assert not [each for each in server.processes().values() if "sleep 71" in each]
        assert [record.outcome for record in screen.audit] == [Outcome.DRY, Outcome.DONE]
        record = screen.audit[-1]
        assert (record.by, record.order, record.token) == ("ada", "/c,o", token)
        assert record.members == dry.members
        again = await screen.service.signal(screen.request(token, Act.KILL))
        assert again.outcome is Outcome.NOTHING_THERE


async def test_what_ignores_term_is_killed_after_the_jobs_own_time(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        command = "trap '' TERM; echo on; while :; do sleep 0.1; done"
        await running(world, server, "e/2.1", command)
        await world.wait_for(lambda: world.text("e/2.1") == "on\n")
        token = screen.knows("e/2.1", RunEnd.BROKEN, kill_after=seconds(0.5))
        began = time.monotonic()
        done = await screen.service.signal(screen.request(token, Act.END))
        assert (done.outcome, done.after) == (Outcome.DONE, "gone")
        assert time.monotonic() - began >= 0.5


async def test_nothing_is_sent_when_the_host_shows_something_else_than_the_screen(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        await running(world, server, "e/3.1", "sleep 721", "sleep 721")
        token = screen.knows("e/3.1", RunEnd.BROKEN)
        expected = shown_state(Alive(leader=Leader.GONE, members=()))
        result = await screen.service.signal(screen.request(token, Act.KILL, expected=expected))
        assert result.outcome is Outcome.CHANGED
        assert "sleep 721" in server.processes().values()
        as_shown = shown_state((await screen.service.refresh("here")).marks.verdicts[token])
        result = await screen.service.signal(screen.request(token, Act.KILL, expected=as_shown))
        assert result.outcome is Outcome.DONE


async def test_a_running_step_asks_first_and_a_reader_is_refused(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        await running(world, server, "e/4.1", "sleep 731", "sleep 731")
        token = screen.knows("e/4.1", RunEnd.OPEN)
        asked = await screen.service.signal(screen.request(token, Act.KILL))
        refused = await screen.service.signal(screen.request(token, Act.KILL, may_act=False))
        assert (asked.outcome, refused.outcome) == (Outcome.NEEDS_CONFIRMATION, Outcome.REFUSED)
        assert "sleep 731" in server.processes().values()
        assert len(screen.audit) == 2
        stop = screen.request(token, Act.SIGNAL, signal="STOP", is_confirmed=True)
        assert (await screen.service.signal(stop)).outcome is Outcome.DONE
        kill = screen.request(token, Act.KILL, is_confirmed=True)
        assert (await screen.service.signal(kill)).outcome is Outcome.DONE


async def test_a_foreign_process_is_ended_only_as_the_very_one_that_was_shown(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        await running(
            world, server, "e/5.1", "unset JS_TOKEN; setsid env -u JS_TOKEN sleep 741 & exit 0"
        )
        await world.exited("e/5.1")
        view = await screen.service.refresh("here")
        row = next(row for row in view.marks.processes if row.process.arguments == "sleep 741")
        assert row.mark is Mark.FOREIGN
        pid, start = row.process.pid, row.process.start
        wrong = screen.request(None, Act.END, pid=pid, start="t1", is_confirmed=True)
        assert (await screen.service.signal(wrong)).outcome is Outcome.CHANGED
        assert pid in server.processes()
        unasked = screen.request(None, Act.END, pid=pid, start=start)
        assert (await screen.service.signal(unasked)).outcome is Outcome.NEEDS_CONFIRMATION
        right = replace(unasked, is_confirmed=True)
        assert (await screen.service.signal(right)).outcome is Outcome.DONE
        assert pid not in server.processes()


async def test_hosts_are_looked_at_only_while_somebody_watches_and_with_one_exec(
    server: SshServer, tmp_path: Path
) -> None:
    def execs() -> int:
        return (server.folder / "log").read_text().count("Starting session")

    async with (
        ssh_world(tmp_path, server) as world,
        browser(world, here(server), period_s=0.05) as screen,
    ):
        before = execs()
        await asyncio.sleep(0.2)
        assert execs() == before
        assert screen.service.views()["here"].state is HostState.WAITING
        with screen.service.watching():
            await until(lambda: screen.service.views()["here"].version >= 3)
        versions = screen.service.views()["here"].version
        await until(lambda: execs() - before >= versions)
        assert execs() - before - versions <= 1


async def test_a_host_out_of_reach_is_shown_as_such_and_delays_nobody(
    server: SshServer, tmp_path: Path
) -> None:
    away = WatchedHost(name="away", target=replace(target(server), port=free_port()))
    async with (
        ssh_world(tmp_path, server) as world,
        browser(world, away, here(server), period_s=0.05) as screen,
    ):
        with screen.service.watching():
            await until(lambda: screen.service.views()["here"].version >= 3)
            await until(lambda: screen.service.views()["away"].state is HostState.UNREACHABLE)
        assert "cannot be reached" in screen.service.views()["away"].problem
        token = screen.knows("e/6.1", RunEnd.BROKEN)
        lost = screen.request(token, Act.KILL, host="away")
        assert (await screen.service.signal(lost)).outcome is Outcome.UNREACHABLE
        assert screen.audit[-1].outcome is Outcome.UNREACHABLE


async def test_old_run_directories_are_swept_and_young_or_living_ones_kept(
    server: SshServer, tmp_path: Path
) -> None:
    base = server.home() / ".jobscheduler" / "run"
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        for number in (1, 2):
            world.start(f"e/7.{number}", login(server) | {"command": "true"})
            await world.exited(f"e/7.{number}")
        old = base / token_of(ExecutionKey("e/7.1"))
        young = base / token_of(ExecutionKey("e/7.2"))
        record = (old / "id").read_text()
        began = next(word for word in record.split() if word.startswith("began="))
        (old / "id").write_text(record.replace(began, "began=1000"))
        await screen.service.refresh("here")
        assert (old.exists(), young.exists()) == (False, True)


async def test_the_hosts_of_the_settings_may_change_at_any_time(
    server: SshServer, tmp_path: Path
) -> None:
    hosts = SshHosts(settings_for(tmp_path, server))
    async with ssh_world(tmp_path, server) as world, browser(world, here(server)) as screen:
        await screen.marks()
        screen.service.set_hosts([here(server), replace(here(server), name="there")])
        views = screen.service.views()
        assert views["here"].state is HostState.SHOWN
        assert views["there"].state is HostState.WAITING
        screen.service.set_hosts([])
        assert not screen.service.views()
    await hosts.close()
