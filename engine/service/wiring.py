"""Builds an engine from its settings and runs it: the only place that knows all parts.

Order matters. The lock comes first, then the journal; drivers learn what was going on before
anything new is decided; requests are taken when the live folder is in effect.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from engine import __version__
from engine.agent.spawn import allow_many_files
from engine.codec.journal import StoredEvent
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.main_configuration import SchedulerXml
from engine.codec.xml.queries import Permission
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.drivers.agent_files import AgentFiles
from engine.drivers.agent_link import AgentDriver
from engine.drivers.agent_link import AgentPulse as LinkPulse
from engine.drivers.agent_questions import AgentQuestions
from engine.drivers.clock import SystemClock
from engine.drivers.file_orders import FileOrderDriver
from engine.drivers.folder_watch import LiveFolder
from engine.drivers.job_watches import JobWatchDriver
from engine.drivers.local import LocalDriver
from engine.drivers.main_file import load_main_configuration
from engine.drivers.native_jobs import NativeJobDriver
from engine.drivers.node_settings import NodeSettingsReader
from engine.drivers.ssh import SshDriver
from engine.drivers.ssh_cleanup import CleanupJobs
from engine.drivers.ssh_cleanup_tasks import CleanupTasks
from engine.drivers.ssh_hosts import SshHosts
from engine.errors import EngineError, SettingsError
from engine.kernel.commands import ApplyDefinitions, BeginEpoch, PauseEngine
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskClosed
from engine.kernel.ids import Epoch, TaskId
from engine.kernel.instants import Instant
from engine.kernel.problems import Problem
from engine.kernel.reports import NativeEnded, Report
from engine.kernel.state import State
from engine.server.engine_port import AgentPulse
from engine.server.xml_execution import Client, XmlCommands
from engine.service.agent_settings import agent_credentials, agent_driver_settings
from engine.service.agent_views import AgentReader
from engine.service.definition_messages import DefinitionMessages
from engine.service.dispatch import Dispatcher, Drivers, Surroundings
from engine.service.engine import Engine
from engine.service.entrances import Entrances, entrances
from engine.service.exit_commands import ExitCommands, executed_by
from engine.service.file_events import file_event_starts
from engine.service.garbage import short_collections
from engine.service.histories import Histories
from engine.service.housekeeping import Housekeeping, Retention
from engine.service.interfaces import Interfaces
from engine.service.late_results import LateResults
from engine.service.logs import set_up_engine_log
from engine.service.loop import EngineLoop
from engine.service.narration import Narrator
from engine.service.outputs import SshOutputs, TaskOutputs
from engine.service.recovery import Recovered, recover
from engine.service.remote_hosts import HostReader, RemoteHosts
from engine.service.sealing import Sealer
from engine.service.settings import CENTRAL_FOLDER, EngineSettings
from engine.service.watching import StateKnowledge, Watching
from engine.store.audit_file import AuditFile
from engine.store.history import History
from engine.store.lease import FolderLock
from engine.store.secret_box import SecretBox
from engine.store.sqlite import SqliteStore
from engine.store.task_logs import TaskLogs

log = logging.getLogger(__name__)

_DRIVER_STOP_S = 10.0
_SHOWN_COMMAND_MAX = 200


async def run_engine(settings: EngineSettings) -> int:
    """Run an engine until a signal or a command ends it; returns its exit status.

    Raises EngineError for anything that keeps it from starting, with a sentence for a person.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock(settings.paths.lock)
    lock.acquire()
    try:
        set_up_engine_log(settings.paths.engine_log, settings.log_level, settings.log_format)
        allow_many_files()  # each agent costs one or two; tasks get the limit of before
        async with AsyncExitStack() as stack:
            stack.enter_context(short_collections())
            scheduler_xml, context = _read_main(settings)
            settings = replace(settings, live=_live_folder(settings, scheduler_xml))
            places = entrances(settings, scheduler_xml)
            parts = await _build(settings, places, stack, scheduler_xml, context)
            return await _serve(settings, parts)
    finally:
        lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Everything that runs."""

    engine: Engine
    dispatcher: Dispatcher
    agents: AgentDriver
    local: LocalDriver
    native: NativeJobDriver
    ssh: SshDriver
    remote_hosts: RemoteHosts
    agent_views: AgentReader
    watching: Watching
    exit_commands: ExitCommands
    narrator: Narrator
    histories: Histories
    housekeeping: Housekeeping
    live: LiveFolder
    scheduler_xml: SchedulerXml
    places: Entrances
    epoch: Epoch
    engine_id: str
    zone: str
    down_since: Instant | None


# --- building ------------------------------------------------------------------------------------


async def _build(
    settings: EngineSettings,
    places: Entrances,
    stack: AsyncExitStack,
    scheduler_xml: SchedulerXml,
    context: Context,
) -> _Parts:
    paths = settings.paths
    store = SqliteStore(paths.journal)
    await store.open()
    stack.push_async_callback(store.close)
    history = History(paths.histories)
    histories = Histories(history)
    await histories.open()
    stack.push_async_callback(histories.close)
    logs = TaskLogs(paths.logs)
    stack.push_async_callback(logs.close)
    epoch = await store.begin_epoch()
    engine_id = await _engine_id(store, settings)
    recovered, narrator = await _recovered(store, histories, logs)
    zone = scheduler_xml.main.time_zone or settings.time_zone or _system_zone()
    live = LiveFolder(
        settings.live,
        os.environ,
        ZoneInfo(zone),
        engine_id=scheduler_xml.main.scheduler_id or settings.engine_id or "",
        include_path=_include_path(settings, scheduler_xml),
        main=scheduler_xml,
        central=None if settings.live == settings.config else settings.config / CENTRAL_FOLDER,
        sweep_interval_s=settings.live_scan_interval / 1000,
        settle_s=settings.live_settle / 1000,
    )
    clock = SystemClock()
    outputs = TaskOutputs(logs)
    await outputs.recover(recovered.state)
    spread: list[Callable[[Sequence[Event], Sequence[StoredEvent]], None]] = []

    def committed(events: Sequence[Event], rows: Sequence[StoredEvent]) -> None:
        for each in spread:
            each(events, rows)

    sealer = Sealer(SecretBox(paths.secret_key))
    loop = EngineLoop(
        recovered.state, recovered.number, epoch, store, clock, committed, sealer.incoming
    )
    commands = replace(context, zone=ZoneInfo(zone), read_include=live.read_include)
    engine = Engine(loop, store, clock, logs, histories, narrator, live, commands)
    credentials = agent_credentials(settings)
    agents = AgentDriver(
        engine_id=engine_id,
        epoch=epoch,
        report=LateResults(engine.task_history, engine.report, histories.caught_up).report,
        output=outputs.write,
        output_offsets=outputs.offsets,
        pulse=lambda pulse: engine.pulse(_pulse(pulse, clock.now())),
        settings=agent_driver_settings(settings, credentials),
    )
    local = LocalDriver(
        engine_id=engine_id,
        epoch=epoch,
        folder=paths.work,
        report=engine.report,
        output=outputs.write,
        output_offsets=outputs.offsets,
        http_port=places.any_http_port,
    )

    async def native_ended(report: NativeEnded) -> None:
        await engine.report([report])

    agent_files = AgentFiles(credentials)
    stack.push_async_callback(agent_files.close)
    reader = HostReader(special=_special_variables(settings, places), opened=sealer.opened)
    remote = _remote(settings, recovered.state, reader, logs, AgentQuestions(credentials))
    stack.push_async_callback(remote.close)
    native = NativeJobDriver(
        agents.probe,
        native_ended,
        settings.native_jobs_max,
        agent_files,
        remote.cleanup.carry_out,
    )
    stack.push_async_callback(native.close)
    background = _Background()
    stack.push_async_callback(background.close)

    async def report(report: Report) -> None:
        await engine.report([report])

    ssh = SshDriver(
        remote.ssh_hosts,
        report=engine.report,
        output=SshOutputs(outputs, logs, clock.now),
        now=clock.now,
        engine_environment=os.environ,
    )
    dispatcher = Dispatcher(
        recovered.state,
        Drivers(local=local, remote=agents, native=native, ssh=ssh),
        Surroundings(
            read_script=live.read_script,
            read_settings=NodeSettingsReader(settings.live.absolute(), os.environ).read,
            live=settings.live.absolute(),
            environment=_standard_environment(settings, places),
            special=reader.special,
            opened=sealer.opened,
        ),
        report,
        background.spawn,
    )

    watching = Watching(
        recovered.state,
        FileOrderDriver(StateKnowledge(recovered.state), engine.report, agent_files),
        JobWatchDriver(engine.report, settings.directory_watch_interval / 1000),
        clock.now,
    )
    stack.push_async_callback(watching.close)
    exit_commands = ExitCommands(recovered.state, executed_by(engine), engine.submit)

    messages = DefinitionMessages(recovered.state)
    spread += [
        engine.committed,
        lambda events, _rows: dispatcher.committed(events),
        lambda events, _rows: remote.hosts.committed(events),
        lambda events, _rows: watching.committed(events),
        lambda events, _rows: exit_commands.committed(events),
        lambda events, _rows: messages.committed(events),
        lambda events, _rows: _forget_outputs(outputs, events),
    ]
    housekeeping = Housekeeping(
        store,
        history,
        logs,
        Retention(
            journal=settings.journal_retention,
            history=settings.history_retention,
            task_logs=settings.log_retention,
        ),
        lambda: engine.state,
        clock.now,
    )
    return _Parts(
        engine=engine,
        housekeeping=housekeeping,
        dispatcher=dispatcher,
        agents=agents,
        local=local,
        native=native,
        ssh=ssh,
        remote_hosts=remote.hosts,
        agent_views=AgentReader(credentials),
        watching=watching,
        exit_commands=exit_commands,
        narrator=narrator,
        histories=histories,
        live=live,
        scheduler_xml=scheduler_xml,
        places=places,
        epoch=epoch,
        engine_id=engine_id,
        zone=zone,
        down_since=recovered.last_at,
    )


def _forget_outputs(outputs: TaskOutputs, events: Sequence[Event]) -> None:
    for event in events:
        if isinstance(event, TaskClosed):
            outputs.forget(event.task)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remote:
    """What deals with other hosts, beside the tasks."""

    ssh_hosts: SshHosts
    agents: AgentQuestions
    hosts: RemoteHosts
    cleanup: CleanupTasks

    async def close(self) -> None:
        """Close all connections."""
        await self.ssh_hosts.close()
        await self.agents.close()


def _remote(
    settings: EngineSettings,
    state: State,
    reader: HostReader,
    logs: TaskLogs,
    agents: AgentQuestions,
) -> _Remote:
    now = SystemClock().now
    ssh_hosts = SshHosts(settings.ssh.for_driver(settings.paths.known_hosts))
    hosts = RemoteHosts(
        state,
        ssh_hosts,
        settings=settings.ssh,
        reader=reader,
        audit=AuditFile(settings.paths.process_audit),
        logs=logs,
        now=now,
        agents=agents,
    )
    allowed = settings.ssh.allow_custom_commands
    jobs = CleanupJobs(ssh_hosts, now=now, allow_custom_commands=allowed)
    cleanup = CleanupTasks(jobs, audit=hosts.keep, now=now)
    return _Remote(ssh_hosts=ssh_hosts, agents=agents, hosts=hosts, cleanup=cleanup)


async def _recovered(
    store: SqliteStore, histories: Histories, logs: TaskLogs
) -> tuple[Recovered, Narrator]:
    """Return what the journal has; histories and task logs catch up with what they missed."""
    narrators: list[Narrator] = []

    def begun(state: State) -> None:
        histories.begin(state)
        narrators.append(Narrator(state, logs))

    def seen(event: Event, row: StoredEvent) -> None:
        histories.seen(event, row)
        narrators[0].seen(event, row)

    recovered = await recover(store, begun, seen)
    narrators[0].tell_again()
    return recovered, narrators[0]


async def _engine_id(store: SqliteStore, settings: EngineSettings) -> str:
    """Return the identity of this journal; agents know whose tasks are whose by it."""
    known = await store.meta("engine_id")
    if known is None:
        name = settings.engine_id or socket.gethostname().partition(".")[0]
        known = f"{name}-{secrets.token_hex(4)}"
        await store.set_meta("engine_id", known)
    return known


def _live_folder(settings: EngineSettings, scheduler_xml: SchedulerXml) -> Path:
    """Return the live folder: `configuration_directory` of `scheduler.xml` comes first.

    Raises SettingsError when the folder that it names is not there (SCHEDULER-715), or when it
    holds the engine's own data.
    """
    if scheduler_xml.live_folder is None:
        return settings.live
    live = settings.config / Path(scheduler_xml.live_folder).expanduser()
    if not live.is_dir():
        raise SettingsError(
            (f"scheduler.xml: SCHEDULER-715 configuration_directory: there is no folder {live}",)
        )
    data = settings.data.resolve()
    if live.resolve() in (data, *data.parents):
        raise SettingsError((f"data: {settings.data} lies in the live folder {live}",))
    return live


def _read_main(settings: EngineSettings) -> tuple[SchedulerXml, Context]:
    """Return what `scheduler.xml` says, and what XML commands are read with.

    Raises SettingsError with all findings when the file cannot be used.
    """
    zone = ZoneInfo(settings.time_zone or _system_zone())
    found = SchedulerXml()
    if settings.main_file is not None:
        found = load_main_configuration(
            settings.main_file,
            os.environ,
            zone,
            engine_id=settings.engine_id or "",
            live_folder=settings.live,
        )
        if found.live_folder is not None:
            # Only now it is known where files begin that it includes.
            found = load_main_configuration(
                settings.main_file,
                os.environ,
                zone,
                engine_id=settings.engine_id or "",
                live_folder=settings.config / Path(found.live_folder).expanduser(),
            )
    if found.errors:
        raise SettingsError(tuple(str(finding) for finding in found.errors))
    for finding in found.findings:
        log.warning("%s", finding)
    return found, Context(zone=zone, environment=Variables(os.environ))


def _include_path(settings: EngineSettings, scheduler_xml: SchedulerXml) -> Path:
    return settings.config / (scheduler_xml.main.include_path or ".")


def _system_zone() -> str:
    """Return the name of the host's time zone, UTC when it has none."""
    try:
        target = str(Path("/etc/localtime").readlink())
    except OSError:
        return "UTC"
    _, found, name = target.partition("zoneinfo/")
    return name if found else "UTC"


