"""From an SSH job's parameters to one checked record (ssh-and-jitl.md 1.2, 1.3, 2.11)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from engine.kernel.instants import Duration, seconds
from engine.kernel.sessions.credentials import (
    FROM_STORE,
    REFERENCE_FORMS,
    Reference,
    StoreAccess,
    StoredConnection,
    is_reference,
    parse_reference,
)
from engine.kernel.sessions.decisions import START_GRACE, UNREACHABLE_LIMIT, SessionMode
from engine.kernel.sessions.parameter_table import PARAMETERS, Parameter
from engine.kernel.sessions.secret import Secret
from engine.kernel.sessions.verdicts import Scope

TRUE_TEXTS = frozenset({"1", "y", "yes", "j", "on", "true", "wahr"})
SCRIPT_LENGTH_MAX = 4 * 1024 * 1024
"""A longer script is better copied to the host."""

_STAND_INS = {"port": "22", "proxy_port": "1080", "url": "ssh://x@x"}
"""What is checked in place of a reference; `x` for all others."""
_FOR_LOGINS = FROM_STORE | {
    "auth_method",
    "use_keyagent",
    "agent_forwarding",
    "strict_hostKey_checking",
    "proxy_protocol",
}
_SECRET_NAME = re.compile(r"password|passphrase|secret|token", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_USER = re.compile(r"[A-Za-z0-9._@\\-]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProblem:
    """Why a job cannot run as configured."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLogin:
    """By private key."""

    file: str
    passphrase: Secret | None = None
    text: Secret | None = None
    """The key itself, where `file` is a reference into a credential store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLogin:
    """By the keys in the engine account's agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordLogin:
    """By password, also where the server asks for it in a dialogue."""

    password: Secret
    in_dialogue_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLogin:
    """In the way the parameters say, with what a credential store holds at that moment."""

    connection: StoredConnection


