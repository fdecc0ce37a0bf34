"""The periods of one day in the form that searching needs (schedules.md 4, 7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from engine.kernel.calendar.run_time import (
    NO_REPEAT,
    Period,
    WhenHoliday,
)
from engine.kernel.instants import Duration


class Mode(IntEnum):
    """What a search is for; it decides which periods match."""

    PERIOD = 0
    """May I run: everything with a length."""
    ANY = 1
    """Starts of orders and `show_calendar`: all but plain periods."""
    SINGLE = 2
    """Starts at fixed points: single starts, `at`, the grid of `absolute_repeat`."""
    REPEAT = 3
    """Starts of jobs by `repeat`: the times at which a period with `repeat` is the current one."""


class StartKind(Enum):
    """Why something starts by itself."""

    SINGLE = "single_start"
    AT = "at"
    REPEAT = "repeat"
    ABSOLUTE_REPEAT = "absolute_repeat"
    ONCE = "once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A period of a day; a single start is a point with `begin` and `end` alike."""

    begin: int
    """Second of the wall clock."""
    end: int
    kind: StartKind | None
    """What it starts; None: a plain period."""
    interval: Duration
    """Of `repeat` or `absolute_repeat`."""
    let_run: bool
    when_holiday: WhenHoliday

    @property
    def is_point(self) -> bool:
        """Whether it is a start without a length."""
        return self.kind is StartKind.SINGLE or self.kind is StartKind.AT


_SERVED: dict[Mode, frozenset[StartKind | None]] = {
    Mode.PERIOD: frozenset({None, StartKind.REPEAT, StartKind.ABSOLUTE_REPEAT}),
    Mode.ANY: frozenset(
        {StartKind.SINGLE, StartKind.AT, StartKind.REPEAT, StartKind.ABSOLUTE_REPEAT}
    ),
    Mode.SINGLE: frozenset({StartKind.SINGLE, StartKind.AT, StartKind.ABSOLUTE_REPEAT}),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """Some entries of equal treatment on holidays, to be looked for on many days at once."""

    entries: frozenset[Entry]
    treatment: WhenHoliday

    def is_in(self, day: "DaySet") -> bool:
        """Whether a day has one of these entries, as long as it is no holiday."""
        return any(entry in self.entries for entry in day.entries)


class DaySet:
    """The entries of a day in the order of their begins, and what each search sees of them."""

    __slots__ = ("_views", "entries")

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._views: list[tuple[Entry, ...] | None] = [None] * len(Mode)

    def view(self, mode: Mode) -> tuple[Entry, ...]:
        """Return the entries that can match a search in this mode."""
        found = self._views[mode]
        if found is None:
            found = self._views[mode] = _view(self.entries, mode)
        return found

    def only(self, treatment: WhenHoliday) -> "DaySet":
        """Return the entries that are treated like this when their day is a holiday."""
        kept = tuple(entry for entry in self.entries if entry.when_holiday is treatment)
        return self if len(kept) == len(self.entries) else DaySet(kept)


NO_ENTRIES = DaySet(())


def day_set(lists: Iterable[tuple[Period, ...]], default: tuple[Period, ...]) -> DaySet:
    """Return the set of a day that some elements name; an empty list stands for the default.

    A begin is unique in a set, the first period with it wins (E34, E35).
    """
    by_begin: dict[int, Entry] = {}
    for periods in lists:
        for period in periods or default:
            entry = entry_of(period)
            by_begin.setdefault(entry.begin, entry)
    kept = sorted(by_begin.values(), key=_begin)
    # What has no length and is no single start does nothing.
    return DaySet(tuple(entry for entry in kept if entry.is_point or entry.begin < entry.end))


def choices(entries: Iterable[Entry], mode: Mode) -> list[tuple[Choice, list[Choice]]]:
    """Return what a search in this mode looks for, each with what hides it where both are.

    Only `repeat` can be hidden: of overlapping periods a job uses the one with the earlier begin
    until its end.
    """
    distinct = frozenset(entries)
    if mode is not Mode.REPEAT:
        served = _SERVED[mode]
        wanted = frozenset(entry for entry in distinct if entry.kind in served)
        return [(choice, []) for choice in _by_treatment(wanted)]
    groups: dict[frozenset[Entry], set[Entry]] = {}
    for entry in distinct:
        if entry.kind is StartKind.REPEAT:
            hiding = frozenset(
                other
                for other in distinct
                if not other.is_point and other.begin < entry.begin and other.end >= entry.end
            )
            groups.setdefault(hiding, set()).add(entry)
    return [
        (choice, _by_treatment(hiding))
        for hiding, hidden in groups.items()
        for choice in _by_treatment(hidden)
    ]


def union(sets: Sequence[DaySet]) -> DaySet:
    """Return all entries of some sets; of equal begins those of the first set come first."""
    filled = [each for each in sets if each.entries]
    if not filled:
        return NO_ENTRIES
    if len(filled) == 1:
        return filled[0]
    entries = [entry for each in filled for entry in each.entries]
    entries.sort(key=_begin)
    return DaySet(tuple(entries))


def entry_of(period: Period, kind: StartKind = StartKind.SINGLE) -> Entry:
    """Return the searchable form of a period; `kind` tells single starts from `at`."""
    if period.single_start is not None:
        return Entry(
            begin=period.single_start,
            end=period.single_start,
            kind=kind,
            interval=NO_REPEAT,
            let_run=True,
            when_holiday=period.when_holiday,
        )
    repeats: StartKind | None = None
    if period.absolute_repeat > NO_REPEAT:
        repeats = StartKind.ABSOLUTE_REPEAT
    elif period.repeat > NO_REPEAT:
        repeats = StartKind.REPEAT
    return Entry(
        begin=period.begin,
        end=period.end,
        kind=repeats,
        interval=period.repeat if repeats is StartKind.REPEAT else period.absolute_repeat,
        let_run=period.let_run,
        when_holiday=period.when_holiday,
    )


def _by_treatment(entries: Iterable[Entry]) -> list[Choice]:
    grouped: dict[WhenHoliday, set[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.when_holiday, set()).add(entry)
    return [
        Choice(entries=frozenset(group), treatment=treatment)
        for treatment, group in grouped.items()
    ]


def _begin(entry: Entry) -> int:
    return entry.begin


def _view(entries: tuple[Entry, ...], mode: Mode) -> tuple[Entry, ...]:
    if mode is Mode.REPEAT:
        return _repeating_turns(entries)
    served = _SERVED[mode]
    return tuple(entry for entry in entries if entry.kind in served)


def _repeating_turns(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the parts of the day during which a repeating period is a job's current one.

    Of overlapping periods the one with the earlier begin is used until its end (E36).
    """
    turns: list[Entry] = []
    reached = 0
    for entry in entries:
        if entry.is_point or entry.end <= reached:
            continue
        begin = max(reached, entry.begin)
        reached = entry.end
        if entry.kind is StartKind.REPEAT:
            turns.append(entry if begin == entry.begin else replace(entry, begin=begin))
    return tuple(turns)
