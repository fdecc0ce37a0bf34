"""Which on-exit commands the end of a task asks for (orders-and-jobs.md 3.12)."""

from collections.abc import Iterator

from engine.kernel.definitions import Job, ShellScript
from engine.kernel.events import Event
from engine.kernel.events.files import ExitCommandsChosen
from engine.kernel.params import Params
from engine.kernel.signals import signal_number
from engine.kernel.state import Outcome, Task


def commands_for(job: Job, exit_code: int) -> tuple[str, ...]:
    """Return the commands for an exit code; a signal is its negative number.

    The exact code comes first, then `signal`, then `error`.
    """
    for commands in job.exit_commands:
        if any(_is_exactly(code, exit_code) for code in commands.codes):
            return commands.xml
    for word, fits in (("signal", exit_code < 0), ("error", exit_code != 0)):
        for commands in job.exit_commands:
            if fits and word in commands.codes:
                return commands.xml
    return ()


def _is_exactly(code: str, exit_code: int) -> bool:
    if code == "success":
        return exit_code == 0
    if code.startswith("SIG"):
        number = signal_number(code)
        return number is not None and exit_code == -number
    return code.lstrip("-").isdecimal() and int(code) == exit_code


def choose(job: Job, task: Task, outcome: Outcome, order_params: Params) -> Iterator[Event]:
    """Yield what the end of the task asks for, at most one event."""
    if task.exit_commands_chosen or not job.exit_commands:
        return
    if not outcome.ran and not outcome.error_code:
        return  # it has found nothing to do
    exit_code = outcome.exit_code if outcome.signal is None else -outcome.signal
    commands = commands_for(job, exit_code)
    if commands:
        yield ExitCommandsChosen(
            task=task.id,
            job=task.job,
            exit_code=exit_code,
            commands=commands,
            task_params=task.params,
            order_params=order_params,
            holds_task=come_before_order(job, task, outcome),
        )


def come_before_order(job: Job, task: Task, outcome: Outcome) -> bool:
    """Whether the commands come before the order leaves: after an error without monitors."""
    return (
        task.order is not None
        and bool(outcome.error_code)
        and isinstance(job.script, ShellScript)
        and not job.monitors
        and not outcome.monitored
    )
