"""Carrying out what was typed after `:`; what can be typed next; everything by name."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from engine.kernel.ids import ChainKey, NodeState, OrderKey, TaskId, chain_key
from tui import intents
from tui.clocks import CLOCKS
from tui.commands import NOUNS, VERBS, CommandProblem, Doing, Noun, Place, Verb, all_names
from tui.looking_back import LookingBack
from tui.mirror import Mirror
from tui.pages import ALIASES_INDENT, PAGE_INDENT, aliases_page
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen
from tui.screens.shell import Shell
from tui.screens.starting import start_at_once, start_order
from tui.theming import Theming
from tui.views.frame import key_name
from tui.views.order import find_order
from tui.views.starting import parse_start
from tui.views.text import Line, clean, line
from tui.widgets.palette_box import Choice

ORDERS_OFFERED_MAX = 2_000
_VALUES = {
    "bell": ("on", "off"),
    "clipboard": ("terminal", "file"),
    "clock": CLOCKS,
}
"""What can be set while working, and to what."""


class Program(Shell, Protocol):
    """What commands need of the program beyond what screens do."""

    mirror: Mirror
    theming: Theming
    looking_back: LookingBack

    def current(self) -> CockpitScreen | None:
        """Return the screen that is shown."""
        ...

    def about(self) -> Sequence[Line]:
        """Return what is shown by which program."""
        ...

    def look_back(self, text: str) -> None:
        """Show everything as it was. Raises ValueError."""
        ...

    def take_tour(self, word: str) -> None:
        """Begin the tour, go on, back, or end it. Raises CommandProblem."""
        ...

    def use_theme(self, name: str) -> None:
        """Change the theme. Raises ThemeProblem."""
        ...

    def change_setting(self, words: Sequence[str]) -> None:
        """Change a setting for this session. Raises CommandProblem."""
        ...


class Commanding:
    """The verbs."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def do(self, doing: Doing) -> None:  # one line for each verb
        """Carry out a verb. Raises CommandProblem, ValueError, ThemeProblem."""
        program, words = self._program, doing.words
        first = words[0] if words else ""
        match doing.verb:
            case "quit":
                program.leave()
            case "help":
                current = program.current()
                if current is not None:
                    current.do_help()
            case "aliases":
                program.show_page("commands", aliases_page(), indent=ALIASES_INDENT)
            case "about":
                program.show_page("about", program.about(), indent=PAGE_INDENT)
            case "engine":
                program.use_engine(first)
            case "at":
                program.look_back(" ".join(words))
            case "now":
                if not program.looking_back.come_back():
                    program.say("a saved journal has no present", bad=True)
            case "play":
                program.looking_back.play(" ".join(words))
            case "tour":
                program.take_tour(first)
            case "theme":
                program.use_theme(first)
            case "set":
                program.change_setting(words)
            case "start":
                self._start(words)
            case "suspend" | "resume":
                self._suspend(self._order_named(words), suspended=doing.verb == "suspend")
            case "kill":
                if not first.isdecimal():
                    raise CommandProblem("kill needs a task number")
                Acting(program).kill([TaskId(int(first))])
            case _:
                raise CommandProblem(f"{doing.verb} is not known")

    def _suspend(self, order: OrderKey, *, suspended: bool) -> None:
        program = self._program
        asked = [intents.set_suspended(order, suspended=suspended)]
        if not program.is_production:
            program.ask(asked)
            return
        word = "suspend" if suspended else "resume"
        program.confirm(
            f"{word.capitalize()} {clean(order.id)}?",
            [line(f" {program.scene().chain_name(order.chain)} on a production engine")],
            f"{word} {clean(order.id)}",
            partial(program.ask, asked),
        )

    def _order_named(self, words: Sequence[str]) -> OrderKey:
        if not words:
            raise CommandProblem("which order? type its id, or chain,id")
        found = find_order(self._program.scene(), words[0])
        if found is None:
            raise CommandProblem(f"no order, or more than one, is called {words[0]!r}")
        return found

    def chain_named(self, name: str) -> ChainKey:
        """Return the chain of a name or path. Raises CommandProblem."""
        mirror = self._program.mirror
        chains = mirror.state.chains
        key = chain_key(name)
        if key in chains:
            return key
        found = [one for one in chains if mirror.chain_name(one).casefold() == name.casefold()]
        if len(found) != 1:
            raise CommandProblem(f"there is no chain {name!r}")
        return found[0]

    def _start(self, words: Sequence[str]) -> None:
        if not words:
            raise CommandProblem("which chain? start CHAIN name=value … at=14:30")
        chain = self.chain_named(words[0])
        if len(words) == 1:
            start_at_once(self._program, chain)
            return
        params: dict[str, str] = {}
        options: dict[str, str] = {}
        for word in words[1:]:
            name, sign, value = word.partition("=")
            if not sign:
                raise CommandProblem(f"{word!r}: write name=value")
            if name.startswith("--"):
                options[name[2:]] = value
            elif name == "at":
                options["at"] = value
            else:
                params[name] = value
        scene = self._program.scene()
        start_order(
            self._program,
            intents.start_order(
                chain,
                order_id=options.get("id", ""),
                params=params,
                at=parse_start(options.get("at", "now"), scene.now, scene.zone),
                state=NodeState(options["from"]) if "from" in options else None,
                end_state=NodeState(options["until"]) if "until" in options else None,
                priority=int(options.get("priority", "0")),
                suspended=options.get("suspended", "no") == "yes",
            ),
        )

    # --- what there is -----------------------------------------------------------------------

    def candidates(self, head: str) -> Iterable[str]:
        """Return words that may come next in a command line."""
        words = head.split()
        if not words:
            return sorted(all_names())
        mirror, program = self._program.mirror, self._program
        state = mirror.state
        match words[0]:
            case "chain" | "graph" | "start" if len(words) == 1:
                return sorted(mirror.chain_name(key) for key in state.chains)
            case "order" | "suspend" | "resume":
                return sorted(key.id for key in state.orders)
            case "log" | "kill":
                return [str(task) for task in sorted(state.tasks, reverse=True)]
            case "engine":
                return [look.engine.name for look in program.engines.looks]
            case "theme":
                return program.theming.names()
            case "set":
                return self._settings(words)
            case "start":
                return self._parameters(words[1])
            case _:
                return [f"@{name}" for name in sorted(program.settings.filters)]

    def _settings(self, words: Sequence[str]) -> Iterable[str]:
        if len(words) == 1:
            return sorted(_VALUES)
        return _VALUES.get(words[1], ())

    def _parameters(self, name: str) -> Iterable[str]:
        mirror = self._program.mirror
        state = mirror.state
        chain = next((key for key in state.chains if mirror.chain_name(key) == name), None)
        orders = state.orders_of_chain.get(chain, {}) if chain is not None else {}
        names = {one for key in orders for one in state.orders[key].definition.params}
        return sorted(f"{one}=" for one in names)

    def choices(self) -> list[Choice]:
        """Return screens, chains, orders and the actions of this screen, by name."""
        program = self._program
        mirror = program.mirror
        found = [
            Choice(name=noun.name, note=noun.help, act=partial(program.go, Place(noun=noun.name)))
            for noun in NOUNS
            if not noun.needs_argument
        ]
        for chain in sorted(mirror.state.chains):
            place = Place(noun="chain", argument=chain)
            name = f"chain {clean(mirror.chain_name(chain))}"
            found.append(Choice(name=name, note="", act=partial(program.go, place)))
        current = program.current()
        if current is not None:
            found += self._actions(current)
            found += self._commands(current)
        for name in program.theming.names():
            act = partial(program.command, f"theme {name}")
            found.append(Choice(name=f"theme {name}", note="", act=act))
        for order in list(mirror.state.orders)[:ORDERS_OFFERED_MAX]:
            place = Place(noun="order", argument=str(order))
            note = mirror.chain_name(order.chain)
            act = partial(program.go, place)
            found.append(Choice(name=f"order {clean(order.id)}", note=note, act=act))
        return found

    def _commands(self, screen: CockpitScreen) -> list[Choice]:
        """Return the commands; those that need more words open the line with their name."""
        harms = {action.id: action.harm for action in self._program.actions}
        allowed = not self._program.why_not_allowed()
        found: list[Choice] = []
        entries: list[Noun | Verb] = [noun for noun in NOUNS if noun.needs_argument]
        for entry in [*entries, *VERBS]:
            if isinstance(entry, Verb) and harms.get(entry.action, 0) and not allowed:
                continue
            name = f":{entry.name} {entry.argument}".strip()
            act = (
                partial(screen.open_entry, "command", ":", f"{entry.name} ")
                if entry.argument
                else partial(self._program.command, entry.name)
            )
            found.append(Choice(name=name, note=entry.help, act=act))
        return found

    def _actions(self, screen: CockpitScreen) -> list[Choice]:
        allowed = not self._program.why_not_allowed()
        return [
            Choice(
                name=action.help,
                note=f"<{key_name(action.keys[0])}>",
                act=partial(screen.action_act, action.id),
            )
            for action in screen.actions
            if action.id != "go.palette" and (allowed or not action.harm)
        ]
