"""The exception tree: faults; refusals are `engine.kernel.problems`, bugs are assertions.

An exception is raised where a fault is noticed, translated once at the border of a layer
(`raise ... from`), and carries its data as attributes. Its text is a sentence for a person; the
command line prints it without a traceback.
"""


class EngineError(Exception):
    """Anything that went wrong in a way this program knows about."""


class SettingsError(EngineError):
    """Settings that cannot be used; carries all findings at once."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class DefinitionError(EngineError):
    """A definition file that cannot be read as what it claims to be."""

    def __init__(
        self,
        text: str,
        *,
        path: str = "",
        line: int = 0,
        column: int = 0,
        element: str = "",
    ) -> None:
        place = ":".join(str(part) for part in (path, line, column) if part)
        super().__init__(f"{place}: {text}" if place else text)
        self.text = text
        self.path = path
        self.line = line
        """Counted from 1; 0 when unknown."""
        self.column = column
        self.element = element


class CodecError(EngineError):
    """Bytes or builtins that do not have the shape of the value they should become.

    `path` names the offending place from the outside in, as in `OrderAdded.order.params`.
    """

    def __init__(self, text: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.text = text
        self.path = path

    def within(self, outer: str) -> "CodecError":
        """Return the same error seen from one level further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return type(self)(self.text, path=f"{outer}{joint}{self.path}")


class StoreError(EngineError):
    """The durable side of the engine failed."""


class StoreUnavailable(StoreError):
    """Nothing could be written or read just now; what was committed is safe, retry later."""


class StoreCorrupt(StoreError):
    """What was read back is not what was written: stop and tell the operator."""


class Fenced(StoreError):
    """A newer epoch owns the journal: stop acting now."""

    def __init__(self, text: str, *, own: int = 0, newest: int = 0) -> None:
        super().__init__(text)
        self.own = own
        self.newest = newest


class EventsGone(StoreError):
    """The events asked for are older than the retained journal."""

    def __init__(self, text: str, *, first: int) -> None:
        super().__init__(text)
        self.first = first
        """Number of the oldest event that is still there."""


class AlreadyRunning(StoreError):
    """Another engine holds the data folder."""

    def __init__(self, text: str, *, pid: int | None = None) -> None:
        super().__init__(text)
        self.pid = pid
        """Process id of the holder; None when it could not be read."""


class AgentError(EngineError):
    """An agent did not do what it was asked for."""

    def __init__(self, text: str, *, agent: str = "") -> None:
        super().__init__(text)
        self.agent = agent


class AgentUnreachable(AgentError):
    """No connection, no answer, or an answer of something between us and the agent."""


class AgentRefused(AgentError):
    """The agent answered with an error."""


class AgentForgot(AgentError):
    """The agent does not know the execution any more."""


class SshError(EngineError):
    """A task or file operation over SSH failed on the way, not by its own result."""

    def __init__(self, text: str, *, host: str = "") -> None:
        super().__init__(text)
        self.host = host


class HostKeyUnknown(SshError):
    """The host's key is not among the known ones, or has changed."""


class LoginRefused(SshError):
    """The host did not accept the user with the credentials given."""


class CredentialsUnusable(LoginRefused):
    """What a login needs cannot be had from its credential store; no host was asked."""


class ConnectionLost(SshError):
    """The connection broke while something was going on; its outcome is unknown."""


class ScriptError(EngineError):
    """A job's script failed inside the interpreter we host."""

    def __init__(self, text: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(text)
        self.line = line
        self.column = column


class EndlessProgress(EngineError):
    """The kernel did not come to rest within its bound; the text names the cycle."""
