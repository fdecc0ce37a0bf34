"""What the agent keeps of each engine between its own lives: the epoch, and where the lease is.

Lives on disk in `sessions/`: NAME.json once an epoch, NAME.lease at every heartbeat.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from engine.codec.records import codec_for
from engine.errors import CodecError
from engine.kernel.ids import Epoch

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """The durable part of a session."""

    engine: str
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What the tasks' leases count from."""

    boot: str
    base: int
    """Milliseconds of the boot-time clock of that life of the host."""


_sessions = codec_for(SessionRecord)
_leases = codec_for(LeaseRecord)


class SessionFiles:
    """The files of all sessions of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sessions"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, record: SessionRecord) -> None:
        """Write a session down; on disk when this returns."""
        file = self._file(record.engine, "json")
        fresh = file.with_suffix(".new")
        with fresh.open("wb") as output:
            output.write(_sessions.to_json(record))
            output.flush()
            os.fsync(output.fileno())
        fresh.replace(file)

    def save_lease(self, engine: str, lease: LeaseRecord) -> None:
        """Write down what the leases of an engine's tasks count from; survives our own end only."""
        file = self._file(engine, "lease")
        fresh = file.with_suffix(".fresh")
        fresh.write_bytes(_leases.to_json(lease))
        fresh.replace(file)

    def read(self) -> Iterable[tuple[SessionRecord, LeaseRecord | None]]:
        """Return what is on disk; unreadable files are passed over."""
        for file in sorted(self._folder.glob("*.json")):
            try:
                record = _sessions.from_json(file.read_bytes())
            except (OSError, CodecError):
                continue
            yield record, self.lease(record.engine)

    def lease(self, engine: str) -> LeaseRecord | None:
        """Return the last lease written down for an engine."""
        try:
            return _leases.from_json(self._file(engine, "lease").read_bytes())
        except (OSError, CodecError):
            return None

    def _file(self, engine: str, kind: str) -> Path:
        # Names of engines come from outside; two that look alike when cleaned stay apart.
        name = _UNSAFE.sub("_", engine)[:60]
        return self._folder / f"{name}-{sha256(engine.encode()).hexdigest()[:12]}.{kind}"
