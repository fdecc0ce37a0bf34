"""What can be typed after `:` and given to the program: nouns, actions, settings.

`orders chain=inv* !done`, `chain invoice_daily`, `start invoice_daily region=EU at=18:00`,
`log 88121`, `suspend inv-2279`. One list feeds command line, palette, help and documents.
"""

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A screen that can be reached by name."""

    name: str
    aliases: tuple[str, ...] = ()
    argument: str = ""
    """What the first word means, in words; empty: all words are a filter."""
    needs_argument: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that is done rather than shown."""

    name: str
    aliases: tuple[str, ...] = ()
    argument: str = ""
    help: str = ""
    action: str = ""
    """The action whose harm counts; empty: no harm."""


E = TypeVar("E", Noun, Verb)

NOUNS: tuple[Noun, ...] = (
    Noun(name="pulses", aliases=("pu",), help="everything at a glance"),
    Noun(name="needs", aliases=("ne",), help="what needs a person"),
    Noun(name="chains", aliases=("ch",), help="job chains with their counts"),
    Noun(
        name="chain",
        aliases=("graph",),
        argument="CHAIN",
        needs_argument=True,
        help="live graph of one chain",
    ),
    Noun(name="orders", aliases=("or",), help="orders, children under their parents"),
    Noun(name="jobs", aliases=("jo",), help="jobs with their obstacles"),
    Noun(name="order", argument="ORDER", needs_argument=True, help="everything about one order"),
    Noun(name="tasks", aliases=("ta",), help="tasks running, queued and just ended"),
    Noun(name="agents", aliases=("ag",), help="agents as lease gauges"),
    Noun(
        name="processes",
        aliases=("ps",),
        help="processes on the SSH hosts: steps, orphans, what was left behind",
    ),
    Noun(name="hosts", aliases=("ho",), help="the SSH hosts: whether they answer, what is there"),
    Noun(name="locks", aliases=("lo",), help="locks: who holds them, who waits"),
    Noun(name="classes", aliases=("cl",), help="process classes: who uses them, who waits"),
    Noun(name="history", aliases=("hi",), help="finished runs of orders"),
    Noun(name="plan", aliases=("pl",), help="the next starts"),
    Noun(name="events", aliases=("ev",), help="what happened, and who asked for it"),
    Noun(name="problems", aliases=("pr",), help="definition files that were refused"),
    Noun(name="engines", aliases=("ctx",), help="the engines this cockpit knows; switch here"),
    Noun(
        name="log",
        argument="TASK",
        needs_argument=True,
        help="output of a task, or of an order's last task",
    ),
)

VERBS: tuple[Verb, ...] = (
    Verb(
        name="start",
        argument="CHAIN name=value … at=HH:MM",
        help="start an order",
        action="orders.start",
    ),
    Verb(name="suspend", argument="ORDER", help="suspend an order", action="orders.suspend"),
    Verb(name="resume", argument="ORDER", help="resume an order", action="orders.suspend"),
    Verb(name="kill", argument="TASK", help="end a task", action="orders.kill"),
    Verb(name="engine", argument="NAME", help="show another engine"),
    Verb(name="at", argument="14:00", help="show everything as it was then"),
    Verb(name="play", argument="10x", help="let the past pass, so many times as fast; play stop"),
    Verb(name="now", help="come back from looking back"),
    Verb(name="theme", argument="NAME", help="change the theme; without a name: try each"),
    Verb(name="tour", argument="begin|next|back|end", help="be shown every key, one by one"),
    Verb(
        name="set",
        argument="clock|bell|clipboard VALUE",
        help="change a setting until you leave",
    ),
    Verb(name="help", aliases=("h", "keys"), help="the keys of this screen"),
    Verb(name="aliases", help="all commands with their short names"),
    Verb(name="about", help="versions, engine, person, clock, folders"),
    Verb(name="quit", aliases=("q", "exit"), help="leave; the engine goes on"),
)


class CommandProblem(ValueError):
    """A command that cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to go: a noun, what of it, and the filter."""

    noun: str
    argument: str = ""
    filter_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What to do, with its words."""

    verb: str
    words: tuple[str, ...] = ()


def parse(text: str) -> Place | Doing:
    """Return what a command line means. Raises CommandProblem."""
    text = text.strip().removeprefix(":").strip()
    if not text:
        raise CommandProblem("type the name of a screen, or ? for help")
    name, _, rest = text.partition(" ")
    noun = _by_name(NOUNS, name)
    if noun is not None:
        return _place(noun, rest.strip())
    verb = _by_name(VERBS, name)
    if verb is not None:
        try:
            words = tuple(shlex.split(rest))
        except ValueError as error:
            raise CommandProblem(f"{text!r}: {error}") from error
        return Doing(verb=verb.name, words=words)
    near = difflib.get_close_matches(name, list(all_names()), n=1)
    raise CommandProblem(f"there is no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _place(noun: Noun, rest: str) -> Place:
    if noun.argument:
        argument, _, filter_text = rest.partition(" ")
        if noun.needs_argument and not argument:
            raise CommandProblem(f"{noun.name} needs {noun.argument}")
        return Place(noun=noun.name, argument=argument, filter_text=filter_text.strip())
    return Place(noun=noun.name, filter_text=rest)


def link_of(place: Place) -> str:
    """Return the command that opens a place."""
    return " ".join(part for part in (f":{place.noun}", place.argument, place.filter_text) if part)


def all_names() -> Iterable[str]:
    """Return every word that may stand first."""
    entries: tuple[Noun | Verb, ...] = (*NOUNS, *VERBS)
    for entry in entries:
        yield entry.name
        yield from entry.aliases


def for_help() -> Iterable[tuple[str, str, str]]:
    """Return command, aliases and words of everything that can be typed."""
    entries: tuple[Noun | Verb, ...] = (*NOUNS, *VERBS)
    for entry in entries:
        yield f"{entry.name} {entry.argument}".strip(), " ".join(entry.aliases), entry.help


def _by_name(entries: Iterable[E], name: str) -> E | None:
    folded = name.casefold()
    return next((e for e in entries if folded == e.name or folded in e.aliases), None)
