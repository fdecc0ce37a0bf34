"""A terminal at the end of a slow line: runs a program and holds every byte back, both ways.

python bench/slow_line.py ROUND_TRIP_S PROGRAM [ARGUMENT …]
"""

import fcntl
import os
import pty
import queue
import struct
import sys
import termios
import threading
import time
import tty

CHUNK_BYTES = 16_384
HELD_MAX = 10_000


def hold_back(source: int, target: int, delay_s: float) -> None:
    """Pass on what comes, each byte so much later; ends with its source."""
    held: queue.Queue[tuple[float, bytes]] = queue.Queue(HELD_MAX)

    def deliver() -> None:
        while True:
            due, data = held.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                return
            os.write(target, data)

    delivery = threading.Thread(target=deliver, daemon=True)
    delivery.start()
    while True:
        try:
            data = os.read(source, CHUNK_BYTES)
        except OSError:
            data = b""
        held.put((time.monotonic() + delay_s, data))
        if not data:
            delivery.join()
            return


def main() -> None:
    """Run the program."""
    delay_s = float(sys.argv[1]) / 2
    pid, near = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])  # no shell
    size = os.get_terminal_size(0)
    _set_size(near, size)
    tty.setraw(0)
    threading.Thread(target=hold_back, args=(0, near, delay_s), daemon=True).start()
    hold_back(near, 1, delay_s)
    os.waitpid(pid, 0)


def _set_size(terminal: int, size: os.terminal_size) -> None:
    packed = struct.pack("HHHH", size.lines, size.columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, packed)


if __name__ == "__main__":
    main()
