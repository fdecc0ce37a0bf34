"""The two jobs of a visible cleanup chain: read the record, then check and end.

The driver watches each run anyway; with `runWithWatchdog` the same decisions are also seen as an
order that waits, moves on or goes to its error state, and that a person can reset. What such an
order must remember between two visits travels in one of its parameters, so a restart loses nothing
(ssh-and-jitl.md 2.4 to 2.6, 2.10.5).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

from engine.drivers.ssh_bare import nowhere
from engine.drivers.ssh_hosts import SshHosts
from engine.drivers.ssh_wrapper import (
    Control,
    ControlAnswer,
    control_program,
    launch_program,
    parse_begin,
    parse_control,
    reap_program,
)
from engine.errors import SshError
from engine.kernel.instants import Instant
from engine.kernel.sessions.decisions import (
    ComeAgain,
    Decision,
    Deed,
    MoveOn,
    Observation,
    StepState,
    decide,
)
from engine.kernel.sessions.identity import RunToken
from engine.kernel.sessions.parameters import SessionRules, Target
from engine.kernel.sessions.verdicts import Alive, Gone, Leader, NoRecord, Unknown, Verdict

MEMORY = "ssh_cleanup_memory"
"""The order parameter with what the cleanup remembers."""
PIDS = "PIDS_TO_KILL"
"""As in 1.x, but only for people to read: what is signalled is looked up anew each time."""
KILL_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupMemory:
    """What one visit of the cleanup order tells the next one."""

    launched_at: Instant = Instant(0)
    unreachable_since: Instant | None = None
    failures: int = 0
    first_gone_at: Instant | None = None
    terminated_at: Instant | None = None
    killed_at: Instant | None = None

    def text(self) -> str:
        """Return the parameter's value."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return " ".join(f"{name}={value}" for name, value in values if value is not None)


def memory_of(parameters: Mapping[str, str], *, launched_at: Instant) -> CleanupMemory:
    """Read what the last visit has left; anything that is not a number is forgotten."""
    words = re.findall(r"(\w+)=(\d{1,16})(?!\S)", parameters.get(MEMORY, ""))
    names = {each.name for each in fields(CleanupMemory)}
    known = {name: int(value) for name, value in words if name in names}
    return replace(CleanupMemory(launched_at=launched_at), **known)  # type: ignore[arg-type]  # checked names


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The run a cleanup order is about."""

    token: RunToken
    target: Target
    session: SessionRules
    step: StepState
    """Of this very step; never of the task, which may serve another order by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupAnswer:
    """What becomes of the cleanup order, and of the step it is about."""

    decision: Decision
    parameters: Mapping[str, str] = field(default_factory=dict)
    """For the order: its memory, and the pids for people to read."""
    verdict: Verdict
    signal: str = ""
    """What was sent to the verdict's members; empty: nothing."""
    after: str = ""
    """What was left after the signal: `alive` or `gone`."""


