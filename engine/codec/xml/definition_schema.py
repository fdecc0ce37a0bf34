"""The table of elements and attributes in live folders and `scheduler.xml`.

Sources: orders-and-jobs.md 1-7, live-folder.md 4 and 10, schedules.md 2, agents.md 1. Attributes
that the original ignores are here too, so that they are no error.
"""

from collections.abc import Mapping
from types import MappingProxyType

from engine.codec.xml.schema import ElementRule, element, words

_NODE = "state!:filled next_state error_state suspend:yesno delay:duration"
_JOB_ATTRIBUTES = (
    "name:name spooler_id title visible:visible temporary:yesno order:yesno tasks:count "
    "min_tasks:count timeout:duration_never idle_timeout:duration_never force_idle_timeout:yesno "
    "stop_on_error:yesno ignore_signals priority:priority process_class java_options "
    "mail_xslt_stylesheet warn_if_shorter_than:percent warn_if_longer_than:percent enabled:yesno "
    "log_append:yesno stderr_log_level:stderr_level credentials_key load_user_profile:yesno "
    "separate_process:yesno replace:yesno"
)
_SETTINGS = (
    "mail_on_error mail_on_warning mail_on_success mail_on_process mail_on_delay_after_error "
    "log_mail_to log_mail_cc log_mail_bcc log_level history history_on_process history_with_log"
)

NAMED = words("job job_chain lock monitor process_class")
"""Objects that carry their name as attribute where no file name gives it."""

_FILES: Mapping[str, ElementRule] = MappingProxyType(
    {
        # Content that only editors and plug-ins know.
        "extensions": element(opaque=True),
        "note": element("language", opaque=True, text=True),
        "anything": element(opaque=True, text=True),
        # Parameters and texts.
        "params": element("", "param*|include*|copy_params*", ordered=False),
        "param": element("name!:filled value!"),
        "copy_params": element("from!:from"),
        "include": element("file live_file node"),
        "description": element("", "include*", text=True),
        "environment": element("", "variable*"),
        "variable": element("name!:filled value!"),
        # Jobs.
        "job": element(
            _JOB_ATTRIBUTES,
            "extensions settings description|include lock.use* params environment login "
            "script process=anything monitor*|monitor.use* start_when_directory_changed* "
            "delay_after_error* delay_order_after_setback* run_time commands*=exit_commands",
        ),
        "settings": element("", " ".join(f"{name}=setting" for name in _SETTINGS.split())),
        "setting": element(text=True),
        "lock.use": element("lock!:filled exclusive:yesno"),
        "login": element("user", "password.plain"),
        "password.plain": element("password"),
        "script": element(
            "language java_class java_class_path com_class filename dotnet_class dll encoding "
            "use_engine recompile:yesno",
            "include*",
            text=True,
        ),
        "monitor": element("name:name ordering:int spooler_id replace:yesno", "extensions script!"),
        "monitor.use": element("monitor!:filled ordering:int"),
        "start_when_directory_changed": element("directory!:filled regex:regex"),
        "delay_after_error": element("error_count!:count delay!:delay_stop"),
        "delay_order_after_setback": element(
            "setback_count!:positive delay:duration is_maximum:yesno"
        ),
        "exit_commands": element("on_exit_code!:filled", opaque=True),
        # Job chains.
        "job_chain": element(
            "name:name spooler_id title visible:visible orders_recoverable:yesno "
            "distributed:yesno max_orders:count process_class file_watching_process_class "
            "replace:yesno",
            "extensions note* file_order_source* "
            "job_chain_node*|file_order_sink*|job_chain_node.end*|job_chain_node.job_chain*",
        ),
        "file_order_source": element(
            "directory!:filled regex:regex next_state repeat:repeat_no "
            "delay_after_error:duration alert_when_directory_missing:yesno max:count"
        ),
        "job_chain_node": element(f"{_NODE} job on_error:on_error", "extensions on_return_codes"),
        "job_chain_node.end": element("state!:filled suspend:yesno delay:duration", "extensions"),
        "job_chain_node.job_chain": element(f"{_NODE} job_chain!:filled", "extensions"),
        "file_order_sink": element(
            "state!:filled remove:yesno move_to delay:duration suspend:yesno", "extensions"
        ),
        "on_return_codes": element("", "on_return_code*"),
        "on_return_code": element("return_code!:filled", "to_state"),
        "to_state": element("state!:filled"),
        # Orders.
        "order": element(
            "job_chain id:filled title priority:int state end_state at:at web_service "
            "replace:yesno suspended:yesno spooler_id name",
            "extensions params process*=anything run_time payload xml_payload",
            ordered=False,
        ),
        "payload": element("", "params"),
        "xml_payload": element(opaque=True, text=True),
        # Process classes and locks.
        "process_class": element(
            "name:name spooler_id max_processes:count remote_scheduler timeout:duration "
            "replace:yesno",
            "extensions remote_schedulers",
        ),
        "remote_schedulers": element("select:select", "remote_scheduler*"),
        "remote_scheduler": element(
            "remote_scheduler!:filled http_heartbeat_period:positive "
            "http_heartbeat_timeout:positive"
        ),
        "lock": element("name:name spooler_id max_non_exclusive:count replace:yesno", "extensions"),
        # Calendars are read, and checked, by `engine.codec.xml.schedules`.
        "run_time": element(opaque=True),
        "schedule": element(opaque=True),
        "holidays": element(opaque=True),
        "holiday": element(opaque=True),
    }
)


