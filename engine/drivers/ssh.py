"""Tasks over SSH: does the difference between what is demanded and what runs on remote hosts.

Level-triggered like the agents' driver: `demands` tells the whole truth each time, every run is
known by its execution key, and cancelling `run` and starting it again is harmless. Steps of
different hosts have nothing in common but this loop; a dead host delays nobody else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from engine.drivers.ssh_following import Pace, TaskOutput
from engine.drivers.ssh_hosts import HostLink, SshHosts
from engine.drivers.ssh_step_world import StepWorld
from engine.drivers.ssh_steps import Step
from engine.drivers.ssh_wrapper import reap_program
from engine.errors import SshError
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant
from engine.kernel.reports import LaunchFailure, Report, TaskNotLaunched
from engine.kernel.sessions.effects import RunSsh
from engine.kernel.sessions.parameters import SshJob, ssh_job

log = logging.getLogger(__name__)

REAPED_AT_ONCE_MAX = 200
"""Run directories removed by one question to a host."""
RESTART_DELAY_S = 5.0
"""After a fault in our own code: the step is begun again, since its truth lies on the host."""


ReportSink = Callable[[Sequence[Report]], Awaitable[None]]
"""Returns when the journal has committed the consequences; as the agents' driver has it."""


class SshDriver:
    """Keeps the demanded SSH tasks running and reports what becomes of them."""

    def __init__(
        self,
        hosts: SshHosts,
        *,
        report: ReportSink,
        output: TaskOutput,
        now: Callable[[], Instant],
        pace: Pace | None = None,
        engine_environment: Mapping[str, str] | None = None,
    ) -> None:
        """`output` is the task logs; `engine_environment` is for jobs that ask for it."""

        async def report_one(one: Report) -> None:
            await report((one,))

        self.hosts = hosts
        self._pace = pace or Pace()
        self._world = StepWorld(
            hosts=hosts,
            output=output,
            report=report_one,
            now=now,
            pace=self._pace,
            engine_environment=engine_environment or {},
        )
        self._wanted: dict[ExecutionKey, RunSsh] = {}
        self._steps: dict[ExecutionKey, Step] = {}
        self._tasks: dict[ExecutionKey, asyncio.Task[None]] = {}
        self._finished: set[ExecutionKey] = set()
        """Reported, but still demanded: the journal's events are on their way to us."""
        self._to_reap: dict[HostLink, set[str]] = {}
        self._changed = asyncio.Event()

    def demands(self, runs: Collection[RunSsh]) -> None:
        """Take the complete list of what shall run; cheap, and may be called at any time."""
        self._wanted = {run.key: run for run in runs}
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled. Remote processes live on; the next `run` finds them."""
        reaping = asyncio.create_task(self._reap(), name="remove ssh run directories")
        idling = asyncio.create_task(self.hosts.run(), name="close idle ssh connections")
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._compare()
        finally:
            tasks = [*self._tasks.values(), reaping, idling]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()
            self._steps.clear()

    def _compare(self) -> None:
        for key, run in self._wanted.items():
            step = self._steps.get(key)
            if step is not None:
                step.update(run)
            elif key not in self._finished and key not in self._tasks:
                task = asyncio.create_task(self._live(run), name=f"ssh task {key}")
                self._tasks[key] = task
        for key, step in list(self._steps.items()):
            if key not in self._wanted and not step.is_over:
                step.withdraw()
                if key not in self._tasks:
                    self._forget(key, step)
        self._finished &= self._wanted.keys()

    async def _live(self, run: RunSsh) -> None:
        """Supervise one step; the only place where a fault of ours is caught."""
        key = run.key
        while True:
            try:
                await self._live_once(self._wanted.get(key, run))
            except Exception:
                log.exception("the SSH step %s failed inside the engine and is begun again", key)
                await asyncio.sleep(RESTART_DELAY_S)
            else:
                break
        self._tasks.pop(key, None)
        self._finished.add(key)
        step = self._steps.get(key)
        if step is None or step.is_over or key not in self._wanted:
            self._finished.discard(key)
            if step is not None:
                self._forget(key, step)
        self._changed.set()

    async def _live_once(self, run: RunSsh) -> None:
        job = ssh_job(run.parameters, run.script)
        if not isinstance(job, SshJob):
            text = "; ".join(f"parameter {problem.name}: {problem.text}" for problem in job)
            await self._world.report(
                TaskNotLaunched(key=run.key, failure=LaunchFailure.REFUSED, text=text)
            )
            return
        step = Step(run, job, self._world)
        self._steps[run.key] = step
        if run.key not in self._wanted:
            step.withdraw()
        await step.live()

    def _forget(self, key: ExecutionKey, step: Step) -> None:
        """The journal has the end: the directory on the host has served."""
        self._steps.pop(key, None)
        if step.directory:
            self._to_reap.setdefault(step.link, set()).add(step.directory)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(self._pace.reap_s)
            waiting, self._to_reap = self._to_reap, {}
            await asyncio.gather(*(self._reap_on(link, paths) for link, paths in waiting.items()))

    async def _reap_on(self, link: HostLink, directories: set[str]) -> None:
        """Remove directories; what cannot be removed now is left to the browser's housekeeping."""
        some = sorted(directories)
        for first in range(0, len(some), REAPED_AT_ONCE_MAX):
            try:
                await link.ask(reap_program(some[first : first + REAPED_AT_ONCE_MAX]))
            except SshError as error:
                log.info("run directories are left on %s: %s", link.target, error)
                return
