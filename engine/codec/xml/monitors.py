"""Monitors: inline ones of jobs, references to named ones, monitor files (3.10)."""

from engine.codec.xml.findings import Element, tag_of
from engine.codec.xml.reading import Reading
from engine.codec.xml.scripts import read_script
from engine.codec.xml.values import integer
from engine.kernel.definitions import (
    ForeignScript,
    Monitor,
    MonitorUse,
    Script,
    ShellScript,
    Source,
)
from engine.kernel.ids import MonitorPath


def read_monitor(reading: Reading, element: Element, path: str, source: Source | None) -> Monitor:
    """Return the monitor that a file or `scheduler.xml` defines."""
    return Monitor(
        path=MonitorPath(path),
        script=_script(reading, element),
        ordering=reading.number(element, "ordering", 1),
        source=source,
    )


def read_monitor_uses(reading: Reading, job: Element) -> tuple[MonitorUse, ...]:
    """Return the monitors of a job in document order; of two with one name the later one."""
    inline: dict[str, MonitorUse] = {}
    uses: list[MonitorUse] = []
    for child in job.iterchildren("*"):
        match tag_of(child):
            case "monitor":
                use = MonitorUse(
                    name=reading.optional(child, "name") or "scheduler",
                    ordering=reading.read(child, "ordering", integer, None),
                    script=_script(reading, child),
                )
                if use.name in inline:
                    uses.remove(inline[use.name])
                inline[use.name] = use
                uses.append(use)
            case "monitor.use":
                path = reading.path(child, "monitor")
                if path is not None:
                    uses.append(
                        MonitorUse(
                            name=path,
                            ordering=reading.read(child, "ordering", integer, None),
                            path=MonitorPath(path),
                        )
                    )
            case _:
                pass
    return tuple(uses)


def _script(reading: Reading, monitor: Element) -> Script:
    element = monitor.find("script")
    if element is None:
        return ForeignScript(language="")
    script = read_script(reading, element)
    if isinstance(script, ShellScript):
        reading.findings.error(
            element,
            "A monitor cannot be a shell script",
            attribute="language",
            advice="Write it in a language with functions, or move the commands into the job",
        )
    return script
