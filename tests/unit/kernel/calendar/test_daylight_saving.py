"""The table in `engine.kernel.calendar.local_time`, row by row, and zones that do odd things.

All dates lie in the past: governments change the future.
"""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    DatePeriods,
    LocalDate,
    LocalTime,
    Period,
    RunTime,
    Schedule,
    calendar_of,
    is_in_period,
    period_at,
    starts_between,
)
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import NEVER, Instant, from_datetime, seconds, to_datetime

SPRING = "2019-03-31"  # Berlin: 2:00 -> 3:00, 01:00Z
AUTUMN = "2019-10-27"  # Berlin: 3:00 -> 2:00, 01:00Z
BASE = SchedulePath("/base")


def at(hour: int, minute: int = 0) -> int:
    return hour * 3600 + minute * 60


def single(hour: int, minute: int = 0) -> Period:
    return Period(single_start=at(hour, minute))


def calendar(
    *periods: Period,
    zone: str = "Europe/Berlin",
    user: CalendarUser = CalendarUser.JOB,
    points: tuple[str, ...] = (),
) -> Calendar:
    run_time = RunTime(periods=periods, at=tuple(LocalTime(each) for each in points))
    found = calendar_of(run_time, {}, ZoneInfo(zone), None, ZoneInfo, user=user)
    assert isinstance(found, Calendar)
    return found


def utc(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


def starts(of: Calendar, day: str, count: int, duration: int = 0) -> list[str]:
    """Return the first starts from 22:00 UTC of the day before on, in UTC."""
    begin = Instant(utc(day) - 7_200_000)
    found = starts_between(of, begin, NEVER, duration=seconds(duration))
    return [f"{to_datetime(start.at):%m-%d %H:%M}" for start in islice(found, count)]


def test_a_start_in_the_skipped_hour_happens_at_the_switch() -> None:
    assert starts(calendar(single(2, 30)), SPRING, 2) == ["03-31 01:00", "04-01 00:30"]


def test_an_at_in_the_skipped_hour_happens_at_the_switch() -> None:
    points = ("2019-03-31T02:10:00", "2019-03-31T02:50:00")
    assert starts(calendar(points=points), SPRING, 5) == ["03-31 01:00"]


def test_starts_at_both_edges_of_the_skipped_hour_are_one_start() -> None:
    assert starts(calendar(single(2), single(3)), SPRING, 2) == ["03-31 01:00", "04-01 00:00"]


def test_a_start_in_the_doubled_hour_happens_once_at_the_first_pass() -> None:
    assert starts(calendar(single(2, 30)), AUTUMN, 2) == ["10-27 00:30", "10-28 01:30"]


def test_starts_at_the_edges_of_the_doubled_hour_are_two_hours_apart() -> None:
    assert starts(calendar(single(2), single(3)), AUTUMN, 2) == ["10-27 00:00", "10-27 02:00"]


def test_a_search_in_the_second_pass_does_not_find_the_first_one_again() -> None:
    found = starts_between(calendar(single(2, 45)), utc("2019-10-27 01:10"), NEVER)
    assert to_datetime(next(found).at) == datetime(2019, 10, 28, 1, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "begin", "end", "opens", "closes"),
    [
        (SPRING, at(2, 20), at(5), "01:00", "03:00"),
        (SPRING, at(1), at(2, 20), "00:00", "01:00"),
        (SPRING, at(1), at(4), "00:00", "02:00"),
        (AUTUMN, at(2, 20), at(5), "00:20", "04:00"),
        (AUTUMN, at(1), at(2, 20), "23:00", "00:20"),
        (AUTUMN, at(2, 10), at(2, 20), "00:10", "00:20"),
        (AUTUMN, at(1), at(4), "23:00", "03:00"),
    ],
)
def test_a_period_opens_and_closes_when_its_times_come_first(
    day: str, begin: int, end: int, opens: str, closes: str
) -> None:
    subject = calendar(Period(begin=begin, end=end))
    before = f"{day[:-2]}{int(day[-2:]) - 1}" if opens == "23:00" else day
    first, last = utc(f"{before} {opens}"), utc(f"{day} {closes}")
    span = period_at(subject, first)
    assert span is not None
    assert (span.begin, span.end) == (first, last)
    assert not is_in_period(subject, Instant(first - 1))
    assert not is_in_period(subject, last)


def test_a_period_inside_the_skipped_hour_does_not_exist_on_this_day() -> None:
    subject = calendar(
        Period(begin=at(2, 10), end=at(2, 40), repeat=seconds(60)), user=CalendarUser.ORDER
    )
    assert starts(subject, SPRING, 1) == ["04-01 00:10"]
    assert not is_in_period(subject, utc(f"{SPRING} 01:00"))


