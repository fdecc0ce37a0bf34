"""A field in which keys take effect in the order in which they were pressed.

Textual's own field inserts letters at once but learns of Enter, Escape, Backspace and the like only
after they have travelled up to the program; letters that come right behind them, over a slow line
in one piece, would be in the text by then: Backspace would take the letter that follows it. Here
all such keys are done in the field's own turn, and what follows a finished line is swallowed.
"""

from collections.abc import Callable, Mapping

from textual import events
from textual.binding import BindingsMap
from textual.suggester import Suggester
from textual.widgets import Input

_LEFT_TO_OTHERS = frozenset({"submit", "copy"})
_EDITING = {
    key: binding.action
    for key, bindings in BindingsMap(Input.BINDINGS).key_to_bindings.items()
    for binding in bindings
    if binding.action not in _LEFT_TO_OTHERS
}
"""Keys that edit the text or move in it, and the field's actions for them."""


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
        edit = _EDITING.get(event.key)
        if act is None and edit is None:
            return
        event.stop()
        event.prevent_default()
        if act is not None:
            act()
        elif edit is not None:
            await self.run_action(edit)
