"""The one list of actions: key, harm, words. Bindings, hints, help and documents come from it.

An action has an identifier such as `orders.suspend`; keys are rebound by it in `keys.toml`. Keys
that terminals cannot tell apart are never bound, and nothing with harm lies on a letter in which a
torn arrow or function key ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

NEVER_BOUND = frozenset({"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+["})
"""Backspace, tab, newline, enter, escape: the terminal sends the same bytes."""

TORN_ENDS = frozenset("ABCDEFHPQRSZ~[")
"""Last characters of arrow and function keys: a slow line may deliver them alone."""

EVERYWHERE = "everywhere"
LISTS = "lists"
"""All screens that show a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something a key does."""

    id: str
    keys: tuple[str, ...]
    label: str
    """One or two words for the bottom line."""
    help: str
    harm: int = 0
    """0 reads, 1 can be undone by the same key, 2 changes the course, 3 destroys."""
    places: tuple[str, ...] = (EVERYWHERE,)
    rank: int = 0
    """How far in front in the bottom line; 0: only in the help."""
    command: str = ""
    """For a key of a person's own: the command line that it stands for."""
    tool: tuple[str, ...] = ()
    """For a key of a person's own: the outside program with its words."""

    @property
    def method(self) -> str:
        """The name of the screen's method: `do_` and this."""
        return self.id.rpartition(".")[2]


def _on(*places: str) -> tuple[str, ...]:
    return places


_ROWS = _on("graph", LISTS)
_ORDERS = _on("orders", "order", "graph", "needs")
_THINGS = ("locks", "classes", "plan")
_STARTS = _on("chains", "orders", "order", "graph")