def test_repeat_counts_real_time_through_the_doubled_hour() -> None:
    subject = calendar(Period(begin=at(1, 30), end=at(4), repeat=seconds(3000)))
    assert starts(subject, AUTUMN, 4, duration=600) == [
        "10-26 23:30",
        "10-27 00:30",
        "10-27 01:30",
        "10-27 02:30",
    ]


def test_an_order_keeps_its_interval_over_a_midnight_with_a_switch() -> None:
    subject = calendar(
        Period(repeat=seconds(18_000)), zone="America/Havana", user=CalendarUser.ORDER
    )
    # 2019-11-03: 1:00 -> 0:00, so midnight comes twice; the interval stays 5 hours of real time.
    assert starts(subject, "2019-11-03", 4) == [
        "11-02 22:00",
        "11-03 03:00",
        "11-03 08:00",
        "11-03 13:00",
    ]


def test_validity_limits_follow_the_same_rules() -> None:
    schedules = {
        BASE: Schedule(path=BASE, run_time=RunTime(periods=(Period(),))),
        SchedulePath("/s"): Schedule(
            path=SchedulePath("/s"),
            substitute=BASE,
            run_time=RunTime(periods=(Period(let_run=True),)),
            valid_from=LocalTime("2019-03-31T02:30:00"),
            valid_to=LocalTime("2019-10-27T02:30:00"),
        ),
    }
    found = calendar_of(
        RunTime(schedule=BASE), schedules, ZoneInfo("Europe/Berlin"), None, ZoneInfo
    )
    assert isinstance(found, Calendar)
    inside = [
        period_at(found, utc(text))
        for text in (
            "2019-03-31 00:59:59",
            "2019-03-31 01:00",
            "2019-10-27 00:29:59",
            "2019-10-27 00:30",
        )
    ]
    assert [span is not None and span.let_run for span in inside] == [False, True, True, False]


def test_the_day_begins_at_one_where_midnight_is_skipped() -> None:
    # Beirut, 2019-03-31: 0:00 -> 1:00 at 22:00Z of the day before.
    subject = calendar(single(0), single(0, 30), single(24), zone="Asia/Beirut")
    assert starts(subject, SPRING, 2) == ["03-30 22:00", "03-31 21:00"]


def test_the_day_begins_at_the_first_pass_where_midnight_comes_twice() -> None:
    subject = calendar(single(0), single(0, 30), single(1), zone="America/Havana")
    assert starts(subject, "2019-11-03", 3) == ["11-03 04:00", "11-03 04:30", "11-03 06:00"]


def test_starts_of_a_day_that_a_zone_left_out_happen_when_the_next_day_begins() -> None:
    run_time = RunTime(
        dates=tuple(
            DatePeriods(
                date=LocalDate(f"2011-12-{day}"), periods=(single(12), Period(let_run=True))
            )
            for day in (29, 30, 31)
        )
    )
    subject = calendar_of(run_time, {}, ZoneInfo("Pacific/Apia"), None, ZoneInfo)
    assert isinstance(subject, Calendar)
    assert starts(subject, "2011-12-29", 4) == ["12-29 22:00", "12-30 10:00", "12-30 22:00"]
    span = period_at(subject, utc("2011-12-30 10:00"))
    assert span is not None
    assert span.end == utc("2011-12-31 10:00")


def test_half_an_hour_of_daylight_saving_is_no_special_case() -> None:
    # Lord Howe, 2019-10-06: 2:00 -> 2:30 at 15:30Z; 2020-04-05: 2:00 -> 1:30 at 15:00Z.
    subject = calendar(single(2, 10), single(1, 45), zone="Australia/Lord_Howe")
    assert starts(subject, "2019-10-05", 4) == [
        "10-05 15:15",
        "10-05 15:30",
        "10-06 14:45",
        "10-06 15:10",
    ]
    assert starts(subject, "2020-04-04", 3) == ["04-04 14:45", "04-04 15:40", "04-05 15:15"]


def test_a_zone_that_moved_for_good_goes_on_with_its_new_offset() -> None:
    # Moscow, 2011-03-27: +3 -> +4 for good; 2014-10-26: +4 -> +3 for good.
    subject = calendar(single(12), zone="Europe/Moscow")
    assert starts(subject, "2011-03-26", 2) == ["03-26 09:00", "03-27 08:00"]
    assert starts(subject, "2014-10-25", 2) == ["10-25 08:00", "10-26 09:00"]


def test_the_south_switches_the_other_way_round() -> None:
    # Sydney, 2019-04-07: 3:00 -> 2:00 at 16:00Z; 2019-10-06: 2:00 -> 3:00 at 16:00Z.
    subject = calendar(single(2, 30), zone="Australia/Sydney")
    assert starts(subject, "2019-04-06", 2) == ["04-06 15:30", "04-07 16:30"]
    assert starts(subject, "2019-10-05", 2) == ["10-05 16:00", "10-06 15:30"]
