"""A year of a folder with 200 scheduled orders and 20 jobs, lived through under a virtual clock.

The kernel decides and time jumps to whatever is due; tasks last as long as a seeded throw of dice
says. What starts, to the millisecond, has to be the plan that was made on the first day.

POINTSMAN_YEAR=dense makes most run times daily ones with repeats: some hundred thousand starts.
"""

import os
from collections import Counter
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from engine.drivers.folder_watch import LiveFolder
from engine.kernel.calendar import Calendar, CalendarUser, following_start
from engine.kernel.daily_plan import PlanBasis, PlannedSubject, plan
from engine.kernel.definitions import Definition, Job, OrderDefinition
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, Instant, seconds
from engine.kernel.plans import Calendars
from engine.kernel.state import Task
from tests.support.timetable import Timetable, moment

ZONE = "Europe/Berlin"
BEGIN, END = "2029-12-31 12:00", "2030-12-31 12:00"
ORDERS, JOBS = 200, 20
IS_DENSE = os.environ.get("POINTSMAN_YEAR") == "dense"
pytestmark = pytest.mark.timeout(0 if IS_DENSE else 120)

HOLIDAYS = """<holidays><weekdays><day day="6 7"/></weekdays>
<holiday date="2030-01-01"/><holiday date="2030-04-19"/><holiday date="2030-04-22"/>
<holiday date="2030-12-25"/><holiday date="2030-12-26"/></holidays>"""

FILES = {
    "work.job.xml": '<job order="yes" tasks="1000" process_class="wide" stop_on_error="no">'
    '<script language="shell">true</script><run_time/></job>',
    "wide.process_class.xml": '<process_class max_processes="10000"/>',
    "walk.job_chain.xml": '<job_chain><job_chain_node state="1" job="work" next_state="end"/>'
    '<job_chain_node state="end"/></job_chain>',
    "base.schedule.xml": '<schedule><weekdays><day day="1 4"><period single_start="05:15"/></day>'
    f'<day day="2"><period begin="20:00" end="22:00" repeat="40:00"/></day></weekdays>{HOLIDAYS}'
    "</schedule>",
    "summer.schedule.xml": '<schedule substitute="base" valid_from="2030-06-01 00:00:00" '
    'valid_to="2030-09-01 00:00:00"><weekdays><day day="3"><period single_start="02:30"/></day>'
    "</weekdays></schedule>",
}


def run_time(dice: Random) -> str:
    """A random run time as somebody would write it."""
    at = f"{dice.randrange(24):02}:{dice.randrange(60):02}"
    start = f'<period single_start="{at}"/>'
    day, other = dice.sample(range(1, 8), 2)
    begin = dice.randrange(20)
    hours = f'begin="{begin:02}:30" end="{begin + 3:02}:00"'
    rules = [
        f'<weekdays><day day="{day}">{start}</day></weekdays>',
        f'<weekdays><day day="{day} {other}">{start}</day></weekdays>{HOLIDAYS}',
        f'<monthdays><day day="1 15 {day + 20} 31">{start}</day></monthdays>',
        (
            f'<monthdays><weekday day="{day}" which="{dice.choice((-2, -1, 1, 2))}">{start}</weekday>'
            "</monthdays>"
        ),
        (
            f'<ultimos><day day="0 {day}"><period single_start="{at}" '
            f'when_holiday="{dice.choice(("previous", "next"))}_non_holiday"/></day></ultimos>{HOLIDAYS}'
        ),
        f'<month month="{dice.randint(1, 12)}">{start}</month>',
        (
            f'<monthdays><day day="{day}"><period {hours} repeat="00:{dice.randint(20, 59)}"/></day>'
            "</monthdays>"
        ),
        f'<ultimos><day day="{day}"><period {hours} absolute_repeat="00:55"/></day></ultimos>',
        (
            f'<at at="2030-{dice.randint(1, 12):02}-11 {at}"/><date date="2030-03-31">'
            f'<period single_start="02:30"/></date><date date="2030-10-27">{start}'
            '<period begin="01:00" end="05:00" absolute_repeat="01:00"/></date>'
        ),
    ]
    if IS_DENSE:
        rules += [start, f'<period {hours} repeat="00:45"/>{start}', start + HOLIDAYS]
    zones = ("", ' time_zone="America/New_York"', ' time_zone="Australia/Lord_Howe"')
    if dice.random() < 0.1:
        return f'<run_time schedule="base"{dice.choice(zones)}/>'
    return f"<run_time{dice.choice((*[''] * 8, *zones))}>{dice.choice(rules)}</run_time>"


