"""The output of a task: its tail at first, then what arrives."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

from textual.widget import Widget

from engine.kernel.ids import TaskId
from engine.kernel.instants import to_datetime
from tui.client import EngineAway, NotAdmitted
from tui.commands import Place
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen, Look, Shell
from tui.screens.lists import order_of_task
from tui.screens.reading import PIECE_BYTES, Reading, read_log
from tui.views.scene import Scene
from tui.views.tasks import ended_task, task_detail
from tui.views.text import Line, Span, clean, line
from tui.widgets.log import LogView


class LogScreen(CockpitScreen):
    """One task's log."""

    noun = "log"
    strip_lines = 2

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.acting = Acting(shell)
        self._reading = Reading(task=TaskId(0))
        self._search = ""
        self._is_full = False

    def body(self) -> Iterable[Widget]:
        """Build the log."""
        yield LogView(self.shell.palette, id="log")

    @property
    def log_view(self) -> LogView:
        """The log."""
        return self.query_one("#log", LogView)

    @property
    def main(self) -> Widget | None:
        """The log takes the keys."""
        return self.log_view if self.is_ready else None

    @property
    def task_id(self) -> TaskId | None:
        """The task whose log is shown."""
        argument = self.place.argument
        return TaskId(int(argument)) if argument.isdecimal() else None

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show another task's log."""
        changed = place.argument != self.place.argument
        super().open_place(place, look)
        if changed and self.is_ready:
            self.log_view.clear()
            self.log_view.set_follow(follow=True)
            self._start()

    def on_mount(self) -> None:
        """Begin to read."""
        super().on_mount()
        self._start()

    def _start(self) -> None:
        task = self.task_id
        self._reading = Reading(task=task or TaskId(0))
        if task is None:
            self._reading.problem = f"{self.place.argument!r} is no task number"
            return
        work = read_log(self.shell.client, self._reading, self.log_view, self._changed)
        self.run_worker(work, exclusive=True, group="log", exit_on_error=False)

    def _changed(self) -> None:
        self.draw_frame(self.shell.scene())

    def do_behind(self) -> None:
        """Show the order that the task works on."""
        order = order_of_task(self.shell.scene(), self.task_id)
        if order is None:
            self.shell.say("the task works on no order")
        else:
            self.shell.go(Place(noun="order", argument=str(order)))

    # --- lines around ------------------------------------------------------------------------

    def crumbs(self, scene: Scene) -> list[str]:
        """Return task, job and order."""
        task = scene.state.tasks.get(self.task_id) if self.task_id is not None else None
        parts = ["log", self.place.argument]
        ended = ended_task(scene, self.task_id)
        if task is not None:
            parts.append(scene.job_name(task.job))
            if task.order is not None:
                parts.append(f"{clean(task.order.id)} {clean(task.state or '')}".strip())
        elif ended is not None:
            parts.append(scene.job_name(ended.job))
            if ended.order is not None:
                parts.append(clean(ended.order.id))
        return parts

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return self._search

    def summary(self) -> str:
        """Return how the log is looked at."""
        log = self.log_view
        glyphs = self.shell.scene().glyphs

        def switch(name: str, *, on: bool) -> str:
            return f"{name} {glyphs.live if on else glyphs.lost}"

        count = f"{log.shown:,} of {log.total:,} lines" if self._search else f"{log.total:,} lines"
        parts = [count]
        if log.unseen and not log.follow:
            parts.append(f"{log.unseen} new below")
        if log.dropped:
            parts.append(f"{log.dropped:,} older not kept")
        elif self._reading.begins_late:
            parts.append("the tail only")
        parts += [switch("follow", on=log.follow), switch("wrap", on=log.wrap)]
        parts.append(switch("time", on=not log.hides_stamps))
        if self._reading.complete:
            parts.append("complete")
        return "  ".join(parts)

    def strip(self, scene: Scene) -> list[Line]:
        """Return what is known of the task."""
        if self._reading.problem:
            return [line(Span(f" {clean(self._reading.problem)}", "late"))]
        return task_detail(scene, self.task_id)

    def on_log_view_looked(self, event: LogView.Looked) -> None:
        """Bring the lines around up to date."""
        event.stop()
        if self.is_ready:
            self.draw_frame(self.shell.scene())

    # --- keys --------------------------------------------------------------------------------

    def do_search(self) -> None:
        """Open the search line."""
        self.open_entry("filter", "/", self._search)

    def filter_typed(self, text: str) -> None:
        """Narrow while typing, as long as it is an expression."""
        try:
            self.log_view.search(text)
        except re.error:
            return
        self._search = text

    def filter_done(self, text: str) -> None:
        """Take the search."""
        try:
            self.log_view.search(text)
        except re.error as error:
            self.shell.say(f"{text!r} is no regular expression: {error}", bad=True)
            return
        self._search = text
        self.draw_frame(self.shell.scene())

    def do_escape(self) -> None:
        """Leave the full screen, clear the search, else go back."""
        if self._is_full:
            self.do_full()
        elif self._search:
            self.filter_done("")
        else:
            self.do_back()

    def do_follow(self) -> None:
        """Follow the end, or stand still."""
        self.log_view.set_follow(follow=not self.log_view.follow)

    def do_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.log_view.toggle_wrap()

    def do_full(self) -> None:
        """Show the log alone."""
        self._is_full = not self._is_full
        for name in ("#header", "#crumbs", "#rule", "#strip", "#hints"):
            self.query_one(name).set_class(self._is_full, "-off")
        if not self._is_full:
            self._settle()

    def do_mark_line(self) -> None:
        """Put a line with the time in."""
        scene = self.shell.scene()
        self.log_view.mark(f"mark {to_datetime(scene.now, scene.zone):%H:%M:%S}")

    def do_stamps(self) -> None:
        """Hide or show the time stamps."""
        self.log_view.toggle_stamps()

    def do_tail(self) -> None:
        """Go to the end and follow."""
        self.log_view.set_follow(follow=True)

    def do_head(self) -> None:
        """Go to the beginning."""
        self.log_view.action_edge(-1)

    def do_previous(self) -> None:
        """Show the run before of the same job."""
        scene = self.shell.scene()
        task = self.task_id
        known = scene.state.tasks.get(task) if task is not None else None
        ended = ended_task(scene, task)
        job = known.job if known is not None else ended.job if ended is not None else None
        before = [
            other.task
            for other in scene.mirror.ended_tasks
            if other.job == job and task is not None and other.task < task
        ]
        if before:
            self.shell.go(Place(noun="log", argument=str(max(before))))
        else:
            self.shell.say("no run of this job before this one is known")

    def save(self, name: str) -> None:
        """Save the whole log, also what is not shown here."""
        if self.task_id is not None:
            work = self._save(self.task_id, Path(name).expanduser().absolute())
            self.run_worker(work, group="save", exit_on_error=False)

    async def _save(self, task: TaskId, path: Path) -> None:
        offset, size = 0, 0
        try:
            with await asyncio.to_thread(path.open, "w", encoding="utf-8") as file:
                while True:
                    part = await self.shell.client.task_log(task, offset, PIECE_BYTES)
                    if part is None or not part.text:
                        break
                    await asyncio.to_thread(file.write, part.text)
                    size += len(part.text)
                    offset = part.next_offset
        except (OSError, EngineAway, NotAdmitted) as error:
            self.shell.say(f"{path}: {error}", bad=True)
        else:
            self.shell.say(f"saved {size:,} characters in {path}")

    def do_next_match(self) -> None:
        """Go to the next match."""
        if not self.log_view.jump(1):
            self.shell.say("no match")

    def do_last_match(self) -> None:
        """Go to the match before."""
        if not self.log_view.jump(-1):
            self.shell.say("no match")

    def do_clear(self) -> None:
        """Clear the view."""
        self.log_view.clear()

    def do_kill(self) -> None:
        """Kill the task."""
        if self.task_id is not None:
            self.acting.kill([self.task_id])