class CleanupJobs:
    """Carries out the two native jobs; keeps nothing between two calls."""

    def __init__(
        self, hosts: SshHosts, *, now: Callable[[], Instant], allow_custom_commands: bool = False
    ) -> None:
        self._hosts = hosts
        self._now = now
        self._allow_custom = allow_custom_commands

    async def read_record(self, watched: Watched, memory: CleanupMemory) -> CleanupAnswer:
        """First job: is there a record of the run? Moves on with the pids, or comes again."""
        verdict = await self._verdict(watched)
        seen = self._observe(watched, memory, verdict)
        match verdict:
            case Unknown():
                return self._answer(decide(seen), seen, verdict)
            case NoRecord():
                decision = decide(seen)
                if decision.deed is Deed.NOTHING and isinstance(decision.order, ComeAgain):
                    return self._answer(decision, seen, verdict)
                # The second job draws the conclusion; here nothing more can be learnt.
                return self._answer(_move_on(decision.row), seen, verdict)
            case _:
                return self._answer(_move_on(0), seen, verdict)

    async def check_and_kill(self, watched: Watched, memory: CleanupMemory) -> CleanupAnswer:
        """Second job: apply the table once; what it says about the step is the caller's to do."""
        supposed = self._observe(watched, memory, Alive(leader=Leader.OURS, members=()))
        act = {Deed.TERMINATE: "TERM", Deed.KILL: "KILL"}.get(decide(supposed).deed, "check")
        directory, answer = await self._look(watched, act)
        seen = self._observe(watched, memory, answer.verdict)
        decision = decide(seen)
        if answer.signalled:
            now = self._now()
            if act == "TERM":
                seen = replace(seen, terminated_at=seen.terminated_at or now)
            else:
                seen = replace(seen, killed_at=seen.killed_at or now)
        if decision.deed is Deed.REMOVE_DIRECTORY and directory:
            await self._remove(watched, directory)
        told = self._answer(decision, seen, answer.verdict)
        return replace(told, signal=act if answer.signalled else "", after=answer.after)

    async def _verdict(self, watched: Watched) -> Verdict:
        return (await self._look(watched, "check"))[1].verdict

    async def _look(self, watched: Watched, act: str) -> tuple[str, ControlAnswer]:
        try:
            directory = await self._directory(watched)
            if not directory:
                none = NoRecord(result=None, has_directory=False)
                return "", _unsigned(none)
            custom = watched.session.custom if self._allow_custom else None
            own = None
            if custom is not None:
                own = {"TERM": custom.terminate, "KILL": custom.kill}.get(act)
            control = Control(
                directory=directory,
                act=act,
                scope=watched.session.scope,
                rounds=KILL_ROUNDS if act == "KILL" else 1,
                user=watched.target.user,
                custom=own,
                children=custom.children if custom is not None else None,
                active=custom.active if custom is not None else None,
                record="unknown" if directory == nowhere(watched.token) else "",
            )
            program = control_program(control, self._hosts.settings.shell)
            answer = await self._hosts.link(watched.target).ask(program)
        except SshError as error:
            return "", _unsigned(Unknown(why=str(error)))
        return directory, parse_control(answer.output.decode(errors="replace"))

    async def _directory(self, watched: Watched) -> str:
        """Ask where the run's directory is; empty when there is none."""
        program = launch_program(
            watched.token,
            files=None,
            folder=watched.session.folder,
            mode="attach",
            shell=self._hosts.settings.shell,
        )
        answer = await self._hosts.link(watched.target).ask(program)
        for line in answer.output.decode(errors="replace").splitlines():
            begun = parse_begin(line, watched.token)
            if begun is not None and begun.how == "nowhere":
                return nowhere(watched.token)
            if begun is not None:
                return begun.directory if begun.how == "exists" else ""
        raise SshError(f"{watched.target} does not answer the question", host=watched.target.host)

    async def _remove(self, watched: Watched, directory: str) -> None:
        try:
            await self._hosts.link(watched.target).ask(reap_program([directory]))
        except SshError:
            return  # swept later, with the other old directories

    def _observe(self, watched: Watched, memory: CleanupMemory, verdict: Verdict) -> Observation:
        now = self._now()
        unreachable = isinstance(verdict, Unknown)
        gone = isinstance(verdict, Gone)
        session = watched.session
        return Observation(
            at=now,
            step=watched.step,
            verdict=verdict,
            launched_at=memory.launched_at,
            unreachable_since=(memory.unreachable_since or now) if unreachable else None,
            failures=memory.failures + 1 if unreachable else 0,
            first_gone_at=(memory.first_gone_at or now) if gone else None,
            terminated_at=memory.terminated_at,
            killed_at=memory.killed_at,
            kill_after=session.kill_after,
            mode=session.mode,
            unreachable_limit=session.unreachable_limit,
            start_grace=session.start_grace,
        )

    def _answer(self, decision: Decision, seen: Observation, verdict: Verdict) -> CleanupAnswer:
        memory = CleanupMemory(
            launched_at=seen.launched_at,
            unreachable_since=seen.unreachable_since,
            failures=seen.failures,
            first_gone_at=seen.first_gone_at,
            terminated_at=seen.terminated_at,
            killed_at=seen.killed_at,
        )
        parameters = {MEMORY: memory.text()}
        if isinstance(verdict, Alive):
            parameters[PIDS] = ",".join(str(member.pid) for member in verdict.members)
        return CleanupAnswer(decision=decision, parameters=parameters, verdict=verdict)


def _move_on(row: int) -> Decision:
    return Decision(row=row, deed=Deed.NOTHING, order=MoveOn())


def _unsigned(verdict: Verdict) -> ControlAnswer:
    return ControlAnswer(verdict=verdict, after="", signalled=False, changed=False)
