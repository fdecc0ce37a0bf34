"""Keys: which actions a screen has, and what may not be bound. The list is `tui.key_table`.

An action has an identifier such as `orders.suspend`; keys are rebound by it in `keys.toml`. Keys
that terminals cannot tell apart are never bound, and nothing with harm lies on a letter in which a
torn arrow or function key ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tui.actions import EVERYWHERE, LISTS, NEVER_BOUND, TORN_ENDS, Action, Move
from tui.key_table import ACTIONS, MOVES

__all__ = [
    "ACTIONS",
    "EVERYWHERE",
    "LISTS",
    "MOVES",
    "NEVER_BOUND",
    "TORN_ENDS",
    "Action",
    "KeysProblem",
    "Move",
    "actions_for",
    "check_keys",
    "check_moves",
    "rebound",
    "rebound_moves",
]


class KeysProblem(Exception):  # what the user is told
    """A key file that cannot be used."""


def actions_for(place: str, *, is_list: bool, actions: Iterable[Action] = ACTIONS) -> list[Action]:
    """Return the actions of a screen, its own before those of all screens."""
    ranked = (place, LISTS, EVERYWHERE) if is_list else (place, EVERYWHERE)
    taken: set[str] = set()
    found: list[Action] = []
    for wanted in ranked:
        for action in actions:
            if wanted in action.places and action not in found:
                keys = tuple(key for key in action.keys if key not in taken)
                if keys:
                    found.append(action if keys == action.keys else replace(action, keys=keys))
        taken |= {key for action in found for key in action.keys}
    return found


def rebound(keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """Return all actions with these keys in place of the defaults."""
    return tuple(
        replace(action, keys=keys[action.id]) if action.id in keys else action for action in ACTIONS
    )


def rebound_moves(keys: Mapping[str, tuple[str, ...]]) -> tuple[Move, ...]:
    """Return all moves with these keys in place of the defaults."""
    return tuple(move._replace(keys=keys[move.id]) if move.id in keys else move for move in MOVES)


def check_moves(moves: Iterable[Move], actions: Iterable[Action], file: str) -> None:
    """Refuse a key that moves and does something else as well; moving is the same everywhere."""
    taken: dict[str, str] = {}
    for move in moves:
        for key in move.keys:
            if key in NEVER_BOUND:
                raise KeysProblem(f"{file}: {move.id}: terminals cannot send {key!r} apart")
            former = taken.setdefault(key, move.id)
            if former != move.id:
                raise KeysProblem(f"{file}: {key!r} is both {former} and {move.id}")
    for action in actions:
        for key in action.keys:
            if key in taken:
                raise KeysProblem(f"{file}: {key!r} is both {taken[key]} and {action.id}")


def check_keys(actions: Iterable[Action], file: str) -> None:
    """Refuse two actions on one key in one place, and keys that must not be bound."""
    taken: dict[tuple[str, str], str] = {}
    for action in actions:
        for key in action.keys:
            if key in NEVER_BOUND:
                raise KeysProblem(f"{file}: {action.id}: terminals cannot send {key!r} apart")
            if action.harm and key in TORN_ENDS:
                raise KeysProblem(
                    f"{file}: {action.id}: {key!r} is the end of torn arrow keys, "
                    "nothing that changes something may lie there"
                )
            for place in action.places:
                former = taken.setdefault((place, key), action.id)
                if former != action.id:
                    raise KeysProblem(f"{file}: {key!r} is both {former} and {action.id} ({place})")
