"""Options and environment -> settings of the agent program."""

from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_data_path

from engine.agent.settings import AgentSettings, TlsSettings, read_token
from engine.errors import SettingsError
from engine.server.listeners import parse_tcp_address


def agent_settings(  # noqa: PLR0913  # each option is a parameter
    *,
    listen: str,
    data: Path | None,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    environment: Mapping[str, str],
    trust_loopback: bool,
    allow_insecure: bool,
    tasks_max: int | None,
    kill_script: Path | None,
    ends_found_tasks: bool,
    leaves_tasks: bool,
) -> AgentSettings:
    """Return the settings of an agent. Raises SettingsError with everything against them."""
    try:
        address = parse_tcp_address(listen)
    except ValueError as error:
        raise SettingsError((f"--listen: {error}",)) from error
    if tls_key is not None and tls_certificate is None:
        raise SettingsError(("--tls-key needs --tls-certificate as well",))
    tls = None
    if tls_certificate is not None:
        tls = TlsSettings(certificate=tls_certificate, key=tls_key or tls_certificate)
    token = environment.get("POINTSMAN_AGENT_TOKEN") or None
    if token_file is not None:
        token = read_token(token_file)
    if data is None:
        data = user_data_path("pointsman") / "agents" / f"{address.host}-{address.port}"
    return AgentSettings(
        data=data,
        host=address.host,
        port=address.port,
        token=token,
        trusts_loopback=trust_loopback,
        tls=tls,
        allows_plain=allow_insecure,
        ends_found_tasks=ends_found_tasks,
        leaves_tasks=leaves_tasks,
        tasks_max=tasks_max,
        kill_script=kill_script,
    ).checked()
