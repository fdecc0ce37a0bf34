"""The shell: places and going between them, drawing at a bounded rate, requests, notices, themes.

The program has one loop that follows the engine (`tui.follower`) and one timer that draws: at most
four times a second, and only what changed. Nothing here waits for the engine.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size

from engine import __version__
from engine.kernel.ids import JobKey, OrderKey
from engine.kernel.instants import Duration, Instant
from tui.answers import LOCAL_NAMES, Person
from tui.asking import Asking
from tui.being_told import BeingTold
from tui.client import EngineAway, EngineClient, NotAdmitted, connection
from tui.clocks import zone_of
from tui.commanding import Commanding
from tui.commands import (
    CommandProblem,
    Place,
    for_help,
    parse,
)
from tui.engine_watch import EngineWatch
from tui.follower import Follower, system_now
from tui.going import Going
from tui.habits import load_habits
from tui.host_watch import SHOWN_EVERY_S, HostWatch
from tui.intents import Intent
from tui.keys import ACTIONS, Action
from tui.known_engines import KnownEngine, SettingsProblem
from tui.looking_back import LookingBack
from tui.mirror import Changes, Link, LinkStatus, Mirror
from tui.pages import about_page
from tui.recalling import Work, recall_events, recall_tasks
from tui.screens.base import CockpitScreen
from tui.screens.help import HelpPage
from tui.screens.shell import Look
from tui.settings import Settings, changed, config_folder
from tui.terminal_manners import TerminalManners, has_shell_behind
from tui.theme_files import ThemeFile, ThemeProblem
from tui.theming import Theming, theme_choices, theme_for
from tui.tools import ToolProblem, run_tool
from tui.tour import Tour
from tui.views.durations import zone_name
from tui.views.frame import ORDER_COUNTS, notice_line
from tui.views.glyphs import Glyphs
from tui.views.help import KEY_ROOM, help_lines
from tui.views.needs import ORDERS_NEEDING, Need, pressing
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.standing import Tally
from tui.views.text import Line, clean
from tui.widgets.form import Entered, StartForm
from tui.widgets.palette import AsciiFilter, textual_theme
from tui.widgets.palette_box import Choice, PaletteBox
from tui.widgets.question import Query, Question, Verdict

DRAW_S = 0.25
"""Redraws for data: four a second."""
CHECK_S = 1.0
"""How soon an edited theme is taken, and a change of the terminal's size whose notice got lost."""
KEEP_S = 10.0
"""How often what a person changed is kept."""
TOLD_EVERY_S = 2.0
"""How often it is looked whether something new needs a person."""
QUIET_S = 10.0
"""The same while nothing happens: time alone makes agents late and tasks overdue."""
RESTART_S = 5.0
MOVED_SHOWN = Duration(1_000)
NOTICE_S = 4.0
NOTICE_BAD_S = 10.0


_OF_AN_ENGINE = ("follower", "hosts", "asking", "signals", "name", "past", "recall")
"""Work that ends when another engine is shown."""


