"""Keeps the processes of a demo: starts them, switches them, and ends all of them at every end.

A process of its own, between the demo and its engine and agents. Its standard input is a pipe from
the demo: when that closes, because the demo has ended or was killed, everything ends and the folder
goes. So nothing of this may fail with the demo, and only the standard library is used: it has to be
there at once.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

PLAN: Final = "plan.json"
"""What to start: a list of objects with name, command line and niceness."""
ENDED: Final = "ended"
"""Holds a file by the name of each process that has ended by itself."""
SWITCHES: Final = "switches"
"""A file `NAME.off` in here ends that process; without the file it is started again."""
MARK: Final = "DEMO_FOLDER"
"""In the environment of everything that belongs to the demo, down to the last task."""
_LOOK_S: Final = 0.2
_STOP_S: Final = 8.0
_SWEEP_S: Final = 3.0


@dataclass(slots=True)
class _Part:
    """One of the processes."""

    name: str
    command: list[str]
    niceness: int
    process: "subprocess.Popen[bytes] | None" = None
    is_off: bool = False

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Keeper:
    """Starts and ends the processes that a folder's plan names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        self._parts = [_Part(**each) for each in plan]
        self._environment = os.environ | {MARK: str(folder)}

    def run(self) -> None:
        """Return when the demo is no more, and neither is anything that belonged to it."""
        try:
            for part in self._parts:
                self._start(part)
            while not self._demo_has_ended():
                for part in self._parts:
                    self._look_at(part)
        finally:
            self._end()

    def _demo_has_ended(self) -> bool:
        ready, _, _ = select.select([sys.stdin], [], [], _LOOK_S)
        return bool(ready) and not os.read(sys.stdin.fileno(), 64)

    def _start(self, part: _Part) -> None:
        with (self._folder / f"{part.name}.log").open("ab") as log:
            part.process = subprocess.Popen(  # our own program
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, part.process.pid, part.niceness)

    def _look_at(self, part: _Part) -> None:
        shall_be_off = (self._folder / SWITCHES / f"{part.name}.off").exists()
        if part.runs:
            if shall_be_off and not part.is_off:
                part.is_off = True
                self._signal(part, signal.SIGTERM)
        elif part.is_off and not shall_be_off:
            part.is_off = False
            self._start(part)
        elif not part.is_off:
            (self._folder / ENDED / part.name).touch()

    # --- the end ---------------------------------------------------------------------------------

    def _end(self) -> None:
        for part in self._parts:
            if part.runs:
                self._signal(part, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for part in self._parts:
            if part.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.process.wait(max(0.0, deadline - time.monotonic()))
                if part.runs:
                    self._signal(part, signal.SIGKILL)
                    part.process.wait()
        sweep(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _signal(part: _Part, number: signal.Signals) -> None:
        assert part.process is not None, "it was started"
        with contextlib.suppress(ProcessLookupError):
            part.process.send_signal(number)


def sweep(folder: Path) -> None:
    """Kill what has left every session of a demo; its environment tells where it came from."""
    deadline = time.monotonic() + _SWEEP_S
    while time.monotonic() < deadline:
        found = marked(f"{MARK}={folder}".encode())
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def marked(entry: bytes) -> list[int]:
    """Return the processes with this entry in their environment; none where that is not told."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int(place.name) != os.getpid() and entry in (place / "environ").read_bytes().split(
                b"\0"
            ):
                found.append(int(place.name))
    return found


def main() -> None:
    """Keep the processes of the folder that is named."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Keeper(Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
