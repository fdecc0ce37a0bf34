"""The line at the bottom in which commands and filters are typed."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label


class _Words(Suggester):
    """Completes the last word from what is known at this moment."""

    def __init__(self, candidates: Callable[[str], Iterable[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._candidates = candidates

    async def get_suggestion(self, value: str) -> str | None:
        """Return the whole line as it would be completed."""
        head, space, last = value.rpartition(" ")
        if not last:
            return None
        folded = last.casefold()
        for word in self._candidates(head + space):
            if word.casefold().startswith(folded) and len(word) > len(last):
                return f"{head}{space}{last}{word[len(last) :]}"
        return None


class _Field(Input):
    """An input whose escape and history keys belong to the line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("up", "older", show=False),
        Binding("down", "newer", show=False),
        Binding("tab", "complete", show=False),
    ]

    def action_leave(self) -> None:
        """Close the line without doing anything."""
        self.post_message(Entry.Left())

    def action_older(self) -> None:
        """Show the line typed before."""
        self.post_message(Entry.History(-1))

    def action_newer(self) -> None:
        """Show the line typed after."""
        self.post_message(Entry.History(1))

    def action_complete(self) -> None:
        """Take the completion."""
        self.action_cursor_right()


class Entry(Horizontal):
    """A prompt and a field; hidden until it is asked for."""

    DEFAULT_CSS = """
    Entry { height: 1; }
    Entry Label { width: auto; padding: 0 0 0 1; text-style: bold; }
    Entry Input { width: 1fr; height: 1; border: none; padding: 0; background: transparent; }
    Entry Input:focus { border: none; background-tint: transparent; }
    """

    class Typed(Message):
        """The text changed while typing."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Done(Message):
        """Enter was pressed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Left(Message):
        """Escape was pressed."""

    class History(Message):
        """An older (-1) or newer (1) line is wanted."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, candidates: Callable[[str], Iterable[str]]) -> None:
        super().__init__()
        self._candidates = candidates
        self.purpose = ""
        self._past: list[str] = []
        self._at = 0
        self.display = False

    def compose(self) -> ComposeResult:
        """Build prompt and field."""
        yield Label(":", markup=False)
        field = _Field(suggester=_Words(self._candidates), select_on_focus=False)
        field.cursor_blink = False
        yield field

    @property
    def is_open(self) -> bool:
        """Whether a person is typing here."""
        return bool(self.display)

    def open(self, purpose: str, prompt: str, text: str = "") -> None:
        """Show the line and take the keys."""
        self.purpose = purpose
        self.query_one(Label).update(prompt)
        field = self.query_one(_Field)
        field.value = text
        field.cursor_position = len(text)
        # Inline and at once, so that the field can take the very next key.
        self.display = True
        # At once, not with the next turn of the loop: the next key must arrive here.
        self.screen.set_focus(field)
        self._at = len(self._past)

    def close(self) -> None:
        """Hide the line."""
        self.display = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell what is typed."""
        event.stop()
        if self.is_open:
            self.post_message(self.Typed(self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Tell that it is complete."""
        event.stop()
        text = event.value.strip()
        if text and self.purpose == "command":
            self._past.append(text)
            del self._past[:-100]
        self.post_message(self.Done(self.purpose, text))

    def on_entry_history(self, event: History) -> None:
        """Show an older or newer line."""
        event.stop()
        if not self._past:
            return
        self._at = max(0, min(self._at + event.step, len(self._past)))
        text = self._past[self._at] if self._at < len(self._past) else ""
        field = self.query_one(_Field)
        field.value = text
        field.cursor_position = len(text)
