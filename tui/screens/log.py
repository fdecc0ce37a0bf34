"""The output of a task: its tail at first, then what arrives."""

import asyncio
import re
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from textual.widget import Widget

from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant, to_datetime
from tui.client import EngineAway, NotAdmitted
from tui.commands import Place
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen
from tui.screens.lists import last_task_of, order_of_task
from tui.screens.reading import PIECE_BYTES, Picking, Reading, read_log, read_older
from tui.screens.shell import Look, Shell
from tui.views.order import find_order
from tui.views.scene import Scene
from tui.views.tasks import ended_task, task_detail
from tui.views.text import Line, Span, clean, line
from tui.widgets.log import LogView

ROOMY = 120
"""From this width on everything is said in the second line."""
_RANGE_HINT = "0 tail  1 head  2 1min  3 5min  4 15min  5 30min  6 1h     <p>run before"


class LogScreen(CockpitScreen):
    """One task's log."""

    noun = "log"
    strip_lines = 3

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.acting = Acting(shell)
        self._reading = Reading(task=TaskId(0))
        self._picking = Picking()
        self._range = ""
        """In words: `last 5 min`."""
        self._is_full = False
        self._is_fetching = False
        self._has_recalled = False
        """Whether the engine's history was asked for the order that is meant."""

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
            self._picking, self._range = Picking(), ""
            self._has_recalled = False
            self._start()

    def on_mount(self) -> None:
        """Begin to read."""
        super().on_mount()
        self._start()

    def _start(self, *, at_head: bool = False) -> None:
        """Read from the start: the tail or, when asked for, the head."""
        task = self.task_id
        view = self.log_view
        view.clear()
        view.search(self._picking.pattern(), only_matches=False)
        view.set_follow(follow=not at_head)
        self._reading = Reading(task=task or TaskId(0), picking=self._picking, is_head=at_head)
        if task is None:
            self._reading.problem = self._no_task()
            return
        work = read_log(self.shell.client, self._reading, self.log_view, self._changed)
        self.run_worker(work, exclusive=True, group="log", exit_on_error=False)

    def _no_task(self) -> str:
        """Go to the last task of the order that is meant; else return why there is no log."""
        name = self.place.argument
        order = find_order(self.shell.scene(), name)
        task = None if order is None else last_task_of(self.shell.scene(), order)
        if task is not None:
            self.call_later(self._turn_to, task)
            return ""
        if order is not None and not self._has_recalled:
            self._has_recalled = True
            self.shell.recall(self._start, order=order)
            return "asking the engine's history"
        if order is not None:
            return f"no task has worked on {clean(name)}, as far as the engine remembers"
        return f"{clean(name)!r} is no task number and no order; :events tells what the engine did"

    def _turn_to(self, task: TaskId) -> None:
        self.open_place(Place(noun=self.noun, argument=str(task)))

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
        if self._picking.text and self.size.width < ROOMY:
            # What is looked for says more than whose log it is; the strip says that.
            return parts
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
        mark = "show all, " if self._picking.is_highlight else ""
        return f"{mark}{self._picking.text}" if self._picking.text else ""

    def summary(self) -> str:
        """Return how the log is looked at."""
        log = self.log_view
        glyphs = self.shell.scene().glyphs

        def switch(name: str, *, on: bool) -> str:
            return f"{name} {glyphs.live if on else glyphs.lost}"

        reading = self._reading
        parts = [f"{log.total:,} lines"]
        if not reading.picking.is_all:
            parts = [f"{reading.matched:,} of {reading.total:,} lines"]
        if log.match_place:
            parts.insert(0, f"match {log.match_place}")
        if self._range:
            parts.append(self._range)
        if log.unseen and not log.follow and not reading.is_head:
            parts.append(f"{log.unseen} new below")
        if reading.is_head:
            parts.append("the beginning" if reading.has_more else "all")
        elif reading.begins_late:
            parts.append("the tail")
        parts.append(switch("follow", on=log.follow))
        if self.size.width >= ROOMY or not reading.picking.text:
            parts.append(switch("wrap", on=log.wrap))
            parts.append(switch("time", on=not log.hides_stamps))
        if self._reading.complete:
            parts.append("complete")
        return "  ".join(parts)

    def strip(self, scene: Scene) -> list[Line]:
        """Return what is known of the task."""
        if self._reading.problem:
            return [line(Span(f" {clean(self._reading.problem)}", "late"))]
        return [*task_detail(scene, self.task_id)[:2], line(Span(_RANGE_HINT, "dim"))]

    def on_log_view_looked(self, event: LogView.Looked) -> None:
        """Bring the lines around up to date."""
        event.stop()
        if self.is_ready:
            self.draw_frame(self.shell.scene())
            self._fetch_more()

    def _fetch_more(self) -> None:
        """Read on where a person has come to the end of what was read."""
        view, reading = self.log_view, self._reading
        if not view.total or self._is_fetching:
            return
        if reading.begins_late and view.is_at_top and not view.follow:
            self._fetch(read_older(self.shell.client, reading, view))
        elif reading.is_head and reading.has_more and view.is_at_bottom:
            self._fetch(read_log(self.shell.client, reading, view, self._changed))

    def _fetch(self, work: Coroutine[None, None, None]) -> None:
        self._is_fetching = True
        self.run_worker(self._fetched(work), group="more", exit_on_error=False)

    async def _fetched(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (EngineAway, NotAdmitted) as away:
            self.shell.say(str(away), bad=True)
        finally:
            self._is_fetching = False

    # --- keys --------------------------------------------------------------------------------

    def do_search(self) -> None:
        """Open the search line."""
        self.open_entry("filter", "/", self._picking.text)

    def filter_typed(self, text: str) -> None:
        """Narrow what is here while typing; the whole log is asked with Enter."""
        with suppress(re.error):
            self.log_view.search(Picking(text=text.strip()).pattern())

    def filter_done(self, text: str) -> None:
        """Look in the whole log."""
        text = text.strip()
        try:
            Picking(text=text).pattern()
        except re.error as error:
            self.shell.say(f"{text!r} is no regular expression: {error}", bad=True)
            text = self._picking.text
        self._pick(replace(self._picking, text=text, is_highlight=False))

    def _pick(self, picking: Picking) -> None:
        self._picking = picking
        self._start()
        self._changed()

    def do_highlight(self) -> None:
        """Show all lines with the matches in them, or only those that match."""
        if not self._picking.text:
            self.shell.say("there is no filter: / types one")
            return
        self._pick(replace(self._picking, is_highlight=not self._picking.is_highlight))

    def _show_last(self, minutes: int) -> None:
        """Show what was written in the last minutes; again: everything."""
        name = f"last {minutes} min" if minutes < 60 else "last hour"
        if self._range == name:
            self._range = ""
            self._pick(replace(self._picking, since=None))
            return
        self._range = name
        now = self.shell.scene().now
        self._pick(replace(self._picking, since=Instant(now - minutes * 60_000)))

    def do_last_1(self) -> None:
        """Show the last minute."""
        self._show_last(1)

    def do_last_5(self) -> None:
        """Show the last five minutes."""
        self._show_last(5)

    def do_last_15(self) -> None:
        """Show the last quarter of an hour."""
        self._show_last(15)

    def do_last_30(self) -> None:
        """Show the last half hour."""
        self._show_last(30)

    def do_last_60(self) -> None:
        """Show the last hour."""
        self._show_last(60)

    def do_copy(self) -> None:
        """Copy the lines in sight."""
        lines = [text.rstrip() for text in self.log_view.in_sight()]
        self.shell.copy("\n".join(lines), f"{len(lines)} lines")

    def do_escape(self) -> None:
        """Leave the full screen, clear the search, else go back."""
        if self._is_full:
            self.do_full()
        elif self._picking.text:
            self.filter_done("")
        elif self._range:
            self._range = ""
            self._pick(replace(self._picking, since=None))
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
        """Go to the end and follow; of a beginning or a range, come back to everything."""
        if self._reading.is_head or self._range:
            self._range = ""
            self._pick(replace(self._picking, since=None))
        else:
            self.log_view.set_follow(follow=True)

    def do_head(self) -> None:
        """Go to the beginning of the whole log."""
        if self._reading.begins_late:
            self._start(at_head=True)
        else:
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