Login = KeyLogin | AgentLogin | PasswordLogin | StoredLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy between the engine and the SSH server."""

    protocol: str
    host: str
    port: int
    user: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A host and account with everything needed to log in; equal targets share a connection.

    Where parameters stand in a credential store, `login` says so and host and user may be the
    references instead of what they stand for.
    """

    host: str
    user: str
    login: Login
    port: int | None = None
    """None: 22, unless a configuration file says otherwise."""
    strict_host_key: bool | None = None
    """None: as the engine's settings say."""
    proxy: Proxy | None = None
    jumps: tuple[str, ...] = ()
    forwards_agent: bool = False

    def __str__(self) -> str:
        account, host = f"{self.user}@", self.host
        if is_reference(self.user) or is_reference(host):
            account = ""
        if is_reference(host):
            host = host.rpartition("@")[0]
        return f"{account}{host}" + ("" if self.port in {None, 22} else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands, each in a shell of its own."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script's text, with its arguments as shell text."""

    text: str
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFile:
    """A file on the engine's host that holds the script."""

    path: str
    arguments: str = ""


Work = Commands | Script | ScriptFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRules:
    """What counts as success (1.7)."""

    ignore_error: bool = False
    ignored_codes: frozenset[int] = frozenset()
    ignore_signal: bool = False
    ignore_stderr: bool = False
    raise_on_error: bool = True
    output_parameters: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCommands:
    """Commands of the job's own that differ from the defaults; None: the native way (2.11)."""

    pid: str | None = None
    active: str | None = None
    children: str | None = None
    terminate: str | None = None
    kill: str | None = None

    def __bool__(self) -> bool:
        return any((self.pid, self.active, self.children, self.terminate, self.kill))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How the run is watched and ended (2.6, 2.10, 2.11)."""

    watchdog_chain: str | None = None
    kill_after: Duration | None = None
    mode: SessionMode = SessionMode.NATIVE
    unreachable_limit: Duration = UNREACHABLE_LIMIT
    start_grace: Duration = START_GRACE
    scope: Scope = Scope.TOKEN
    detached: bool = True
    terminal: bool = False
    folder: str | None = None
    """`temp_dir`; None: below the home folder."""
    custom: CustomCommands = CustomCommands()


@dataclass(frozen=True, slots=True, kw_only=True)
class SshJob:
    """Everything an SSH job's parameters say, checked."""

    target: Target
    work: Work
    rules: ResultRules
    session: SessionRules
    exports_parameters: bool = True
    exports_engine_environment: bool = False


def fold(name: str) -> str:
    """Return a name as names are compared: without case and underscores."""
    return name.replace("_", "").casefold()


def _known() -> dict[str, Parameter]:
    return {fold(name): each for each in PARAMETERS for name in (each.name, *each.aliases)}


_KNOWN = _known()


def definition_of(name: str) -> Parameter | None:
    """Find a parameter: any case, underscores or not, `ssh_` in front or not.

    Names documented with `ssh_` count as they are, which 1.x forgot (1.2).
    """
    found = _KNOWN.get(fold(name))
    if found is None and name.casefold().startswith("ssh_"):
        found = _KNOWN.get(fold(re.sub("ssh_", "", name, flags=re.IGNORECASE)))
    return found


def is_secret_name(name: str) -> bool:
    """Tell whether values under this name must not be shown or exported."""
    return _SECRET_NAME.search(name) is not None


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace `${NAME}`, then `%NAME%`, names in any case; unknown ones stay (1.2 rule 5)."""
    folded: dict[str, str] = {}

    def value(found: re.Match[str]) -> str:
        exact = values.get(found[1])
        if exact is not None:
            return exact
        if not folded:
            folded.update({name.casefold(): text for name, text in values.items()})
        return folded.get(found[1].casefold(), found[0])

    return re.sub(r"%([A-Za-z_][\w.]*)%", value, re.sub(r"(?<!\\)\$\{([^}]+)\}", value, text))


def ssh_job(parameters: Mapping[str, str], script: str = "") -> SshJob | list[ParameterProblem]:
    """Read an SSH job's parameters; on problems return all of them at once."""
    reader = _Reader(parameters)
    target = reader.target()
    work = reader.work(script)
    rules = reader.rules()
    session = reader.session()
    exports_parameters = reader.flag("create_environment_variables")
    exports_engine = reader.flag("export_master_environment")
    if reader.problems or target is None or work is None:
        return reader.problems
    return SshJob(
        target=target,
        work=work,
        rules=rules,
        session=session,
        exports_parameters=exports_parameters,
        exports_engine_environment=exports_engine,
    )


def target_of(
    parameters: Mapping[str, str],
    *,
    stored: Mapping[str, str] | None = None,
    key: Secret | None = None,
) -> Target | list[ParameterProblem]:
    """Read the connection alone, for cleanup jobs, the browser and logins.

    `stored` is what references stand for, by the documented names, `key` the private key where
    `auth_file` is one.
    """
    reader = _Reader(parameters, stored, key)
    target = reader.target()
    return reader.problems if reader.problems or target is None else target


def session_of(parameters: Mapping[str, str]) -> SessionRules | list[ParameterProblem]:
    """Read how a run is watched and ended, for cleanup jobs and the browser."""
    reader = _Reader(parameters)
    rules = reader.session()
    return reader.problems or rules


class _Reader:
    """Looks parameters up and collects what is wrong with them."""

    def __init__(
        self,
        parameters: Mapping[str, str],
        stored: Mapping[str, str] | None = None,
        key: Secret | None = None,
    ) -> None:
        self.problems: list[ParameterProblem] = []
        self._key = key
        self._values: dict[str, str] = {}
        self._references: dict[str, str] = {}
        for name, value in parameters.items():
            definition = definition_of(name)
            if definition is None:
                continue
            if not definition.connects or not is_reference(value):
                self._values[definition.name] = value
                self._references.pop(definition.name, None)
            elif definition.name in FROM_STORE:
                self._values[definition.name] = _STAND_INS.get(definition.name, "x")
                if "@" in value:
                    self._references[definition.name] = value
                else:
                    self.wrong(definition.name, f"{value} is no reference: {REFERENCE_FORMS}")
            elif definition.name != "credential_store_entry_path":
                self.wrong(definition.name, f"{value}: this cannot come from a credential store")
        self._values.update(stored or {})

    def text(self, name: str) -> str | None:
        value = self._values.get(name, _KNOWN[fold(name)].default)
        return value or None

    def flag(self, name: str) -> bool:
        return (self.text(name) or "").strip().casefold() in TRUE_TEXTS

    def number(self, name: str, most: int = 10**9) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,10}", text.strip()) is None or int(text) > most:
            self.wrong(name, f"{text!r} is not a number from 0 to {most}")
            return None
        return int(text)

    def secret(self, name: str) -> Secret | None:
        text = self.text(name)
        return None if text is None else Secret(text)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        text = (self.text(name) or "").strip()
        if text.casefold() not in allowed:
            self.wrong(name, f"{text!r} is none of {', '.join(allowed)}")
            return allowed[0]
        return text.casefold()

    def wrong(self, name: str, text: str) -> None:
        self.problems.append(ParameterProblem(name=name, text=text))

    def target(self) -> Target | None:
        """Return the connection; what stands in a credential store is looked up at each login."""
        target = self._target()
        if not self._references:
            return target
        connection = self._stored()
        if target is None or connection is None:
            return None
        references = dict(connection.references)

        def shown(name: str, written: str) -> str:
            by_url = name not in self._values and "url" in references
            reference = references.get("url" if by_url else name)
            return written if reference is None else str(reference)

        return replace(
            target,
            host=shown("host", target.host),
            user=shown("user", target.user),
            port=None if "port" in references else target.port,
            proxy=None,
            login=StoredLogin(connection=connection),
        )

    def _stored(self) -> StoredConnection | None:
        file = self.text("credential_store_filename")
        if file is None:
            text = f"is missing; {next(iter(self._references.values()))} needs it"
            self.wrong("credential_store_filename", text)
            return None
        entry = self.text("credential_store_entry_path")
        references: dict[str, Reference] = {}
        for name, value in sorted(self._references.items()):
            try:
                references[name] = parse_reference(value, entry)
            except ValueError as error:
                self.wrong(name, str(error))
        return StoredConnection(
            access=StoreAccess(
                file=file,
                key_file=self.text("credential_store_key_filename"),
                password=self.secret("credential_store_password"),
            ),
            references=tuple(references.items()),
            others=tuple(
                (name, value)
                for name, value in sorted(self._values.items())
                if name in _FOR_LOGINS and name not in self._references
            ),
        )

    def _target(self) -> Target | None:
        url = urlsplit(self.text("url") or "")
        host = self.text("host") or url.hostname
        user = self.text("user") or url.username
        port = self.number("port", 65535) if "port" in self._values else _port_of(url.netloc)
        if host is None:
            self.wrong("host", "is missing")
        elif re.search(r"[\s/@]", host) or host.startswith("-"):
            self.wrong("host", f"{host!r} is not a host name or address")
        if user is None:
            self.wrong("user", "is missing")
        login = self._login()
        proxy = self._proxy()
        if port == 0:
            self.wrong("port", "must not be 0")
        if host is None or user is None or login is None:
            return None
        return Target(
            host=host.strip(),
            port=port,
            user=user,
            login=login,
            strict_host_key=self.flag("strict_hostKey_checking")
            if self.text("strict_hostKey_checking") is not None
            else None,
            proxy=proxy,
            forwards_agent=self.flag("agent_forwarding"),
            jumps=tuple(hop.strip() for hop in (self.text("proxy_jump") or "").split(",") if hop),
        )

    def _login(self) -> Login | None:
        password = self.secret("password")
        method = self.choice("auth_method", ("publickey", "password", "keyboard-interactive"))
        if method != "publickey":
            if password is None:
                self.wrong("password", f"is missing; auth_method {method} needs it")
                return None
            return PasswordLogin(
                password=password, in_dialogue_only=method == "keyboard-interactive"
            )
        file = self.text("auth_file")
        if file is not None:
            passphrase = self.secret("passphrase") or password
            return KeyLogin(file=file, passphrase=passphrase, text=self._key)
        if self.flag("use_keyagent"):
            return AgentLogin()
        self.wrong("auth_file", "is missing; auth_method publickey needs it, or use_keyagent")
        return None

    def _proxy(self) -> Proxy | None:
        host = self.text("proxy_host")
        if host is None:
            return None
        protocol = self.choice("proxy_protocol", ("http", "socks4", "socks5"))
        port = self.number("proxy_port", 65535)
        if not port:
            self.wrong("proxy_port", "is missing")
            return None
        return Proxy(
            protocol=protocol,
            host=host,
            port=port,
            user=self.text("proxy_user"),
            password=self.secret("proxy_password"),
        )

    def work(self, script: str) -> Work | None:
        command = self.text("command")
        arguments = self.text("command_script_param") or ""
        if command is not None:
            try:
                parts = re.split(self.text("command_delimiter") or "%%", command)
            except re.error as error:
                self.wrong("command_delimiter", f"is not a regular expression: {error}")
                return None
            texts = tuple(part.strip() for part in parts if part is not None and part.strip())
            if texts:
                return Commands(texts=texts)
        text = self.text("command_script") or (script if script.strip() else None)
        if text is not None:
            if len(text) > SCRIPT_LENGTH_MAX:
                self.wrong("command_script", f"is longer than {SCRIPT_LENGTH_MAX} characters")
            return Script(text=text.strip("\r\n"), arguments=arguments)
        path = self.text("command_script_file")
        if path is not None:
            return ScriptFile(path=path, arguments=arguments)
        self.wrong("command", "SOS-SSH-E-100: neither command nor script is given")
        return None

    def rules(self) -> ResultRules:
        return ResultRules(
            ignore_error=self.flag("ignore_error"),
            ignored_codes=self._codes("ignore_exit_code"),
            ignore_signal=self.flag("ignore_signal"),
            ignore_stderr=self.flag("ignore_stderr"),
            raise_on_error=self.flag("raise_exception_on_error"),
            output_parameters=self.flag("ssh_job_output_params"),
        )

    def _codes(self, name: str) -> frozenset[int]:
        codes: set[int] = set()
        for word in re.split(r"[,;\s]+", (self.text(name) or "").strip()):
            found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", word)
            if found is not None:
                codes |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
            elif word:
                self.wrong(name, f"{word!r} is neither a code nor a range")
        return frozenset(codes)

    def session(self) -> SessionRules:
        chain = self.text("cleanupJobchain")
        if self.flag("runWithWatchdog") and chain is None:
            self.wrong("cleanupJobchain", "is missing; runWithWatchdog needs it")
        after = self.number("ssh_job_timeout_kill_after")
        terminal = self.flag("simulate_shell")
        folder = (self.text("temp_dir") or ".").strip()
        return SessionRules(
            watchdog_chain=chain if self.flag("runWithWatchdog") else None,
            kill_after=seconds(after) if after else None,
            mode=SessionMode(self.choice("ssh_session_mode", ("native", "legacy"))),
            unreachable_limit=seconds(self.number("ssh_session_unreachable_limit") or 0),
            start_grace=seconds(self.number("ssh_session_start_grace") or 0),
            scope=Scope(self.choice("ssh_job_kill_scope", ("token", "session", "group"))),
            detached=self.flag("ssh_job_detached") and not terminal,
            terminal=terminal,
            folder=None if folder in {".", "./"} else folder,
            custom=self._custom(),
        )

    def _custom(self) -> CustomCommands:
        return CustomCommands(
            pid=self._command("ssh_job_get_pid_command"),
            active=self._command("ssh_job_get_active_processes_command"),
            children=self._command("ssh_job_get_child_processes_command"),
            terminate=self._command("ssh_job_terminate_pid_command"),
            kill=self._command("ssh_job_kill_pid_command"),
        )

    def _command(self, name: str) -> str | None:
        """Return a command that differs from the default; backslashes before `$` do not count."""
        text = re.sub(r"\\+\$", "$", self.text(name) or "").strip()
        if not text or text == _KNOWN[fold(name)].default:
            return None
        for placeholder in _PLACEHOLDER.findall(text):
            if placeholder not in {"pid", "user"}:
                self.wrong(name, f"${{{placeholder}}} is not replaced here; only pid and user are")
        user = self.text("user") or ""
        if "${user}" in text and "user" in self._references:
            self.wrong(name, "${user} is not replaced here: the account is in a credential store")
        if "${user}" in text and _USER.match(user) is None:
            self.wrong(name, "the account's name has characters that are unsafe in a command")
        return text


def _port_of(place: str) -> int | None:
    found = re.search(r":(\d{1,5})\Z", place)
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None