def _standard_environment(settings: EngineSettings, places: Entrances) -> dict[str, str]:
    """Return what every task is told of this engine (orders-and-jobs.md 8.2)."""
    return {
        "SCHEDULER_MASTER_HOST": socket.gethostname().partition(".")[0],
        **_port_variables(places),
        "SCHEDULER_CONFIGURATION_DIRECTORY": str(settings.live.absolute()),
        "SCHEDULER_JOB_CONFIGURATION_DIRECTORY": "",
    }


def _port_variables(places: Entrances) -> dict[str, str]:
    """Return the ports under the original's names; the TCP port spoke HTTP as well."""
    tcp, udp = places.tcp_port or places.any_http_port, places.udp_port
    return {
        "SCHEDULER_TCP_PORT": "" if tcp is None else str(tcp),
        "SCHEDULER_UDP_PORT": "" if udp is None else str(udp),
    }


def _special_variables(settings: EngineSettings, places: Entrances) -> dict[str, str]:
    """Return what placeholders of SSH jobs may name of this engine (ssh-and-jitl.md 1.2)."""
    return {
        "SCHEDULER_HOST": socket.gethostname().partition(".")[0],
        **_port_variables(places),
        "SCHEDULER_DIRECTORY": str(settings.data.absolute()),
        "SCHEDULER_CONFIGURATION_DIRECTORY": str(settings.live.absolute()),
    }


