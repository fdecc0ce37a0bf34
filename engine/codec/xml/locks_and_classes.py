"""`<lock>`, `<lock.use>` and `<process_class>` (orders-and-jobs.md 6 and 7, agents.md 1)."""

import re

from engine.codec.xml.findings import Element
from engine.codec.xml.reading import Reading
from engine.codec.xml.values import duration, integer, positive
from engine.kernel.definitions import (
    DEFAULT_HEARTBEAT_PERIOD,
    DEFAULT_HEARTBEAT_TIMEOUT,
    DEFAULT_MAX_PROCESSES,
    AgentReference,
    Lock,
    LockUse,
    ProcessClass,
    Select,
    Source,
    is_agent_address,
)
from engine.kernel.ids import AgentUri, ClassPath, LockPath
from engine.kernel.instants import Duration, seconds

_NOT_IN_URI = re.compile(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]|%(?![0-9A-Fa-f]{2})")
_CLASSIC = re.compile(r"(?:[^\s/:@?#\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
_SHORT_TIMEOUT_S = 10
"""Up to here a missing period becomes half of the timeout (agents.md 1.3, rule 2)."""


def read_lock(reading: Reading, element: Element, path: str, source: Source | None) -> Lock:
    """Return the lock that an element defines."""
    return Lock(
        path=LockPath(path),
        max_non_exclusive=reading.read(element, "max_non_exclusive", integer, None),
        source=source,
    )


def read_lock_uses(reading: Reading, job: Element) -> tuple[LockUse, ...]:
    """Return the locks of a job, each once."""
    uses: dict[str, LockUse] = {}
    for element in job.iterfind("lock.use"):
        path = reading.path(element, "lock")
        if path is None:
            continue
        if path in uses:
            reading.findings.error(
                element,
                f"The job uses the lock {path!r} twice",
                attribute="lock",
                advice="Remove one of the two <lock.use> elements",
            )
        uses[path] = LockUse(
            lock=LockPath(path), exclusive=reading.flag(element, "exclusive", True)
        )
    return tuple(uses.values())


def read_process_class(
    reading: Reading, element: Element, path: str, source: Source | None
) -> ProcessClass:
    """Return the process class that an element defines; an empty path is the default class."""
    agents: list[AgentReference] = []
    if reading.optional(element, "remote_scheduler") is not None:
        uri = _agent_uri(reading, element)
        if uri is not None:
            agents.append(AgentReference(uri=uri))
    listed = element.find("remote_schedulers")
    if listed is not None:
        for one in listed.iterfind("remote_scheduler"):
            agent = _agent(reading, one)
            if agent is not None:
                agents.append(agent)
    return ProcessClass(
        path=ClassPath(path),
        max_processes=reading.number(element, "max_processes", DEFAULT_MAX_PROCESSES),
        agents=tuple(agents),
        select=Select.FIRST
        if listed is None
        else reading.read(listed, "select", Select, Select.FIRST),
        timeout=reading.read(element, "timeout", duration, None),
        source=source,
    )


def _agent(reading: Reading, element: Element) -> AgentReference | None:
    uri = _agent_uri(reading, element)
    heartbeat = _heartbeat(reading, element)
    if uri is None or heartbeat is None:
        return None
    period, timeout = heartbeat
    return AgentReference(uri=uri, heartbeat_period=period, heartbeat_timeout=timeout)


def _heartbeat(reading: Reading, element: Element) -> tuple[Duration, Duration] | None:
    """Return period and timeout by the rules of agents.md 1.3."""
    given_period = reading.read(element, "http_heartbeat_period", positive, None)
    given_timeout = reading.read(element, "http_heartbeat_timeout", positive, None)
    timeout = DEFAULT_HEARTBEAT_TIMEOUT if given_timeout is None else seconds(given_timeout)
    if given_period is not None:
        period = seconds(given_period)
    elif given_timeout is not None and given_timeout <= _SHORT_TIMEOUT_S:
        period = Duration(timeout // 2)
    else:
        period = DEFAULT_HEARTBEAT_PERIOD
    if period >= timeout:
        reading.findings.error(
            element,
            f"http_heartbeat_period ({period // 1000} s) is not shorter than "
            f"http_heartbeat_timeout ({timeout // 1000} s)",
            attribute="http_heartbeat_period" if given_period is not None else None,
            advice="Take a timeout that is several times the period, as 60 and 10",
        )
        return None
    if timeout % period:
        reading.findings.warning(
            element,
            "http_heartbeat_timeout is no multiple of http_heartbeat_period",
            attribute="http_heartbeat_timeout" if given_timeout is not None else None,
            advice="Take a multiple, so that whole periods may be missed",
        )
    return period, timeout


def _agent_uri(reading: Reading, element: Element) -> AgentUri | None:
    """Return the address of an agent without trailing slash; `host:port` is read as HTTP.

    What cannot be a URI makes the file unusable; what is one, but leads to no agent, makes the
    tasks fail (agents.md 1.1, JS-1187).
    """
    text = reading.text(element, "remote_scheduler").strip().rstrip("/")
    if not text:
        return None
    if _NOT_IN_URI.search(text):
        reading.refuse(element, "remote_scheduler", "http://HOST:PORT or https://HOST:PORT")
        return None
    if _CLASSIC.fullmatch(text):
        uri = f"http://{text}"
        reading.findings.warning(
            element,
            f"{text!r} is the address of a classic agent",
            attribute="remote_scheduler",
            advice=f"It is taken as {uri!r}; write it so",
        )
        return AgentUri(uri)
    if not is_agent_address(text):
        reading.findings.warning(
            element,
            f"{text!r} is no address of an agent, so the tasks fail",
            attribute="remote_scheduler",
            advice="Write http://HOST:PORT or https://HOST:PORT",
        )
    return AgentUri(text)