ACTIONS: tuple[Action, ...] = (
    # Getting about.
    Action(id="go.command", keys=(":",), label="command", help="type a command", rank=2),
    Action(
        id="go.filter",
        keys=("/",),
        label="filter",
        help="words (and), a|b expression, !x without, col=value, col>value, -f fuzzy",
        places=_on("graph", LISTS),
        rank=3,
    ),
    Action(
        id="go.search",
        keys=("/",),
        label="search",
        help="filter the whole log: texts a|b, !without, -e regular expression",
        places=_on("log"),
        rank=3,
    ),
    Action(id="go.help", keys=("?",), label="help", help="all keys of this screen", rank=1),
    Action(
        id="go.palette",
        keys=("ctrl+p",),
        label="find",
        help="find any screen, chain or action by name",
    ),
    Action(id="go.escape", keys=("escape",), label="back", help="clear the filter, else go back"),
    Action(id="go.leave", keys=("q",), label="back", help="go back; on the first screen: leave"),
    Action(
        id="go.quit", keys=("ctrl+c",), label="leave", help="leave the cockpit; the engine goes on"
    ),
    Action(
        id="tour.next",
        keys=("ctrl+n",),
        label="next",
        help="the tour: its next step; from the beginning: :tour",
    ),
    Action(
        id="go.aside",
        keys=("ctrl+z",),
        label="shell",
        help="give the terminal to the shell behind; fg comes back",
    ),
    Action(
        id="go.back", keys=("[",), label="back", help="the screen before, with its row and filter"
    ),
    Action(id="go.forward", keys=("]",), label="forward", help="the screen after"),
    Action(id="go.last", keys=("-",), label="last", help="the last two screens in turn"),
    Action(id="go.panel", keys=("tab",), label="panel", help="the next panel"),
    Action(id="go.panel_back", keys=("shift+tab",), label="panel", help="the panel before"),
    Action(
        id="go.chains",
        keys=("c",),
        label="chains",
        help="the job chains",
        places=_on("pulses"),
        rank=20,
    ),
    Action(
        id="go.orders",
        keys=("o",),
        label="orders",
        help="all orders",
        places=_on("pulses"),
        rank=19,
    ),
    Action(
        id="go.agents",
        keys=("a",),
        label="agents",
        help="the agents",
        places=_on("pulses"),
        rank=18,
    ),
    Action(
        id="past.before",
        keys=(",",),
        label="event before",
        help="looking back: one event back; from the present: to the last event",
    ),
    Action(id="past.after", keys=(";",), label="event after", help="looking back: one event on"),
    # How things are shown.
    Action(
        id="show.problems",
        keys=("!",),
        label="problems",
        help="only rows with trouble",
        places=_on("graph", LISTS),
    ),
    Action(id="show.header", keys=("ctrl+e",), label="header", help="hide or show the first line"),
    Action(id="show.crumbs", keys=("ctrl+g",), label="crumbs", help="hide or show the second line"),
    Action(
        id="show.strip", keys=("z",), label="strip", help="hide or show the lines about the row"
    ),
    Action(
        id="show.full",
        keys=("f",),
        label="full",
        help="full screen: the rows alone, or everything again",
    ),
    Action(
        id="show.zoom",
        keys=("z",),
        label="zoom",
        help="this panel alone, or all again; on the map: shorter labels until it fits",
        places=_on("graph", "pulses"),
        rank=7,
    ),
    Action(
        id="show.wide",
        keys=("ctrl+w",),
        label="wide",
        help="all columns",
        places=_ROWS,
    ),
    Action(
        id="show.refresh",
        keys=("ctrl+r",),
        label="fresh",
        help="ask for a fresh snapshot, fit the columns",
    ),
    Action(
        id="show.sort_left",
        keys=("shift+left",),
        label="sort",
        help="sort by the column before",
        places=_on(LISTS),
    ),
    Action(
        id="show.sort_right",
        keys=("shift+right",),
        label="sort",
        help="sort by the next column",
        places=_on(LISTS),
    ),
    Action(
        id="show.sort_turn",
        keys=("O",),
        label="reverse",
        help="reverse the sorting",
        places=_on(LISTS),
    ),
    Action(
        id="show.sort_name",
        keys=("N",),
        label="by name",
        help="sort by name; again: reverse",
        places=_on(LISTS),
    ),
    Action(
        id="show.sort_age",
        keys=("A",),
        label="by age",
        help="sort by age or time; again: reverse",
        places=_on(LISTS),
    ),
    Action(
        id="show.sort_status",
        keys=("S",),
        label="by status",
        help="sort by status, the worst first; again: reverse",
        places=_on(LISTS),
    ),
    Action(
        id="show.copy",
        keys=("c",),
        label="copy",
        help="copy the row, or the page, to the clipboard of the terminal",
        places=_on("graph", "order", LISTS),
    ),
    Action(
        id="show.save",
        keys=("ctrl+s",),
        label="save",
        help="save what is shown: .csv, .json, .txt or .svg by the name; a log whole",
        places=_on("graph", "order", LISTS, "log"),
    ),
    Action(id="show.link", keys=("Y",), label="link", help="copy the command that opens this view"),
    # Rows.
    Action(
        id="row.enter",
        keys=("enter",),
        label="open",
        help="go into the row",
        places=(*_ROWS, "pulses"),
        rank=30,
    ),
    Action(
        id="row.describe",
        keys=("d",),
        label="describe",
        help="everything known about the row",
        places=_ROWS,
        rank=8,
    ),
    Action(
        id="row.definition",
        keys=("y",),
        label="definition",
        help="the definition as XML, as its file says it",
        places=_on("chains", "graph", "orders", "order", "needs", "jobs", "tasks", *_THINGS),
    ),
    Action(
        id="row.log",
        keys=("l",),
        label="log",
        help="output of the task behind the row",
        places=_on("orders", "order", "tasks", "graph", "jobs", "needs", "history", "processes"),
        rank=12,
    ),
    Action(
        id="row.mark",
        keys=("space",),
        label="mark",
        help="mark the row",
        places=_ROWS,
        rank=4,
    ),
    Action(
        id="row.mark_to",
        keys=("ctrl+@", "ctrl+space"),
        label="mark to",
        help="mark from the last mark to here",
        places=_ROWS,
    ),
    Action(
        id="row.clear_marks",
        keys=("ctrl+backslash",),
        label="unmark",
        help="clear all marks",
        places=_ROWS,
    ),
    Action(
        id="row.owner",
        keys=("o",),
        label="order",
        help="the order behind the row",
        places=_on("tasks", "processes"),
        rank=9,
    ),
    Action(
        id="row.behind",
        keys=("o",),
        label="order",
        help="the order behind it",
        places=_on("log", "history", "events"),
        rank=9,
    ),
    Action(
        id="row.graph",
        keys=("o",),
        label="graph",
        help="the graph of its chain, at the node where it stands",
        places=_on("orders", "order", "needs"),
        rank=9,
    ),
    Action(
        id="row.tasks",
        keys=("o",),
        label="orders",
        help="the orders of the chain",
        places=_on("chains"),
        rank=20,
    ),
    # Changing things.
    Action(
        id="orders.start",
        keys=("t",),
        label="start",
        help="start an order at once; asks only for what is required",
        harm=1,
        places=_STARTS,
        rank=28,
    ),
    Action(
        id="orders.start_form",
        keys=("T",),
        label="start…",
        help="start an order with parameters, time and node",
        harm=1,
        places=_STARTS,
        rank=27,
    ),
    Action(
        id="orders.again",
        keys=("=",),
        label="again",
        help="repeat the last start",
        harm=1,
        places=(*_STARTS, "pulses", "needs"),
    ),
    Action(
        id="orders.suspend",
        keys=("s",),
        label="suspend",
        help="suspend, or resume what is suspended",
        harm=1,
        places=_ORDERS,
        rank=26,
    ),
    Action(
        id="orders.run_now",
        keys=("r",),
        label="now",
        help="run now: end a setback or a waiting time",
        harm=1,
        places=_ORDERS,
        rank=25,
    ),
    Action(
        id="orders.move",
        keys=("m",),
        label="move",
        help="send the order to another node",
        harm=2,
        places=_ORDERS,
        rank=8,
    ),
    Action(
        id="orders.edit",
        keys=("e",),
        label="edit",
        help="change parameters, start time, priority, end node, title",
        harm=2,
        places=_on("orders", "order", "needs"),
        rank=11,
    ),
    Action(
        id="orders.reset",
        keys=("ctrl+l",),
        label="reset",
        help="back to the first node",
        harm=2,
        places=_ORDERS,
        rank=7,
    ),
    Action(
        id="orders.remove",
        keys=("ctrl+d",),
        label="remove",
        help="remove the order",
        harm=3,
        places=_ORDERS,
        rank=6,
    ),
    Action(
        id="orders.kill",
        keys=("x",),
        label="kill",
        help="end the running task: SIGTERM, then SIGKILL",
        harm=2,
        places=_on("orders", "order", "tasks", "graph", "log"),
        rank=10,
    ),
    Action(
        id="jobs.stop",
        keys=("u",),
        label="stop",
        help="stop or unstop the job",
        harm=2,
        places=_on("jobs"),
        rank=20,
    ),
    Action(
        id="jobs.start",
        keys=("t",),
        label="start",
        help="start a task of the job",
        harm=1,
        places=_on("jobs"),
        rank=21,
    ),
    Action(
        id="chains.stop",
        keys=("u",),
        label="stop",
        help="stop or unstop the chain",
        harm=2,
        places=_on("chains"),
        rank=9,
    ),
    Action(
        id="nodes.stop",
        keys=("u",),
        label="stop node",
        help="stop or unstop the node",
        harm=2,
        places=_on("graph", "orders", "order"),
        rank=9,
    ),
    Action(
        id="nodes.skip",
        keys=("i",),
        label="skip node",
        help="let orders pass the node, or not",
        harm=2,
        places=_on("graph", "orders", "order"),
        rank=5,
    ),
    # Processes of remote hosts.
    Action(
        id="processes.end",
        keys=("x", "ctrl+k"),
        label="end",
        help="end: TERM, later KILL; an orphan at once, anything else after a question",
        harm=2,
        places=_on("processes"),
        rank=30,
    ),
    Action(
        id="processes.kill",
        keys=("X",),
        label="kill",
        help="KILL now, after a question",
        harm=2,
        places=_on("processes"),
        rank=29,
    ),
    Action(
        id="processes.signal",
        keys=("s",),
        label="signal",
        help="send another signal, after a question",
        harm=2,
        places=_on("processes"),
        rank=28,
    ),
    Action(
        id="processes.why",
        keys=("d",),
        label="why",
        help="what x would do, process by process, with the reasons; sends nothing",
        places=_on("processes"),
        rank=27,
    ),
    Action(
        id="processes.everyone",
        keys=("a",),
        label="all",
        help="list more: what is ours, all of our account, all accounts",
        places=_on("processes"),
        rank=10,
    ),
    Action(
        id="processes.hosts",
        keys=("h",),
        label="hosts",
        help="the hosts: whether they answer, how many processes are there",
        places=_on("processes"),
        rank=9,
    ),
    Action(
        id="hosts.look",
        keys=("r",),
        label="look",
        help="look at it now",
        places=_on("hosts", "engines"),
        rank=20,
    ),
    Action(
        id="needs.put_aside",
        keys=("a",),
        label="aside",
        help="put aside until a time, or take it back; it stays at the end of the list",
        places=_on("needs"),
        rank=24,
    ),
    # The graph.
    Action(
        id="graph.errors",
        keys=("e",),
        label="errors",
        help="show or hide the error edges",
        places=_on("graph"),
        rank=11,
    ),
    Action(
        id="graph.next_trouble",
        keys=("n",),
        label="next trouble",
        help="the next row with trouble",
        places=_ROWS,
    ),
    Action(
        id="graph.last_trouble",
        keys=("N",),
        label="previous trouble",
        help="the previous row with trouble",
        places=_on("graph"),
    ),
    Action(
        id="graph.map", keys=("v",), label="map", help="rail or map", places=_on("graph"), rank=12
    ),
    Action(
        id="graph.follow",
        keys=(".",),
        label="follow",
        help="keep the order in view and show its way, or no longer",
        places=_on("graph"),
        rank=13,
    ),
    # Logs.
    Action(
        id="log.stamps",
        keys=("t",),
        label="time",
        help="hide or show time stamps",
        places=_on("log"),
        rank=18,
    ),
    Action(id="log.tail", keys=("0",), label="tail", help="the end, and follow", places=_on("log")),
    Action(id="log.head", keys=("1",), label="head", help="the beginning", places=_on("log")),
    *(
        Action(
            id=f"log.last_{minutes}",
            keys=(key,),
            label=words,
            help=f"what was written in the last {words}; again: everything",
            places=_on("log"),
        )
        for key, minutes, words in (
            ("2", 1, "minute"),
            ("3", 5, "5 minutes"),
            ("4", 15, "15 minutes"),
            ("5", 30, "30 minutes"),
            ("6", 60, "hour"),
        )
    ),
    Action(
        id="log.highlight",
        keys=("ctrl+o",),
        label="show all",
        help="all lines with the matches shown in them, or only those that match",
        places=_on("log"),
    ),
    Action(
        id="log.copy",
        keys=("c",),
        label="copy",
        help="copy the lines in sight",
        places=_on("log"),
        rank=17,
    ),
    Action(
        id="log.previous",
        keys=("p",),
        label="run before",
        help="log of the run of the same job before this one",
        places=_on("log"),
        rank=10,
    ),
    Action(
        id="log.follow",
        keys=("s",),
        label="follow",
        help="follow the end, or stand still",
        places=_on("log"),
        rank=29,
    ),
    Action(
        id="log.wrap", keys=("w",), label="wrap", help="wrap long lines", places=_on("log"), rank=28
    ),
    Action(
        id="log.full",
        keys=("f",),
        label="full",
        help="the log alone, for a clean selection",
        places=_on("log"),
        rank=20,
    ),
    Action(
        id="log.mark_line",
        keys=("m",),
        label="mark",
        help="put a line with the time into the log shown here",
        places=_on("log"),
        rank=19,
    ),
    Action(
        id="log.next_match",
        keys=("n",),
        label="next match",
        help="the next match",
        places=_on("log"),
    ),
    Action(
        id="log.last_match",
        keys=("N",),
        label="previous match",
        help="the match before",
        places=_on("log"),
    ),
    Action(id="log.clear", keys=("C",), label="clear", help="clear the view", places=_on("log")),
)

