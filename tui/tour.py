"""The tour: steps that name keys to try, shown above the body until they have been tried.

A step is done when all it names were tried; `ctrl+n` goes on without. The texts name actions, not
keys, so that rebound keys are shown as they are. A test sees to it that no key is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tui.keys import Action
from tui.views.frame import key_name
from tui.views.glyphs import Glyphs
from tui.views.text import Line, Span, line, spread, width_of

_NAMED = re.compile(r"\{([a-z_.]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One station of the tour."""

    title: str
    text: str
    """One line; `{orders.start}` stands for the key of that action."""
    tries: tuple[str, ...]
    """Actions to try, or `:chains` for a screen to open."""


STEPS: tuple[Step, ...] = (
    Step(
        title="Everything at a glance",
        text="Trouble first, then what runs. j k or the arrows move, in every list.",
        tries=("go.panel", "go.panel_back", "show.zoom"),
    ),
    Step(
        title="In and out",
        text="Enter goes to what a row is about, esc comes back. That is all one must know.",
        tries=("row.enter", "go.escape"),
    ),
    Step(
        title="The screens",
        text="Three have a key here; all open by name: type : and the name, enter.",
        tries=("go.chains", "go.orders", "go.agents", "go.command"),
    ),
    Step(
        title="Start an order",
        text="On the chains, go to one that is idle. {orders.again} starts the same again.",
        tries=(":chains", "orders.start", "orders.again"),
    ),
    Step(
        title="Watch it go",
        text="Enter on a chain: its live graph. {graph.follow} keeps one order in view.",
        tries=(":chain", "graph.follow"),
    ),
    Step(
        title="The graph",
        text="Errors lead elsewhere; the map needs 120 columns; trouble is two keys away.",
        tries=(
            "graph.errors",
            "graph.map",
            "graph.node_log",
            "graph.next_trouble",
            "graph.last_trouble",
        ),
    ),
    Step(
        title="Start with a form",
        text="Change a parameter. ctrl+t asks the engine what would happen, ctrl+y copies.",
        tries=("orders.start_form",),
    ),
    Step(
        title="Every waiting order says what it waits for",
        text="A lock and who has it, a class, a time, a person. Open the orders and read.",
        tries=(":orders", "row.describe", "row.definition", "row.graph"),
    ),
    Step(
        title="Filters",
        text="Type: words, !without, status=susp, since>1:00. Esc takes the filter away.",
        tries=("go.filter", "show.problems"),
    ),
    Step(
        title="Sorting",
        text="By any column; by name, age and status at once. Again: the other way round.",
        tries=(
            "show.sort_left",
            "show.sort_right",
            "show.sort_turn",
            "show.sort_name",
            "show.sort_age",
            "show.sort_status",
        ),
    ),
    Step(
        title="Marks",
        text="Mark a few orders; the next key is for all of them, after a question.",
        tries=("row.mark", "row.mark_to", "row.clear_marks"),
    ),
    Step(
        title="Hold and let go",
        text="What the same key takes back is done at once. One ends a waiting time.",
        tries=("orders.suspend", "orders.run_now"),
    ),
    Step(
        title="Change the course",
        text="These ask first: enter is no, y is yes; ctrl+t tries and changes nothing.",
        tries=("orders.move", "orders.reset", "orders.edit"),
    ),
    Step(
        title="Stop a node, end a task, remove an order",
        text="Stopped nodes keep their orders. What is removed is asked for with a reason.",
        tries=("nodes.stop", "nodes.skip", "orders.kill", "orders.remove"),
    ),
    Step(
        title="From trouble to its log",
        text="On an order that failed: its log. In the log the end is followed.",
        tries=("row.log", "log.follow", "log.wrap", "log.stamps", "log.full", "row.behind"),
    ),
    Step(
        title="What needs a person",
        text="Put aside what somebody else is working on; it comes back at its time.",
        tries=(":needs", "needs.put_aside"),
    ),
    Step(
        title="In a log",
        text="Search, go to the beginning and the end, see the run before, mark the place.",
        tries=(
            "go.search",
            "log.next_match",
            "log.last_match",
            "log.head",
            "log.tail",
            "log.previous",
            "log.mark_line",
            "log.clear",
        ),
    ),
    Step(
        title="In a long log",
        text="The last minutes alone; matches among all lines; copy what is in sight.",
        tries=(
            "log.last_1",
            "log.last_5",
            "log.last_15",
            "log.last_30",
            "log.last_60",
            "log.highlight",
            "log.copy",
        ),
    ),
    Step(
        title="Tasks and jobs",
        text="A stopped job starts nothing; its orders wait, and say so.",
        tries=(":tasks", "row.owner", ":jobs", "jobs.start", "jobs.stop"),
    ),
    Step(
        title="Chains as a whole",
        text="A stopped chain lets no order take another step. Let it go on afterwards.",
        tries=("row.tasks", "chains.stop"),
    ),
    Step(
        title="Agents, locks, classes",
        text="An agent's bar runs down when it does not answer. Locks name who has them.",
        tries=(":agents", "agents.processes", ":locks", ":classes"),
    ),
    Step(
        title="Processes on other hosts",
        text="One key ends what a host itself proves to be an orphan; the rest asks first.",
        tries=(
            ":processes",
            "processes.why",
            "processes.end",
            "processes.kill",
            "processes.signal",
            "processes.everyone",
            "processes.hosts",
            "hosts.look",
        ),
    ),
    Step(
        title="What happened, and who asked for it",
        text="Every change of yours is there, with your reason and what came of it.",
        tries=(":events", ":history", ":plan", ":problems", ":engines"),
    ),
    Step(
        title="Looking back",
        text=":at 14:00 shows all as it was; {past.before} {past.after} step, :now ends.",
        tries=("past.before", "past.after"),
    ),
    Step(
        title="Where you were",
        text="Back and forward, with row and filter; the last two screens in turn.",
        tries=("go.back", "go.forward", "go.last"),
    ),
    Step(
        title="More room",
        text="Hide what you do not need; the same key brings it back.",
        tries=("show.header", "show.crumbs", "show.strip", "show.full", "show.wide"),
    ),
    Step(
        title="Take it along",
        text="Copy a row, or a link to this very view; save what is shown; fetch it afresh.",
        tries=("show.copy", "show.link", "show.save", "show.refresh"),
    ),
    Step(
        title="When you forget",
        text="All keys of a screen; all by a few letters. {go.leave} leaves in the end.",
        tries=("go.help", "go.palette"),
    ),
)

