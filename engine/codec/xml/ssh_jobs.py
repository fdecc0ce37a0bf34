"""What can be said of an SSH job when its file is read (ssh-and-jitl.md 2.7, 2.11).

Most parameters may come with the order, so nothing is missed here; but a value that cannot mean
anything is better told now than at the first run.
"""

from engine.codec.xml.findings import Element
from engine.codec.xml.reading import Reading
from engine.kernel.definitions import NativeScript, Script
from engine.kernel.native import SSH, SSH_KILL
from engine.kernel.params import Params
from engine.kernel.sessions.parameters import TRUE_TEXTS, session_of
from engine.kernel.sessions.resolution import connection_of

_STRICT = "strict_hostKey_checking"
_COMES_WITH_THE_ORDER = frozenset({"cleanupJobchain"})


def check_ssh_job(
    reading: Reading, element: Element, script: Script, params: Params, setback_max: int
) -> None:
    """Note what is wrong with an SSH job, and what a cleanup job's setbacks mean now."""
    if not isinstance(script, NativeScript):
        return
    if script.kind == SSH:
        _check_session(reading, element, params)
    elif script.kind == SSH_KILL and setback_max:
        reading.findings.warning(
            element,
            f"In JobScheduler 1.x this cleanup gives up after {setback_max} setbacks, which ends "
            "the watch over a healthy script too; here waiting for it uses up no setback",
            advice="Nothing has to be done",
        )


def _check_session(reading: Reading, element: Element, params: Params) -> None:
    written = {
        name: value
        for name, value in connection_of(params).items()
        if not _has_placeholder(name, value)
    }
    strict = next((text for name, text in written.items() if name == _STRICT), None)
    if strict is not None and strict.strip().casefold() not in TRUE_TEXTS:
        reading.findings.warning(
            element,
            f"{_STRICT}={strict} takes any key in JobScheduler 1.x; "
            "here an unknown key is recorded at the first contact, and a changed one is refused",
            advice="Remove the parameter and accept keys with: pointsman ssh trust HOST",
        )
    problems = session_of(written)
    for problem in problems if isinstance(problems, list) else ():
        if problem.name in _COMES_WITH_THE_ORDER:
            continue
        reading.findings.error(
            element,
            f"The parameter {problem.name}: {problem.text}",
            code="SCHEDULER-202",
            advice="Correct the value, or remove the parameter for its default",
        )


def _has_placeholder(name: str, value: str) -> bool:
    """The commands have placeholders of their own, which are checked."""
    return not name.endswith("_command") and ("${" in value or "%" in value)
