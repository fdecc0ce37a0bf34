"""What the web service tells of the engine's host and process (xml-commands.md 9.2, agents.md 2.4).

`java` is there because clients read it: Python's version stands in its place.
"""

import os
import platform
import resource
from typing import Any


def process_facts(host: str) -> dict[str, Any]:
    """Return `system` and `java` of the overview."""
    uname = os.uname()
    page = os.sysconf("SC_PAGE_SIZE")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "system": {
            "hostname": host,
            "mxBeans": {
                "operatingSystem": {
                    "availableProcessors": os.cpu_count() or 1,
                    "systemLoadAverage": round(os.getloadavg()[0], 2),
                    "totalPhysicalMemorySize": page * os.sysconf("SC_PHYS_PAGES"),
                }
            },
        },
        "java": {
            "systemProperties": {
                "java.version": platform.python_version(),
                "java.vendor": platform.python_implementation(),
                "os.arch": uname.machine,
                "os.name": uname.sysname,
                "os.version": uname.release,
            },
            "memory": {"maximum": page * os.sysconf("SC_PHYS_PAGES"), "total": used, "free": 0},
        },
    }
