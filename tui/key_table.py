"""All actions with their keys, harm and words: the one list."""

from tui.actions import Action, Move
from tui.keys_for_changing import CHANGING
from tui.keys_for_going import GOING
from tui.keys_for_reading import READING

ACTIONS: tuple[Action, ...] = (*GOING, *CHANGING, *READING)

MOVES: tuple[Move, ...] = (
    Move("move.down", ("j", "down"), "move(1)", "down"),
    Move("move.up", ("k", "up"), "move(-1)", "up"),
    Move("move.page_down", ("ctrl+f", "pagedown"), "page(1)", "a page down"),
    Move("move.page_up", ("ctrl+b", "pageup"), "page(-1)", "a page up"),
    Move("move.top", ("g", "home"), "edge(-1)", "the first row"),
    Move("move.bottom", ("G", "end"), "edge(1)", "the last row"),
    Move("move.left", ("left",), "sideways(-8)", "to the left; on the map along the edge, as h"),
    Move("move.right", ("right",), "sideways(8)", "to the right; on the map along the edge, as l"),
)
