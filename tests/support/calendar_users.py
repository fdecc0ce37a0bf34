"""What orders and jobs make of a walk: sections 12 and 13 of schedules.md, word by word.

Minutes everywhere; None stands for never. All happens at whole minutes, so half of one is "after".
"""

from collections.abc import Iterator

from tests.support.calendar_walker import DAY, Walk, Walked

_JUST_AFTER = 0.5


def first_order_start(walk: Walk, now: int) -> int | None:
    period = walk.search("any", now)
    return None if period is None else max(now, period.start(now))


def next_order_start(walk: Walk, end: int, last_start: int) -> int | None:
    since = max(end, last_start + _JUST_AFTER)
    period = walk.search("any", since)
    if period is None:
        return None
    candidate = _order_candidate(walk, period, end, since)
    single = walk.search("single", since)
    starts = [candidate, None if single is None else single.start(since)]
    return min((start for start in starts if start is not None), default=None)


def _order_candidate(walk: Walk, period: Walked, end: int, since: float) -> int | None:
    if period.kind != "repeat" or period.begin > end:
        return period.start(since)
    candidate = end + period.interval
    if candidate < period.end:
        return candidate
    following = walk.search("any", period.end)
    if following is None:
        return None
    if following.kind != "repeat":
        return following.start(period.end)
    if candidate >= following.end:
        one_after = walk.search("any", following.end)
        return None if one_after is None else max(following.end, one_after.start(following.end))
    if following.begin == period.end and following.interval == period.interval:
        return candidate
    return max(period.end, following.begin)


def order_starts(walk: Walk, first: int, duration: int) -> Iterator[int]:
    start = first_order_start(walk, first)
    while start is not None:
        yield start
        start = next_order_start(walk, start + duration, start)


def job_starts(walk: Walk, first: int, duration: int) -> Iterator[int]:
    """Yield a job's starts by living through its time minute by minute."""
    now = first
    once = walk.once
    tidied = first
    repeat_due: int | None = None
    current: Walked | None = None
    while now < walk.last:
        if now > tidied + DAY:
            walk.forget_before(now)
            tidied = now
        period = walk.search("period", now)
        if period is not current:
            current = period
            repeat_due = None
            if period is not None and period.kind == "repeat":
                repeat_due = max(now, period.begin)
        inside = current is not None and current.begin <= now
        single = walk.search("single", now)
        if (
            (single is not None and single.start(now) == now)
            or (inside and once)
            or (inside and repeat_due is not None and repeat_due <= now)
        ):
            yield now
            once = False
            end = now + duration
            current = walk.search("period", end)
            repeat_due = None
            if current is not None and current.kind == "repeat":
                repeat_due = end + current.interval if current.begin <= end else current.begin
            # A run without any duration does not start twice by one start.
            now = max(end, now + 1)
        else:
            now += 1
