"""Reads `scheduler.xml` with its base files and includes from the file system."""

from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

from engine.codec.xml.findings import Finding
from engine.codec.xml.main_configuration import SchedulerXml, read_main_configuration
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.drivers.live_files import read_file
from engine.kernel.definitions import Include


def load_main_configuration(
    path: Path,
    environment: Mapping[str, str],
    zone: tzinfo,
    *,
    engine_id: str = "",
    live_folder: Path | None = None,
) -> SchedulerXml:
    """Read a `scheduler.xml`; what is wrong with it is among the result's findings.

    `live_folder` is the root of `<include live_file>`. A file that cannot be opened is a finding.
    """
    folder = path.parent

    def read_include(include: Include, *, beside_configuration: bool = False) -> bytes:
        del beside_configuration  # the include path has been put before already
        if include.live_file is None:
            return read_file(folder, include.file or "")
        if live_folder is None:
            raise FileNotFoundError(
                f"SCHEDULER-462 there is no live folder for {include.live_file}"
            )
        return read_file(live_folder, include.live_file.lstrip("/"))

    context = Context(
        zone=zone,
        environment=Variables(environment),
        read_include=read_include,
        engine_id=engine_id,
    )
    try:
        data = read_file(folder, path.name)
    except OSError as error:
        finding = Finding(
            file=path.name,
            text=f"The file cannot be read: {error.strerror or error}",
            advice="Check its name and its permissions",
        )
        return SchedulerXml(findings=(finding,))
    return read_main_configuration(data, path.name, context, lambda file: read_file(folder, file))
