"""More nouns that are tables: jobs, locks, classes, history, plan, events, problems, needs."""

from functools import partial

from engine.kernel.commands import ObjectRef
from engine.kernel.ids import AgentUri, ClassPath, JobKey, LockPath, OrderKey
from tui.commands import Place
from tui.recalling import RECALLED_MAX
from tui.screens.acting import Acting
from tui.screens.lists import (
    OrdersScreen,
    last_task_of_job,
    order_of_task,
    show_log_of,
)
from tui.screens.shell import Look, Shell
from tui.screens.table_screen import NOTHING_HERE, TableScreen
from tui.views import events, history, jobs, needs, plan, problems, resources
from tui.views.durations import clock_text
from tui.views.needs import NeedKind
from tui.views.putting_aside import parse_until
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.text import Line, Span, clean, line


class JobsScreen(TableScreen):
    """All jobs."""

    noun = "jobs"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, jobs.VIEW)
        self.acting = Acting(shell, self.take_gone)

    def enter(self, key: RowKey) -> None:
        """Show the job's tasks."""
        self.shell.go(Place(noun="tasks", argument=str(key)))

    def do_log(self) -> None:
        """Show the log of the job's last task."""
        key = self.table.cursor_key
        if key is None:
            self.shell.say(NOTHING_HERE)
            return
        job = JobKey(str(key))
        if last_task_of_job(self.shell.scene(), job) is not None:
            self._show_log(job)
        else:
            self.shell.recall(partial(self._show_log, job), job=job)

    def _show_log(self, job: JobKey) -> None:
        task = last_task_of_job(self.shell.scene(), job)
        if task is None:
            self.shell.say("no task of this job has run, as far as the engine remembers")
        else:
            self.shell.go(Place(noun="log", argument=str(task)))

    def _subjects(self) -> list[JobKey]:
        return [JobKey(str(key)) for key in self.table.subjects()]

    def do_stop(self) -> None:
        """Stop or unstop the jobs."""
        self.acting.stop_jobs(self._subjects())

    def do_start(self) -> None:
        """Start a task of the job."""
        self.acting.start_jobs(self._subjects())


class LocksScreen(TableScreen):
    """All locks with holders and queues."""

    noun = "locks"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, resources.LOCKS)

    def enter(self, key: RowKey) -> None:
        """Go to the holder."""
        scene = self.shell.scene()
        holders = scene.state.lock_holders.get(LockPath(str(key)), {})
        first = next(iter(holders), None)
        task = scene.state.tasks.get(first) if first is not None else None
        if task is None:
            self.shell.say("nobody holds this lock")
        elif task.order is not None:
            self.shell.go(Place(noun="order", argument=str(task.order)))
        else:
            self.shell.go(Place(noun="log", argument=str(task.id)))


class ClassesScreen(TableScreen):
    """All process classes with holders and queues."""

    noun = "classes"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, resources.CLASSES)

    def enter(self, key: RowKey) -> None:
        """Go to the holder; of several, to their tasks."""
        state = self.shell.scene().state
        holders = list(state.class_slots.get(ClassPath(str(key)), {}))
        task = state.tasks.get(holders[0]) if len(holders) == 1 else None
        if task is not None and task.order is not None:
            self.shell.go(Place(noun="order", argument=str(task.order)))
        elif holders:
            self.shell.go(Place(noun="tasks", filter_text=f"class={key} !done !FAIL"))
        else:
            self.shell.say("nobody uses this class; :agents and a filter class=… show its agents")


class ProblemsScreen(TableScreen):
    """Refused definition files."""

    noun = "problems"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, problems.VIEW)

    def enter(self, key: RowKey) -> None:
        """Show all findings."""
        broken = self.shell.scene().state.broken.get(key) if isinstance(key, ObjectRef) else None
        if broken is None:
            return
        lines: list[Line] = [
            line(Span(f" {clean(broken.file)}", "bold")),
            line(f" {broken.object.kind.value} {clean(broken.object.path)}"),
            (),
        ]
        lines += [line(" ", Span(clean(finding), "fail")) for finding in broken.findings]
        lines += [
            (),
            line(
                Span(
                    " An earlier version, if any, stays in force. Mend the file: it is read again.",
                    "dim",
                )
            ),
        ]
        self.shell.show_page("findings", lines)


