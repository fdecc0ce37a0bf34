"""The SSH job's parameters."""

import pytest

from engine.kernel.sessions.credentials import Reference, StoreAccess
from engine.kernel.sessions.parameter_table import PARAMETERS, Kind
from engine.kernel.sessions.parameters import (
    AgentLogin,
    Commands,
    KeyLogin,
    PasswordLogin,
    Proxy,
    Script,
    ScriptFile,
    SshJob,
    StoredLogin,
    Target,
    definition_of,
    ssh_job,
    substitute,
    target_of,
)
from engine.kernel.sessions.secret import Secret

MINIMAL = {"host": "db1", "user": "batch", "auth_file": "/keys/id", "command": "true"}


def job(**parameters: str) -> SshJob:
    found = ssh_job(MINIMAL | parameters)
    assert isinstance(found, SshJob), found
    return found


def problems(parameters: dict[str, str]) -> dict[str, str]:
    found = ssh_job(parameters)
    assert not isinstance(found, SshJob)
    return {problem.name: problem.text for problem in found}


def test_defaults_are_those_of_the_documentation() -> None:
    minimal = job()
    assert str(minimal.target) == "batch@db1"
    assert minimal.target.login == KeyLogin(file="/keys/id")
    assert minimal.work == Commands(texts=("true",))
    assert minimal.rules.raise_on_error
    assert not minimal.rules.ignore_stderr
    assert minimal.session.detached
    assert minimal.session.kill_after is None
    assert not minimal.session.custom


@pytest.mark.parametrize("name", ["host", "HOST", "ssh_host", "Host_Name", "SSH_SERVER_NAME"])
def test_names_are_found_in_any_case_with_and_without_their_prefix(name: str) -> None:
    parameters = {key: value for key, value in MINIMAL.items() if key != "host"} | {name: "db2"}
    found = ssh_job(parameters)
    assert isinstance(found, SshJob)
    assert found.target.host == "db2"


def test_parameters_that_begin_with_ssh_are_heard_under_their_documented_names() -> None:
    for parameter in PARAMETERS:
        assert definition_of(parameter.name) is parameter
    quick = job(ssh_job_timeout_kill_after="7", ssh_job_kill_pid_command="pkill -9 -s ${pid}")
    assert quick.session.kill_after == 7000
    assert quick.session.custom.kill == "pkill -9 -s ${pid}"


@pytest.mark.parametrize("text", ["kill -9 ${pid}", "kill -9 \\${pid}", "kill -9 \\\\${pid}"])
def test_commands_equal_to_the_defaults_are_native_however_they_are_escaped(text: str) -> None:
    assert not job(ssh_job_kill_pid_command=text).session.custom


def test_a_custom_command_must_not_paste_what_is_not_verified() -> None:
    assert "ssh_job_kill_pid_command" in problems(
        MINIMAL | {"ssh_job_kill_pid_command": "taskkill ${command}"}
    )
    assert "ssh_job_kill_pid_command" in problems(
        MINIMAL | {"user": "a;b", "ssh_job_kill_pid_command": "pkill -u ${user}"}
    )


def test_every_problem_is_named_at_once() -> None:
    assert set(
        problems(
            {
                "port": "0",
                "auth_method": "magic",
                "ignore_exit_code": "3 x",
                "ssh_job_timeout_kill_after": "soon",
                "runWithWatchdog": "yes",
                "command_delimiter": "(",
                "command": "x",
                "ssh_job_kill_scope": "world",
            }
        )
    ) == {
        "host",
        "user",
        "port",
        "auth_method",
        "auth_file",
        "ignore_exit_code",
        "ssh_job_timeout_kill_after",
        "cleanupJobchain",
        "command_delimiter",
        "ssh_job_kill_scope",
    }


def test_logins_follow_the_method() -> None:
    assert job(auth_method="password", password="x").target.login == PasswordLogin(
        password=Secret("x")
    )
    assert job(auth_method="keyboard-interactive", password="x").target.login == PasswordLogin(
        password=Secret("x"), in_dialogue_only=True
    )
    assert job(auth_file="", use_keyagent="true").target.login == AgentLogin()
    assert job(passphrase="y").target.login == KeyLogin(file="/keys/id", passphrase=Secret("y"))
    assert "password" in problems(MINIMAL | {"auth_method": "password"})


def test_secrets_never_show_themselves() -> None:
    found = job(
        auth_method="password",
        password="hush",
        proxy_host="p",
        proxy_port="1",
        proxy_password="psst",
    )
    assert "hush" not in repr(found)
    assert "psst" not in repr(found)


def test_proxies_jumps_and_urls_lead_to_the_host() -> None:
    found = job(proxy_host="p", proxy_port="1080", proxy_protocol="SOCKS5", proxy_jump="a, b@c:2")
    assert found.target.proxy == Proxy(protocol="socks5", host="p", port=1080)
    assert found.target.jumps == ("a", "b@c:2")
    by_url = ssh_job({"url": "ssh://me@db9:2222", "auth_file": "k", "command": "true"})
    assert isinstance(by_url, SshJob)
    assert str(by_url.target) == "me@db9:2222"


