"""The remote-process browser: hosts, and the processes on them.

One key ends what a host has proved to be an orphan; everything else asks first. What a key is for
is held by identity, never by place in the list.
"""

from collections.abc import Sequence

from engine.kernel.ids import TaskId
from engine.kernel.sessions.browser import SIGNALS
from engine.kernel.sessions.marks import Mark
from tui.client import EngineAway, NotAdmitted
from tui.commands import Place
from tui.remote import Act, HostLook, Identity, RemoteProcess, RemoteRun
from tui.screens.shell import Shell
from tui.screens.signalling import Signalling, Target
from tui.screens.table_screen import TableScreen
from tui.views import hosts, processes
from tui.views.durations import counted
from tui.views.frame import rule_line
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.text import Line, clean

TAIL_BYTES = 4096
TAIL_LINES = 12
_COUNTED = (Mark.ORPHAN, Mark.STEP, Mark.LEFT_BEHIND, Mark.LOST, Mark.OTHER_SESSION, Mark.FOREIGN)


class WatchingScreen(TableScreen):
    """A table for which hosts are looked at as long as it is shown."""

    watches_hosts = True

    def on_screen_resume(self) -> None:
        """Have hosts looked at again."""
        super().on_screen_resume()
        self.shell.hosts.hurry()

    def summary(self) -> str:
        """Say why nothing was heard, when that is so."""
        problem = self.shell.scene().mirror.remote.problem
        return f"{clean(problem)}  {super().summary()}" if problem else super().summary()


class HostsScreen(WatchingScreen):
    """The SSH hosts."""

    noun = "hosts"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, hosts.VIEW)

    def enter(self, key: RowKey) -> None:
        """Show the processes of the host."""
        self.shell.go(Place(noun="processes", filter_text=f"account={key}"))

    def do_look(self) -> None:
        """Look at the host now."""
        for key in self.table.subjects():
            self.run_worker(self.shell.hosts.refresh(str(key)), group="look", exit_on_error=False)


class ProcessesScreen(WatchingScreen):
    """The processes of all SSH hosts."""

    noun = "processes"
    strip_lines = 4

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, processes.VIEW)
        self.signalling = Signalling(shell, self)

    # --- lines around ------------------------------------------------------------------------

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the noun with the number of hosts."""
        count = len(scene.mirror.remote.hosts)
        whose = scene.mirror.remote.breadth.value
        every = f"every {self.shell.refresh_s():g} s"
        return [f"{self.noun}  {counted(count, 'host')}, {whose}, {every}"]

    def summary(self) -> str:
        """Return how many processes there are of which kind."""
        remote = self.shell.scene().mirror.remote
        if remote.problem or self.table.marks or self.sorting.column or self.troubles_only:
            return super().summary()
        return "  ".join(
            f"{processes.mark_word(mark)[0]} {count}"
            for mark in _COUNTED
            if (count := remote.count(mark))
        )

    def rule(self, scene: Scene, width: int) -> Line:
        """Return the line above the strip, with what the strip is about."""
        return rule_line(scene, width, "what <x> would do", below=self.table.below)

    def strip(self, scene: Scene) -> list[Line]:
        """Return what `x` would do, and the last attempt of anybody."""
        lines = super().strip(scene)
        lines += [()] * (self.strip_lines - 1 - len(lines))
        audit = scene.mirror.remote.audit
        last = processes.audit_line(scene, audit[0]) if audit else ()
        return [*lines[: self.strip_lines - 1], last]

    # --- what keys are for -------------------------------------------------------------------

    def is_subject(self, key: RowKey) -> bool:
        """Return whether the row is a process: one for a host that was asked stands for nothing."""
        return isinstance(key, Identity) and bool(key.pid)

    def _under_cursor(self) -> tuple[HostLook, RemoteProcess] | None:
        key = self.table.cursor_key
        remote = self.shell.scene().mirror.remote
        return remote.find(key) if isinstance(key, Identity) and key.pid else None

    def _run_under_cursor(self) -> RemoteRun | None:
        found = self._under_cursor()
        return None if found is None else found[0].run_of(found[1])

    def _targets(self) -> list[Target]:
        keys = [key for key in self.table.subjects() if isinstance(key, Identity)]
        return self.signalling.targets(keys)

    # --- looking -----------------------------------------------------------------------------

    def enter(self, key: RowKey) -> None:
        """Show everything about the process."""
        if not isinstance(key, Identity):
            return
        if not key.pid:
            self.shell.go(Place(noun="hosts"), key=key.host)
            return
        self.run_worker(self._show(key), exclusive=True, group="details", exit_on_error=False)

    async def _show(self, key: Identity) -> None:
        scene = self.shell.scene()
        found = scene.mirror.remote.find(key)
        if found is None:
            self.shell.say(f"{key.pid}@{clean(key.host)} is not there any more", bad=True)
            return
        host, process = found
        run = host.run_of(process)
        tail: Sequence[str] = ()
        if run is not None and run.task is not None:
            tail = await self._tail(run.task)
        lines = processes.details(scene, host, process, tail)
        self.shell.show_page(f"process {key.pid}", lines)

    async def _tail(self, task: TaskId) -> Sequence[str]:
        try:
            part = await self.shell.client.task_log(task, -TAIL_BYTES, TAIL_BYTES)
        except (EngineAway, NotAdmitted) as away:
            return [str(away)]
        return [] if part is None else part.text.splitlines()[-TAIL_LINES:]

    def do_why(self) -> None:
        """Show which process would get which signal, and why; nothing is sent."""
        self.signalling.dry_run(self._targets())

    def do_owner(self) -> None:
        """Show the order behind the process, or its job."""
        run = self._run_under_cursor()
        if run is not None and run.order:
            self.shell.go(Place(noun="order", argument=run.order.lstrip("/")))
        elif run is not None and run.job:
            self.shell.go(Place(noun="jobs", filter_text=f"path={run.job}"))
        else:
            self.shell.say("no order or job of this engine is behind this process")

    def do_log(self) -> None:
        """Show the log of the task behind the process."""
        run = self._run_under_cursor()
        if run is None or run.task is None:
            self.shell.say("no task of this engine is behind this process")
        else:
            self.shell.go(Place(noun="log", argument=str(run.task)))

    def do_everyone(self) -> None:
        """List more processes, or only ours again."""
        breadth = self.shell.hosts.widen()
        self.table.arrive()
        self.shell.say(f"listed: {breadth.value}")

    def do_hosts(self) -> None:
        """Show the hosts."""
        key = self.table.cursor_key
        self.shell.go(Place(noun="hosts"), key=key.host if isinstance(key, Identity) else None)

    # --- acting ------------------------------------------------------------------------------

    def do_end(self) -> None:
        """End: an orphan at once, everything else after a question."""
        self.signalling.act(Act.END, self._targets())

    def do_kill(self) -> None:
        """Kill at once, after a question."""
        self.signalling.act(Act.KILL, self._targets())

    def do_signal(self) -> None:
        """Ask for the signal."""
        if self._targets():
            names = " ".join(sorted(SIGNALS - {"TERM", "KILL"}))
            self.open_entry("signal", f"signal ({names}): ")

    def entry_done(self, purpose: str, text: str) -> None:
        """Take the signal."""
        if purpose != "signal":
            super().entry_done(purpose, text)
            return
        name = text.strip().upper().removeprefix("SIG")
        if name in SIGNALS:
            self.signalling.act(Act.SIGNAL, self._targets(), signal=name)
        else:
            self.shell.say(f"{text!r} is none of {' '.join(sorted(SIGNALS))}", bad=True)