@pytest.fixture
def definitions(tmp_path: Path) -> list[Definition]:
    """The folder, read as the engine reads it."""
    dice = Random(2030)
    for name, xml in FILES.items():
        (tmp_path / name).write_text(xml)
    for number in range(ORDERS):
        xml = f"<order>{run_time(dice)}</order>"
        (tmp_path / f"walk,order{number}.order.xml").write_text(xml)
    for number in range(JOBS):
        script = '<script language="shell">true</script>'
        xml = f'<job process_class="wide">{script}{run_time(dice)}</job>'
        (tmp_path / f"job{number}.job.xml").write_text(xml)
    folder = LiveFolder(tmp_path, {}, ZoneInfo(ZONE))
    found = folder.scan(at_once=True)
    assert found is not None
    assert not folder.findings
    return list(found.defined)


def subject_of(task: Task) -> PlannedSubject:
    return task.job if task.order is None else task.order


def lived(definitions: list[Definition], lasts: "Durations") -> Timetable:
    world = Timetable(BEGIN, *definitions, zone=ZONE, lasts=lasts.of_task, checked_every=4999)
    world.lives_until(Instant(moment(END, ZONE) - 1))
    return world


class Durations:
    """How long the n-th run of each order and job takes: thrown when it is asked for first."""

    def __init__(self, *, are_constant: bool) -> None:
        self._are_constant = are_constant
        self._runs: Counter[PlannedSubject] = Counter()

    def of(self, subject: PlannedSubject, number: int) -> Duration:
        dice = Random(f"{subject} {0 if self._are_constant else number}")
        return seconds(dice.choice((0, 1, 45, 600, 1800, 4000)))

    def of_task(self, task: Task) -> Duration:
        subject = subject_of(task)
        self._runs[subject] += 1
        return self.of(subject, self._runs[subject] - 1)


def happened(world: Timetable) -> Counter[tuple[Instant, str]]:
    return Counter((run.at, str(run.order or run.job)) for run in world.runs)


def test_the_starts_of_a_year_equal_the_plan_made_on_its_first_day(
    definitions: list[Definition],
) -> None:
    lasts = Durations(are_constant=True)
    first_day = Timetable(BEGIN, *definitions, zone=ZONE)
    basis = PlanBasis.of(first_day.state, first_day.now)
    durations = {subject: lasts.of(subject, 0) for subject in basis.subjects}
    entries = plan(basis, first_day.now, moment(END, ZONE), durations)
    planned = Counter(
        (entry.at, f"{entry.path},{entry.order}" if entry.order else entry.path)
        for entry in entries
        if entry is not None
    )
    # What starts while the definitions are taken over is in a task already, so not planned.
    begun = Counter(
        (first_day.now, str(subject_of(task))) for task in first_day.state.tasks.values()
    )
    assert sum(planned.values()) > 4_000
    assert happened(lived(definitions, lasts)) == planned + begun


def test_the_starts_of_a_year_follow_from_the_ends_of_the_runs_before(
    definitions: list[Definition],
) -> None:
    lasts = Durations(are_constant=False)
    first_day = Timetable(BEGIN, *definitions, zone=ZONE)
    calendars = Calendars(first_day.state)
    expected: Counter[tuple[Instant, str]] = Counter()
    for definition in definitions:
        match definition:
            case OrderDefinition(run_time=found) if found is not None:
                calendar = calendars.of(found, CalendarUser.ORDER)
                subject: PlannedSubject = definition.key
                first = first_day.state.orders[definition.key].start_at
                if first == IMMEDIATELY:
                    first = first_day.now
            case Job(run_time=found, is_order_job=False) if found is not None:
                calendar = calendars.of(found, CalendarUser.JOB)
                subject = definition.key
                first = first_day.state.jobs[definition.key].next_start
                if first_day.state.tasks_of_job.get(definition.key):
                    first = first_day.now
            case _:
                continue
        assert isinstance(calendar, Calendar)
        expected.update(starts_of(subject, first, calendar, lasts))
    assert happened(lived(definitions, lasts)) == expected


def starts_of(
    subject: PlannedSubject, first: Instant, calendar: Calendar, lasts: Durations
) -> Counter[tuple[Instant, str]]:
    """Go from each start to the next, given how long each run takes."""
    found: Counter[tuple[Instant, str]] = Counter()
    at, number = first, 0
    while at < moment(END, ZONE):
        found[at, str(subject)] += 1
        end = Instant(at + lasts.of(subject, number))
        start = following_start(calendar, end, at)
        at = NEVER if start is None else start.at
        number += 1
    return found