MOVES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("move.down", ("j", "down"), "move(1)", "down"),
    ("move.up", ("k", "up"), "move(-1)", "up"),
    ("move.page_down", ("ctrl+f", "pagedown"), "page(1)", "a page down"),
    ("move.page_up", ("ctrl+b", "pageup"), "page(-1)", "a page up"),
    ("move.top", ("g", "home"), "edge(-1)", "the first row"),
    ("move.bottom", ("G", "end"), "edge(1)", "the last row"),
)
"""Identifier, keys, action of the widget, words."""


class KeysProblem(Exception):  # what the user is told
    """A key file that cannot be used."""


def actions_for(place: str, *, is_list: bool, actions: Iterable[Action] = ACTIONS) -> list[Action]:
    """Return the actions of a screen, its own before those of all screens."""
    ranked = (place, LISTS, EVERYWHERE) if is_list else (place, EVERYWHERE)
    taken: set[str] = set()
    found: list[Action] = []
    for wanted in ranked:
        for action in actions:
            if wanted in action.places and action not in found:
                keys = tuple(key for key in action.keys if key not in taken)
                if keys:
                    found.append(action if keys == action.keys else replace(action, keys=keys))
        taken |= {key for action in found for key in action.keys}
    return found


def rebound(keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """Return all actions with these keys in place of the defaults."""
    return tuple(
        replace(action, keys=keys[action.id]) if action.id in keys else action for action in ACTIONS
    )


def check_keys(actions: Iterable[Action], file: str) -> None:
    """Refuse two actions on one key in one place, and keys that must not be bound."""
    taken: dict[tuple[str, str], str] = {}
    for action in actions:
        for key in action.keys:
            if key in NEVER_BOUND:
                raise KeysProblem(f"{file}: {action.id}: terminals cannot send {key!r} apart")
            if action.harm and key in TORN_ENDS:
                raise KeysProblem(
                    f"{file}: {action.id}: {key!r} is the end of torn arrow keys, "
                    "nothing that changes something may lie there"
                )
            for place in action.places:
                former = taken.setdefault((place, key), action.id)
                if former != action.id:
                    raise KeysProblem(f"{file}: {key!r} is both {former} and {action.id} ({place})")
