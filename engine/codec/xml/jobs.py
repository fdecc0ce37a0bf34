"""`<job>` elements -> jobs (orders-and-jobs.md chapter 3)."""

import re
from collections.abc import Mapping

from engine.codec.xml.command_schema import check_commands
from engine.codec.xml.document import to_xml
from engine.codec.xml.findings import Element, tag_of
from engine.codec.xml.includes import read_description, read_params
from engine.codec.xml.locks_and_classes import read_lock_uses
from engine.codec.xml.monitors import read_monitor_uses
from engine.codec.xml.reading import Reading
from engine.codec.xml.run_times import run_time_of
from engine.codec.xml.scripts import read_script
from engine.codec.xml.ssh_jobs import check_ssh_job
from engine.codec.xml.values import (
    delay_or_stop,
    duration,
    duration_or_never,
    duration_or_percent,
    process_priority,
    python_regex,
    substituted_names,
)
from engine.kernel.definitions import (
    DirectoryWatch,
    ErrorDelay,
    ExitCommands,
    ForeignScript,
    Job,
    Script,
    SetbackDelay,
    ShellScript,
    Source,
    Visible,
)
from engine.kernel.ids import ClassPath
from engine.kernel.instants import FOREVER, Duration, seconds

IDLE_TIMEOUT_MAX = Duration(seconds(365 * 24 * 3600))
"""The original cuts longer ones (3.2)."""

_EXIT_CODE = re.compile(r"success|error|signal|SIG[A-Z0-9+\-]{1,12}|-?\d{1,9}")
_SIGNAL = re.compile(r"all|(SIG)?[A-Z0-9+\-]{1,12}")


def read_job(reading: Reading, element: Element, path: str, source: Source | None) -> Job:
    """Return the job that an element defines; findings say whether it can be used."""
    script = _script(reading, element)
    setbacks, setback_max = _setbacks(reading, element)
    params = read_params(reading, element)
    check_ssh_job(reading, element, script, params, setback_max)
    class_path = reading.path(element, "process_class")
    timeout = reading.read(element, "timeout", duration_or_never, None)
    _note_what_has_no_effect(reading, element)
    is_order_job = reading.flag(element, "order", False)
    temporary = reading.flag(element, "temporary", False)
    if is_order_job and temporary:
        reading.findings.error(
            element,
            "An order job cannot be temporary",
            attribute="temporary",
            code="SCHEDULER-155",
            advice='Remove temporary="yes" or order="yes"',
        )
    return Job(
        path=path,
        script=script,
        title=reading.text(element, "title"),
        is_order_job=is_order_job,
        visible=reading.read(element, "visible", Visible, Visible.YES),
        temporary=temporary,
        tasks=reading.number(element, "tasks", 1),
        min_tasks=_min_tasks(reading, element, script),
        timeout=None if timeout is None or timeout >= FOREVER else timeout,
        idle_timeout=min(
            reading.read(element, "idle_timeout", duration_or_never, seconds(5)), IDLE_TIMEOUT_MAX
        ),
        force_idle_timeout=reading.flag(element, "force_idle_timeout", False),
        stop_on_error=reading.flag(element, "stop_on_error", True),
        ignore_signals=_ignored_signals(reading, element),
        priority=reading.read(element, "priority", process_priority, None),
        process_class=None if class_path is None else ClassPath(class_path),
        enabled=reading.flag(element, "enabled", True),
        log_append=reading.flag(element, "log_append", False),
        stderr_is_error=reading.text(element, "stderr_log_level") == "error",
        warn_if_shorter_than=reading.read(
            element, "warn_if_shorter_than", duration_or_percent, None
        ),
        warn_if_longer_than=reading.read(element, "warn_if_longer_than", duration_or_percent, None),
        description=read_description(reading, element),
        params=params,
        environment=read_environment(reading, element),
        login_user=_login_user(reading, element),
        locks=read_lock_uses(reading, element),
        monitors=read_monitor_uses(reading, element),
        directory_watches=_directory_watches(reading, element),
        error_delays=_error_delays(reading, element),
        setback_delays=setbacks,
        setback_max=setback_max,
        run_time=run_time_of(reading, element, source),
        exit_commands=_exit_commands(reading, element),
        settings=_settings(element),
        source=source,
    )


_WITHOUT_EFFECT: Mapping[str, tuple[str, str]] = {
    "log_append": (
        "each task has a log of its own, which stays",
        "It may stay",
    ),
    "java_options": ("no Java is started", "It may stay"),
    "mail_xslt_stylesheet": ("no mail is sent", "It may stay"),
    "credentials_key": (
        "tasks run as the user of the engine or agent, or of <login>",
        "Start the agent as that user",
    ),
    "load_user_profile": ("it is for Windows only", "It may stay"),
}
"""Attributes that are accepted: why they change nothing, and what to do."""

_MAIL = "mail_on_ log_mail_"


