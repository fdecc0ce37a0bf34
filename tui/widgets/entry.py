"""The line at the bottom in which commands and filters are typed."""

from collections.abc import Callable, Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from tui.widgets.field import OrderedField


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
        yield OrderedField(
            suggester=_Words(self._candidates),
            keys={
                "enter": self._finish,
                "escape": self._leave,
                "up": lambda: self._history(-1),
                "down": lambda: self._history(1),
                "tab": self._complete,
            },
        )

    @property
    def field(self) -> OrderedField:
        """What is typed into."""
        return self.query_one(OrderedField)

    @property
    def is_open(self) -> bool:
        """Whether a person is typing here."""
        return bool(self.display)

    def open(self, purpose: str, prompt: str, text: str = "") -> None:
        """Show the line and take the keys."""
        self.purpose = purpose
        self.query_one(Label).update(prompt)
        field = self.field
        field.is_done = False
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

    def _finish(self) -> None:
        text = self.field.value.strip()
        self.field.is_done = True
        if text and self.purpose == "command":
            self._past.append(text)
            del self._past[:-100]
        self.post_message(self.Done(self.purpose, text))

    def _leave(self) -> None:
        self.field.is_done = True
        self.post_message(self.Left())

    def _complete(self) -> None:
        self.field.action_cursor_right()

    def _history(self, step: int) -> None:
        """Show an older (-1) or newer (1) line."""
        if not self._past:
            return
        self._at = max(0, min(self._at + step, len(self._past)))
        text = self._past[self._at] if self._at < len(self._past) else ""
        self.field.value = text
        self.field.cursor_position = len(text)
