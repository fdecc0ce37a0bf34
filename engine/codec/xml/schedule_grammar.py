"""Which elements and attributes run times consist of, and in which order (schedules.md 2)."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml has no public name for its element type
Report: TypeAlias = Callable[[Element, str], None]
"""Takes what is wrong and the element that it is wrong in."""


class _Rule(NamedTuple):
    attributes: frozenset[str]
    required: frozenset[str] = frozenset()
    groups: tuple[frozenset[str], ...] = ()
    """Children in the order of the schema; those of one group may be mixed."""
    singles: frozenset[str] = frozenset()
    """Children that come at most once."""


def _rule(attributes: str = "", children: str = "") -> _Rule:
    """Return a rule: `name!` is required, `a|b` may be mixed, `?` behind a child: at most once."""
    words = children.split()
    return _Rule(
        attributes=frozenset(attributes.replace("!", "").split()),
        required=frozenset(word[:-1] for word in attributes.split() if word.endswith("!")),
        groups=tuple(frozenset(word.replace("?", "").split("|")) for word in words),
        singles=frozenset(
            name[:-1] for word in words for name in word.split("|") if name.endswith("?")
        ),
    )


_CALENDAR = _rule(
    "name title schedule substitute valid_from valid_to single_start begin end let_run repeat "
    "when_holiday once time_zone start_time_function spooler_id",
    "period at date weekdays? monthdays? ultimos? month holidays?|holiday calendars?",
)
_DAYS = _rule("", "day")
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "run_time": _CALENDAR,
        "schedule": _CALENDAR,
        "period": _rule(
            "single_start begin end let_run repeat absolute_repeat when_holiday start_once"
        ),
        "at": _rule("at!"),
        "date": _rule("date! calendar", "period"),
        "weekdays": _DAYS,
        "ultimos": _DAYS,
        "monthdays": _rule("", "day|weekday"),
        "day": _rule("day!", "period"),
        "weekday": _rule("day! which!", "period"),
        "month": _rule("month!", "period|weekdays?|monthdays?|ultimos?"),
        "holidays": _rule("", "weekdays?|holiday|include"),
        "holiday": _rule("date! calendar"),
        "include": _rule("file live_file"),
    }
)


def tag(element: Element) -> str:
    """Return an element's name."""
    return str(element.tag)


def children(element: Element) -> Iterator[Element]:
    """Yield the child elements that belong to the calendar: no comments, no foreign names."""
    for child in element.iterchildren("*"):
        if not tag(child).startswith("{"):
            yield child


def check_calendar(root: Element, report: Report) -> None:
    """Report every element and attribute of a calendar that does not belong where it stands."""
    pending = [root]
    while pending:
        element = pending.pop()
        rule = _RULES[tag(element)]
        _check_attributes(element, rule, report)
        pending += _known_children(element, rule, report)


def _check_attributes(element: Element, rule: _Rule, report: Report) -> None:
    for name in map(str, element.attrib):
        if name not in rule.attributes and not name.startswith("{"):
            report(element, f"<{tag(element)}> has no attribute {name!r}")
    for name in sorted(rule.required):
        if element.get(name) is None:
            report(element, f"<{tag(element)}> needs the attribute {name!r}")


def _known_children(element: Element, rule: _Rule, report: Report) -> list[Element]:
    known: list[Element] = []
    reached = 0
    met: set[str] = set()
    for child in children(element):
        name = tag(child)
        group = next((place for place, names in enumerate(rule.groups) if name in names), None)
        if group is None:
            code = "SCHEDULER-319 " if tag(element) == "holidays" else ""
            report(child, f"{code}<{name}> is not possible in <{tag(element)}>")
            continue
        if group < reached:
            later = ", ".join(f"<{each}>" for each in sorted(rule.groups[reached]))
            report(child, f"<{name}> has to stand before {later}")
        if name in met and name in rule.singles:
            report(child, f"<{name}> is possible only once in <{tag(element)}>")
        reached = max(reached, group)
        met.add(name)
        if name != "calendars":
            known.append(child)
    if {"holidays", "holiday"} <= met and tag(element) in ("run_time", "schedule"):
        report(element, "Either <holidays> or <holiday> is possible, not both")
    return known
