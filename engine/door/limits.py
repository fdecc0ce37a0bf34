"""Every bound of the door, and the two that need a memory: logins that fail, sessions that run."""

from collections import Counter, OrderedDict
from typing import Final

from engine.kernel.instants import Duration, Instant, seconds

SESSIONS_MAX: Final = 20
"""Sessions in all; each is a process of some 40 MB."""
SESSIONS_PER_PERSON_MAX: Final = 5
SESSIONS_PER_CONNECTION_MAX: Final = 10
"""Channels that one connection may hold open, as in OpenSSH."""
STRANGERS_MAX: Final = 10
"""Connections that have not proved who they are, in all."""
STRANGERS_PER_ADDRESS_MAX: Final = 5
LOGIN_TIMEOUT_S: Final = 20.0
LOGIN_ATTEMPTS_MAX: Final = 10
"""Keys and names that one connection may try."""
FAILED_LOGINS_MAX: Final = 10
"""So many failed connections of one address within the window, then it is refused unheard."""
FAILED_LOGINS_WINDOW: Final = seconds(60)
ADDRESSES_MAX: Final = 10_000
"""Addresses with failed logins that are remembered."""
IDLE_CONNECTION_S: Final = 60.0
"""A connection without any session is closed after so long."""
BEGIN_TIMEOUT_S: Final = 10.0
"""From a channel to the wish for what should run in it."""
ENVIRONMENT_BYTES_MAX: Final = 16_384
"""What a client may send of its environment; most of it is thrown away."""
KEEPALIVE_INTERVAL_S: Final = 30
KEEPALIVES_MAX: Final = 3
"""So many unanswered questions in a row, then the client is gone."""
HANGUP_GRACE_S: Final = 5.0
"""From SIGHUP to SIGKILL."""
DRAIN_S: Final = 5.0
"""How long a client may take for the last output of a program that has ended."""
WINDOW_BYTES: Final = 65_536
"""What a client may send ahead in one channel."""
PIECE_BYTES: Final = 32_768
INPUT_BYTES_MAX: Final = 8 * 1024 * 1024
"""What may be sent to a command that was handed over: as much as the engine takes in a request."""
SHOWN_CHARACTERS_MAX: Final = 100
"""What is shown in the log of a text that strangers have chosen."""


class FailedLogins:
    """Counts logins that failed, by address, so that guessing and scanning are slow."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, list[Instant]] = OrderedDict()

    def refuses(self, address: str, now: Instant) -> Duration | None:
        """Return how long this address has to wait, None when it may try."""
        failures = self._failures.get(address, ())
        recent = [at for at in failures if at > now - FAILED_LOGINS_WINDOW]
        if len(recent) < FAILED_LOGINS_MAX:
            return None
        return Duration(recent[0] + FAILED_LOGINS_WINDOW - now)

    def count(self, address: str, now: Instant) -> None:
        """Note a failure."""
        failures = self._failures.setdefault(address, [])
        failures.append(now)
        del failures[:-FAILED_LOGINS_MAX]
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)


class Places:
    """Counts the sessions that run, by person and in all."""

    def __init__(self, *, in_all: int, per_person: int) -> None:
        self._in_all = in_all
        self._per_person = per_person
        self._taken: Counter[str] = Counter()

    def take(self, person: str) -> str | None:
        """Take a place for this person; otherwise return why there is none."""
        if self._taken[person] >= self._per_person:
            return f"you have {self._per_person} sessions open, which is the limit"
        if self._taken.total() >= self._in_all:
            return f"all {self._in_all} places are taken; try again later"
        self._taken[person] += 1
        return None

    def give_back(self, person: str) -> None:
        """Free a place that was taken."""
        assert self._taken[person] > 0, "a place is given back once"
        self._taken[person] -= 1
        if not self._taken[person]:
            del self._taken[person]

    @property
    def taken(self) -> int:
        """How many sessions run."""
        return self._taken.total()


def shown(text: str) -> str:
    """Return a text that a stranger has chosen so that it cannot forge a line of the log."""
    cut = text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}..."
    return ascii(cut)
