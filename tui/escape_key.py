"""Escape counts although another key follows it at once.

A terminal sends Alt and a key as Escape and the key, and Textual takes what comes within its
`ESCDELAY` for that: of fast fingers, or of a slow line that brings several keys in one piece, the
Escape got lost, or the key with it. The cockpit has no keys with Alt, so both are keys here. What
stays with Textual are the ones that move by words in a line, and everything longer: arrow keys.
"""

from collections.abc import Iterable

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver

_ESC = "\x1b"


class EscapeParser(XTermParser):
    """Turns what the terminal sends into keys."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        """Return the keys of a sequence; `alt`: an Escape came before it."""
        is_letter_of_alt = sequence[:1] == _ESC and isinstance(
            ANSI_SEQUENCES_KEYS.get(sequence), str
        )
        if alt or is_letter_of_alt:
            yield events.Key("escape", _ESC)
            sequence = sequence.removeprefix(_ESC)
        yield from super()._sequence_to_key_events(sequence)


def heed_escape() -> None:
    """Have the terminal's keys understood so, from the next start of the program on."""
    names = vars(linux_driver)
    assert "XTermParser" in names, "the driver makes its parser by this name"
    names["XTermParser"] = EscapeParser
