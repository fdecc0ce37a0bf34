"""Whether a step that ran over SSH has succeeded (ssh-and-jitl.md 1.7)."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.kernel.sessions.parameters import ResultRules

OUTPUT_LENGTH_MAX = 64 * 1024
"""Characters of output that become order parameters: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEnd:
    """How the remote command ended."""

    status: int
    """Exit status; 128 and the signal's number after a signal."""
    signal: str = ""
    """Name without SIG, when a signal ended the top process; empty otherwise."""
    wrote_stderr: bool = False
    output_tail: str = ""
    error_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What the engine makes of it."""

    succeeded: bool
    exit_code: int
    """The task's exit code: 0, 1 when the step fails, the remote one when failing is forbidden."""
    problems: tuple[str, ...]
    parameters: Mapping[str, str]
    """`exit_code`, `exit_signal` and the like."""


def is_failing(end: RemoteEnd, rules: ResultRules) -> tuple[str, ...]:
    """Return what counts against success: E1 to E3 of the table."""
    problems = []
    if end.wrote_stderr and not rules.ignore_stderr:
        problems.append("the remote command wrote to stderr")
    if end.signal:
        if not (rules.ignore_signal or rules.ignore_error):
            problems.append(f"the remote command was ended by signal {end.signal}")
    elif end.status != 0 and not rules.ignore_error and end.status not in rules.ignored_codes:
        problems.append(f"the remote command ended with exit code {end.status}")
    return tuple(problems)


def step_result(end: RemoteEnd, rules: ResultRules) -> StepResult:
    """Apply the rules for success. A lost connection never comes here: it proves nothing."""
    problems = is_failing(end, rules)
    is_tolerated = rules.ignore_error or end.status in rules.ignored_codes
    ignored = not end.signal and end.status != 0 and is_tolerated
    parameters = {
        "exit_code": str(end.status),
        "exit_signal": end.signal,
        "exit_code_ignored": "true" if ignored else "false",
    }
    if rules.output_parameters:
        parameters["std_out_output"] = end.output_tail[-OUTPUT_LENGTH_MAX:]
        parameters["std_err_output"] = end.error_tail[-OUTPUT_LENGTH_MAX:]
    if not problems:
        exit_code = 0
    elif rules.raise_on_error:
        exit_code = 1
    else:
        exit_code = end.status
    return StepResult(
        succeeded=not problems or not rules.raise_on_error,
        exit_code=exit_code,
        problems=problems,
        parameters=parameters,
    )