def _pulse(pulse: LinkPulse, now: Instant) -> AgentPulse:
    """Return a driver's pulse with wall time in place of the boot-time clock."""
    return AgentPulse(
        agent=pulse.agent,
        status=pulse.status,
        heard_at=None if pulse.age is None else Instant(now - pulse.age),
        heartbeat_period=pulse.period,
        heartbeat_timeout=pulse.timeout,
        tasks=pulse.running,
        run_id=pulse.run_id,
        text=pulse.text,
    )


class _Background:
    """Small asynchronous errands of synchronous code."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, errand: Awaitable[None]) -> None:
        """Run an errand to its end."""
        task = asyncio.ensure_future(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is still under way; it is asked for again in the next life."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


# --- running -------------------------------------------------------------------------------------


async def _serve(settings: EngineSettings, parts: _Parts) -> int:
    engine = parts.engine
    stop = engine.stopping
    running_loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running_loop.add_signal_handler(number, _stop_by_signal, settings, engine)
    parts.dispatcher.begin()
    crew = [
        asyncio.create_task(engine.loop.run(), name="loop"),
        asyncio.create_task(parts.agents.run(), name="agents"),
        asyncio.create_task(parts.local.run(), name="local tasks"),
        asyncio.create_task(parts.ssh.run(), name="ssh tasks"),
        asyncio.create_task(parts.remote_hosts.run(), name="remote processes"),
        asyncio.create_task(parts.narrator.run(), name="task logs"),
        asyncio.create_task(parts.histories.run(), name="histories"),
        asyncio.create_task(parts.housekeeping.run(), name="housekeeping"),
    ]
    server = Interfaces(
        settings, parts.places, engine, parts.scheduler_xml, parts.remote_hosts, parts.agent_views
    )
    try:
        await _while_alive(crew, _begin(parts, starts_paused=settings.starts_paused))
        await server.start()
        engine.obstacle = ""
        parts.watching.begin()
        crew.append(asyncio.create_task(parts.live.run(_applying(parts)), name="live folder"))
        crew.append(asyncio.create_task(parts.exit_commands.run(), name="on-exit commands"))
        log.info("Pointsman %s is ready: %s", __version__, server.addresses)
        await _while_alive(crew, stop.wait())
        engine.obstacle = "the engine is stopping"
        if not engine.aborting:
            await _while_alive(crew, _end_tasks(engine))
    finally:
        engine.feed.end()
        await server.stop()
        await _stop_crew(engine, parts, crew)
    log.info("Pointsman has ended")
    return 0


def _stop_by_signal(settings: EngineSettings, engine: Engine) -> None:
    engine.stop_timeout = settings.stop_timeout
    engine.stopping.set()


async def _begin(parts: _Parts, *, starts_paused: bool) -> None:
    """Begin the epoch and take over the live folder; requests come after that."""
    engine = parts.engine
    begin = BeginEpoch(
        epoch=parts.epoch,
        engine_id=parts.engine_id,
        time_zone=parts.zone,
        down_since=parts.down_since,
    )
    await engine.submit(begin, "start")
    if starts_paused:
        await engine.submit(PauseEngine(paused=True), "start")
    found = await asyncio.to_thread(parts.live.scan, at_once=True)
    if found is not None:
        await _applying(parts)(found)
    await _start_commands(parts)


async def _start_commands(parts: _Parts) -> None:
    """Carry out the commands of `scheduler.xml`; an error ends the engine (live-folder.md 10)."""
    commands = parts.scheduler_xml.start_commands
    if not commands:
        return
    executor = XmlCommands(parts.engine, EngineFacts(version=__version__))
    client = Client(name="scheduler.xml", permission=Permission.ALL)
    for command in commands:
        answer = await executor.execute(command.encode(), client)
        error = answer.find(".//ERROR")
        if error is not None:
            raise EngineError(
                f"A command of scheduler.xml failed: {error.get('code')} {error.get('text')}: "
                f"{command.strip()[:_SHOWN_COMMAND_MAX]}"
            )


def _applying(parts: _Parts) -> Callable[[ApplyDefinitions], Awaitable[None]]:
    engine, event_jobs = parts.engine, parts.scheduler_xml.event_jobs
    folder = str(parts.live.folder)

    async def apply(definitions: ApplyDefinitions) -> None:
        starts = file_event_starts(engine.state, definitions, event_jobs, folder)
        reply = await engine.submit(definitions, "live folder")
        assert not isinstance(reply, Problem), "a look at the live folder is never refused"
        for broken in definitions.broken:
            for finding in broken.findings:
                log.error("%s", finding)
        for start in starts:
            refusal = await engine.submit(start, "live folder")
            if isinstance(refusal, Problem):
                log.error("The job for file events cannot be started: %s", refusal)

    return apply


async def _while_alive(crew: Sequence[asyncio.Task[None]], work: Awaitable[object]) -> None:
    """Wait for `work`, but no longer than all parts live; a dead part ends the engine."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, *crew], return_when=asyncio.FIRST_COMPLETED)
    for part in crew:
        if part.done():
            task.cancel()
            part.result()
            raise EngineError(f"The part {part.get_name()!r} has ended by itself")
    await task


async def _end_tasks(engine: Engine) -> None:
    async def kill(task: TaskId, mode: KillMode) -> None:
        log.warning("The task %d is left running; the next start takes it over", task)

    timeout_s = None if engine.stop_timeout is None else engine.stop_timeout / 1000
    await engine.let_tasks_end(timeout_s, kill)


async def _stop_crew(engine: Engine, parts: _Parts, crew: Sequence[asyncio.Task[None]]) -> None:
    engine.loop.inbox.close()
    loop_task, *others = crew
    try:
        async with asyncio.timeout(_DRIVER_STOP_S):
            if not loop_task.done():
                await loop_task
                engine.begin_snapshot()
            await parts.narrator.written()
            await parts.histories.caught_up()
            await engine.finish_snapshot()
    except TimeoutError:
        log.warning("The engine ends with work in its queues; the journal has it")
    except EngineError as error:
        log.warning("The engine ends without a new snapshot: %s", error)
    for task in others:
        task.cancel()
    await asyncio.gather(*crew, return_exceptions=True)
