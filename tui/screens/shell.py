"""What screens need of the program around them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.kernel.ids import JobKey, OrderKey
from engine.kernel.instants import Instant
from tui.client import EngineClient
from tui.commands import Place
from tui.engine_watch import EngineWatch
from tui.habits import Habits
from tui.host_watch import HostWatch
from tui.intents import Intent
from tui.keys import Action
from tui.settings import Settings
from tui.tour import Tour
from tui.views.needs import Need
from tui.views.rows import RowKey, Sorting
from tui.views.scene import Scene
from tui.views.text import Line
from tui.widgets.form import Entered, StartForm
from tui.widgets.palette import Palette
from tui.widgets.question import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a person looked at a place; kept for going back."""

    place: Place
    key: RowKey | None = None
    sorting: Sorting = field(default_factory=Sorting)
    troubles_only: bool = False


class Shell(Protocol):
    """What screens need of the program around them."""

    palette: Palette
    client: EngineClient
    settings: Settings
    habits: Habits
    """What a person changes while working."""
    engines: EngineWatch
    """Asks the engines that are known how they are."""
    hosts: HostWatch
    """Looks at remote hosts while a screen shows them."""
    is_production: bool
    """Everything that changes something is asked for."""
    tour: Tour
    shows_header: bool
    shows_crumbs: bool
    shows_strip: bool
    actions: tuple[Action, ...]

    def scene(self) -> Scene:
        """Return what there is to see now."""
        ...

    def refresh_s(self) -> float:
        """Return every how many seconds what the shown screen is about is looked at."""
        ...

    def who(self) -> str:
        """Return the person and their rights, for the header."""
        ...

    def go(self, place: Place, *, key: RowKey | None = None) -> None:
        """Show another place."""
        ...

    def go_back(self, steps: int = 1) -> bool:
        """Go back (or forward, negative); False when there is nothing."""
        ...

    def go_last(self) -> None:
        """Go to the place shown before this one."""
        ...

    def ask(self, asked: Sequence[Intent], *, reason: str = "", gone: Sequence[str] = ()) -> None:
        """Send requests to the engine and tell what became of them.

        `reason` goes into the journal, `gone` names marked rows that are no longer there.
        """
        ...

    last_start: Intent | None
    """What was started last from here, for doing it again."""

    def recall(
        self,
        then: Callable[[], None],
        *,
        order: OrderKey | None = None,
        job: JobKey | None = None,
    ) -> None:
        """Have the engine's history asked for tasks of an order or a job, then go on."""
        ...

    def recall_events(self) -> None:
        """Have the engine's journal asked for the events before those that are known here."""
        ...

    def question(self, query: Query, act: Callable[[str], None]) -> None:
        """Ask first; after a yes `act` gets the reason that was given."""
        ...

    def confirm(
        self,
        title: str,
        consequences: Sequence[Line],
        yes: str,
        act: Callable[[], None],
        *,
        counted: int = 0,
    ) -> None:
        """Ask first, act after a yes."""
        ...

    def why_not_allowed(self) -> str:
        """Return why this person may change nothing here; empty when they may."""
        ...

    def use_engine(self, name: str) -> None:
        """Show another engine."""
        ...

    def put_aside(self, found: Sequence[Need], until: Instant | None) -> None:
        """Put entries of *needs a person* aside until then, or take them back (None)."""
        ...

    def step_aside(self) -> None:
        """Give the terminal to the shell behind, if there is one."""
        ...

    def run_tool(self, words: Sequence[str], values: Mapping[str, str]) -> None:
        """Run an outside program in this terminal."""
        ...

    def note(self, tried: str) -> None:
        """Take note, for the tour, of an action that was used."""
        ...

    def command(self, text: str) -> None:
        """Carry out a command line."""
        ...

    def candidates(self, head: str) -> Iterable[str]:
        """Return words that may come next in a command line."""
        ...

    def notice_line(self, width: int) -> Line | None:
        """Return the last notice, while it is fresh."""
        ...

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a notice."""
        ...

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard."""
        ...

    def redraw(self) -> None:
        """Draw everything anew."""
        ...

    def resynchronise(self) -> None:
        """Take a fresh snapshot."""
        ...

    def step_past(self, events: int) -> None:
        """Look so many events on, or back."""
        ...

    def leave(self) -> None:
        """End the program."""
        ...

    def show_form(self, form: StartForm, start: Callable[[Entered], None]) -> None:
        """Show a form; `start` gets what was entered."""
        ...

    def show_page(self, title: str, lines: Sequence[Line], *, indent: int = 4) -> None:
        """Show lines over the screen; `indent` is where broken ones go on."""
        ...

    def show_help(self, title: str, actions: Sequence[Action]) -> None:
        """Show all keys of a screen."""
        ...

    def show_palette(self) -> None:
        """Offer everything by name."""
        ...