def test_commands_go_before_scripts_and_scripts_before_files() -> None:
    parameters = {name: value for name, value in MINIMAL.items() if name != "command"}
    file = parameters | {"command_script_file": "/f", "command_script_param": "a b"}
    assert work(file) == ScriptFile(path="/f", arguments="a b")
    assert work(file, "body") == Script(text="body", arguments="a b")
    assert work(file | {"command_script": "text"}, "body") == Script(text="text", arguments="a b")
    assert work(file | {"command": "a;;b;c", "command_delimiter": ";+"}) == Commands(
        texts=("a", "b", "c")
    )
    assert "command" in problems(parameters)


def work(parameters: dict[str, str], script: str = "") -> object:
    found = ssh_job(parameters, script)
    assert isinstance(found, SshJob)
    return found.work


def test_exit_codes_come_as_lists_and_ranges() -> None:
    codes = job(ignore_exit_code="2,3; 50-52").rules.ignored_codes
    assert codes == {2, 3, 50, 51, 52}


@pytest.mark.parametrize("text", ["1", "Y", "yes", "J", "on", "TRUE", "wahr"])
def test_many_words_mean_true(text: str) -> None:
    assert job(ignore_error=text).rules.ignore_error


def test_a_terminal_is_never_detached() -> None:
    terminal = job(simulate_shell="true").session
    assert (terminal.terminal, terminal.detached) == (True, False)


def test_substitution_leaves_unknown_names_and_escaped_ones_alone() -> None:
    values = {"a": "1", "b": "%a%"}
    assert substitute("${a} %a% ${b} ${c} %c% \\${a} 100%", values) == "1 1 1 ${c} %c% \\${a} 100%"


def test_the_published_example_is_read_as_it_stands() -> None:
    found = ssh_job(
        {
            "host": "[HOST]",
            "port": "22",
            "user": "batch",
            "password": "x",
            "auth_method": "password",
            "command_script_file": "/scripts/run.sh",
            "runWithWatchdog": "true",
            "cleanupJobchain": "kill_jobs/remote_cleanup_test",
            "ssh_job_kill_pid_command": "kill -9 \\${pid}",
            "ssh_job_terminate_pid_command": "kill -15 \\${pid}",
            "ssh_job_get_pid_command": "echo $$",
            "ssh_job_get_active_processes_command": (
                "/bin/ps -ef | grep \\${pid} | grep \\${user} | grep -v grep"
            ),
        }
    )
    assert isinstance(found, SshJob)
    assert found.work == ScriptFile(path="/scripts/run.sh")
    assert found.session.watchdog_chain == "kill_jobs/remote_cleanup_test"
    assert not found.session.custom, "all of them equal the defaults: signals are native"


STORE = {
    "credential_store_filename": "/etc/hosts.kdbx",
    "credential_store_password": "opens it",
    "credential_store_entry_path": "/hosts/db1",
}


def test_references_into_a_credential_store_stay_references() -> None:
    found = target_of(
        STORE
        | {
            "ssh_host": "cs://@url",
            "user": "cs://@user",
            "auth_method": "password",
            "password": "cs://hosts/web@2@password",
            "proxy_host": "gate",
            "proxy_port": "cs://@proxy",
        }
    )
    assert isinstance(found, Target)
    assert (str(found), found.host) == ("cs://hosts/db1", "cs://hosts/db1@url")
    assert found.user == "cs://hosts/db1@user"
    assert found.proxy is None
    assert isinstance(found.login, StoredLogin)
    connection = found.login.connection
    assert connection.access == StoreAccess(file="/etc/hosts.kdbx", password=Secret("opens it"))
    assert dict(connection.references)["password"] == Reference(
        entry="hosts/web@2", field="password"
    )
    assert ("proxy_host", "gate") in connection.others
    assert "opens it" not in repr(found)


def test_an_account_may_stand_in_a_store_while_the_host_is_written_out() -> None:
    plain = {"host": "db9", "port": "2200", "user": "me", "auth_file": "cs://keys/me@attachment"}
    found = target_of(STORE | plain)
    assert isinstance(found, Target)
    assert (str(found), found.host, found.port) == ("me@db9:2200", "db9", 2200)
    unnamed = target_of(STORE | plain | {"user": "cs://@user"})
    assert str(unnamed) == "db9:2200"
    same = target_of(STORE | plain)
    assert same == found, "so that steps share their connection"
    assert target_of(STORE | plain | {"credential_store_password": "another"}) != found


def test_a_url_of_a_store_stands_for_host_and_account() -> None:
    found = target_of(STORE | {"url": "cs://@url", "use_keyagent": "true"})
    assert isinstance(found, Target)
    assert found.host == found.user == "cs://hosts/db1@url"


