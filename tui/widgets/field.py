"""A field in which keys take effect in the order in which they were pressed.

Textual's own field inserts letters at once but learns of Enter and Escape only after they have
travelled up to the program; letters that come right behind Enter, over a slow line in one piece,
would be in the text by then. Here such keys are done in the field's own turn, and what follows a
finished line is swallowed.
"""

from collections.abc import Callable, Mapping

from textual import events
from textual.suggester import Suggester
from textual.widgets import Input


class OrderedField(Input):
    """An input with own keys; `done` is set once its line is finished."""

    def __init__(
        self,
        value: str = "",
        *,
        keys: Mapping[str, Callable[[], None]],
        placeholder: str = "",
        suggester: Suggester | None = None,
        id: str | None = None,  # noqa: A002  # Textual's name
    ) -> None:
        super().__init__(
            value, placeholder=placeholder, suggester=suggester, select_on_focus=False, id=id
        )
        self.cursor_blink = False
        self.is_done = False
        self._own_keys = keys

    async def on_key(self, event: events.Key) -> None:
        """Do own keys here and now."""
        if self.is_done:
            event.stop()
            event.prevent_default()
            return
        act = self._own_keys.get(event.key)
        if act is not None:
            event.stop()
            event.prevent_default()
            act()
