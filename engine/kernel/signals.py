"""Names of signals, as numbers of Linux; the kernel does not ask the host."""

from collections.abc import Iterable

SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "STKFLT": 16,
    "CHLD": 17,
    "CONT": 18,
    "STOP": 19,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "URG": 23,
    "XCPU": 24,
    "XFSZ": 25,
    "VTALRM": 26,
    "PROF": 27,
    "WINCH": 28,
    "IO": 29,
    "PWR": 30,
    "SYS": 31,
}
_NAMES = {number: name for name, number in SIGNALS.items()}


def signal_number(name: str) -> int | None:
    """Return the number of `SIGTERM`, `TERM` or `15`; None for anything else."""
    text = name.strip().upper()
    if text.isdecimal():
        return int(text)
    return SIGNALS.get(text.removeprefix("SIG"))


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15."""
    name = _NAMES.get(number)
    return f"signal {number}" if name is None else f"SIG{name}"


def is_ignored(number: int, ignored: Iterable[str]) -> bool:
    """Whether a job's `ignore_signals` names this signal (3.2)."""
    return any(name.lower() == "all" or signal_number(name) == number for name in ignored)
