"""The calendars of jobs, orders and commands: where readers meet `engine.codec.xml.schedules`."""

import re
from collections.abc import Callable
from dataclasses import replace

from engine.codec.xml.document import to_xml
from engine.codec.xml.findings import Element, did_you_mean
from engine.codec.xml.includes import included_document
from engine.codec.xml.reading import Reading
from engine.codec.xml.schedules import read_run_time, read_schedule, read_scheduler_holidays
from engine.codec.xml.schema import words
from engine.kernel.calendar import Holidays, RunTime
from engine.kernel.definitions import ScheduleFile, Source
from engine.kernel.ids import SchedulePath

_CODE = re.compile(r"(SCHEDULER-\d+) +")
_ATTRIBUTE = re.compile(r"<\w+> has no attribute '([^']+)'|(\w+)(?:=|: )")
_ATTRIBUTES = words(
    "name title schedule substitute valid_from valid_to single_start begin end let_run repeat "
    "absolute_repeat when_holiday once time_zone at date calendar day which month file live_file"
)
_ORDER = re.compile(r"<\w+> has to stand before ")


def run_time_of(reading: Reading, parent: Element, source: Source | None = None) -> RunTime | None:
    """Return an element's `<run_time>`; None when it has none.

    `source` is the file that keeps what is written; without one the run time keeps it itself.
    """
    element = parent.find("run_time")
    if element is None:
        return None
    run_time = read_run_time(
        element, _report(reading), include=_include(reading), folder=reading.context.folder
    )
    path = reading.path(element, "schedule")
    if path is not None:
        run_time = replace(run_time, schedule=SchedulePath(path))
    return run_time if source is not None else replace(run_time, written=to_xml(element))


def schedule_of(
    reading: Reading, element: Element, path: str, source: Source | None
) -> ScheduleFile:
    """Return the schedule that an element defines."""
    schedule = read_schedule(
        element, SchedulePath(path), _report(reading), include=_include(reading)
    )
    substitute = reading.path(element, "substitute")
    if substitute is not None:
        schedule = replace(schedule, substitute=SchedulePath(substitute))
    return ScheduleFile(schedule=schedule, source=source)


def scheduler_holidays(reading: Reading, config: Element) -> Holidays | None:
    """Return the holidays of `<config>`."""
    return read_scheduler_holidays(config, _report(reading), include=_include(reading))


def _include(reading: Reading) -> Callable[[Element], Element | None]:
    def include(element: Element) -> Element | None:
        document = included_document(reading, element, beside_configuration=True)
        return None if document is None else document.root

    return include


def _report(reading: Reading) -> Callable[[Element, str], None]:
    """Turn what the calendar's readers say into findings with place and advice."""

    def report(element: Element, text: str) -> None:
        code = _CODE.match(text)
        text = text[code.end() :] if code else text
        found = _ATTRIBUTE.match(text)
        attribute = (found[1] or found[2]) if found else None
        if attribute is not None and element.get(attribute) is None:
            attribute = None
        if _ORDER.match(text):
            reading.findings.warning(
                element, text, advice="JobScheduler wants it so; it is read nevertheless"
            )
            return
        advice = "Correct the calendar at this place"
        if found and found[1]:
            advice = did_you_mean(found[1], _ATTRIBUTES)
        reading.findings.error(
            element, text, attribute=attribute, code=code[1] if code else "", advice=advice
        )

    return report
