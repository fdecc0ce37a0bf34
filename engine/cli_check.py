"""`pointsman check`: what there is to say of a folder, as rows."""

import logging
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.drivers.check import inspect_folder
from engine.errors import SettingsError


def report_of(folder: Path) -> dict[str, Any]:
    """Return all findings and notes; raises SettingsError when there is no such folder."""
    if not folder.is_dir():
        raise SettingsError((f"{folder}: there is no such folder",))
    # Whoever reads the folder logs its findings, too; here they are printed once.
    logging.getLogger("engine").addHandler(logging.NullHandler())
    try:
        zone = ZoneInfo(os.environ.get("TZ", "").removeprefix(":") or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    inspection = inspect_folder(folder, zone=zone)
    rows = [
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
        for finding in inspection.findings
    ]
    return {
        "findings": rows,
        "errors": sum(row["severity"] == "error" for row in rows),
        "downtime": [
            {
                "rule": note.rule.value,
                "text": note.rule.text,
                "objects": list(note.objects),
                "shown": str(note),
            }
            for note in inspection.downtime
        ],
    }