class Cockpit(App[int], inherit_bindings=False):
    """The terminal program."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]
    CSS = """
    Screen { scrollbar-size: 0 0; }
    Toast { max-width: 76; }
    """

    def __init__(
        self,
        client: EngineClient,
        settings: Settings,
        *,
        first: Place | None = None,
        engine: KnownEngine | None = None,
        connect: Callable[[KnownEngine], EngineClient] = connection,
        now: Callable[[], Instant] = system_now,
    ) -> None:
        self._now = now
        self._connect = connect
        self.engine = engine or KnownEngine(name="", address=client.address)
        self.habits = load_habits(settings.state_folder)
        self.told = BeingTold()
        chosen = theme_for(settings, self.engine, self.habits)
        self.theming = Theming(settings, chosen, taken=self.take_theme)
        super().__init__(ansi_color=True if self.theming.file.ansi else None)
        self.settings = settings
        self._join(client)
        self.engines = EngineWatch(
            settings.engines, self.engine, connect=connect, now=now, told=self.redraw
        )
        self.actions: tuple[Action, ...] = settings.actions or ACTIONS
        self.set_keymap({move.id: ",".join(move.keys) for move in settings.moves})
        self.tour = Tour()
        self.shows_header = self.habits.shows_header
        self.shows_crumbs = self.habits.shows_crumbs
        self.shows_strip = self.habits.shows_strip
        self._first = first or Place(noun=settings.start_screen)
        self.going = Going(self, self)
        self.commanding = Commanding(self)
        self._drawn_second = 0
        self._is_playing = False
        self._notice: tuple[str, bool, float] = ("", False, 0.0)
        self.manners = TerminalManners(self._write, state_folder=settings.state_folder)
        self._told_at = 0.0
        self._may_have_news = True
        self.palette = self.theming.palette(no_colour=self.no_color)
        self._glyphs: Glyphs = self.theming.glyphs()
        self.animation_level = "none"
        if settings.ascii_only:
            self._filters.append(AsciiFilter())

    def _join(self, client: EngineClient) -> None:
        """Take everything that belongs to one engine."""
        self.client = client
        self.mirror = Mirror()
        self.follower = Follower(client, self.mirror, now=self._now, filled=self._draw)
        now = self.follower.now
        self.hosts = HostWatch(
            client, self.mirror, now=now, is_shown=self._shows_hosts, every_s=self.refresh_s
        )
        self.asking = Asking(client, self.mirror, self)
        self.looking_back = LookingBack(client, self.mirror, self, now=now)
        self.last_start: Intent | None = None
        self.person: Person | None = None
        """Who we are to the engine; None: not known yet."""
        self._has_met = False
        self._tally = Tally()
        self.told.begin_anew()
        self.is_production = self.settings.production or self.engine.production

    # --- life --------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Show the first screen, then begin to follow the engine."""
        self.register_theme(textual_theme(self.theming.file))
        self.theme = self.theming.file.name
        self.going.show(Look(place=self._first))
        # Few timers: each turn of one costs as much as drawing a line.
        self.set_interval(DRAW_S, self._turn)
        self.set_interval(CHECK_S, self._check)
        self.set_interval(TOLD_EVERY_S, self._tell_news)
        self.set_interval(KEEP_S, self._keep_habits)
        self._begin_to_follow()

    def _begin_to_follow(self) -> None:
        if self.looking_back.is_journal:
            self._in_the_past(self.looking_back.go_to(None))
            return
        self.run_worker(self._follow(), group="follower", exit_on_error=False)
        self.run_worker(self.hosts.run(), group="hosts", exit_on_error=False)

    def use_engine(self, name: str) -> None:
        """Show another engine; what was marked, filtered and looked at belongs to the former."""
        engine = self.engines.named(name)
        if engine is None:
            raise CommandProblem(f"there is no engine {name!r}; :engines lists them")
        try:
            client = self._connect(engine)
        except SettingsProblem as problem:
            self.say(str(problem), bad=True)
            return
        for group in _OF_AN_ENGINE:
            self.workers.cancel_group(self, group)
        self.run_worker(self.client.close(), group="closing", exit_on_error=False)
        self.engine = engine
        self._join(client)
        self.engines.settle(engine)
        self._use_theme_of(engine)
        for made in self.going.made.values():
            made.leave_engine()
        self.going.forget()
        self._begin_to_follow()
        self.going.show(Look(place=Place(noun=self.settings.start_screen)))
        self.say(f"this is {engine.name or engine.address} now")

    def _use_theme_of(self, engine: KnownEngine) -> None:
        try:
            self.theming.use(theme_for(self.settings, engine, self.habits))
        except ThemeProblem as problem:
            self.say(str(problem), bad=True)

    def _heed_size(self) -> None:
        """Take over the terminal's size if its notice got lost while a screen was being changed."""
        if self.is_headless:
            return
        try:
            size = Size(*os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1))
        except OSError:
            return
        if size.area and (size != self.size or size != self.screen.outer_size):
            self.post_message(Resize(size, size))

    async def _follow(self) -> None:
        """Follow the engine; a fault of ours costs a fresh start, not the program."""
        while True:
            try:
                await self.follower.run()
            except Exception as error:  # noqa: BLE001  # the outermost supervisor of this task
                text = f"{type(error).__name__}: {error}"
                self.mirror.set_link(
                    Link(status=LinkStatus.AWAY, since=self.follower.now(), text=text)
                )
                self.follower.resynchronise()
                await asyncio.sleep(RESTART_S)

    async def action_quit(self) -> None:
        """Leave."""
        self.leave()

    def leave(self) -> None:
        """End the program; the engine goes on."""
        self.exit(0)

    def exit(self, *args: Any, **named: Any) -> None:
        """End the program, by whatever way, and leave things as they were."""
        self._keep_habits()
        self.manners.give_title_back()
        super().exit(*args, **named)

    def _keep_habits(self) -> None:
        habits = self.habits
        habits.shows_header, habits.shows_crumbs = self.shows_header, self.shows_crumbs
        habits.shows_strip = self.shows_strip
        habits.keep(self.settings.state_folder)

    def _write(self, text: str) -> None:
        if self._driver is not None:
            self._driver.write(text)

    def step_aside(self) -> None:
        """Give the terminal to the shell behind, if there is one."""
        if self.is_headless or not has_shell_behind():
            self.say("no shell is behind this terminal that could take over")
        else:
            self.action_suspend_process()

    def run_tool(self, words: Sequence[str], values: Mapping[str, str]) -> None:
        """Run an outside program in this terminal."""
        work = self._run_tool(words, values)
        self.run_worker(work, exclusive=True, group="tool", exit_on_error=False)

    async def _run_tool(self, words: Sequence[str], values: Mapping[str, str]) -> None:
        try:
            status = await run_tool(
                words,
                values,
                client=self.client,
                folder=self.settings.state_folder,
                aside=nullcontext if self.is_headless else self.suspend,
            )
        except ToolProblem as problem:
            self.say(str(problem), bad=True)
        else:
            if status:
                self.say(f"{words[0]} ended with the status {status}", bad=True)

    async def on_unmount(self) -> None:
        """Let go of the connection."""
        await self.client.close()

    # --- drawing -----------------------------------------------------------------------------

    def scene(self) -> Scene:
        """Return what there is to see now."""
        past = self.looking_back.shown
        tally = self._tally
        return Scene(
            mirror=self.mirror if past is None else past.mirror,
            now=self.follower.now() if past is None else past.now,
            glyphs=self._glyphs,
            zone=self.zone,
            asked=self.asking.marks(self._clock()),
            allowed=not self.why_not_allowed(),
            engines=self.engines.looks,
            is_production=self.is_production,
            aside=self._aside(),
            memo={ORDER_COUNTS: tally.counts, ORDERS_NEEDING: tally.needing}
            if past is None
            else {},
        )

    def _turn(self) -> None:
        """Let the past pass, if it is played, and draw."""
        self._play()
        self._draw()

    def _check(self) -> None:
        """Look at what tells of its changes badly or not at all."""
        self._reload_theme()
        self._heed_size()

    def _draw(self) -> None:
        """Draw when something changed, or when the clock did."""
        now = self.follower.now()
        self.mirror.forget_moves(Instant(now - MOVED_SHOWN))
        second = now // 1000
        changes = self.mirror.take_changes()
        if not changes and second == self._drawn_second:
            return
        self._meet()
        self._drawn_second = second
        everything = changes.everything or changes.contacts
        self._tally.update(self.mirror.state, now, None if everything else changes.orders)
        if self.mirror.is_filled:
            self.mirror.take_sample(now)
        self._may_have_news = self._may_have_news or bool(changes)
        current = self.current()
        if current is not None and self.looking_back.shown is None:
            current.draw(changes)

    def _aside(self) -> Mapping[str, Instant]:
        kept = self.habits.aside.get(self.kept_under(), {})
        return {name: Instant(until) for name, until in kept.items()}

    def kept_under(self) -> str:
        """Return under which name things about this engine are kept."""
        return self.engine.name or self.engine.address

    def put_aside(self, found: Sequence[Need], until: Instant | None) -> None:
        """Put entries of *needs a person* aside until then, or take them back (None)."""
        now = self.follower.now()
        kept = self.habits.aside.get(self.kept_under(), {})
        kept = {name: at for name, at in kept.items() if at > now}
        for need in found:
            kept.pop(need.name_for_keeping, None)
            if until is not None:
                kept[need.name_for_keeping] = until
        self.habits.aside[self.kept_under()] = kept
        what = found[0].name if len(found) == 1 else f"{len(found)} entries"
        self.say(f"{what}: {'back' if until is None else 'put aside'}")
        self.redraw()

    def _tell_news(self) -> None:
        """Tell what needs a person since the last look: a notice, the title, a bell."""
        now = self._clock()
        if not self._may_have_news and now - self._told_at < QUIET_S:
            return
        if not self.mirror.is_filled:
            return
        self._may_have_news, self._told_at = False, now
        scene = self.scene()
        news = self.told.news(scene, pressing(scene))
        count = f"({self.told.count}) " if self.told.count else ""
        self.manners.title(f"{count}{self.engine.name or scene.engine_name}")
        if news:
            self.say(news, bad=True)
            if self.settings.bell:
                self.manners.bell()

    def _meet(self) -> None:
        """Ask the engine who we are, once for each time that it is there."""
        is_live = self.mirror.link.status is LinkStatus.LIVE
        if is_live and not self._has_met:
            self.run_worker(self._ask_name(), exclusive=True, group="name", exit_on_error=False)
        self._has_met = is_live

    async def _ask_name(self) -> None:
        try:
            self.person = await self.client.me()
        except (EngineAway, NotAdmitted):
            self._has_met = False
        self._frame()

    def current(self) -> CockpitScreen | None:
        """Return the screen that is shown, below questions and pages."""
        return self.going.current()

    def _shows_hosts(self) -> bool:
        current = self.current()
        return current is not None and current.watches_hosts

    def refresh_s(self) -> float:
        """Return every how many seconds what the shown screen is about is looked at."""
        current = self.current()
        noun = "" if current is None else current.noun
        return self.settings.refresh.get(noun, SHOWN_EVERY_S)

    @property
    def zone(self) -> tzinfo:
        """The zone of all times that are shown and typed."""
        control = self.mirror.state.control
        return zone_of(self.settings.clock, control.time_zone)

    def who(self) -> str:
        """Return the person and their rights, for the header."""
        known = self.person
        name = self.settings.person if known is None or known.name in LOCAL_NAMES else known.name
        return f"{clean(name)} {'ro' if self.why_not_allowed() else 'rw'}"

    # --- places ------------------------------------------------------------------------------

    def go(self, place: Place, *, key: RowKey | None = None) -> None:
        """Show another place; this one can be come back to."""
        self.going.to(place, key)

    def go_back(self, steps: int = 1) -> bool:
        """Go back (or forward, negative); False when there is nothing."""
        return self.going.back(steps)

    def go_last(self) -> None:
        """Go to the place shown before this one; again: come back."""
        if not self.going.last():
            self.say("there is no other screen yet")

    # --- asking the engine -------------------------------------------------------------------

    def ask(self, asked: Sequence[Intent], *, reason: str = "", gone: Sequence[str] = ()) -> None:
        """Send requests, one after the other; tell in one line what became of them."""
        why_not = self.why_not_allowed()
        if not why_not and self.mirror.link.status is not LinkStatus.LIVE:
            why_not = "the engine is away"
        if why_not:
            self.say(f"{why_not}: nothing was sent", bad=True)
            return
        fresh = self.asking.begin(asked, self._clock())
        self.told.mine((intent.subject for intent in fresh), self.follower.now())
        if not fresh:
            self.say("asked already, no answer yet: it is not asked twice", bad=True)
            return
        work = self.asking.send(fresh, reason, gone)
        self.run_worker(work, group="asking", exit_on_error=False)

    def recall(
        self,
        then: Callable[[], None],
        *,
        order: OrderKey | None = None,
        job: JobKey | None = None,
    ) -> None:
        """Have the engine's history asked for tasks of an order or a job, then go on."""
        client, mirror = self.client, self.mirror
        work: Work = partial(recall_tasks, client, mirror, self, then, order=order, job=job)
        self.run_worker(work, exclusive=True, group="recall", exit_on_error=False)

    def recall_events(self) -> None:
        """Have the engine's journal asked for the events before those that are known here."""
        if self.mirror.link.status is LinkStatus.LIVE:
            # Not a coroutine yet: one that is cancelled before it begins would complain.
            work: Work = partial(recall_events, self.client, self.mirror)
            self.run_worker(work, exclusive=True, group="recall", exit_on_error=False)

    def why_not_allowed(self) -> str:
        """Return why this person may change nothing here; empty when they may."""
        if self.looking_back.shown is not None:
            return self.looking_back.why_not
        if self.settings.read_only:
            return "read-only: the cockpit was opened so"
        if self.engine.read_only:
            return f"read-only: the settings say so of {self.engine.name}"
        if self.person is not None and not self.person.may_act:
            return f"read-only: the token {self.person.name!r} may only look"
        return ""

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
        query = Query(title=title, consequences=consequences, yes=yes, counted=counted)
        self._ask_first(query, lambda _reason: act())

    def question(self, query: Query, act: Callable[[str], None]) -> None:
        """Ask first; after a yes `act` gets the reason that was given."""
        name = self.scene().engine_name
        kind = ", production" if self.is_production else ""
        self._ask_first(replace(query, engine=f"on {name}{kind}"), act)

    def _ask_first(self, query: Query, act: Callable[[str], None]) -> None:
        def answered(verdict: Verdict | None) -> None:
            if verdict is None:
                return
            if verdict.yes:
                act(verdict.reason)
            elif verdict.moot:
                self.say(f"{verdict.moot}: nothing was done")

        self.push_screen(Question(self.palette, query), answered)

    def show_form(self, form: StartForm, start: Callable[[Entered], None]) -> None:
        """Show a form; `start` gets what was entered."""

        def entered(what: Entered | None) -> None:
            if what is not None:
                start(what)

        self.push_screen(form, entered)

    # --- words -------------------------------------------------------------------------------

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a notice for a few seconds, in the line above the detail."""
        self._notice = (text, bad, self._clock() + (NOTICE_BAD_S if bad else NOTICE_S))
        self._frame()

    def notice_line(self, width: int) -> Line | None:
        """Return the last notice, while it is fresh."""
        text, bad, until = self._notice
        if self._clock() >= until:
            return None
        return notice_line(text, self._glyphs, width, bad=bad)

    def _clock(self) -> float:
        return time.monotonic()

    def _frame(self) -> None:
        current = self.current()
        if current is not None and current.is_ready:
            current.draw_frame(self.scene())

    def copy(self, text: str, what: str) -> None:
        """Put a text on the terminal's clipboard."""
        into_file = self.settings.clipboard == "file"
        try:
            where = self.manners.copy(text, into_file=into_file)
        except OSError as error:
            self.say(f"not copied: {error}", bad=True)
        else:
            self.say(f"copied {what}, {where}")

    def change_setting(self, words: Sequence[str]) -> None:
        """Change a setting for this session. Raises CommandProblem."""
        self.settings = changed(self.settings, words)
        self.redraw()
        self.say(f"{words[0]}: {words[1]}, until you leave; cockpit.toml keeps it")

    def show_help(self, title: str, actions: Sequence[Action]) -> None:
        """Show all keys of a screen."""
        lines = help_lines(
            title,
            actions,
            for_help(),
            self._glyphs,
            allowed=not self.why_not_allowed(),
            moves=self.settings.moves,
        )
        self.show_page(f"help: {title}", lines, indent=KEY_ROOM + 4)

    def about(self) -> Sequence[Line]:
        """Return what is shown by which program, to whom, and where its files are."""
        scene, engine = self.scene(), self.engine
        folder = self.settings.state_folder
        facts = (
            ("cockpit", f"Pointsman {__version__}"),
            ("engine", scene.engine_name + (f" ({engine.name})" if engine.name else "")),
            ("address", engine.address),
            ("you are", f"{self.who()}{f': {why}' if (why := self.why_not_allowed()) else ''}"),
            ("clock", f"{zone_name(scene.now, scene.zone)}, as :set clock {self.settings.clock}"),
            ("theme", self.theming.file.name),
            ("settings", f"{config_folder()}: cockpit.toml, keys.toml, themes"),
            ("kept in", "" if folder is None else str(folder)),
        )
        return about_page(facts, ("? keys of a screen   :aliases commands   :tour shows all keys",))

    def show_page(self, title: str, lines: Sequence[Line], *, indent: int = 4) -> None:
        """Show lines over the screen."""
        copy = partial(self.copy, what="the page")
        page = HelpPage(self.palette, title, lines, copy, indent)
        self.push_screen(page)

    def note(self, tried: str) -> None:
        """Take note, for the tour, of an action or a screen that was used.

        What was said before it has been read by then.
        """
        self._notice = ("", False, 0.0)
        if self.tour.note(tried):
            self.call_later(self._frame)

    def take_tour(self, word: str) -> None:
        """Begin the tour, go on, back, or end it. Raises CommandProblem."""
        at = self.tour.at or 0
        match word:
            case "" | "begin":
                self.tour.begin()
                self.go(Place(noun="pulses"))
            case "next":
                self.tour.begin(at + 1)
            case "back":
                self.tour.begin(at - 1)
            case "end":
                self.tour.end()
            case _:
                raise CommandProblem("tour begin, next, back or end")
        self._frame()

    def resynchronise(self) -> None:
        """Take a fresh snapshot."""
        self.follower.resynchronise()

    # --- looking back ------------------------------------------------------------------------

    def look_back(self, text: str) -> None:
        """Show everything as it was at a time of today or of another day. Raises ValueError."""
        self._in_the_past(self.looking_back.go_to(self.looking_back.moment(text, self.zone)))

    def step_past(self, events: int) -> None:
        """Look so many events on, or back; from the present: to the last event."""
        self._in_the_past(self.looking_back.step(events))

    def _play(self) -> None:
        """Let the past pass, if it is played."""
        if self.looking_back.speed and not self._is_playing:
            self._is_playing = True
            self._in_the_past(self._pass_time())

    async def _pass_time(self) -> None:
        try:
            await self.looking_back.pass_time(DRAW_S)
        finally:
            self._is_playing = False

    def _in_the_past(self, work: Coroutine[None, None, None]) -> None:
        self.run_worker(work, group="past", exit_on_error=False)

    def redraw(self) -> None:
        """Draw everything anew."""
        current = self.current()
        if current is not None:
            current.draw(Changes(everything=True))

    # --- commands ----------------------------------------------------------------------------

    def command(self, text: str) -> None:
        """Carry out a command line."""
        try:
            meant = parse(text)
            if isinstance(meant, Place):
                self.go(meant)
            else:
                self.commanding.do(meant)
        except (CommandProblem, ThemeProblem, ValueError) as problem:
            self.say(str(problem), bad=True)

    def candidates(self, head: str) -> Iterable[str]:
        """Return words that may come next in a command line."""
        return self.commanding.candidates(head)

    def show_palette(self) -> None:
        """Offer everything by name."""

        def chosen(choice: Choice | None) -> None:
            if choice is not None:
                choice.act()

        self.push_screen(PaletteBox(self.palette, self.commanding.choices()), chosen)

    # --- themes ------------------------------------------------------------------------------

    def use_theme(self, name: str) -> None:
        """Change the theme. Raises ThemeProblem; the present one stays then."""
        if not name:
            self._choose_theme()
            return
        self.theming.use(name)
        self.habits.theme, self.habits.theme_over = name, self.settings.theme

    def _choose_theme(self) -> None:
        """Show each theme while it is being chosen; leaving goes back to the present one."""
        former, names = self.theming.file.name, self.theming.names()

        def chosen(choice: Choice | None) -> None:
            if choice is None:
                self._try_theme(former)
            else:
                choice.act()

        choices = theme_choices(names, former, self.use_theme, self._try_theme)
        at = names.index(former) if former in names else 0
        self.push_screen(PaletteBox(self.palette, choices, title="theme", at=at), chosen)

    def _try_theme(self, name: str) -> None:
        try:
            self.theming.use(name)
        except ThemeProblem as problem:
            self.say(str(problem), bad=True)

    def _reload_theme(self) -> None:
        """Take the theme's file again when it was edited; a broken one keeps the last good one."""
        try:
            self.theming.reload()
        except ThemeProblem as problem:
            self.say(str(problem), bad=True)

    def take_theme(self, theme: ThemeFile) -> None:
        """Show everything in this theme."""
        self.palette = self.theming.palette(no_colour=self.no_color)
        self._glyphs = self.theming.glyphs()
        self.register_theme(textual_theme(theme))
        self.ansi_color = True if theme.ansi else None
        self.theme = theme.name
        for made in self.going.made.values():
            if made.is_ready:
                made.repaint()
        if isinstance(self.screen, PaletteBox):
            self.screen.repaint(self.palette)
