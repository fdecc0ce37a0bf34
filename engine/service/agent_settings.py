"""From the engine's settings to those of its sessions with agents."""

from engine.codec.agent_messages import TakeOver
from engine.drivers.agent_link import AgentDriverSettings
from engine.drivers.agent_tls import agent_tls
from engine.drivers.http_client import Credentials
from engine.drivers.link_parts import LinkSettings
from engine.service.settings import EngineSettings


def agent_credentials(settings: EngineSettings) -> Credentials:
    """Return how the engine and its agents know each other. Raises SettingsError."""
    tls = agent_tls(
        settings.agent_ca_file, settings.agent_certificate_file, settings.agent_key_file
    )
    return Credentials(token=settings.agent_token, tls=tls)


def agent_driver_settings(
    settings: EngineSettings, credentials: Credentials
) -> AgentDriverSettings:
    """Return the timeouts of sessions with agents."""
    link = LinkSettings(
        kill_grace=settings.agent_kill_grace,
        heartbeat_delay=settings.agent_heartbeat_delay,
        repeat_interval=settings.agent_repeat_interval,
        take_over=TakeOver(settings.on_engine_restart),
    )
    return AgentDriverSettings(
        link=link, connect_s=settings.agent_connect_timeout / 1000, credentials=credentials
    )
