"""`pointsman check`: findings of a folder as rows."""

import logging
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.drivers.check import check_folder
from engine.errors import SettingsError


def findings_of(folder: Path) -> list[dict[str, Any]]:
    """Return all findings; raises SettingsError when there is no such folder."""
    if not folder.is_dir():
        raise SettingsError((f"{folder}: there is no such folder",))
    # Whoever reads the folder logs its findings, too; here they are printed once.
    logging.getLogger("engine").addHandler(logging.NullHandler())
    try:
        zone = ZoneInfo(os.environ.get("TZ", "").removeprefix(":") or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    return [
        {
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "element": finding.element,
            "severity": finding.severity.value,
            "code": finding.code,
            "text": finding.text,
            "advice": finding.advice,
            "shown": str(finding),
        }
        for finding in check_folder(folder, zone=zone)
    ]
