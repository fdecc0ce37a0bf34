"""What all screens share: the frame of lines, the keys from the table, the guard before harm."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap
from textual.containers import Horizontal
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import Widget

from tui.commands import Place, link_of
from tui.keys import Action, actions_for
from tui.mirror import Changes
from tui.screens.shell import Look, Shell
from tui.views.frame import (
    away_line,
    clock_of,
    crumbs_line,
    header_line,
    hints_line,
    order_counts,
    rule_line,
)
from tui.views.scene import Scene
from tui.views.text import Line, Span, line, plain, width_of
from tui.widgets.entry import Entry
from tui.widgets.lines import Lines

NARROWEST = (60, 16)
"""Below this there is one line that says so."""


class CockpitScreen(Screen[None], inherit_bindings=False):
    """A screen with header, crumbs, body, strip and hints."""

    DEFAULT_CSS = """
    CockpitScreen { layout: vertical; background: $background; color: $foreground; }
    CockpitScreen #tour { height: 3; background: $surface; }
    CockpitScreen #header { height: 1; }
    CockpitScreen .-off { display: none; }
    CockpitScreen #strip { height: auto; max-height: 6; }
    CockpitScreen Lines.-rule { height: 1; }
    CockpitScreen Lines.-off { display: none; }
    CockpitScreen #too-small { display: none; height: 1fr; }
    CockpitScreen.-tiny > * { display: none; }
    CockpitScreen.-tiny > #too-small { display: block; }
    """
    AUTO_FOCUS = None

    noun: ClassVar[str] = ""
    is_list: ClassVar[bool] = False
    strip_lines: ClassVar[int] = 3
    watches_hosts: ClassVar[bool] = False
    """Whether remote hosts are looked at while it is shown."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.place = Place(noun=self.noun)
        self.actions = actions_for(self.noun, is_list=self.is_list, actions=shell.actions)
        self._bindings = _bindings(self.actions)

    is_full = False
    """Whether the body has the whole screen but the line of keys."""
    is_ready = False
    """Whether everything is built, so that there is something to draw on."""
    _is_drawn_ahead = False
    """Whether a place was opened on it before it is shown."""

    # --- build -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Build the frame around the body."""
        palette = self.shell.palette
        with Horizontal(id="header"):
            yield Lines(palette, id="standing")
            yield Lines(palette, id="clock")
        yield Lines(palette, id="crumbs")
        yield Lines(palette, id="tour", classes="-off")
        yield from self.body()
        yield Lines(palette, id="rule", classes="-rule")
        yield Lines(palette, id="strip")
        yield Lines(palette, id="hints")
        yield Entry(self.shell.candidates)
        yield Lines(palette, id="too-small")

    def body(self) -> Iterable[Widget]:
        """Build what the screen is about."""
        return ()

    @property
    def main(self) -> Widget | None:
        """The widget that takes the keys."""
        return None

    def on_mount(self) -> None:
        """Take the keys and draw."""
        self.is_ready = True
        self._settle()
        self.draw(Changes(everything=True))

    def on_screen_resume(self) -> None:
        """Draw what changed while another screen was shown."""
        self._settle()
        # Nothing has changed since a place was opened, a moment ago.
        self.draw(Changes(everything=not self._is_drawn_ahead))
        self._is_drawn_ahead = False

    def on_resize(self) -> None:
        """Say so where there is no room for a screen."""
        width, height = self.size
        is_tiny = width < NARROWEST[0] or height < NARROWEST[1]
        self.set_class(is_tiny, "-tiny")
        if is_tiny:
            least = f"{NARROWEST[0]}x{NARROWEST[1]}"
            text = f" {width}x{height} is too small, {least} at least"
            self.query_one("#too-small", Lines).show([line(text)])

    def _settle(self) -> None:
        if self.main is not None and self.focused is None:
            self.set_focus(self.main)
        shell = self.shell
        for name, shown in (
            ("#header", shell.shows_header),
            ("#crumbs", shell.shows_crumbs),
            ("#strip", shell.shows_strip),
            ("#rule", shell.shows_strip),
        ):
            self.query_one(name).set_class(not shown or self.is_full, "-off")

    def repaint(self) -> None:
        """Take another theme."""
        for widget in self.query("*"):
            again = getattr(widget, "repaint", None)
            if again is not None:
                again(self.shell.palette, self.shell.scene().glyphs)
        self.draw(Changes(everything=True))

    # --- draw --------------------------------------------------------------------------------

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show this place; `look` says how it was looked at before."""
        self.place = place
        _ = look
        if self.is_ready:
            self.draw(Changes(everything=True))
            self._is_drawn_ahead = not self.is_current

    def leave_engine(self) -> None:
        """Forget what belongs to the engine that was shown until now."""
        self.workers.cancel_node(self)

    def look(self) -> Look:
        """Return how the place is looked at, for going back."""
        return Look(place=self.place)

    def draw(self, changes: Changes) -> None:
        """Bring everything up to date."""
        if not self.is_ready:
            return
        scene = self.shell.scene()
        # At the end of the program the widgets go before the timer that draws does.
        with suppress(NoMatches):
            self.draw_body(scene, changes)
            self.draw_frame(scene)

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Bring the body up to date."""

    def draw_frame(self, scene: Scene) -> None:
        """Bring the lines around the body up to date."""
        width = self.size.width
        if width <= 0:
            return
        # At the beginning and at the end of the program widgets come and go one by one.
        with suppress(NoMatches):
            self._draw_lines(scene, width)

    def _draw_lines(self, scene: Scene, width: int) -> None:
        counts = order_counts(scene)
        header = header_line(scene, counts, width, who=self.shell.who())
        self.query_one("#standing", Lines).show([header])
        clock = self.query_one("#clock", Lines)
        clock.show([clock_of(scene, width)])
        clock.styles.width = width_of(plain(clock.lines[0]))
        crumbs = crumbs_line(
            scene,
            self.crumbs(scene),
            filter_text=self.filter_text,
            right=self.summary(),
            width=width,
        )
        self.query_one("#crumbs", Lines).show([crumbs])
        tour = self.query_one("#tour", Lines)
        station = self.shell.tour.lines(self.shell.actions, scene.glyphs, width)
        tour.set_class(not station, "-off")
        tour.styles.height = max(len(station), 1)
        tour.show(station)
        rule = self.query_one("#rule", Lines)
        rule.show(
            [self.shell.notice_line(width) or away_line(scene, width) or self.rule(scene, width)]
        )
        strip = self.query_one("#strip", Lines)
        lines = [(Span(" "), *spans) for spans in self.strip(scene)[: self.strip_lines]]
        lines += [()] * (self.strip_lines - len(lines))
        strip.styles.height = self.strip_lines
        strip.show(lines)
        hints = hints_line(self.actions, width, allowed=scene.allowed)
        self.query_one("#hints", Lines).show([hints])

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return ""

    def crumbs(self, scene: Scene) -> list[str]:
        """Return where we are."""
        _ = scene
        return [part for part in (self.place.noun, self.place.argument) if part]

    def summary(self) -> str:
        """Return the right part of the second line."""
        return ""

    def rule(self, scene: Scene, width: int) -> Line:
        """Return the line above the strip."""
        return rule_line(scene, width)

    def strip(self, scene: Scene) -> list[Line]:
        """Return the lines about the row under the cursor."""
        _ = scene
        return []

    # --- keys --------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to the line in which a person types."""
        if action == "act" and parameters != ("go.quit",) and self.query_one(Entry).is_open:
            return False
        return super().check_action(action, parameters)

    def action_act(self, action_id: str) -> None:
        """Do what a key stands for, if this person may."""
        action = next((a for a in self.actions if a.id == action_id), None)
        if action is None:
            return
        if action.harm and (why := self.shell.why_not_allowed()):
            self.shell.say(f"{why}. Not possible here: {action.help}", bad=True)
            return
        self.shell.note(action_id)
        if action.command:
            self.shell.command(action.command)
            return
        if action.tool:
            self.shell.run_tool(action.tool, self.values())
            return
        method = getattr(self, f"do_{action.method}", None)
        if method is not None:
            cast("Callable[[], None]", method)()

    def do_next(self) -> None:
        """Show the tour's next step."""
        if self.shell.tour.at is None:
            self.shell.say("no tour; :tour begins one")
        elif not self.shell.tour.go_on():
            self.shell.say("that was the tour; :tour begins it again")
        self.draw_frame(self.shell.scene())

    def values(self) -> Mapping[str, str]:
        """Return what the row under the cursor is about, for a person's own programs."""
        return {}

    def do_aside(self) -> None:
        """Give the terminal to the shell behind."""
        self.shell.step_aside()

    def do_command(self) -> None:
        """Open the command line."""
        self.open_entry("command", ":")

    def do_help(self) -> None:
        """Show all keys."""
        self.shell.show_help(self.place.noun, self.actions)

    def do_palette(self) -> None:
        """Offer everything by name."""
        self.shell.show_palette()

    def do_escape(self) -> None:
        """Go back."""
        self.do_back()

    def do_leave(self) -> None:
        """Go back; from the first screen leave."""
        if not self.shell.go_back():
            self.shell.confirm(
                "Leave the cockpit?",
                [line(" The engine goes on without it.")],
                "leave",
                self.shell.leave,
            )

    def do_quit(self) -> None:
        """Leave at once."""
        self.shell.leave()

    def do_back(self) -> None:
        """Go to the screen before."""
        if not self.shell.go_back():
            self.shell.say("this was the first screen; <q> leaves")

    def do_forward(self) -> None:
        """Go to the screen after."""
        if not self.shell.go_back(-1):
            self.shell.say("there is no screen after this one")

    def do_last(self) -> None:
        """Go to the screen shown before this one."""
        self.shell.go_last()

    def do_panel(self) -> None:
        """Give the keys to the next panel."""
        self._to_panel(self.focus_next)

    def do_panel_back(self) -> None:
        """Give the keys to the panel before."""
        self._to_panel(self.focus_previous)

    def _to_panel(self, go: Callable[[], Widget | None]) -> None:
        former = self.focused
        if go() is former:
            self.shell.say("this screen has one panel")

    def do_before(self) -> None:
        """Look one event back."""
        self.shell.step_past(-1)

    def do_after(self) -> None:
        """Look one event on."""
        self.shell.step_past(1)

    def do_header(self) -> None:
        """Hide or show the first line."""
        self.shell.shows_header = not self.shell.shows_header
        self._settle()

    def do_crumbs(self) -> None:
        """Hide or show the second line."""
        self.shell.shows_crumbs = not self.shell.shows_crumbs
        self._settle()

    def do_full(self) -> None:
        """Show the rows alone, or everything again."""
        self.is_full = not self.is_full
        self._settle()

    def do_strip(self) -> None:
        """Hide or show the lines about the row."""
        self.shell.shows_strip = not self.shell.shows_strip
        self._settle()

    def do_refresh(self) -> None:
        """Ask for a fresh snapshot."""
        self.shell.resynchronise()
        self.shell.say("asked the engine for everything afresh")

    def do_link(self) -> None:
        """Copy the command that opens this view."""
        link = link_of(self.link_place())
        self.shell.copy(f"pointsman '{link}'", f"the link {link}")

    def link_place(self) -> Place:
        """Return the place that a link should open."""
        return self.place

    # --- the entry line ----------------------------------------------------------------------

    def on_entry_done(self, event: Entry.Done) -> None:
        """Take what was typed."""
        event.stop()
        self._close_entry()
        if event.purpose == "filter":
            self.filter_done(event.text)
        elif event.text:
            self.entry_done(event.purpose, event.text)

    def on_entry_left(self, event: Entry.Left) -> None:
        """Close the line."""
        event.stop()
        was_filter = self.query_one(Entry).purpose == "filter"
        self._close_entry()
        if was_filter:
            self.filter_done("")

    def on_entry_typed(self, event: Entry.Typed) -> None:
        """Narrow while typing."""
        event.stop()
        if event.purpose == "filter":
            self.filter_typed(event.text)

    def entry_done(self, purpose: str, text: str) -> None:
        """Take what was typed for another purpose than a filter."""
        match purpose:
            case "command":
                self.shell.command(text)
            case "save" if text.endswith(".svg"):
                self.save_picture(text)
            case "save":
                self.save(text)
            case _:
                pass

    def do_save(self) -> None:
        """Ask for a file's name."""
        self.open_entry("save", "save as: ", f"{self.place.noun}.txt")

    def save(self, name: str) -> None:
        """Save what is shown under this name."""

    def write_file(self, name: str, text: str, what: str) -> None:
        """Write a file and tell where it is, or why not."""
        path = Path(name).expanduser()
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            self.shell.say(f"{path}: {error.strerror or error}", bad=True)
        else:
            self.shell.say(f"saved {what} in {path.absolute()}")

    def save_picture(self, name: str) -> None:
        """Save the screen as it looks."""
        picture = self.app.export_screenshot(title=" ".join(self.crumbs(self.shell.scene())))
        self.write_file(name, picture, "a picture of the screen")

    def filter_typed(self, text: str) -> None:
        """Narrow to what matches so far."""

    def filter_done(self, text: str) -> None:
        """Take the filter."""

    def open_entry(self, purpose: str, prompt: str, text: str = "") -> None:
        """Let a person type in place of the hints."""
        self.query_one("#hints").display = False
        self.query_one(Entry).open(purpose, prompt, text)

    def _close_entry(self) -> None:
        self.query_one(Entry).close()
        self.query_one("#hints").display = True
        if self.main is not None:
            self.set_focus(self.main)


def _bindings(actions: Iterable[Action]) -> BindingsMap:
    return BindingsMap(
        [
            Binding(
                ",".join(_spelled(key) for key in action.keys),
                f"act({action.id!r})",
                action.label,
                show=False,
                id=action.id,
                # One key after the other, see tui.widgets.moves.
                priority=True,
            )
            for action in actions
        ]
    )


def _spelled(key: str) -> str:
    return "comma" if key == "," else key
