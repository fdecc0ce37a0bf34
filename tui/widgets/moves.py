"""The keys that move, the same in every widget that can be moved through.

They are bound with priority, as all keys of the screens are: such bindings run in the program's own
turn, one key after the other. Otherwise keys that arrive in one piece over a slow line could act on
the row that the cursor has not reached yet.
"""

from textual.binding import Binding, BindingType

from tui.keys import MOVES


def move_bindings() -> list[BindingType]:
    """Return bindings to `move`, `page`, `edge` and `sideways`."""
    return [
        Binding(",".join(move.keys), move.action, move.help, show=False, id=move.id, priority=True)
        for move in MOVES
    ]
