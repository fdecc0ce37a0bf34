"""How long the next start of a run time takes: many random definitions, and ones that never start.

    PYTHONPATH=. python bench/next_start.py --count 1000000

Each computation asks one calendar for its next start and goes on from there, so that searches cross
days, months, holidays and clock changes; calendars take turns, as orders in an engine do. The
second part makes calendars that start nothing for the twenty years a search looks ahead and
measures their first, cold search, making the calendar included. All times are processor time, so
that they do not tell of what else the host does.
"""

import argparse
import gc
import statistics
from collections.abc import Callable
from dataclasses import replace
from random import Random
from time import process_time_ns
from zoneinfo import ZoneInfo

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    DatePeriods,
    DayPeriods,
    Holidays,
    LocalDate,
    LocalTime,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    WhenHoliday,
    calendar_of,
    first_order_start,
    next_job_start,
    next_order_start,
)
from engine.kernel.calendar.pattern import pattern_of
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, seconds
from tests.support.random_calendars import random_case

COUNT_MAX = 100_000_000
_DAY_MS = 86_400_000
_START = Instant(1_893_456_000_000)  # 2030-01-01
_LAST = Instant(_START + 5 * 366 * _DAY_MS)
_RUN = seconds(60)
_REPEATED = 51
_SINGLE = (Period(single_start=36_000),)
_EVERY_DAY = tuple(range(7))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--definitions", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = min(max(1, arguments.count), COUNT_MAX)
    measure_random_definitions(count, max(1, arguments.definitions), arguments.seed)
    measure_definitions_without_starts()


def measure_random_definitions(count: int, definitions: int, seed: int) -> None:
    """Print the time of so many computations over so many calendars."""
    rng = Random(seed)
    begin = process_time_ns()
    calendars = [_random_calendar(rng) for _ in range(definitions)]
    made = process_time_ns() - begin
    instants = [Instant(_START + rng.randrange(30 * _DAY_MS)) for _ in calendars]
    gc.collect()
    samples: list[int] = []
    found = 0
    begin = process_time_ns()
    for number in range(count):
        index = number % definitions
        sampled = number % 97 == 0
        before = process_time_ns() if sampled else 0
        start = _next_start(calendars[index], instants[index], first=number < definitions)
        if sampled:
            samples.append(process_time_ns() - before)
        if start > _LAST:
            instants[index] = Instant(_START + rng.randrange(30 * _DAY_MS))
        else:
            found += 1
            instants[index] = Instant(max(start, instants[index]) + _RUN)
    elapsed = process_time_ns() - begin
    cuts = statistics.quantiles(samples, n=1000) if len(samples) > 1 else [samples[0]] * 999
    print(f"{definitions} random definitions made in {made / 1e6:.0f} ms (seed {seed})")
    print(f"{count} next starts in {elapsed / 1e9:.2f} s: {elapsed / count / 1e3:.2f} us each")
    print(f"  found a start within five years: {found / count:.0%}")
    print(
        f"  of every 97th: median {cuts[499] / 1e3:.1f} us, 99 % {cuts[989] / 1e3:.1f} us, "
        f"99.9 % {cuts[998] / 1e3:.1f} us, longest {max(samples) / 1e3:.1f} us"
    )


def measure_definitions_without_starts() -> None:
    """Print how long cold searches take for each definition that starts nothing."""
    print(f"no start in the next 20 years, first search, median to worst of {_REPEATED}:")
    for name, run_time in definitions_without_starts().items():
        order = sorted(_cold(run_time, CalendarUser.ORDER, _ask_order) for _ in range(_REPEATED))
        job = sorted(_cold(run_time, CalendarUser.JOB, _ask_job) for _ in range(_REPEATED))
        print(
            f"  {name:46} order {order[_REPEATED // 2] / 1e6:5.2f} to {order[-1] / 1e6:5.2f} ms"
            f"   job {job[_REPEATED // 2] / 1e6:5.2f} to {job[-1] / 1e6:5.2f} ms"
        )