def test_a_jump_host_is_logged_in_to_with_what_the_store_holds_for_the_target() -> None:
    found = target_of(STORE | {"host": "cs://@url", "user": "cs://@user", "auth_file": "cs://@key"})
    assert isinstance(found, Target)
    assert isinstance(found.login, StoredLogin)
    toward = found.login.connection.toward("gate", 2222, None)
    assert [name for name, _ in toward.references] == ["auth_file", "user"]
    assert dict(toward.others) == {"host": "gate", "port": "2222"}
    other = found.login.connection.toward("gate", None, "jumper")
    assert [name for name, _ in other.references] == ["auth_file"]
    assert dict(other.others) == {"host": "gate", "user": "jumper"}


@pytest.mark.parametrize(
    ("parameters", "name", "said"),
    [
        ({"credential_store_filename": ""}, "credential_store_filename", "is missing; cs://"),
        ({"user": "cs://hosts/db1"}, "user", "write cs://GROUP/ENTRY@FIELD"),
        ({"user": "cs://hosts/db1@"}, "user", "write cs://GROUP/ENTRY@FIELD"),
        ({"credential_store_entry_path": ""}, "password", "credential_store_entry_path"),
        ({"proxy_jump": "cs://@jump"}, "proxy_jump", "cannot come from a credential store"),
        (
            {"credential_store_password": "cs://@password"},
            "credential_store_password",
            "cannot come from a credential store",
        ),
        ({"proxy_host": "gate"}, "proxy_port", "is missing"),
        (
            {"user": "cs://@user", "ssh_job_kill_pid_command": "mykill ${user} ${pid}"},
            "ssh_job_kill_pid_command",
            "the account is in a credential store",
        ),
    ],
)
def test_references_that_lead_nowhere_are_named(
    parameters: dict[str, str], name: str, said: str
) -> None:
    login = {"host": "h", "user": "u", "auth_method": "password", "password": "cs://@password"}
    found = ssh_job(STORE | login | {"command": "true"} | parameters)
    assert isinstance(found, list)
    (problem,) = found
    assert problem.name == name
    assert said in problem.text


DOCUMENTED: tuple[tuple[Kind, str | None, str], ...] = (
    (
        Kind.TEXT,
        None,
        (
            "host host_name ssh_server_name ssh_host user password passphrase proxy_host "
            "proxy_user proxy_password url ssh_provider credential_store_password "
            "credential_store_entry_path credential_store_keepass_module command "
            "command_script command_script_param simulate_shell_prompt_trigger preCommand "
            "postCommandRead postCommandDelete cleanupJobchain"
        ),
    ),
    (
        Kind.TEXT,
        "publickey",
        "auth_method",
    ),
    (
        Kind.TEXT,
        "http",
        "proxy_protocol",
    ),
    (
        Kind.TEXT,
        "ssh",
        "protocol ftp_protocol",
    ),
    (
        Kind.TEXT,
        ".",
        "temp_dir",
    ),
    (
        Kind.NUMBER,
        "22",
        "port",
    ),
    (
        Kind.NUMBER,
        None,
        "proxy_port ssh_job_timeout_kill_after",
    ),
    (
        Kind.NUMBER,
        "0",
        "simulate_shell_login_timeout simulate_shell_inactivity_timeout",
    ),
    (
        Kind.FILE,
        None,
        (
            "auth_file credential_store_filename credential_store_key_filename "
            "command_script_file osProfile"
        ),
    ),
    (
        Kind.PATTERN,
        "%%",
        "command_delimiter",
    ),
    (
        Kind.CODES,
        None,
        "ignore_exit_code",
    ),
    (
        Kind.FLAG,
        "false",
        "ignore_error ignore_signal ignore_stderr simulate_shell runWithWatchdog",
    ),
    (
        Kind.FLAG,
        "true",
        "raise_exception_on_error ignore_hangup_signal create_environment_variables auto_detect_os",
    ),
    (
        Kind.TEXT,
        "echo $$",
        "ssh_job_get_pid_command",
    ),
    (
        Kind.TEXT,
        "kill -15 ${pid}",
        "ssh_job_terminate_pid_command",
    ),
    (
        Kind.TEXT,
        "kill -9 ${pid}",
        "ssh_job_kill_pid_command",
    ),
    (
        Kind.TEXT,
        "/bin/ps -ef | pgrep -P${pid}",
        "ssh_job_get_child_processes_command",
    ),
    (
        Kind.TEXT,
        "/bin/ps -ef | grep ${pid} | grep ${user} | grep -v grep",
        "ssh_job_get_active_processes_command",
    ),
)
"""Type, default, names: as the job's documentation has them."""


@pytest.mark.parametrize(("kind", "default", "names"), DOCUMENTED)
def test_every_documented_parameter_is_known_with_its_type_and_default(
    kind: Kind, default: str | None, names: str
) -> None:
    for name in names.split():
        definition = definition_of(name)
        assert definition is not None, name
        known = Kind.TEXT if definition.kind is Kind.SECRET else definition.kind
        assert (known, definition.default) == (kind, default), name


def test_two_defaults_differ_from_the_documentation_on_purpose() -> None:
    """No agent unless asked for; about host keys the settings decide."""
    for name, default in (("use_keyagent", "false"), ("strict_hostKey_checking", None)):
        definition = definition_of(name)
        assert definition is not None
        assert (definition.kind, definition.default) == (Kind.FLAG, default)
