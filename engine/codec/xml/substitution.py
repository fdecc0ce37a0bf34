"""`$NAME` and `${NAME}` in attribute values (orders-and-jobs.md 0.5, live-folder.md 13).

Replaced while reading, with variables of the engine's process and, in commands, of the scheduler.
An unknown name gives the empty string; nothing is replaced twice.
"""

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\\\$|\$\{([^}]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")


class Variables:
    """Named texts from several places, the first place first; names in any spelling."""

    def __init__(self, *places: Mapping[str, str]) -> None:
        self._exact = places
        self._folded = tuple(
            {name.casefold(): value for name, value in place.items()} for place in places
        )

    def value(self, name: str) -> str:
        """Return a variable's value, or the empty string."""
        for exact, folded in zip(self._exact, self._folded, strict=True):
            found = exact.get(name, folded.get(name.casefold()))
            if found is not None:
                return found
        return ""

    def substituted(self, text: str) -> str:
        """Return the text with its variables replaced."""
        if "$" not in text:
            return text

        def replacement(found: re.Match[str]) -> str:
            if found[0] == "\\$" or found[0] == "${}":
                return "$"
            return self.value(found[1] if found[1] is not None else found[2])

        return _PLACE.sub(replacement, text)
