"""Time that passes in a world while drivers are played: tasks start, last, and end by themselves."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.kernel.calendar import Period
from engine.kernel.commands import ApplyDefinitions, BeginEpoch, Request, Tick
from engine.kernel.definitions import Definition, MainConfiguration
from engine.kernel.events.tasks import TaskAssigned
from engine.kernel.ids import Epoch, JobKey, OrderKey, TaskId
from engine.kernel.instants import NEVER, Duration, Instant, from_datetime, seconds
from engine.kernel.reports import Report
from engine.kernel.state import Task
from engine.kernel.step import Done, step
from tests.support.world import World

NO_TIME = Duration(0)


def moment(text: str, zone: str = "UTC") -> Instant:
    """An instant from a local time such as `2030-01-01 09:00`."""
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def single(at: str, **changes: object) -> Period:
    """A single start at a time of day."""
    return Period(single_start=_seconds(at), **changes)  # type: ignore[arg-type]  # by name


def period(
    begin: str = "00:00", end: str = "24:00", repeat: float = 0, absolute_repeat: float = 0
) -> Period:
    """A period of the day; both repeats in seconds."""
    return Period(
        begin=_seconds(begin),
        end=_seconds(end),
        repeat=seconds(repeat),
        absolute_repeat=seconds(absolute_repeat),
    )


def _seconds(time_of_day: str) -> int:
    hours, minutes, *rest = (int(part) for part in time_of_day.split(":"))
    return hours * 3600 + minutes * 60 + (rest[0] if rest else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start that happened."""

    at: Instant
    job: JobKey
    order: OrderKey | None


class Timetable(World):
    """A world that begins at a given time and in which `lives_until` plays the drivers."""

    def __init__(
        self,
        begin: str,
        *definitions: Definition,
        zone: str = "UTC",
        lasts: Callable[[Task], Duration] = lambda _task: NO_TIME,
        main: MainConfiguration | None = None,
        checked_every: int = 1,
    ) -> None:
        self.checked_every = checked_every
        """Inputs; the journal is only kept when each is checked."""
        self._inputs = 0
        self._assigned: list[TaskId] = []
        self.zone = zone
        self.lasts = lasts
        self.runs: list[Run] = []
        self._ends: list[tuple[Instant, TaskId]] = []
        super().__init__()
        self.now = moment(begin, zone)
        self.begins_life(2)
        self.does(ApplyDefinitions(defined=definitions, main=main))

    def begins_life(self, epoch: int, down_since: str | None = None) -> None:
        """The engine starts."""
        since = None if down_since is None else moment(down_since, self.zone)
        self.does(
            BeginEpoch(epoch=Epoch(epoch), engine_id="test", time_zone=self.zone, down_since=since)
        )

    def gives(self, asked: Request | Report) -> Done:
        """Carry out one input; every so often check all that must hold."""
        self._inputs += 1
        if self._inputs % self.checked_every == 0:
            done = super().gives(asked)
        else:
            done = step(self.state, asked, self.now)
            self.last = done.events
        for event in done.events:
            if isinstance(event, TaskAssigned):
                self._assigned.append(event.task)
        return done

    def lives_until(self, end: Instant | str) -> None:
        """Let time pass; tasks start and end on the way."""
        until = moment(end, self.zone) if isinstance(end, str) else end
        self._launch()
        while (due := self.next_due()) <= until:
            self.now = max(self.now, due)
            if self._ends and self._ends[0][0] <= self.now:
                _, task = heapq.heappop(self._ends)
                self.ends(self.state.tasks[task])
            else:
                self.does(Tick())
            self._launch()
        self.now = until

    def starts(self, job: str | None = None) -> list[str]:
        """The local times of the starts so far, shortened to what is not zero."""
        zone = ZoneInfo(self.zone)
        return [
            _shown(datetime.fromtimestamp(run.at / 1000, zone))
            for run in self.runs
            if job is None or run.job == f"/{job}"
        ]

    def next_due(self) -> Instant:
        """When something happens next."""
        return min(self.state.next_due(), self._ends[0][0] if self._ends else NEVER)

    def _launch(self) -> None:
        while self._assigned:
            task = self.launches(self.state.tasks[self._assigned.pop(0)])
            self.runs.append(Run(at=self.now, job=task.job, order=task.order))
            heapq.heappush(self._ends, (Instant(self.now + self.lasts(task)), task.id))


def _shown(local: datetime) -> str:
    form = "%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M"
    return local.strftime(form)
