"""The table of XML commands: their attributes and children (xml-commands.md 5 and 6)."""

from collections.abc import Mapping
from types import MappingProxyType

from engine.codec.xml.definition_schema import DEFINITIONS, with_path_as_name
from engine.codec.xml.findings import Element, Findings, did_you_mean, tag_of
from engine.codec.xml.schema import ElementRule, check, element, words

_SHOWN = "what max_orders:count"
_ORDER = element(
    "job_chain!:filled id title priority:int state end_state at:at web_service replace:yesno "
    "suspended:yesno",
    "extensions params process*=anything run_time payload xml_payload",
    ordered=False,
)
_IN_COMMANDS = words(
    "add_jobs add_order check_folders kill_task licence.use lock lock.remove modify_job "
    "modify_hot_folder modify_order modify_spooler job.why job_chain.modify job_chain_node.modify "
    "order plugin.command process_class process_class.remove job_chain.check_distributed "
    "register_remote_scheduler remove_job_chain remove_order run_time setting.set "
    "scheduler_log.log_categories.show scheduler_log.log_categories.set "
    "scheduler_log.log_categories.reset show_state show_jobs show_job show_job_chains "
    "show_job_chain show_order show_task show_history show_calendar show_process_classes "
    "show_schedulers s service_request start_job subsystem.show terminate "
    "remote_scheduler.configuration.changed remote_scheduler.remote_task.start "
    "remote_scheduler.remote_task.close"
)
_INTERNAL = words(
    "supervisor.remote_scheduler.configuration.fetch_updated_files cluster_member_command "
    "events.get config"
)
_ONLY_ROOT = (
    *words("params param param.get params.get schedule schedule.remove publish_event"),
    *words("job job_chain"),
    *_INTERNAL,
)

_COMMANDS: dict[str, ElementRule] = {
    "show_state": element(
        f"{_SHOWN} subsystems path max_order_history:count max_task_history:count"
    ),
    "s": element(f"{_SHOWN} subsystems path max_order_history:count max_task_history:count"),
    "show_jobs": element(f"{_SHOWN} max_task_history:count"),
    "show_job": element(f"{_SHOWN} job!:filled job_chain max_task_history:count"),
    "show_job_chains": element(f"{_SHOWN} max_order_history:count"),
    "show_job_chain": element(f"{_SHOWN} job_chain!:filled max_order_history:count"),
    "show_order": element("job_chain!:filled order history_id:positive what"),
    "show_task": element("id!:positive what"),
    "show_history": element("job!:filled id:int prev:count next:count what"),
    "show_calendar": element("from:moment before:moment limit:count what"),
    "show_process_classes": element("what"),
    "subsystem.show": element("what"),
    "job.why": element("job!:filled"),
    "param.get": element("name!:filled"),
    "params.get": element(),
    "scheduler_log.log_categories.show": element(),
    "scheduler_log.log_categories.set": element("category!:filled value!"),
    "scheduler_log.log_categories.reset": element("delay:duration"),
    "start_job": element(
        "job!:filled at:at_period after:int force:yesno name web_service",
        "params environment",
        ordered=False,
    ),
    "modify_job": element("job!:filled cmd:job_cmd", "run_time"),
    "kill_task": element("job!:filled id!:positive immediately:yesno timeout:duration_never"),
    "modify_order": element(
        "job_chain!:filled order!:filled action:reset state end_state priority:int title at:at "
        "setback:yesno suspended:yesno",
        "run_time params xml_payload",
        ordered=False,
    ),
    "job_chain.modify": element("job_chain!:filled state!:chain_state"),
    "job_chain_node.modify": element("job_chain!:filled state!:filled action!:node_action"),
    "remove_order": element("job_chain!:filled order!:filled"),
    "remove_job_chain": element("job_chain!:filled"),
    "add_order": _ORDER,
    "order": _ORDER,
    "add_jobs": element("", "job*"),
    "modify_hot_folder": element(
        "folder",
        "job=hot_job job_chain=hot_job_chain lock=hot_lock order=hot_order "
        "process_class=hot_process_class schedule=hot_schedule",
    ),
    "hot_order": element(
        "job_chain!:filled id!:filled title priority:int state end_state at:at web_service "
        "replace:yesno suspended:yesno",
        "extensions params process*=anything run_time payload xml_payload",
        ordered=False,
    ),
    "hot_schedule": element(opaque=True),
    "check_folders": element(),
    "modify_spooler": element("cmd!:spooler_cmd timeout:duration"),
    "terminate": element(
        "restart:yesno all_schedulers:yesno timeout:duration cluster_member_id "
        "delete_dead_entry:yesno continue_exclusive_operation"
    ),
    "lock.remove": element("lock!:filled"),
    "process_class.remove": element("process_class!:filled"),
    "schedule.remove": element("schedule!:filled"),
    "publish_event": element(text=True),
}


_NAMED = words("job job_chain lock process_class")
_ALL = (*_IN_COMMANDS, *_ONLY_ROOT)
_COMMAND_LIST = " ".join(f"{name}*" for name in _IN_COMMANDS)

_IGNORED = words("licence.use setting.set job_chain.check_distributed")
"""Accepted with `<ok/>`: licences, settings and distributed chains do not exist here."""

MEANINGLESS = frozenset(
    (
        *_INTERNAL,
        *words("plugin.command register_remote_scheduler run_time"),
        *words("show_schedulers service_request remote_scheduler.configuration.changed"),
        *words("remote_scheduler.remote_task.start remote_scheduler.remote_task.close schedule"),
    )
)
"""Commands of the original that have no meaning for this engine (SCHEDULER-105)."""

COMMANDS: Mapping[str, ElementRule] = MappingProxyType(
    {
        **DEFINITIONS,
        **{name: element(opaque=True, text=True) for name in MEANINGLESS - {"run_time"}},
        **_COMMANDS,
        **{name: element(opaque=True, text=True) for name in _IGNORED},
        **{name: with_path_as_name(DEFINITIONS[name]) for name in _NAMED},
        **{f"hot_{name}": with_path_as_name(DEFINITIONS[name]) for name in _NAMED},
        "commands": element("", _COMMAND_LIST, ordered=False),
        "command": element("", _COMMAND_LIST, ordered=False),
        "spooler": element(
            "", f"commands command {' '.join(f'{name}*' for name in _ALL)}", ordered=False
        ),
    }
)

COMMAND_NAMES = frozenset(_ALL)
"""Everything that may stand where a command is expected."""


def check_commands(parent: Element, findings: Findings) -> None:
    """Compare the commands inside an element of a file with the schema."""
    for command in parent.iterchildren("*"):
        name = tag_of(command)
        if name in COMMAND_NAMES:
            check(command, name, COMMANDS, findings)
        elif not name.startswith("{"):
            findings.error(
                command,
                f"There is no command <{name}>",
                advice=did_you_mean(name, COMMAND_NAMES),
            )
