"""What went wrong, in as few words as a column has: the number of the message is no news."""

import re

from tui.views.text import clean

_NUMBER = re.compile(r"^[A-Z]{2,12}-\d+[A-Z]?\s+")
_EXIT = re.compile(r"^The process ended with (exit code -?\d+)")


def brief(error: str) -> str:
    """Return an error without its message number and without words that say nothing new."""
    return _EXIT.sub(r"\1", _NUMBER.sub("", clean(error)))
