"""Tasks of a cleanup chain: what the two cleanup jobs find out, as reports of native jobs.

What is decided about a host is in `engine.drivers.ssh_cleanup`; here it becomes what the order
does: it moves on, waits without using up a setback, is set back, or goes to its error state.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import assert_never

from engine.drivers.ssh_cleanup import CleanupAnswer, CleanupJobs, Watched, memory_of
from engine.kernel.effects import RunNative, WatchedRun
from engine.kernel.instants import Instant
from engine.kernel.native import SSH_KILL
from engine.kernel.reports import NativeEnded
from engine.kernel.sessions.browser import Act, AuditRecord, Outcome
from engine.kernel.sessions.decisions import ComeAgain, GoToError, MoveOn, StepState
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.parameters import ParameterProblem, Target, session_of, target_of
from engine.kernel.sessions.resolution import connection_of
from engine.kernel.sessions.verdicts import Alive

AT_A_TIME_MAX = 200
"""Cleanup orders that look at their hosts at the same time; dead hosts hold their place longest."""

_NOTHING_TO_DO = {
    11: "nothing of the run is left",
    14: "the run has left no record on its host",
}

Audit = Callable[[AuditRecord], Awaitable[None]]


class CleanupTasks:
    """Carries out native jobs of the kinds `ssh_read_pid` and `ssh_kill`."""

    def __init__(self, jobs: CleanupJobs, *, audit: Audit, now: Callable[[], Instant]) -> None:
        """`audit` returns when the record is kept."""
        self._jobs = jobs
        self._audit = audit
        self._now = now
        self._places = asyncio.Semaphore(AT_A_TIME_MAX)

    async def carry_out(self, run: RunNative) -> NativeEnded:
        """Look at the run that the order is about and say what becomes of the order."""
        if run.watched is None:
            text = "SSH_JOB_TASK_ID names no run over SSH that this engine knows"
            return NativeEnded(key=run.key, succeeded=False, text=text)
        watched = _watched(run, run.watched)
        if isinstance(watched, str):
            return NativeEnded(key=run.key, succeeded=False, text=watched)
        memory = memory_of(run.parameters, launched_at=run.watched.began_at)
        began = time.monotonic()
        async with self._places:
            if run.kind == SSH_KILL:
                answer = await self._jobs.check_and_kill(watched, memory)
            else:
                answer = await self._jobs.read_record(watched, memory)
        if answer.signal:
            await self._audit(self._record(run.watched, watched, answer, began))
        return _report(run, answer)

    def _record(
        self, run: WatchedRun, watched: Watched, answer: CleanupAnswer, began: float
    ) -> AuditRecord:
        members = answer.verdict.members if isinstance(answer.verdict, Alive) else ()
        return AuditRecord(
            at=self._now(),
            by="cleanup order",
            origin="cleanup order",
            host=str(watched.target),
            account=watched.target.user,
            act=Act.KILL if answer.signal == "KILL" else Act.SIGNAL,
            signal=answer.signal,
            scope=watched.session.scope.value,
            token=watched.token,
            order=run.order,
            state=run.state,
            job=run.job,
            task=run.task,
            members=members,
            verdict_before="alive",
            verdict_after=answer.after,
            outcome=Outcome.STILL_ALIVE if answer.after == "alive" else Outcome.DONE,
            took_s=time.monotonic() - began,
            text=f"row {answer.decision.row}: {answer.decision.deed.value}",
        )


def _watched(run: RunNative, watched: WatchedRun) -> Watched | str:
    """Return what is to be looked at, or why that cannot be told.

    As in 1.x the run's own parameters win over those of the cleanup job.
    """
    parameters = {**connection_of(run.parameters), **watched.parameters}
    target, session = target_of(parameters), session_of(parameters)
    if not isinstance(target, Target):
        return _problems(target)
    if isinstance(session, list):
        return _problems(session)
    return Watched(
        token=token_of(watched.key),
        target=target,
        session=session,
        step=StepState.OPEN if watched.is_open else StepState.OVER,
    )


def _problems(problems: list[ParameterProblem]) -> str:
    return "; ".join(f"parameter {problem.name}: {problem.text}" for problem in problems)


def _report(run: RunNative, answer: CleanupAnswer) -> NativeEnded:
    decision = answer.decision
    text = decision.text or _NOTHING_TO_DO.get(decision.row, "") or _said(answer)
    match decision.order:
        case MoveOn():
            return NativeEnded(key=run.key, succeeded=True, text=text, returned=answer.parameters)
        case ComeAgain(is_setback=True):
            return NativeEnded(key=run.key, succeeded=False, text=text, returned=answer.parameters)
        case ComeAgain(after=after):
            return NativeEnded(
                key=run.key,
                succeeded=True,
                text=text,
                returned=answer.parameters,
                again_after=after,
            )
        case GoToError():
            return NativeEnded(
                key=run.key,
                succeeded=False,
                text=text,
                returned=answer.parameters,
                is_final=True,
            )
        case _ as other:
            assert_never(other)


def _said(answer: CleanupAnswer) -> str:
    """Return in one line what the look has shown."""
    what = type(answer.verdict).__name__.lower()
    if answer.signal:
        return f"{answer.signal} was sent; {answer.after or what}"
    return f"the remote process is {what}"