class EventsScreen(TableScreen):
    """The last events."""

    noun = "events"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, events.VIEW)

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show the events, those from before the cockpit opened as well."""
        super().open_place(place, look)
        if len(self.shell.scene().mirror.facts) < RECALLED_MAX:
            self.shell.recall_events()

    def crumbs(self, scene: Scene) -> list[str]:
        """Return how far back it goes."""
        facts = scene.mirror.facts
        if not facts:
            return super().crumbs(scene)
        return [*super().crumbs(scene), f"since {clock_text(facts[0].at, scene.now, scene.zone)}"]

    def enter(self, key: RowKey) -> None:
        """Go to the subject."""
        fact = events.fact_of(self.shell.scene(), key)
        if fact is None:
            return
        order = getattr(fact.event, "order", None)
        task = getattr(fact.event, "task", None)
        job = getattr(fact.event, "job", None)
        agent = getattr(fact.event, "agent", None)
        if isinstance(order, OrderKey):
            self.shell.go(Place(noun="order", argument=str(order)))
        elif isinstance(task, int):
            self.shell.go(Place(noun="log", argument=str(task)))
        elif isinstance(job, str):
            self.shell.go(Place(noun="tasks", argument=job))
        elif isinstance(agent, str):
            self.shell.go(Place(noun="agents"))
        else:
            self.shell.say("there is nothing to go to; <d> tells all about it")

    def do_behind(self) -> None:
        """Show the order that the event is about."""
        scene = self.shell.scene()
        fact = events.fact_of(scene, self.table.cursor_key)
        order = getattr(fact.event, "order", None) if fact is not None else None
        task = getattr(fact.event, "task", None) if fact is not None else None
        order = order if isinstance(order, OrderKey) else order_of_task(scene, task)
        if order is None:
            self.shell.say("no order is behind this event")
        else:
            self.shell.go(Place(noun="order", argument=str(order)))


class HistoryScreen(TableScreen):
    """Finished runs."""

    noun = "history"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, history.VIEW)

    def enter(self, key: RowKey) -> None:
        """Show the log of the last step."""
        run = history.run_of(self.shell.scene(), key)
        if run is None or run.task is None:
            self.shell.say("the log of this run is not known here")
        else:
            self.shell.go(Place(noun="log", argument=str(run.task)))

    def do_log(self) -> None:
        """Show the log of the last step."""
        self.do_enter()

    def do_behind(self) -> None:
        """Show the order."""
        run = history.run_of(self.shell.scene(), self.table.cursor_key)
        if run is not None:
            self.shell.go(Place(noun="order", argument=str(run.order)))


class PlanScreen(TableScreen):
    """The next starts."""

    noun = "plan"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, plan.VIEW)

    def enter(self, key: RowKey) -> None:
        """Go to the order or the job."""
        if isinstance(key, OrderKey):
            self.shell.go(Place(noun="order", argument=str(key)))
        else:
            self.shell.go(Place(noun="jobs", filter_text=f"path={key}"))

    def defined(self, key: RowKey) -> tuple[str, object]:
        """Return the order or the job that starts."""
        return ("orders" if isinstance(key, OrderKey) else "jobs"), key


class NeedsScreen(OrdersScreen):
    """What needs a person; the keys of orders work where the row is an order."""

    noun = "needs"
    shown_view = needs.VIEW

    def subjects(self) -> list[OrderKey]:
        """Return the orders behind the rows an action is about."""
        found = []
        for key in self.table.subjects():
            need = needs.find_need(self.shell.scene(), key)
            if need is not None and isinstance(need.subject, OrderKey):
                found.append(need.subject)
        return found

    def order_under_cursor(self) -> OrderKey | None:
        """Return the order behind the row under the cursor."""
        key = self.table.cursor_key
        need = needs.find_need(self.shell.scene(), key) if key is not None else None
        return need.subject if need is not None and isinstance(need.subject, OrderKey) else None

    def enter(self, key: RowKey) -> None:
        """Go to what the row is about."""
        enter_need(self.shell, key)

    def do_describe(self) -> None:
        """Show the whole row."""
        TableScreen.do_describe(self)

    def do_put_aside(self) -> None:
        """Ask until when; what was put aside already is taken back."""
        found = self._entries()
        if found and all(need.aside_until is not None for need in found):
            self.shell.put_aside(found, None)
        elif found:
            self.open_entry("aside", "put aside for (30m, 2h, 1d) or until (18:00): ", "1h")

    def _entries(self) -> list[needs.Need]:
        scene = self.shell.scene()
        found = (needs.find_need(scene, key) for key in self.table.subjects())
        return [need for need in found if need is not None]

    def entry_done(self, purpose: str, text: str) -> None:
        """Take the time."""
        if purpose != "aside":
            super().entry_done(purpose, text)
            return
        try:
            scene = self.shell.scene()
            until = parse_until(text, scene.now, scene.zone)
        except ValueError as problem:
            self.shell.say(str(problem), bad=True)
        else:
            self.shell.put_aside(self._entries(), until)

    def do_log(self) -> None:
        """Show the log behind the row."""
        order = self.order_under_cursor()
        if order is not None:
            show_log_of(self.shell, order)
        elif self.table.cursor_key is not None:
            enter_need(self.shell, self.table.cursor_key)


def enter_need(shell: Shell, key: RowKey) -> None:
    """Go to what a need is about."""
    scene = shell.scene()
    need = needs.find_need(scene, key)
    if need is None:
        return
    match need.kind:
        case NeedKind.ORDER | NeedKind.SUSPENDED:
            shell.go(Place(noun="order", argument=str(need.subject)))
        case NeedKind.RUN:
            run = history.run_of(scene, need.subject)
            if run is not None and run.task is not None:
                shell.go(Place(noun="log", argument=str(run.task)))
            elif run is not None:
                shell.go(Place(noun="order", argument=str(run.order)))
        case NeedKind.AGENT:
            shell.go(Place(noun="agents"), key=AgentUri(str(need.subject)))
        case NeedKind.ORPHAN:
            shell.go(Place(noun="processes"), key=need.subject)
        case NeedKind.MISSED if isinstance(need.subject, OrderKey):
            shell.go(Place(noun="order", argument=str(need.subject)))
        case NeedKind.JOB | NeedKind.MISSED:
            shell.go(Place(noun="jobs"), key=JobKey(str(need.subject)))
        case NeedKind.NODE:
            assert isinstance(need.subject, tuple), "a node is named by chain and state"
            shell.go(Place(noun="chain", argument=str(need.subject[0])), key=need.subject[1])
        case NeedKind.TASK:
            shell.go(Place(noun="log", argument=str(need.subject)))
        case NeedKind.FILE:
            shell.go(Place(noun="problems"), key=need.subject)