def _note_what_has_no_effect(reading: Reading, job: Element) -> None:
    """Say which accepted parts of a job change nothing here, so that nobody relies on them."""
    for attribute, (why, advice) in _WITHOUT_EFFECT.items():
        value = job.get(attribute)
        if value and value not in ("no", "false", "0"):
            text = f"{attribute} has no effect: {why}"
            reading.findings.warning(job, text, attribute=attribute, advice=advice)
    settings = job.find("settings")
    for one in () if settings is None else settings.iterchildren("*"):
        name, value = tag_of(one), (one.text or "").strip()
        if name.startswith(tuple(_MAIL.split())) and value not in ("", "no", "0"):
            text = f"<{name}> has no effect: the engine sends no mail"
            reading.findings.warning(one, text, advice="Ask for failures over HTTP, or by a job")
        elif name == "history_with_log" and value:
            text = f"<{name}> has no effect: each task's log is kept beside the history"
            reading.findings.warning(one, text, advice="It may stay")


def read_environment(reading: Reading, parent: Element) -> Mapping[str, str]:
    """Return the variables of an `<environment>` child; nothing in them is substituted."""
    return {
        reading.text(variable, "name"): reading.text(variable, "value")
        for variable in parent.iterfind("environment/variable")
    }


def _script(reading: Reading, job: Element) -> Script:
    element = job.find("script")
    if element is None:
        reading.findings.error(
            job,
            "The job has no script",
            advice='Add <script language="shell">…</script>',
        )
        return ForeignScript(language="")
    return read_script(reading, element)


def _min_tasks(reading: Reading, job: Element, script: Script) -> int:
    count = reading.number(job, "min_tasks", 0)
    if 0 < count > reading.number(job, "tasks", 1):
        reading.findings.error(
            job,
            f"min_tasks={count} is more than tasks={reading.number(job, 'tasks', 1)}",
            attribute="min_tasks",
            code="SCHEDULER-322",
            advice="Raise tasks or lower min_tasks",
        )
    elif count:
        kind = "shell job" if isinstance(script, ShellScript) else "job whose tasks do one step"
        reading.findings.warning(
            job,
            f"min_tasks has no effect in a {kind}",
            attribute="min_tasks",
            advice="Remove it",
        )
    return 0


def _ignored_signals(reading: Reading, job: Element) -> tuple[str, ...]:
    names = substituted_names(reading.text(job, "ignore_signals"))
    if any(not _SIGNAL.fullmatch(name.upper() if name != "all" else name) for name in names):
        reading.refuse(job, "ignore_signals", "all, or names and numbers such as SIGTERM 15")
        return ()
    return names


def _login_user(reading: Reading, job: Element) -> str | None:
    login = job.find("login")
    return None if login is None else reading.optional(login, "user")


def _directory_watches(reading: Reading, job: Element) -> tuple[DirectoryWatch, ...]:
    return tuple(
        DirectoryWatch(
            directory=reading.substituted(watch, "directory"),
            regex=reading.read(watch, "regex", python_regex, None),
        )
        for watch in job.iterfind("start_when_directory_changed")
    )


def _error_delays(reading: Reading, job: Element) -> tuple[ErrorDelay, ...]:
    return tuple(
        ErrorDelay(
            count=reading.number(delay, "error_count", 1),
            delay=reading.read(delay, "delay", delay_or_stop, None),
        )
        for delay in job.iterfind("delay_after_error")
    )


def _setbacks(reading: Reading, job: Element) -> tuple[tuple[SetbackDelay, ...], int]:
    """Return the table of delays and the number of repetitions (4.1)."""
    delays: dict[int, Duration] = {}
    maximum = 0
    for element in job.iterfind("delay_order_after_setback"):
        count = reading.number(element, "setback_count", 1)
        is_maximum = reading.flag(element, "is_maximum", False)
        delay = reading.read(element, "delay", duration, None)
        if delay is not None:
            delays[count] = delay
        elif not is_maximum and element.get("delay") is None:
            reading.findings.error(
                element,
                "<delay_order_after_setback> has neither delay nor is_maximum",
                code="SCHEDULER-231",
                advice='Add delay="SECONDS"',
            )
        if is_maximum:
            maximum = count
    table = tuple(SetbackDelay(count=count, delay=delays[count]) for count in sorted(delays))
    return table, maximum


def _exit_commands(reading: Reading, job: Element) -> tuple[ExitCommands, ...]:
    result: list[ExitCommands] = []
    seen: set[str] = set()
    for element in job.iterfind("commands"):
        check_commands(element, reading.findings)
        codes = tuple(reading.text(element, "on_exit_code").split())
        wrong = next((code for code in codes if not _EXIT_CODE.fullmatch(code)), None)
        if wrong is not None:
            reading.refuse(
                element, "on_exit_code", "success, error, signal, SIGTERM …, or whole numbers"
            )
            continue
        twice = next((code for code in codes if code in seen), None)
        if twice is not None:
            reading.findings.error(
                element,
                f"on_exit_code {twice!r} has commands already",
                attribute="on_exit_code",
                code="SCHEDULER-326",
                advice="Put all commands of a code into one <commands> element",
            )
        seen.update(codes)
        result.append(
            ExitCommands(codes=codes, xml=tuple(to_xml(one) for one in element.iterchildren("*")))
        )
    return tuple(result)


def _settings(job: Element) -> Mapping[str, str]:
    settings = job.find("settings")
    if settings is None:
        return {}
    return {tag_of(one): (one.text or "").strip() for one in settings.iterchildren("*")}
