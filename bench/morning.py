"""A morning's work by keyboard alone: what a person on call does, counted in keys and seconds.

    PYTHONPATH=. python bench/morning.py [--slowly] [--size 120x40]

The demo is started in a tmux window of its own and worked with as a person would: find the failed
order and read the failing line of its log; give it another parameter and let it go on from the node
where it failed; find out why another order does not move; start a chain with two parameters; end
the orphans of a host; look at how things were. Goal: at most 40 keys in all, at most 8 a step.
`--slowly` waits a second after each key and prints the command that watches (`tmux … attach`).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.tmux import Terminal, is_there

KEYS_MAX, STEP_MAX = 40, 8
PATIENCE_S = 60.0
QUICK_S = 0.25
"""Between two keys of a quick person; a question takes none that came before it was read."""


@dataclass(frozen=True)
class Step:
    """One piece of work: keys in the names of tmux, each followed by what it must bring."""

    what: str
    keys: Sequence[tuple[str, str]]
    """A key and a text that the screen shows then; no text: the next key follows at once."""


STEPS = (
    Step(
        "find the failed order, read the failing line of its log",
        (("g", ""), ("Enter", "4717"), ("l", "the account 4717 is not known")),
    ),
    Step(
        "let it go on from the node where it failed, with one parameter changed",
        (
            ("Escape", "what happened"),
            ("e", "Change statement"),
            ("BSpace", ""),
            ("1", "4711"),
            ("Enter", "was 4717"),
            ("y", "account         4711"),
            ("s", "ended at booked"),
        ),
    ),
    Step(
        "find out why another order does not move",
        (
            ("Escape", "needs a person"),
            ("o", "lock ledger: october"),
        ),
    ),
    Step(
        "start a chain with two parameters",
        (
            ("Escape", "needs a person"),
            ("c", "NEXT"),
            ("T", "Start an order"),
            ("BSpace", ""),
            ("1", "4711"),
            ("Tab", ""),
            ("5", "1205"),
            ("Enter", "done"),
        ),
    ),
    Step(
        "end the orphans of a host",
        # The demo's account may be root, where even an orphan is asked for: the question is `y`.
        (
            (":", ""),
            ("p", ""),
            ("s", ""),
            ("Enter", "TERM to"),
            ("x", "account root" if os.geteuid() == 0 else "done"),
            *((("y", "ended"),) if os.geteuid() == 0 else ()),
        ),
    ),
    Step(
        "look at how it was a minute ago",
        (
            (":", ""),
            ("a", ""),
            ("t", ""),
            ("Space", ""),
            ("-", ""),
            ("1", ""),
            ("m", ""),
            ("Enter", "PAST"),
        ),
    ),
)


def work(terminal: Terminal, pause_s: float) -> int:
    """Do all steps; return how many keys it took."""
    total = 0
    for step in STEPS:
        began = time.perf_counter()
        for key, text in step.keys:
            terminal.keys(key)
            if text:
                terminal.shows(text, patience_s=PATIENCE_S)
            time.sleep(pause_s)
        took = time.perf_counter() - began
        verdict = "ok" if len(step.keys) <= STEP_MAX else "over"
        total += len(step.keys)
        print(f"{len(step.keys):>3} keys {took:>6.1f} s  {verdict:<5} {step.what}", flush=True)
    return total


def main() -> None:
    """Do the work and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slowly", action="store_true", help="a second after each key")
    parser.add_argument("--size", default="120x40")
    arguments = parser.parse_args()
    if not is_there():
        sys.exit("tmux is not installed")
    width, _, height = arguments.size.partition("x")
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        folder = Path(name)
        environment = {
            "HOME": name,
            "XDG_CONFIG_HOME": name,
            "XDG_STATE_HOME": name,
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        command = [sys.executable, "-m", "engine", "demo"]
        with Terminal(
            command, folder, size=(int(width), int(height)), environment=environment
        ) as terminal:
            if arguments.slowly:
                print(f"to watch: {terminal.attach_command}", flush=True)
            terminal.shows("order failed", "suspended", "orphan", patience_s=120.0)
            total = work(terminal, 1.0 if arguments.slowly else QUICK_S)
            verdict = "ok" if total <= KEYS_MAX else "over"
            print(f"{total:>3} keys in all: {verdict}, the goal is {KEYS_MAX}")
            terminal.keys("C-c")
            terminal.shows("exit-status", patience_s=PATIENCE_S)


if __name__ == "__main__":
    main()
