"""On-exit commands that the service has carried out (orders-and-jobs.md 3.12)."""

from engine.kernel.commands import ConfirmExitCommand
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.events.files import ExitCommandCarriedOut
from engine.kernel.instants import Instant
from engine.kernel.state import State


def decide_confirm_exit_command(state: State, request: ConfirmExitCommand, at: Instant) -> Decision:
    """Note that a command is done; told twice it counts once."""
    pending = state.exit_commands.get(request.task)
    if pending is not None and pending.done == request.index:
        yield ExitCommandCarriedOut(task=request.task, index=request.index, problem=request.problem)
    return Answer()
