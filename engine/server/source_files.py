"""Files that wait in the directories of file order sources (xml-commands.md 4, 7.5).

Looked up when somebody asks for them, in directories of the engine's own host only.
"""

import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from engine.kernel.definitions import Chain, FileOrderSource
from engine.kernel.instants import Instant
from engine.kernel.pending import source_key

FILES_MAX: Final = 1_000
"""Of one directory."""
ENTRIES_MAX: Final = 100_000
"""So much of a directory is looked through."""

SourceFiles = Mapping[str, tuple[tuple[str, Instant], ...]]


def waiting_files(chains: Iterable[Chain]) -> SourceFiles:
    """Return the matching files of each source, oldest first; for a thread."""
    return {
        source_key(chain.key, source.directory): _files(source)
        for chain in chains
        if not chain.file_watching_process_class
        for source in chain.file_order_sources
    }


def _files(source: FileOrderSource) -> tuple[tuple[str, Instant], ...]:
    pattern = re.compile(source.regex or "")
    found: list[tuple[Instant, str]] = []
    try:
        with os.scandir(source.directory) as entries:
            for entry in islice(entries, ENTRIES_MAX):
                if pattern.search(entry.name) and entry.is_file():
                    changed = Instant(entry.stat().st_mtime_ns // 1_000_000)
                    found.append((changed, os.path.join(source.directory, entry.name)))  # noqa: PTH118
    except OSError:
        return ()  # the source shows its error itself
    return tuple((path, changed) for changed, path in sorted(found)[:FILES_MAX])
