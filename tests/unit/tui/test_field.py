"""The field of forms and command lines, typed into faster than the program looks."""

import pytest
from textual import events
from textual.app import App, ComposeResult

from tui.widgets.field import OrderedField

pytestmark = pytest.mark.anyio


class Desk(App[None]):
    """Nothing but a field."""

    def compose(self) -> ComposeResult:
        yield OrderedField("orders.csv", keys={})


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["ctrl+u", "a", "b"], "ab"),
        (["backspace", "x"], "orders.csx"),
        (["home", "a", "b"], "aborders.csv"),
        (["left", "left", "x", "end", "y"], "orders.cxsvy"),
        (["ctrl+w", "a", "backspace", "b"], "orders.b"),
    ],
    ids=" ".join,
)
async def test_keys_in_one_piece_take_effect_in_their_order(keys: list[str], text: str) -> None:
    app = Desk()
    async with app.run_test() as pilot:
        for key in keys:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert app.query_one(OrderedField).value == text
