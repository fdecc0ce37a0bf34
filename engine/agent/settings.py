"""Settings of the agent program, checked once."""

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import SettingsError

DEFAULT_PORT = 4445


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files of an HTTPS listener, all PEM."""

    certificate: Path
    key: Path
    client_authority: Path | None = None
    """When given, only clients with a certificate of this authority get a connection."""

    def context(self) -> ssl.SSLContext:
        """Return the listener's TLS context. Raises SettingsError when a file is unusable."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_authority is not None:
                context.load_verify_locations(self.client_authority)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            raise SettingsError((f"the TLS files cannot be used: {error}",)) from error
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What the agent program is told at its start; periods and timeouts come with requests."""

    data: Path
    """The folder for everything it keeps; one program at a time uses it."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = DEFAULT_PORT
    """0: a free one, written to `port` in the data folder."""
    token: str | None = field(default=None, repr=False)
    """The secret shared with the engines."""
    trusts_loopback: bool = False
    """Let requests from this host in without a token."""
    tls: TlsSettings | None = None
    allows_plain: bool = False
    """Listen on other addresses than loopback without TLS."""
    uri_prefix: str = ""
    ends_found_tasks: bool = False
    """Kill the tasks of a former life of this program instead of taking them over."""
    leaves_tasks: bool = False
    """Let tasks run on under their leases when SIGTERM ends this program, for an upgrade."""
    tasks_max: int | None = None
    result_retention_s: float = 24 * 3600.0
    """So long results wait for an engine that is away; at most as long as its own keys count."""
    kill_script: Path | None = None
    is_durable: bool = True
    """Write each start through to the disk, so that a power failure cannot repeat it."""

    def checked(self) -> "AgentSettings":
        """Return these settings. Raises SettingsError with everything that speaks against them."""
        findings = []
        if not is_loopback(self.host):
            if self.tls is None and not self.allows_plain:
                findings.append(
                    f"listening on {self.host} without TLS is refused; give a certificate, listen "
                    "on loopback, or allow plain HTTP explicitly"
                )
            if self.token is None:
                findings.append(f"listening on {self.host} without a token is refused")
        if self.token is None and not self.trusts_loopback:
            findings.append("without a token nobody gets in; give one, or trust loopback")
        if self.result_retention_s <= 0:
            findings.append("results have to be kept for some time")
        if self.kill_script is not None and not self.kill_script.is_file():
            findings.append(f"there is no kill script {self.kill_script}")
        if findings:
            raise SettingsError(tuple(findings))
        return self


def is_loopback(host: str) -> bool:
    """Return whether an address or name means this host only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """Return the token in a file. Raises SettingsError."""
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise SettingsError((f"the token cannot be read: {error}",)) from error
    if not token:
        raise SettingsError((f"the token file {file} is empty",))
    return token
