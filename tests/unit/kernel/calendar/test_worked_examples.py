"""Every worked example of schedules.md 17, by its number: of the calendar, and lived through."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from engine.codec.xml.schedules import read_run_time, read_schedule, read_scheduler_holidays
from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    Holidays,
    PeriodSpan,
    RunTime,
    Schedule,
    calendar_of,
    next_period,
    spans_between,
    starts_between,
)
from engine.kernel.definitions import Definition, MainConfiguration, ScheduleFile
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import NEVER, Duration, Instant, from_datetime, seconds, to_datetime
from tests.support.timetable import Timetable
from tests.support.world import chain, node, shell_job

_EXAMPLES = Path(__file__).with_name("worked_examples.txt").read_text()
_BASE = SchedulePath("/base")
_QUERY = re.compile(
    r"from (?P<from>\S+ [\d:]+)(?: (?P<zone>[A-Z]\w+/\w+))?(?:, before (?P<before>\S+ [\d:]+))?"
    r"(?:, limit (?P<limit>\d+))? \| (?P<question>.*)"
)
_DURATION = re.compile(r"takes (\d+) (s|min)")


@dataclass
class Example:
    number: str
    root: str
    config: str = ""
    user: CalendarUser = CalendarUser.JOB
    substitutes: dict[str, str] = field(default_factory=dict)
    query: dict[str, str | None] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)

    @property
    def zone(self) -> tzinfo:
        return ZoneInfo(self.query["zone"] or "UTC")

    def instant(self, name: str) -> Instant:
        text = self.query[name]
        assert text is not None
        return from_datetime(datetime.fromisoformat(text).replace(tzinfo=self.zone))

    def definitions(self) -> tuple[RunTime, dict[SchedulePath, Schedule]]:
        root = etree.fromstring(_with_holiday_series(self.root))
        schedules: dict[SchedulePath, Schedule] = {}
        if root.tag == "schedule":
            schedules[_BASE] = read_schedule(root, _BASE, _fail, include=_no_include)
            run_time = RunTime(schedule=_BASE)
        else:
            run_time = read_run_time(root, _fail, include=_no_include)
        for name, xml in self.substitutes.items():
            path = SchedulePath(name)
            schedules[path] = read_schedule(etree.fromstring(xml), path, _fail, include=_no_include)
        return run_time, schedules

    def calendar(self) -> Calendar:
        run_time, schedules = self.definitions()
        calendar = calendar_of(
            run_time, schedules, self.zone, self.holidays(), ZoneInfo, user=self.user
        )
        assert isinstance(calendar, Calendar)
        return calendar

    @property
    def duration(self) -> Duration:
        takes = _DURATION.search(self.query["question"] or "")
        if takes is None:
            return seconds(0)
        return seconds(int(takes[1]) * (60 if takes[2] == "min" else 1))

    def holidays(self) -> Holidays | None:
        config = etree.fromstring(f"<config>{self.config}</config>")
        return read_scheduler_holidays(config, _fail, include=_no_include)


def _examples() -> list[Example]:
    found = []
    for block in re.split(r"\n\n(?=E\d+ )", _EXAMPLES)[1:]:
        lines = [line.strip() for line in block.strip().splitlines()]
        example = Example(number=lines[0].split()[0], root=lines[1])
        for line in lines[2:]:
            if line.startswith("->"):
                example.expected += [one.strip() for one in line[2:].split(";")]
            elif line.startswith("config:"):
                example.config, _, user = line[len("config: ") :].partition("; user = ")
                example.user = CalendarUser(user)
            elif line.startswith("/"):
                name, _, xml = line.partition(" = ")
                example.substitutes[name] = xml
            else:
                query = _QUERY.fullmatch(line)
                assert query is not None, line
                example.query = query.groupdict()
        if "order" in str(example.query["question"]):
            example.user = CalendarUser.ORDER
        found.append(example)
    return found


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.number)
def test_a_worked_example_comes_out_as_specified(example: Example) -> None:
    calendar = example.calendar()
    question = example.query["question"] or ""
    if question == "periods":
        answers = _periods(calendar, example)
    elif question == "calendar":
        answers = _listed(calendar, example)
    else:
        answers = _starts(calendar, example)
    assert list(islice(answers, len(example.expected))) == example.expected


@pytest.mark.parametrize(
    "example",
    [one for one in _examples() if "starts" in (one.query["question"] or "")],
    ids=lambda example: example.number,
)
def test_the_engine_starts_what_the_worked_example_says(example: Example) -> None:
    world = _world(example)
    expected = [text for text in example.expected if text != "never"]
    while len(world.runs) < len(expected):
        due = world.next_due()
        assert due < NEVER, world.starts()
        world.lives_until(due)
    assert [_start(run.at, example) for run in world.runs] == expected
    if example.expected[-1] == "never":
        starts = [order.start_at for order in world.state.orders.values()]
        assert all(job.next_start == NEVER for job in world.state.jobs.values())
        assert all(start == NEVER for start in starts)


def _world(example: Example) -> Timetable:
    run_time, schedules = example.definitions()
    is_order = example.user is CalendarUser.ORDER
    definitions: list[Definition] = [ScheduleFile(schedule=one) for one in schedules.values()]
    definitions.append(
        shell_job("work", is_order_job=is_order, run_time=None if is_order else run_time)
    )
    if is_order:
        definitions.append(chain("walk", node("1", "work")))
    begin = example.query["from"]
    assert begin is not None
    world = Timetable(
        begin,
        *definitions,
        zone=str(example.zone),
        lasts=lambda _task: example.duration,
        main=MainConfiguration(holidays=example.holidays()),
    )
    if is_order:
        world.adds("x", run_time=run_time)
    world.lives_until(world.now)
    return world


def test_all_examples_are_there() -> None:
    assert [example.number for example in _examples()] == [
        f"E{number:02d}" for number in range(1, 103)
    ]


def _starts(calendar: Calendar, example: Example) -> Iterator[str]:
    begin = example.instant("from")
    for start in starts_between(calendar, begin, NEVER, duration=example.duration):
        yield _start(start.at, example)
    yield "never"


def _start(instant: Instant, example: Example) -> str:
    text = _local(instant, example.zone)
    if any("Z)" in expected for expected in example.expected):
        text += f" ({to_datetime(instant):%H:%M}Z)"
    if instant == example.instant("from") and "at once" in example.expected[0]:
        text += " (at once)"
    return text


def _periods(calendar: Calendar, example: Example) -> Iterator[str]:
    instant = example.instant("from")
    while (span := next_period(calendar, instant)) is not None:
        text = f"{_local(span.begin, example.zone)} .. {_local(span.end, example.zone)}"
        yield f"{text} [{span.schedule}]" if span.schedule else text
        instant = span.end
    yield "never"


def _listed(calendar: Calendar, example: Example) -> Iterator[str]:
    spans = spans_between(calendar, example.instant("from"), example.instant("before"))
    limit = example.query["limit"]
    found = [_listing(span) for span in islice(spans, int(limit) if limit else None)]
    assert len(found) == len([one for one in example.expected if one != "(none)"])
    yield from found or ["(none)"]


def _listing(span: PeriodSpan) -> str:
    if span.is_single:
        text = f"single_start={_utc(span.begin)}"
    else:
        text = f"begin={_utc(span.begin)} end={_utc(span.end)}"
        text += " let_run" if span.let_run else ""
        text += f" repeat={span.repeat // 1000}" if span.repeat else ""
    return f"{text} schedule={span.schedule}" if span.schedule else text


def _local(instant: Instant, zone: tzinfo) -> str:
    shown = to_datetime(instant, zone)
    return f"{shown:%a %Y-%m-%d %H:%M:%S}" if shown.second else f"{shown:%a %Y-%m-%d %H:%M}"


def _utc(instant: Instant) -> str:
    return to_datetime(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_holiday_series(xml: str) -> str:
    def series(found: re.Match[str]) -> str:
        first, last = date.fromisoformat(found[1]), date.fromisoformat(found[2])
        days = (first + timedelta(days=step) for step in range((last - first).days + 1))
        return "".join(f'<holiday date="{day}"/>' for day in days)

    return re.sub(r"<!-- .*? (\S+) \.\. (\S+) -->", series, xml)


def _fail(element: etree._Element, text: str) -> None:
    raise AssertionError(f"<{element.tag}>: {text}")


def _no_include(element: etree._Element) -> etree._Element | None:
    raise AssertionError("no example includes anything")
