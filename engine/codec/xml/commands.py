"""XML commands -> requests to the kernel, questions and operations (xml-commands.md 2, 3, 6).

The whole text is parsed and compared with the schema before anything is carried out; a fault there
refuses all of it (`Z-JAVA-105`). What is wrong with one command only, is that command's `Problem`:
those before it are carried out, those behind it are not.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from engine.codec.xml import command_parts as parts
from engine.codec.xml.command_schema import COMMAND_NAMES, COMMANDS, MEANINGLESS
from engine.codec.xml.document import Document, parse_document, to_xml
from engine.codec.xml.findings import Element, Finding, did_you_mean, tag_of
from engine.codec.xml.queries import Operation, Permission, Query
from engine.codec.xml.reading import Context, Reading
from engine.codec.xml.schema import check
from engine.kernel.commands import Request
from engine.kernel.problems import Problem

SCHEMA_ERROR = "Z-JAVA-105"
"""Not well-formed, unknown element or attribute, bad value; the name is the original's."""
NOT_IMPLEMENTED = "SCHEDULER-105"
"""Known to the schema, but without meaning for this engine."""

Action: TypeAlias = Request | Query | Operation | Problem

_LISTS = frozenset(["commands", "command", "spooler"])
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCommand:
    """One command: what it asks for, and what a client needs to send it."""

    name: str
    xml: str
    """The command's text, for the log (SCHEDULER-965)."""
    permission: Permission
    action: Action
    """A problem: the command is refused; nothing behind it may be carried out."""

    @property
    def is_show(self) -> bool:
        """Whether the command only shows something, so that an HTTP GET may send it."""
        return self.name == "s" or self.name.startswith("show_")


def parse_commands(
    data: bytes, context: Context, *, encoding: str | None = None
) -> tuple[ParsedCommand, ...] | Problem:
    """Parse the text of one or more commands; `context.folder` must be the root folder.

    `encoding` overrules the XML declaration, as the charset of an HTTP request does.
    """
    document = parse_document(data, "command", encoding=encoding)
    if isinstance(document, Finding):
        return _schema_problem((document,))
    elements = _commands_of(document)
    if isinstance(elements, Problem):
        return elements
    return tuple(_parsed(document, element, context) for element in elements)


def as_element(text: str) -> str:
    """Complete a bare command name to an element: `show_state` means `<show_state/>`."""
    name = text.strip()
    return f"<{name}/>" if _NAME.fullmatch(name) else text


def _commands_of(document: Document) -> list[Element] | Problem:
    """Check the document against the schema and take the commands out of their envelopes."""
    root = document.root
    name = tag_of(root)
    findings = document.findings()
    if name not in COMMAND_NAMES and name not in _LISTS:
        findings.error(
            root,
            f"There is no command <{name}>",
            advice=did_you_mean(name, COMMAND_NAMES),
        )
        return _schema_problem(findings.errors)
    check(root, name, COMMANDS, findings)
    if findings.has_errors:
        return _schema_problem(findings.errors)
    return list(_unpacked(root))


def _unpacked(element: Element) -> list[Element]:
    if tag_of(element) not in _LISTS:
        return [element]
    return [command for child in element.iterchildren("*") for command in _unpacked(child)]


def _parsed(document: Document, element: Element, context: Context) -> ParsedCommand:
    name = tag_of(element)
    reading = Reading(document, context, document.findings())
    action: Action
    if name in MEANINGLESS:
        action = Problem(
            code=NOT_IMPLEMENTED,
            text=f"The command <{name}> of JobScheduler 1.x has no meaning for this engine",
            subject=name,
        )
    else:
        action = _READERS[name](reading, element)
    errors = reading.findings.errors
    if errors:
        first = errors[0]
        action = Problem(code=first.code or SCHEMA_ERROR, text=_told(first), subject=first.element)
    return ParsedCommand(
        name=name,
        xml=to_xml(element),
        permission=_PERMISSIONS.get(name, Permission.ALL),
        action=action,
    )


def _schema_problem(findings: tuple[Finding, ...]) -> Problem:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return Problem(code=SCHEMA_ERROR, text=_told(findings[0]) + more, subject=findings[0].element)


def _told(finding: Finding) -> str:
    advice = f". {finding.advice}" if finding.advice else ""
    return f"line {finding.line}, column {finding.column}: {finding.text}{advice}"


_PERMISSIONS: Mapping[str, Permission] = MappingProxyType(
    {
        **{
            name: Permission.INFO
            for name in COMMAND_NAMES
            if name == "s" or name.startswith("show_")
        },
        "subsystem.show": Permission.INFO,
        "job.why": Permission.INFO,
        "job_chain.check_distributed": Permission.INFO,
        "param.get": Permission.INFO,
        "params.get": Permission.INFO,
        "scheduler_log.log_categories.show": Permission.INFO,
        "check_folders": Permission.INFO,
        "start_job": Permission.NO_ADD,
        "modify_job": Permission.NO_ADD,
        "kill_task": Permission.NO_ADD,
        "modify_order": Permission.NO_ADD,
        "remove_order": Permission.NO_ADD,
        "remove_job_chain": Permission.NO_ADD,
        "modify_hot_folder": Permission.NO_ADD,
        "modify_spooler": Permission.NO_ADD,
        "terminate": Permission.NO_ADD,
        "plugin.command": Permission.NO_ADD,
        "scheduler_log.log_categories.set": Permission.NO_ADD,
        "scheduler_log.log_categories.reset": Permission.NO_ADD,
    }
)
"""Commands that are not listed need everything (xml-commands.md 5)."""

_READERS: Mapping[str, Callable[[Reading, Element], Action]] = MappingProxyType(
    {
        "show_state": parts.show_state,
        "s": parts.short_state,
        "show_jobs": parts.show_jobs,
        "show_job": parts.show_job,
        "show_job_chains": parts.show_job_chains,
        "show_job_chain": parts.show_job_chain,
        "show_order": parts.show_order,
        "show_task": parts.show_task,
        "show_history": parts.show_history,
        "show_calendar": parts.show_calendar,
        "show_process_classes": parts.show_process_classes,
        "subsystem.show": parts.subsystem_show,
        "job.why": parts.job_why,
        "param.get": parts.param_get,
        "params.get": parts.params_get,
        "param": parts.set_param,
        "params": parts.set_params,
        "scheduler_log.log_categories.show": parts.log_categories_show,
        "scheduler_log.log_categories.set": parts.log_category_set,
        "scheduler_log.log_categories.reset": parts.log_categories_reset,
        "start_job": parts.start_job,
        "modify_job": parts.modify_job,
        "kill_task": parts.kill_task,
        "add_order": parts.add_order,
        "order": parts.add_order,
        "modify_order": parts.modify_order,
        "remove_order": parts.remove_order,
        "remove_job_chain": parts.remove_job_chain,
        "job_chain.modify": parts.modify_chain,
        "job_chain_node.modify": parts.modify_node,
        "modify_spooler": parts.modify_spooler,
        "terminate": parts.terminate,
        "check_folders": parts.check_folders,
        **dict.fromkeys(("licence.use", "setting.set"), parts.ignored),
        "job_chain.check_distributed": parts.ignored,
        "modify_hot_folder": parts.modify_hot_folder,
        "job": parts.define_object,
        "job_chain": parts.define_object,
        "lock": parts.define_object,
        "process_class": parts.define_object,
        "add_jobs": parts.add_jobs,
        "lock.remove": parts.remove_object,
        "process_class.remove": parts.remove_object,
        "schedule.remove": parts.remove_object,
        "publish_event": parts.publish_event,
    }
)
