"""What is sent to a host for one run: commands, script, variables, rules for going on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from engine.drivers.ssh_wrapper import RunFiles
from engine.errors import SshError
from engine.kernel.instants import Instant
from engine.kernel.sessions.effects import RunSsh
from engine.kernel.sessions.exports import environment_file, exports_of
from engine.kernel.sessions.parameters import (
    SCRIPT_LENGTH_MAX,
    Commands,
    Script,
    ScriptFile,
    SshJob,
    Work,
    substitute,
)


async def run_files(
    run: RunSsh,
    job: SshJob,
    *,
    now: Instant,
    engine_environment: Mapping[str, str],
    allow_custom_commands: bool,
) -> RunFiles:
    """Return the contents of a run's directory. Raises SshError for what cannot be sent."""
    commands, script = await _work(job.work, {**run.special, **run.parameters})
    variables = variables_of(run, job, engine_environment)
    rules = job.rules
    return RunFiles(
        commands=commands,
        environment=_environment(variables),
        variables_are_harmless=all(name.startswith("SCHEDULER_") for name in variables),
        script=script,
        arguments="" if isinstance(job.work, Commands) else job.work.arguments,
        ignored_codes="*"
        if rules.ignore_error
        else " ".join(str(code) for code in sorted(rules.ignored_codes)),
        stderr_stops=not rules.ignore_stderr,
        began=now // 1000,
        pid_command=job.session.custom.pid if allow_custom_commands else None,
    )


def variables_of(
    run: RunSsh, job: SshJob, engine_environment: Mapping[str, str]
) -> Mapping[str, str]:
    """Return what the remote side is told. Raises SshError for what cannot be sent."""
    variables = dict(run.environment)
    if job.exports_engine_environment:
        variables |= {f"SCHEDULER_MASTER_{name}": text for name, text in engine_environment.items()}
    if job.exports_parameters:
        exports = exports_of(run.parameters, prefix=run.variable_prefix, state=run.state)
        if exports.problems:
            raise SshError("; ".join(exports.problems))
        variables |= exports.values
    variables.pop("SCHEDULER_RETURN_VALUES", None)  # the wrapper knows where the file is
    return variables


def _environment(variables: Mapping[str, str]) -> str:
    try:
        return environment_file(variables)
    except ValueError as error:
        raise SshError(str(error)) from error


async def _work(work: Work, values: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
    match work:
        case Commands(texts=texts):
            return texts, None
        case Script(text=text, arguments=arguments):
            return (_call(arguments),), text.replace("\r", "")
        case ScriptFile(path=path, arguments=arguments):
            try:
                text = await asyncio.to_thread(_read, path)
            except (OSError, UnicodeDecodeError) as error:
                raise SshError(f"the script file {path} cannot be read: {error}") from error
            return (_call(arguments),), substitute(text, values).replace("\r", "")
        case _ as other:
            assert_never(other)


def _call(arguments: str) -> str:
    """Return the command that starts the uploaded script, wherever its directory is."""
    return f'exec "${{0%/cmd.1}}/script" {arguments}'.rstrip() + "\n"


def _read(path: str) -> str:
    with Path(path).open(encoding="utf-8") as file:
        text = file.read(SCRIPT_LENGTH_MAX + 1)
    if len(text) > SCRIPT_LENGTH_MAX:
        raise OSError(f"it is longer than {SCRIPT_LENGTH_MAX} characters")
    return text