def definitions_without_starts() -> dict[str, RunTime]:
    """Return definitions that start nothing from 2030 on, the costly ones among them."""
    february = Month(months=(2,), monthdays=(DayPeriods(days=(30, 31), periods=_SINGLE),))
    weekend = Holidays(weekdays=(0, 6))
    moved = replace(_SINGLE[0], when_holiday=WhenHoliday.NEXT_NON_HOLIDAY)
    past = tuple(
        LocalDate(f"{2000 + number // 12}-{number % 12 + 1:02d}-05") for number in range(300)
    )
    return {
        "empty": RunTime(),
        "a plain period every day": RunTime(periods=(Period(begin=3600),)),
        "the 30th of February": RunTime(months=(february,)),
        "12 months with rules of their own": RunTime(
            months=tuple(
                Month(months=(number,), monthdays=(DayPeriods(days=(31,), periods=_SINGLE),))
                for number in (2, 4, 6, 9, 11)
            )
            + tuple(
                Month(
                    months=(number,),
                    month_weekdays=(MonthWeekday(weekdays=(1,), which=5, periods=()),),
                )
                for number in (1, 3, 5, 7, 8, 10, 12)
            )
        ),
        "300 dates of the past": RunTime(
            dates=tuple(DatePeriods(date=day, periods=_SINGLE) for day in past)
        ),
        "300 times of the past": RunTime(at=tuple(LocalTime(f"{day}T12:00:00") for day in past)),
        "each day a holiday, starts suppressed": RunTime(
            periods=_SINGLE, holidays=Holidays(weekdays=_EVERY_DAY)
        ),
        "each day a holiday, starts moved": RunTime(
            periods=(moved,), holidays=Holidays(weekdays=_EVERY_DAY)
        ),
        "weekends only, suppressed on weekends": RunTime(
            weekdays=(DayPeriods(days=(0, 6), periods=_SINGLE),), holidays=weekend
        ),
        "300 holidays, plain periods moved": RunTime(
            periods=(Period(begin=3600, when_holiday=WhenHoliday.PREVIOUS_NON_HOLIDAY),),
            holidays=Holidays(dates=past, weekdays=(0, 6)),
        ),
        "a repeat hidden by a plain period (jobs)": RunTime(
            periods=(Period(let_run=True), Period(begin=3600, repeat=seconds(60))),
            dates=(DatePeriods(date=LocalDate("2001-01-01")),),
        ),
        "a repeat hidden by another day's rule (jobs)": RunTime(
            weekdays=(DayPeriods(days=_EVERY_DAY, periods=(Period(),)),),
            monthdays=(
                DayPeriods(
                    days=tuple(range(1, 32)), periods=(Period(begin=3600, repeat=seconds(60)),)
                ),
            ),
        ),
    }


def _random_calendar(rng: Random) -> Calendar:
    case = random_case(rng)
    calendar = calendar_of(
        case.run_time,
        case.schedules,
        ZoneInfo(case.zone),
        case.scheduler_holidays,
        ZoneInfo,
        user=case.user,
    )
    assert isinstance(calendar, Calendar)
    return calendar


def _next_start(calendar: Calendar, instant: Instant, *, first: bool) -> Instant:
    if calendar.user is CalendarUser.ORDER:
        start = (first_order_start if first else next_order_start)(calendar, instant)
        return instant if start == IMMEDIATELY else start
    found = next_job_start(calendar, instant, last_end=None if first else instant)
    return NEVER if found is None else found.at


def _cold(run_time: RunTime, user: CalendarUser, ask: Callable[[Calendar], None]) -> int:
    pattern_of.cache_clear()
    begin = process_time_ns()
    calendar = calendar_of(run_time, {}, ZoneInfo("Europe/Berlin"), None, ZoneInfo, user=user)
    assert isinstance(calendar, Calendar)
    ask(calendar)
    return process_time_ns() - begin


def _ask_order(calendar: Calendar) -> None:
    first_order_start(calendar, _START)


def _ask_job(calendar: Calendar) -> None:
    next_job_start(calendar, _START, once_pending=True)


if __name__ == "__main__":
    main()