def with_path_as_name(rule: ElementRule, *, is_required: bool = True) -> ElementRule:
    """Let the name of an object contain folders, as in commands and `scheduler.xml`."""
    named = element("name!:filled" if is_required else "name")
    return ElementRule(
        attributes={**rule.attributes, **named.attributes},
        children=rule.children,
        has_text=rule.has_text,
        is_opaque=rule.is_opaque,
        is_ordered=rule.is_ordered,
    )


_MAIN: Mapping[str, ElementRule] = MappingProxyType(
    {
        "spooler": element("", "config*"),
        "config": element(
            "spooler_id port tcp_port udp_port ip_address http_port https_port log_dir "
            "include_path configuration_directory central_configuration_directory "
            "configuration_add_event configuration_modify_event configuration_delete_event "
            "supervisor main_scheduler time_zone param mail_xslt_stylesheet priority_max "
            "java_options java_class_path",
            "extensions base* params security plugins cluster process_classes schedules locks "
            "script*|scheduler_script* http_server|web_services holidays|holiday* jobs "
            "job_chains commands=start_commands monitors",
            ordered=False,
        ),
        "base": element("file!:filled"),
        "security": element("ignore_unknown_hosts:yesno", "allowed_host*"),
        "allowed_host": element("host!:filled level!:level"),
        "plugins": element("", "plugin*=anything"),
        "cluster": element("heart_beat_timeout heart_beat_own_timeout heart_beat_warn_timeout"),
        "process_classes": element("ignore:yesno", "process_class*=named_process_class"),
        "schedules": element("", "schedule*"),
        "locks": element("", "lock*=named_lock"),
        "scheduler_script": element("name:name ordering:int", "extensions script"),
        "http_server": element(
            "", "web_service*=anything http.authentication=anything http_directory*=anything"
        ),
        "web_services": element("", "web_service*=anything"),
        "jobs": element("", "job*=named_job"),
        "job_chains": element("", "job_chain*=named_job_chain"),
        "start_commands": element(opaque=True),
        "monitors": element("", "monitor*=named_monitor"),
        **{f"named_{name}": with_path_as_name(_FILES[name]) for name in NAMED},
        # Without a name it is the default class.
        "named_process_class": with_path_as_name(_FILES["process_class"], is_required=False),
    }
)

DEFINITIONS: Mapping[str, ElementRule] = MappingProxyType({**_FILES, **_MAIN})
