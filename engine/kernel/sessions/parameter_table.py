"""Every parameter of the SSH job: name, type, default, meaning (ssh-and-jitl.md 1.3)."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a parameter's text must look like."""

    TEXT = "text"
    FLAG = "flag"
    NUMBER = "number"
    FILE = "file"
    PATTERN = "regular expression"
    CODES = "list of exit codes"
    SECRET = "secret"  # noqa: S105 -- the name of a kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter as the job's documentation names it."""

    name: str
    kind: Kind
    default: str | None
    meaning: str
    aliases: tuple[str, ...] = ()
    connects: bool = False
    """Belongs to the connection or the cleanup: a return value must not set it."""


def _connection(
    name: str, kind: Kind, default: str | None, meaning: str, *aliases: str
) -> Parameter:
    return Parameter(
        name=name, kind=kind, default=default, meaning=meaning, aliases=aliases, connects=True
    )


def _plain(name: str, kind: Kind, default: str | None, meaning: str) -> Parameter:
    return Parameter(name=name, kind=kind, default=default, meaning=meaning)


_CONNECTION = (
    _connection(
        "host", Kind.TEXT, None, "Host name or address.", "host_name", "ssh_server_name", "ssh_host"
    ),
    _connection("port", Kind.NUMBER, "22", "Port of the SSH server."),
    _connection("user", Kind.TEXT, None, "Remote account."),
    _connection(
        "auth_method",
        Kind.TEXT,
        "publickey",
        "`publickey`, `password` or (new) `keyboard-interactive`.",
    ),
    _connection("password", Kind.SECRET, None, "Password, or passphrase of the key."),
    _connection("auth_file", Kind.FILE, None, "Private key; needed with `publickey`."),
    _connection("passphrase", Kind.SECRET, None, "Passphrase of the private key."),
    _connection("use_keyagent", Kind.FLAG, "false", "Take the keys of the engine account's agent."),
    _connection(
        "agent_forwarding",
        Kind.FLAG,
        "false",
        "New: let the job use the engine account's agent while its connection lasts.",
    ),
    _connection(
        "strict_hostKey_checking",
        Kind.FLAG,
        None,
        "true: only known host keys; false: record an unknown key at first contact; "
        "without it the engine's setting decides. A changed key is refused always.",
    ),
    _connection("proxy_protocol", Kind.TEXT, "http", "`http`, `socks4` or `socks5`."),
    _connection("proxy_host", Kind.TEXT, None, "Proxy; used only when set."),
    _connection("proxy_port", Kind.NUMBER, None, "Port of the proxy."),
    _connection("proxy_user", Kind.TEXT, None, "Account at the proxy."),
    _connection("proxy_password", Kind.SECRET, None, "Password at the proxy."),
    _connection("proxy_jump", Kind.TEXT, None, "New: `user@host:port[,...]`, hosts to go through."),
    _connection("protocol", Kind.TEXT, "ssh", "Accepted, without effect.", "ftp_protocol"),
    _connection("url", Kind.TEXT, None, "`ssh://user@host:port` instead of the three."),
    _connection("ssh_provider", Kind.TEXT, None, "Accepted, without effect."),
    _connection("credential_store_filename", Kind.FILE, None, "KeePass database (KDBX 3.1 or 4)."),
    _connection("credential_store_key_filename", Kind.FILE, None, "Its key file."),
    _connection("credential_store_password", Kind.SECRET, None, "Its password."),
    _connection("credential_store_entry_path", Kind.TEXT, None, "Entry that `cs://@FIELD` means."),
    _connection("credential_store_keepass_module", Kind.TEXT, None, "Accepted, without effect."),
)

_WORK = (
    _plain("command", Kind.TEXT, None, "One or more commands."),
    _plain("command_delimiter", Kind.PATTERN, "%%", "Splits `command`."),
    _plain("command_script", Kind.TEXT, None, "Script text."),
    _plain("command_script_file", Kind.FILE, None, "File on the engine's host with the script."),
    _plain("command_script_param", Kind.TEXT, None, "Arguments of the script, as shell text."),
)

