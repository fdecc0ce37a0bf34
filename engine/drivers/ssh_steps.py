"""One run on a remote host, from its start to its real result.

A `Step` starts its run at most once, follows its output, survives lost connections and restarts of
the engine, and ends what is to be ended; what it does about processes is decided by
`engine.kernel.sessions.decisions`. Its truth lies on the host, under the token of its execution
key: an interrupted step is simply begun again.
"""

import asyncio
import contextlib
import logging
import secrets
from dataclasses import dataclass
from typing import assert_never

from engine.drivers import ssh_windows as windows
from engine.drivers.ssh_bare import NOTE, Bare, follow_channel, nowhere, run_bare
from engine.drivers.ssh_channels import Purpose
from engine.drivers.ssh_following import (
    Conversation,
    Followed,
    Launch,
    ShellUnusable,
    State,
    Stream,
    conversation,
    is_more_waiting,
)
from engine.drivers.ssh_hosts import HostLink
from engine.drivers.ssh_login import HostUnreachable
from engine.drivers.ssh_run_files import run_files
from engine.drivers.ssh_step_world import StepWorld, custom_of, lost_sight, wait_s
from engine.drivers.ssh_wrapper import (
    Begun,
    Control,
    ControlAnswer,
    RunFiles,
    attached_command,
    control_program,
    launch_program,
    next_launch,
    parse_control,
)
from engine.errors import ConnectionLost, HostKeyUnknown, LoginRefused, SshError
from engine.kernel.effects import KillMode
from engine.kernel.instants import FOREVER, Instant, seconds
from engine.kernel.reports import (
    EndReason,
    LaunchFailure,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.sessions.decisions import (
    Deed,
    GoToError,
    Observation,
    SessionMode,
    StepState,
    decide,
)
from engine.kernel.sessions.effects import Before, RunSsh
from engine.kernel.sessions.exports import returned_values
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.outcome import RemoteEnd, step_result
from engine.kernel.sessions.parameters import SshJob
from engine.kernel.sessions.verdicts import (
    Alive,
    Gone,
    Leader,
    NoRecord,
    Scope,
    Unknown,
    Verdict,
)

log = logging.getLogger(__name__)

KILL_ROUNDS = 8
"""How often KILL is repeated in one breath while something is left: forks may outrun one."""
SIGNAL_NAMES = {9: "KILL", 15: "TERM"}
_jitter = secrets.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The run has ended with this status."""

    status: int
    returned: str


class Step:
    """The life of one execution."""

    def __init__(self, run: RunSsh, job: SshJob, world: StepWorld) -> None:
        self.token = token_of(run.key)
        self.directory = ""
        """Where the run is on its host, once that is known."""
        self.is_over = False
        """The demand was withdrawn."""
        self._run = run
        self._job = job
        self._world = world
        self._link = world.hosts.link(job.target)
        self._followed = Followed(run.task, world.output)
        self._changed = asyncio.Event()
        self._before = run.before
        self._launched_at = world.now()
        self._launch_reported = False
        self._unreachable_since: Instant | None = None
        self._failures = 0
        self._first_gone_at: Instant | None = None
        self._terminated_at: Instant | None = None
        self._killed_at: Instant | None = None
        self._end: _End | None = None
        self._record = run.record
        """Of a run that has no folder on its host; `unknown` when nobody has kept it."""
        self._given_up: str | None = None
        self._all_gone = False
        self._was_cut = run.before is not Before.NEVER
        """Somebody else than the connection it began on had to tell what became of it."""
        self._settled = asyncio.Event()
        """Nothing more will be done about living processes: whoever waited for that may go on."""

    @property
    def link(self) -> HostLink:
        """The connection to the run's host."""
        return self._link

    def update(self, run: RunSsh) -> None:
        """Take note of a changed demand."""
        if run.kill != self._run.kill or run.may_start != self._run.may_start:
            self._run = run
            self._changed.set()

    def withdraw(self) -> None:
        """Take note that nobody wants the run any more."""
        self.is_over = True
        self._changed.set()

    async def live(self) -> None:
        """Bring the run to its end and report it; returns when there is nothing left to do."""
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._end_when_told())
            final = await self._attend()
            ending.cancel()
        if final is not None and not self.is_over:
            await self._world.report(final)

    # -- attending ------------------------------------------------------------------------------

    async def _attend(self) -> Report | None:
        """Start or find the run again and again, until there is something to report."""
        while True:
            try:
                final = await self._meet()
            except HostUnreachable as error:
                final = await self._unreached(error)
            except ConnectionLost as error:
                self._before = max(self._before, Before.PERHAPS, key=list(Before).index)
                final = await self._unreached(error)
            except ShellUnusable as error:
                final = await (
                    self._run_untracked() if self._link.is_windows else self._unreached(error)
                )
            except (LoginRefused, HostKeyUnknown) as error:
                final = await self._unreached(error)
            except SshError as error:  # the host was reached and says why it cannot
                if self._before is Before.SURELY:
                    final = await self._unreached(error)
                    await self._pause()
                    continue
                text = f"{self._job.target}: {error}"
                return TaskNotLaunched(key=self._run.key, failure=LaunchFailure.REFUSED, text=text)
            if final is not None or (self.is_over and self._is_settled()):
                return final
            await self._pause()

    async def _unreached(self, error: SshError) -> Report | None:
        """Decide what a host out of reach means: before the start an end, later only patience."""
        if self._before is Before.NEVER:
            unreachable = isinstance(error, HostUnreachable)
            failure = LaunchFailure.UNREACHABLE if unreachable else LaunchFailure.REFUSED
            return TaskNotLaunched(key=self._run.key, failure=failure, text=str(error))
        self._was_cut = True
        now = self._world.now()
        if self._unreachable_since is None:
            self._unreachable_since = now
            text = f"{error}; what runs on the host runs on, and is looked for again"
            await self._world.output.note(self._run.task, text)
        self._failures += 1
        decision = decide(self._observe(Unknown(why=str(error))))
        if isinstance(decision.order, GoToError):
            return TaskLost(key=self._run.key, text=decision.text)
        return None

    async def _pause(self) -> None:
        """Wait before the next attempt: briefly after a loss, longer while it lasts."""
        first = self._world.pace.retry_first_s
        if self._failures:
            decision = decide(self._observe(Unknown(why="")))
            most = wait_s(decision)
            wait = min(first * 2 ** min(self._failures - 1, 16), most) * _jitter.uniform(0.8, 1.2)
        else:
            wait = self._world.pace.poll_first_s
        limit = self._job.session.unreachable_limit
        if self._unreachable_since is not None and limit < FOREVER:
            left = (self._unreachable_since + limit - self._world.now()) / 1000
            wait = min(wait, max(left, 0.01))
        await asyncio.sleep(wait)

    async def _meet(self) -> Report | None:
        """Have one conversation with the host; None when another is needed."""
        mode = self._mode()
        files = await self._files() if mode in {"start", "prepare"} else None
        async with self._conversation(mode, files) as talk:
            self._reached(talk.begun)
            if self._record and talk.begun.how == "absent" and mode != "claim":
                return await self._run_nowhere(None)  # a folder has come since, not the run's own
            if mode == "claim" or talk.begun.how == "absent":
                return await self._absent(mode)
            if talk.begun.how == "nowhere":
                self._record = self._record or "unknown"
            elif mode == "start" or talk.begun.how == "exists":
                return await self._follow(talk)
        if talk.begun.how == "nowhere":
            return await self._run_nowhere(files)
        return await self._run_attached(talk.begun)

    def _conversation(
        self, mode: str, files: RunFiles | None
    ) -> contextlib.AbstractAsyncContextManager[Conversation]:
        settings = self._world.hosts.settings
        first, further = (
            program(
                self.token,
                files=files,
                folder=self._job.session.folder,
                mode=mode,
                shell=settings.shell,
            )
            for program in (launch_program, next_launch)
        )
        launch = Launch(token=self.token, first=first, next=further)
        return conversation(self._link, launch, timeout_s=settings.answer_timeout_s)

    def _mode(self) -> str:
        if self._before is Before.SURELY:
            return "attach"
        if not self._run.may_start or self.is_over:
            return "claim"
        return "start" if self._job.session.detached else "prepare"

    def _reached(self, begun: Begun) -> None:
        has_folder = begun.how != "nowhere"
        self.directory = begun.directory if has_folder else nowhere(self.token)
        self._unreachable_since, self._failures = None, 0
        if begun.how == "made":
            self._launched_at = self._world.now()
        if begun.how != "absent" and has_folder:
            self._before = Before.SURELY
        self._changed.set()

    async def _absent(self, mode: str) -> Report | None:
        """The host has no directory of this run."""
        if mode == "claim":
            self.directory = ""  # it stays: a start that is still on its way must find it
            text = self._run.refusal or "ended before it was started"
            return TaskNotLaunched(key=self._run.key, failure=LaunchFailure.REFUSED, text=text)
        return await self._judge(NoRecord(result=None, has_directory=False))

    # -- following ------------------------------------------------------------------------------

    async def _follow(self, talk: Conversation) -> Report | None:
        """Read output until the run has a result or its own process is gone without one."""
        pace = self._world.pace
        wait = pace.poll_first_s
        await talk.recall(self._followed)
        next_look = self._world.now() + round(pace.watch_s * 1000)
        if talk.begun.how == "made":  # many a job needs no longer than this: one question less
            await talk.wait_for_end(wait)
        while True:
            has_ended = talk.has_ended.is_set()
            state = await talk.ask(self._followed)
            await self._launched(state)
            if is_more_waiting(state):
                continue
            if state.head.result is not None:
                talk.is_over()
                if self._was_cut and self._job.session.mode is SessionMode.LEGACY:
                    return await self._judge(Gone(result=state.head.result))
                self._end = _End(status=state.head.result, returned=state.returned)
                return await self._finish()
            if state.head.refused:
                text = f"{self._job.target} cannot give a run a process group of its own"
                return TaskNotLaunched(key=self._run.key, failure=LaunchFailure.REFUSED, text=text)
            orphaned = has_ended or state.head.leader_lives is False or state.head.vanished
            if orphaned or (state.head.leader_lives is None and self._world.now() >= next_look):
                return await self._judge(None)
            if self._given_up is not None:
                return TaskLost(key=self._run.key, text=self._given_up)
            await talk.wait_for_end(wait)
            wait = min(wait * 2, pace.poll_max_s)

    async def _launched(self, state: State) -> None:
        if state.pid is None or self._launch_reported:
            return
        self._launch_reported = True
        if self._run.before is not Before.SURELY:
            launched = TaskLaunched(key=self._run.key, pid=state.pid, started_at=self._launched_at)
            await self._world.report(launched)

    async def _judge(self, verdict: Verdict | None) -> Report | None:
        """Settle a run that shows no result: look at its processes and follow the table."""
        if verdict is None:
            verdict = (await self._look("check")).verdict
        if isinstance(verdict, Unknown):
            raise lost_sight(self._job, verdict.why)
        if isinstance(verdict, Gone) and self._first_gone_at is None:
            self._first_gone_at = self._world.now()
        if isinstance(verdict, Gone) and verdict.result is None and not self._is_settled():
            self._changed.set()
            await self._settled.wait()  # it was one of our signals: which one is known in a moment
        if isinstance(verdict, Gone) and verdict.result is None and self._sent:
            self._end = _End(status=128 + self._sent[-1], returned="")
            return await self._finish()
        decision = decide(self._observe(verdict))
        match decision.deed:
            case Deed.CLOSE_WITH_RESULT:
                return None  # the next answer brings it, with the output that belongs to it
            case Deed.CLOSE_AS_VANISHED | Deed.END_TASK:
                return TaskLost(key=self._run.key, text=f"{self._job.target}: {decision.text}")
            case _:
                if self._given_up is not None:
                    return TaskLost(key=self._run.key, text=self._given_up)
                await self._wait_for_settled(min(wait_s(decision), self._world.pace.watch_s))
                return None

    async def _finish(self) -> Report | None:
        """Report the run's own end, after whatever is being killed has gone."""
        if not self._is_settled():
            self._changed.set()
            await self._settled.wait()
        end = self._end
        assert end is not None, "only called with a result"
        number = end.status - 128 if end.status - 128 in self._sent else None
        signal = SIGNAL_NAMES[number] if number is not None else ""
        remote = RemoteEnd(
            status=end.status,
            signal=signal,
            wrote_stderr=self._followed.has(Stream.STDERR),
            output_tail=self._followed.tail(Stream.STDOUT),
            error_tail=self._followed.tail(Stream.STDERR),
        )
        result = step_result(remote, self._job.rules)
        returned = returned_values(end.returned)
        said = None if self._job.rules.ignore_stderr else self._followed.first_line(Stream.STDERR)
        for text in (*result.problems, *returned.warnings):
            await self._world.output.note(self._run.task, text)
        return TaskExited(
            key=self._run.key,
            exit_code=end.status if signal else result.exit_code,
            is_tolerated=not signal and result.succeeded and result.exit_code != 0,
            problem="" if signal or result.succeeded else "; ".join(result.problems),
            error_line=said if remote.wrote_stderr and not result.succeeded else None,
            signal=number,
            reason=EndReason.KILLED if signal else EndReason.EXITED,
            ended_at=self._world.now(),
            first_line=self._followed.first_line(Stream.STDOUT),
            returned={**returned.values, **result.parameters} if returned.error is None else None,
            returned_problem=returned.error,
        )

    # -- attached ---------------------------------------------------------------------------------

    async def _run_attached(self, begun: Begun) -> Report | None:
        """Start a prepared run on a channel of its own and pass on what it says."""
        settings = self._world.hosts.settings
        command = attached_command(begun, settings.shell)
        terminal = self._job.session.terminal
        async with self._link.open(command, Purpose.STEP, terminal=terminal) as channel:
            channel.end_input()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._announce())
                status = await follow_channel(channel, self._followed)
            self._was_cut = self._was_cut or status is None
        return None  # result and return values lie in the directory: the next meeting reads them

    # -- without a folder -------------------------------------------------------------------------

    async def _run_nowhere(self, files: RunFiles | None) -> Report | None:
        """Run on this very connection, or see what is left of such a run."""
        if self._before is Before.PERHAPS:
            text = f"{self._job.target}: whether the run began cannot be told without its folder"
            return TaskLost(key=self._run.key, text=text)
        if files is None or self._before is Before.SURELY:
            verdict = (await self._look("check")).verdict
            if self._record == "unknown" and isinstance(verdict, Gone):
                # Perhaps it has a folder, with its result, that is away for a while.
                raise lost_sight(self._job, "the folder of the run is not there")
            return await self._judge(verdict)
        await self._world.output.note(self._run.task, NOTE)
        settings = self._world.hosts.settings
        bare = Bare(
            token=self.token,
            files=files,
            shell=settings.shell,
            timeout_s=settings.answer_timeout_s,
        )
        status = await run_bare(self._link, bare, self._followed, self._launched_nowhere)
        if status is None:
            self._was_cut = True
            return None
        self._end = _End(status=status, returned="")
        return await self._finish()

    async def _launched_nowhere(self, record: str, pid: int) -> None:
        """Take note of the run before it begins; from now on it may have run."""
        self._record = record
        self._launched_at = self._world.now()
        self._launch_reported = True
        await self._world.report(
            TaskLaunched(key=self._run.key, pid=pid, started_at=self._launched_at, record=record)
        )
        self._before = Before.SURELY
        self._changed.set()

    async def _announce(self) -> None:
        """Report the launch of an attached run as soon as its record is there."""
        with contextlib.suppress(SshError):
            async with self._conversation("attach", None) as talk:
                wait = self._world.pace.poll_first_s
                while not self._launch_reported:
                    state = await talk.ask(self._followed)
                    await self._launched(state)
                    if state.head.result is not None or state.head.refused or state.head.vanished:
                        return
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, self._world.pace.poll_max_s)

    # -- on Windows --------------------------------------------------------------------------------

    async def _run_untracked(self) -> Report | None:
        """Run on a host that cannot tell who a run is, and has refused our shell."""
        key, task, target = self._run.key, self._run.task, self._job.target
        if self._before is not Before.NEVER:
            return TaskLost(key=key, text=f"{target}: {windows.UNKNOWN}")
        work = windows.untracked(self._run, self._job, self._world.engine_environment)
        if isinstance(work, str) or self.is_over:
            text = work if isinstance(work, str) else windows.NOT_WANTED
            return TaskNotLaunched(key=key, failure=LaunchFailure.REFUSED, text=f"{target}: {text}")
        await self._world.output.note(task, windows.NOTE)
        self._before, self._all_gone = Before.SURELY, True  # there is nothing that could be ended
        await self._world.report(TaskLaunched(key=key, pid=0, started_at=self._launched_at))

        def is_unwanted() -> bool:
            return self.is_over or self._run.kill is not None

        status = await windows.run_untracked(self._link, work, self._followed, is_unwanted)
        if status is None and self._sent:
            status = 128 + self._sent[-1]
        if status is None:
            return TaskLost(key=key, text=f"{target}: {windows.UNKNOWN}")
        self._end = _End(status=status, returned="")
        return await self._finish()

    # -- ending -----------------------------------------------------------------------------------

    async def _end_when_told(self) -> None:
        """Send what the demand asks for, each signal verified, until nothing is left."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._is_being_ended() and self._given_up is None:
                self._settled.clear()
                wait = await self._strike()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                self._changed.clear()
            if self._is_settled():
                self._settled.set()

    def _is_being_ended(self) -> bool:
        """Tell whether something is still to be done about living processes."""
        if not self.directory or self._all_gone:
            return False
        if self.is_over or self._run.kill is KillMode.KILL:
            return True
        if self._run.kill is KillMode.TERMINATE:
            return self._terminated_at is None or self._job.session.kill_after is not None
        return False

    def _is_settled(self) -> bool:
        """Tell whether nothing more will be done about living processes."""
        if self._given_up is not None or self._all_gone:
            return True
        if not self.directory:  # never reached: it may live, unless it was never started
            return self._before is Before.NEVER
        return not self._is_being_ended()

    async def _strike(self) -> float:
        """Do the next deed of rows 4 to 8; returns seconds until the one after."""
        due = decide(self._observe(Alive(leader=Leader.OURS, members=()), ending=True))
        if due.deed is Deed.GIVE_UP:
            self._given_up = f"{self._job.target}: {due.text}"
            return 0
        act = {Deed.TERMINATE: "TERM", Deed.KILL: "KILL"}.get(due.deed, "check")
        try:
            answer = await self._look(act)
        except SshError as error:
            log.info("%s is not reached to end %s: %s", self._job.target, self._run.key, error)
            return _jitter.uniform(0.8, 1.2) * min(
                self._world.pace.retry_first_s * 4, self._world.pace.watch_s
            )
        now = self._world.now()
        if answer.signalled:
            await self._struck_with(act, now, answer)
        match answer.verdict:
            case Alive():
                self._all_gone = answer.after == "gone"
                return 0 if self._all_gone else wait_s(due)
            case Gone():
                self._all_gone = True
                return 0
            case NoRecord() if now - self._launched_at < self._job.session.start_grace:
                return min(self._world.pace.retry_first_s, 0.2)  # it is just writing its record
            case NoRecord():
                self._all_gone = True
                return 0
            case _:
                return self._world.pace.watch_s

    async def _struck_with(self, act: str, now: Instant, answer: ControlAnswer) -> None:
        if act == "TERM":
            self._terminated_at = self._terminated_at or now
        elif act == "KILL":
            self._killed_at = self._killed_at or now
        pids = answer.verdict.members if isinstance(answer.verdict, Alive) else ()
        text = f"signal {act} sent to {len(pids)} process(es): " + ", ".join(
            str(member.pid) for member in pids
        )
        await self._world.output.note(self._run.task, text)

    async def _look(self, act: str) -> ControlAnswer:
        settings = self._world.hosts.settings
        session = self._job.session
        custom = session.custom if settings.allow_custom_commands else None
        control = Control(
            directory=self.directory,
            act=act,
            scope=Scope.TOKEN if self._record else session.scope,
            rounds=KILL_ROUNDS if act == "KILL" else 1,
            user=self._job.target.user,
            custom=custom_of(act, custom.terminate, custom.kill) if custom is not None else None,
            children=custom.children if custom is not None else None,
            active=custom.active if custom is not None else None,
            record=self._record,
        )
        answer = await self._link.ask(control_program(control, settings.shell))
        return parse_control(answer.output.decode(errors="replace"))

    @property
    def _sent(self) -> tuple[int, ...]:
        """Numbers of our signals, also of an earlier life; the last one is what ended the run."""
        asked = self._run.kill
        terminated = self._terminated_at is not None or asked is KillMode.TERMINATE
        killed = self._killed_at is not None or asked is KillMode.KILL
        return ((15,) if terminated else ()) + ((9,) if killed else ())

    # -- pieces -----------------------------------------------------------------------------------

    def _observe(self, verdict: Verdict, *, ending: bool = False) -> Observation:
        session = self._job.session
        kill_after = session.kill_after
        match self._run.kill:
            case KillMode.KILL:
                kill_after = None
            case KillMode.TERMINATE if not self.is_over:
                kill_after = kill_after or FOREVER
            case KillMode.TERMINATE | None:
                pass
            case _ as other:
                assert_never(other)
        return Observation(
            at=self._world.now(),
            step=StepState.OVER if ending or self.is_over else StepState.OPEN,
            verdict=verdict,
            launched_at=self._launched_at,
            unreachable_since=self._unreachable_since,
            failures=self._failures,
            first_gone_at=self._first_gone_at,
            terminated_at=self._terminated_at,
            killed_at=self._killed_at,
            kill_after=kill_after,
            mode=session.mode,
            unreachable_limit=session.unreachable_limit,
            start_grace=session.start_grace,
            result_grace=seconds(self._world.pace.result_grace_s),
        )

    async def _files(self) -> RunFiles:
        return await run_files(
            self._run,
            self._job,
            now=self._world.now(),
            engine_environment=self._world.engine_environment,
            allow_custom_commands=self._world.hosts.settings.allow_custom_commands,
        )

    async def _wait_for_settled(self, wait: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait, self._world.pace.poll_first_s)):
                await self._settled.wait()
