"""Answers to XML commands: the envelope, errors, and the bricks of all answer elements.

Everything here and in the modules `answers_*` is pure: state in, elements out (xml-commands.md 2, 4
and 7). What has to be read elsewhere (histories, logs) comes in with the `View`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from engine.codec.xml.deferred import Deferred
from engine.codec.xml.document import parse_text
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.findings import Element, Finding
from engine.kernel.calendar import CalendarUser, RunTime
from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import Source
from engine.kernel.ids import JobKey
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, utc_text
from engine.kernel.params import Params
from engine.kernel.plans import active_schedule_of
from engine.kernel.problems import Problem
from engine.kernel.state import State

SCHEMA_ERROR: Final = "Z-JAVA-105"
"""Unparsable or invalid XML; the name is the original's, clients match it."""
_UNUSABLE_FILE: Final = "SCHEDULER-428"
NEVER_TEXT: Final = "2038-01-19 03:14:07.000Z"
"""Never, as the original writes it: with a blank (schedules.md 15)."""
WHAT_DEFAULT: Final = frozenset({"jobs", "tasks"})
WHAT_TOKENS: Final = frozenset(
    {
        *("none", "standard", "all", "all!", "jobs", "tasks", "task_queue", "job_params"),
        *("job_commands", "job_orders", "description", "task_history", "job_chains"),
        *("job_chain_orders", "job_chain_jobs", "orders", "order_history", "order_source_files"),
        *("blacklist", "payload", "run_time", "schedules", "source", "log", "folders"),
        *("no_subfolders", "remote_schedulers", "cluster", "operations", "statistics"),
    }
)
_WHAT_ALL: Final = frozenset({"task_queue", "description", "remote_schedulers"})
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTask:
    """A task of the history, as answers show it."""

    id: int
    job: str
    """Path with leading slash."""
    cause: str
    started_at: Instant
    ended_at: Instant | None
    steps: int = 1
    exit_code: int | None = None
    error_code: str = ""
    error_text: str = ""
    pid: int | None = None
    agent: str = ""
    log: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastOrder:
    """A run of an order of the history, as answers show it."""

    history: int
    chain: str
    """Path with leading slash."""
    order: str
    title: str
    state: str
    state_text: str
    started_at: Instant
    ended_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an answer is made from: the state, what was asked for, and what was read elsewhere."""

    state: State
    now: Instant
    facts: EngineFacts
    what: frozenset[str] = WHAT_DEFAULT
    subsystems: frozenset[str] | None = None
    """None: all."""
    folder: str = "/"
    max_orders: int | None = None
    past_tasks: Mapping[str, tuple[PastTask, ...]] = field(default_factory=dict)
    """By job key, newest first."""
    past_orders: Mapping[str, tuple[PastOrder, ...]] = field(default_factory=dict)
    """By chain key, newest first."""
    tasks_begun: Mapping[JobKey, int] = field(default_factory=dict)
    """By job key: tasks begun in this life of the engine."""
    only_chain: str | None = None
    """`show_job job_chain=…`: the key of the chain to which orders are restricted."""
    source_files: Mapping[str, tuple[tuple[str, Instant], ...]] = field(default_factory=dict)
    """By file order source: files that may become orders, with their times of modification."""
    log: str | None = None
    """Text of the log, when that was asked for."""
    next_due: Instant = NEVER
    """When the engine has something to do by itself."""
    deferred: Deferred | None = None
    """Where long lists are left for later; None: everything is made at once."""

    def wants(self, *tokens: str) -> bool:
        """Return whether any of these tokens was asked for."""
        return not self.what.isdisjoint(tokens)


def parse_what(text: str, default: frozenset[str] = WHAT_DEFAULT) -> frozenset[str] | Problem:
    """Read a `what` attribute; tokens add to the default, `none` clears what came before."""
    what = set(default)
    for word in re.split(r"[,\s]+", text.strip()):
        if word == "none":
            what.clear()
        elif word in {"all", "all!"}:
            what |= _WHAT_ALL
        elif word in WHAT_TOKENS:
            what.add(word)
        elif word:
            return Problem(
                code="SCHEDULER-164",
                text=f"what={word!r} is not known; known: {', '.join(sorted(WHAT_TOKENS))}",
                subject=word,
            )
    return frozenset(what)


# --- the envelope --------------------------------------------------------------------------------


def answer_document(
    results: Iterable[Element], at: Instant, problem: Problem | None = None
) -> Element:
    """Return `<spooler><answer>` around the results, with the error that ended the execution."""
    root = etree.Element("spooler")
    answer = etree.SubElement(root, "answer", time=utc_text(at))
    answer.extend(list(results))
    if problem is not None:
        answer.append(error_element(problem, at))
    return root


def answer_bytes(document: Element, *, encoding: str = "UTF-8", indented: bool = False) -> bytes:
    """Return a document with its XML declaration; what the encoding lacks becomes a reference."""
    if indented:
        etree.indent(document)
    text = etree.tostring(document, encoding=encoding, xml_declaration=False)
    assert isinstance(text, bytes), "with an encoding there are bytes"
    # Quoted as the original does it: some clients look without an XML parser.
    return f'<?xml version="1.0" encoding="{encoding}"?>\n'.encode() + text


def error_element(problem: Problem, at: Instant | None = None) -> Element:
    """Return `<ERROR>`; its text is the code, two blanks and the sentence."""
    return error(problem.code, problem.text, at)


def error(code: str, text: str, at: Instant | None = None) -> Element:
    """Return `<ERROR>`; a code that the text begins with is not repeated."""
    if code and not text.startswith(code):
        text = f"{code}  {text}"
    return element("ERROR", time=None if at is None else utc_text(at), code=code, text=text)


def ok(*children: Element) -> Element:
    """Return `<ok>`, the answer of commands that change something."""
    result = etree.Element("ok")
    result.extend(children)
    return result


# --- bricks --------------------------------------------------------------------------------------


def element(tag: str, /, *children: Element, **attributes: object) -> Element:
    """Return an element; attributes that are None are left out, a trailing `_` of names too."""
    result = etree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            result.set(name.rstrip("_"), legal(str(value)))
    result.extend(children)
    return result


def legal(text: str) -> str:
    """Return the text with what XML 1.0 has no characters for replaced."""
    return _ILLEGAL.sub("\ufffd", text)


def text_element(tag: str, text: str) -> Element:
    """Return an element with text."""
    result = etree.Element(tag)
    result.text = legal(text)
    return result


def yes(flag: bool) -> str | None:
    """Return `yes`, or None for an attribute that is absent when it does not apply."""
    return "yes" if flag else None


def yes_no(flag: bool) -> str:
    """Return `yes` or `no`."""
    return "yes" if flag else "no"


def given(text: str | None) -> str | None:
    """Return the text, None when it is empty."""
    return text or None


def moment(at: Instant | None) -> str | None:
    """Return a point in time with milliseconds; None for none and for immediately."""
    if at is None or at <= IMMEDIATELY:
        return None
    return NEVER_TEXT if at >= NEVER else utc_text(at)


def moment_in_seconds(at: Instant) -> str:
    """Return a point in time without milliseconds (`spooler_running_since`, calendar)."""
    return f"{utc_text(at)[:-5]}Z"


def history_moment(at: Instant | None) -> str | None:
    """Return a time of a history: always `.000Z`, clients depend on it."""
    return None if at is None else f"{utc_text(at)[:-5]}.000Z"


def params(values: Params, tag: str = "params") -> Element:
    """Return `<params>`, sorted by folded name."""
    names = sorted(values, key=str.casefold)
    return element(
        tag, *(element("param", name=name, value=values[name]) for name in names), count=len(names)
    )


def log(view: View, *, last_error: str = "", text: str | None = None) -> Element:
    """Return `<log>`; its text only when that was asked for."""
    level = "error" if last_error else "info"
    result = element("log", level="info", highest_level=level, last_error=given(last_error))
    if view.wants("log"):
        shown = view.log if text is None else text
        result.text = legal(shown or "")
    return result


def by_name(paths: Iterable[tuple[str, object]]) -> Iterator[object]:
    """Iterate over objects sorted by folded path, as the original lists them."""
    return (found for _, found in sorted(paths, key=lambda pair: pair[0].casefold()))


# --- the part of file-based objects (7.3) --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Requisite:
    """An object that another one needs."""

    kind: str
    """`Job_chain`, `Process_class` …"""
    path: str
    is_missing: bool = False


def file_based(
    view: View,
    source: Source | None,
    ref: ObjectRef | None,
    *,
    state: str = "active",
    requisites: Iterable[Requisite] = (),
    removed: bool = False,
) -> Element:
    """Return `<file_based>`: where an object comes from and how its file stands."""
    broken = None if ref is None else view.state.broken.get(ref)
    file = source.file if source is not None else None if broken is None else broken.file
    result = element(
        "file_based",
        state=state,
        last_write_time=None if source is None else utc_text(source.modified_at),
        file=None if file is None else f"{view.facts.live_folder.rstrip('/')}/{file}",
        removed=yes(removed),
    )
    includes = _includes(source)
    if includes:
        result.append(element("includes", *includes))
    if broken is not None:
        result.append(broken_error(broken.findings))
    needs = [
        element("requisite", type=each.kind, path=each.path, is_missing=yes(each.is_missing))
        for each in requisites
    ]
    result.append(element("requisites", *needs))
    if removed:
        code, text = _DELAYED_REMOVALS.get(None if ref is None else ref.kind, _REMOVAL_WAITS)
        result.append(element("removed", error(code, text)))
    return result


_REMOVAL_WAITS: Final = ("SCHEDULER-861", "It is removed when it is no longer in use")
_DELAYED_REMOVALS: Final[Mapping[ObjectKind | None, tuple[str, str]]] = {
    ObjectKind.JOB: ("SCHEDULER-989", "The job is removed when its tasks have ended"),
    ObjectKind.LOCK: ("SCHEDULER-886", "The lock is removed when nobody holds it"),
}
"""Why an object whose file has gone is still there."""


def _includes(source: Source | None) -> list[Element]:
    """Return the `<include>` elements of a file without repetitions: what it is made from too."""
    if source is None or "<include" not in source.xml:
        return []
    document = parse_text(source.xml, source.file)
    if isinstance(document, Finding):
        return []
    found = {(one.get("file"), one.get("live_file")): None for one in document.root.iter("include")}
    return [element("include", file=file, live_file=live_file) for file, live_file in found]


def active_schedule(view: View, run_time: RunTime | None, user: CalendarUser) -> str | None:
    """Return the named schedule in force for a job or order, None when there is none."""
    if run_time is None or run_time.schedule is None:
        return None
    return active_schedule_of(view.state, run_time, user, view.now) or None


def broken_error(findings: tuple[str, ...]) -> Element:
    """Return the `<ERROR>` of a file that cannot be used: its first finding.

    What is wrong with the XML itself is wrapped (live-folder.md 6); rules have codes of their own.
    """
    first = findings[0] if findings else "The file cannot be used"
    found = re.match(r"(SCHEDULER-\d+) ", first)
    if found is not None:
        return error(found[1], first.removeprefix(found[1]).strip())
    cause = first.removeprefix(SCHEMA_ERROR).strip()
    return error(_UNUSABLE_FILE, f"The file cannot be used: {SCHEMA_ERROR}  {cause}")


def source_element(source: Source | None) -> Element | None:
    """Return `<source>` with the XML of the object's file, None without a file."""
    if source is None or not source.xml:
        return None
    document = parse_text(source.xml, source.file)
    result = etree.Element("source")
    if not isinstance(document, Finding):
        result.append(document.root)
    return result


def xml_fragment(tag: str, xml: str) -> Element | None:
    """Return an element around XML that is kept as text; None when there is none."""
    if not xml:
        return None
    document = parse_text(xml, tag)
    result = etree.Element(tag)
    if not isinstance(document, Finding):
        result.append(document.root)
    return result


def ref(kind: ObjectKind, path: str) -> ObjectRef:
    """Name an object."""
    return ObjectRef(kind=kind, path=path)
