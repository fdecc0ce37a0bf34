"""Why a task starts and who asked for an event, in words that need no manual."""

from collections.abc import Mapping

from engine.kernel.events.tasks import Cause

CAUSES: Mapping[Cause, str] = {
    Cause.NONE: "",
    Cause.PERIOD_ONCE: "its period, once",
    Cause.PERIOD_SINGLE: "its start time",
    Cause.PERIOD_REPEAT: "its repeat time",
    Cause.QUEUE: "a person or program",
    Cause.QUEUE_AT: "a person or program, for this time",
    Cause.DIRECTORY: "a watched folder",
    Cause.SIGNAL: "a signal",
    Cause.DELAY_AFTER_ERROR: "the delay after an error",
    Cause.ORDER: "its order",
    Cause.WAKE: "being woken",
    Cause.MIN_TASKS: "the least number of tasks",
}
"""What starts a task."""

_ASKERS = {"driver": "the engine", "": "the engine", "local": "local user"}


def asker(cause: str) -> str:
    """Return who is behind an event: a person as the engine knows them, or the engine itself."""
    return _ASKERS.get(cause, cause)
