"""Places in the cockpit on the command line: `pointsman :orders chain=inv* !done`.

What can be typed after `:` in the cockpit can be given to the program. Everything from the word
with the colon on is the place; options stand before it.
"""

from collections.abc import Sequence

_WITH_VALUE = frozenset({"--engine", "--data", "--token-file", "--theme", "--journal", "--go"})
"""Options of the cockpit that take a word of their own."""


def with_place(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a place put into `--go`; others stay as they are."""
    expects_value = False
    for index, word in enumerate(arguments):
        if expects_value:
            expects_value = False
        elif word.startswith(":"):
            return [*arguments[:index], f"--go={' '.join(arguments[index:])}"]
        elif not word.startswith("-"):
            # A subcommand; a colon further on is its own.
            break
        else:
            expects_value = word in _WITH_VALUE
    return list(arguments)
