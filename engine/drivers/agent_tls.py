"""Whom the engine believes at https agents, and how it shows who it is itself."""

import ssl
from pathlib import Path

from engine.errors import SettingsError


def agent_tls(
    authorities: Path | None, certificate: Path | None, key: Path | None = None
) -> ssl.SSLContext | None:
    """Return what https connections to agents are made with; None: as the host does by itself.

    `certificate` and `key` (absent: in the same file) are shown to agents that ask for one. Raises
    SettingsError when a file cannot be used.
    """
    if authorities is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError((f"agent_ca_file: {authorities}: {error}",)) from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError((f"agent_certificate_file: {certificate}: {error}",)) from error
    return context