OUTSIDE = frozenset({"tour.next", "go.leave", "go.quit", "go.aside"})
"""Actions that no step asks for: they leave the cockpit."""


class Tour:
    """Where a person is on the tour."""

    def __init__(self) -> None:
        self.at: int | None = None
        """The step shown; None: no tour."""
        self._tried: set[str] = set()

    def begin(self, step: int = 0) -> None:
        """Show a step."""
        self.at = max(0, min(step, len(STEPS) - 1))
        self._tried.clear()

    def end(self) -> None:
        """Show no more."""
        self.at = None

    def go_on(self) -> bool:
        """Show the next step; False when there is none."""
        if self.at is None or self.at + 1 >= len(STEPS):
            self.end()
            return False
        self.begin(self.at + 1)
        return True

    def note(self, tried: str) -> bool:
        """Take note of an action or a screen; return whether the tour looks different now."""
        if self.at is None or tried not in STEPS[self.at].tries:
            return False
        self._tried.add(tried)
        if self._tried >= set(STEPS[self.at].tries):
            self.go_on()
        return True

    def lines(self, actions: Sequence[Action], glyphs: Glyphs, width: int) -> list[Line]:
        """Return the step in three lines or more, nothing without a tour."""
        if self.at is None:
            return []
        step = STEPS[self.at]
        by_id = {action.id: action for action in actions}
        title = line(
            Span(f" tour {self.at + 1} of {len(STEPS)}  ", "dim"), Span(step.title, "head")
        )
        right = line(Span("<ctrl+n>", "key"), "next ", Span(":tour end ", "dim"))
        text = _NAMED.sub(lambda found: f"<{_key_of(by_id, found[1])}>", step.text)
        rows: list[list[str | Span]] = [[" "]]
        left = width - 1
        for wanted in step.tries:
            done = wanted in self._tried
            sign = Span(f" {glyphs.ok if done else glyphs.idle} ", "ok" if done else "dim")
            item = [sign, *_named(by_id, wanted, "dim" if done else "key")]
            size = sum(width_of(span.text) for span in item)
            if size > left:
                rows.append([" "])
                left = width - 1
            rows[-1] += item
            left -= size
        return [spread(title, right, width), line(f" {text}"), *(line(*row) for row in rows)]


def _named(by_id: dict[str, Action], wanted: str, role: str) -> list[Span]:
    if wanted.startswith(":"):
        return [Span(wanted, role)]
    action = by_id.get(wanted)
    label = action.label if action is not None else wanted
    return [Span(f"<{_key_of(by_id, wanted)}>", role), Span(label, "dim" if role == "dim" else "")]


def _key_of(by_id: dict[str, Action], wanted: str) -> str:
    action = by_id.get(wanted)
    return key_name(action.keys[0]) if action is not None else wanted