_RESULT = (
    _plain("ignore_error", Kind.FLAG, "false", "Treat failures as success."),
    _plain("ignore_exit_code", Kind.CODES, None, "Exit codes that are no error: `2,3 50-60`."),
    _plain("ignore_signal", Kind.FLAG, "false", "Death by signal is no error."),
    _plain("ignore_stderr", Kind.FLAG, "false", "Text on stderr is no error."),
    _plain(
        "raise_exception_on_error",
        Kind.FLAG,
        "true",
        "false: the step never fails by its exit code; the code becomes the task's.",
    ),
    _plain("ignore_hangup_signal", Kind.FLAG, "true", "Accepted, without effect."),
    _plain(
        "ssh_job_output_params",
        Kind.FLAG,
        "true",
        "New: false leaves `std_out_output` and `std_err_output` out of the results.",
    ),
)

_SHELL = (
    _plain("simulate_shell", Kind.FLAG, "false", "Run on a pseudo terminal, attached."),
    _plain("simulate_shell_prompt_trigger", Kind.TEXT, None, "Accepted, without effect."),
    _plain("simulate_shell_login_timeout", Kind.NUMBER, "0", "Accepted, without effect."),
    _plain("simulate_shell_inactivity_timeout", Kind.NUMBER, "0", "Accepted, without effect."),
    _plain("create_environment_variables", Kind.FLAG, "true", "Export the parameters."),
    _plain(
        "export_master_environment", Kind.FLAG, "false", "New: export the engine's own variables."
    ),
    _plain("auto_detect_os", Kind.FLAG, "true", "Accepted: the run itself shows what host it is."),
    _plain("preCommand", Kind.TEXT, None, "Accepted: values travel in a file, not in commands."),
    _plain("postCommandRead", Kind.TEXT, None, "Accepted, without effect."),
    _plain("postCommandDelete", Kind.TEXT, None, "Accepted, without effect."),
    _connection(
        "temp_dir", Kind.TEXT, ".", "Where runs keep their directory; `.`: below the home folder."
    ),
)

_SESSION = (
    _connection("runWithWatchdog", Kind.FLAG, "false", "Show the watch as an order, too."),
    _connection("cleanupJobchain", Kind.TEXT, None, "Chain of that order."),
    _connection("ssh_job_get_pid_command", Kind.TEXT, "echo $$", "Prints an additional pid."),
    _connection(
        "ssh_job_get_active_processes_command",
        Kind.TEXT,
        "/bin/ps -ef | grep ${pid} | grep ${user} | grep -v grep",
        "Exit 0: still running, whatever else says gone.",
    ),
    _connection(
        "ssh_job_get_child_processes_command",
        Kind.TEXT,
        "/bin/ps -ef | pgrep -P${pid}",
        "Prints additional pids, each verified.",
    ),
    _connection("ssh_job_terminate_pid_command", Kind.TEXT, "kill -15 ${pid}", "Polite end."),
    _connection("ssh_job_kill_pid_command", Kind.TEXT, "kill -9 ${pid}", "Forced end."),
    _connection(
        "ssh_job_timeout_kill_after", Kind.NUMBER, None, "Seconds from TERM to KILL; 0: at once."
    ),
    _connection("osProfile", Kind.FILE, None, "Accepted, without effect."),
    _connection("ssh_session_mode", Kind.TEXT, "native", "New: `native` or `legacy`."),
    _connection(
        "ssh_session_unreachable_limit",
        Kind.NUMBER,
        "86400",
        "New: seconds after which a host out of reach is given up.",
    ),
    _connection(
        "ssh_session_start_grace",
        Kind.NUMBER,
        "60",
        "New: seconds a run may take to write its record.",
    ),
    _connection("ssh_job_kill_scope", Kind.TEXT, "token", "New: `group`, `session` or `token`."),
    _connection(
        "ssh_job_detached",
        Kind.FLAG,
        "true",
        "New: output goes to files on the host, so that a lost connection loses nothing.",
    ),
)

PARAMETERS: tuple[Parameter, ...] = (*_CONNECTION, *_WORK, *_RESULT, *_SHELL, *_SESSION)
