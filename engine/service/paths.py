"""Every folder and file name of an engine's data folder, once."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_SOCKET_PATH_BYTES_MAX = 100
"""The system allows 107 bytes in the address of a Unix domain socket."""


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """What lies where below the data folder of one engine."""

    data: Path

    @property
    def journal(self) -> Path:
        """The database with the journal, snapshots and histories."""
        return self.data / "journal.sqlite3"

    @property
    def histories(self) -> Path:
        """The histories of orders and tasks, made again from the journal if they are lost."""
        return self.data / "history.sqlite3"

    @property
    def lock(self) -> Path:
        """Held by the living engine, with its process id as text."""
        return self.data / "engine.lock"

    @property
    def socket(self) -> Path:
        """Where local clients reach the engine: `engine.sock` in the data folder.

        A data folder whose path is too long for a socket's address has its socket in a private
        folder below `/tmp`, under a name that follows from the data folder.
        """
        direct = self.data.absolute() / "engine.sock"
        if len(os.fsencode(direct)) <= _SOCKET_PATH_BYTES_MAX:
            return direct
        name = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        return Path(f"/tmp/pointsman-{self._owner()}") / f"{name}.sock"  # noqa: S108  # made 0700

    @property
    def door_socket(self) -> Path:
        """Where the sessions of a door reach the engine: without a token nobody is believed."""
        return door_socket_beside(self.socket)

    @property
    def door_tokens(self) -> Path:
        """Tokens of the sessions of a door on this data folder, written by the door."""
        return self.data / "door" / "tokens"

    @property
    def logs(self) -> Path:
        """Folder of the task logs."""
        return self.data / "logs"

    @property
    def engine_log(self) -> Path:
        """The engine's own log, for people."""
        return self.data / "engine.log"

    @property
    def work(self) -> Path:
        """Folder of what tasks on the engine's own host need: scripts, outputs, exit codes."""
        return self.data / "work"

    @property
    def known_hosts(self) -> Path:
        """Keys of SSH hosts that were accepted for this engine (`pointsman ssh trust`)."""
        return self.data / "known_hosts"

    @property
    def secret_key(self) -> Path:
        """What passwords in parameters are sealed with; without it they must be given anew."""
        return self.data / "secret.key"

    @property
    def process_audit(self) -> Path:
        """Who has signalled what on remote hosts, a JSON object a line; never rewritten."""
        return self.data / "process_audit.jsonl"

    @property
    def tokens(self) -> Path:
        """Access tokens as `ROLE sha256:HEX NAME` lines; `pointsman token` adds to it."""
        return self.data / "tokens"

    def _owner(self) -> int:
        try:
            return self.data.stat().st_uid
        except FileNotFoundError:
            return os.getuid()


def door_socket_beside(engine_socket: Path) -> Path:
    """Return the socket for the sessions of a door that lies beside the engine's own."""
    return engine_socket.with_name(f"{engine_socket.stem}.door.sock")
