"""Entry of the cockpit: `run_cockpit`, called lazily by the command line."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tui.app import Cockpit
from tui.client import EngineClient, connection
from tui.commands import CommandProblem, Place, parse
from tui.escape_key import heed_escape
from tui.journal_file import JournalFile
from tui.keys import KeysProblem
from tui.known_engines import KnownEngine, engine_of
from tui.screen_table import SCREENS
from tui.settings import Settings, SettingsProblem, config_folder, load_settings, state_folder
from tui.theme_files import ThemeProblem
from tui.views.all_views import check_columns

GONE_CHECK_S = 2.0
EXIT_USAGE = 2
NO_ENGINE = -1
"""No exit status: the caller knows better what to say."""
EXIT_TERMINAL_GONE = 129


def run_cockpit(
    address: str,
    token: str | None = None,
    *,
    command: str = "",
    read_only: bool | None = None,
    theme: str | None = None,
    journal: str | None = None,
    **given: Any,
) -> int:
    """Run the cockpit on this terminal until the person leaves; return the exit status.

    `address` is the path of a Unix socket or an `http(s)://` address, `command` a deep link such
    as `:orders chain=inv*`, `journal` a saved journal to be shown instead. What is None
    comes from the person's settings; without an address their first engine is shown. Returns
    `NO_ENGINE`, and says nothing, when they have none.
    """
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return _refuse("the cockpit needs a terminal; see `pointsman --help` for commands")
    try:
        read_only = True if journal else read_only
        settings = load_settings(config_folder(), read_only=read_only, theme=theme, **given)
        settings = replace(settings, state_folder=state_folder())
        check_columns(settings.columns, str(config_folder() / "cockpit.toml"))
        first = _first_place(command, settings)
        client: EngineClient
        engine: KnownEngine | None = None
        if journal:
            client = JournalFile(Path(journal))
        else:
            engine = engine_of(settings.engines, address, token)
            if engine is None:
                return NO_ENGINE
            client = connection(engine)
        app = Cockpit(client, settings, first=first, engine=engine)
    except (SettingsProblem, KeysProblem, ThemeProblem, CommandProblem) as problem:
        return _refuse(str(problem))
    has_left = _watch_terminal()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(app, settings))
    has_left.set()
    return app.return_code or 0


def _refuse(text: str) -> int:
    sys.stderr.write(f"pointsman: {text}\n")
    return EXIT_USAGE


def _first_place(command: str, settings: Settings) -> Place:
    if command:
        meant = parse(command)
        if isinstance(meant, Place):
            return meant
        raise CommandProblem(f"{command!r} is not a place to begin with")
    if settings.start_screen not in SCREENS:
        raise SettingsProblem(f"there is no screen {settings.start_screen!r}")
    return Place(noun=settings.start_screen)


async def _run(app: Cockpit, settings: Settings) -> None:
    """Run the program; leave the screen properly when the terminal or a supervisor says so."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Set even where they were ignored: a cockpit without a terminal is of no use.
        loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))
    heed_escape()
    await app.run_async(mouse=settings.mouse)


def _watch_terminal() -> threading.Event:
    """End the process when its terminal is gone; no longer once the event returned is set.

    With SIGHUP ignored a dead terminal makes the loop spin; only a thread can end it then. What the
    caller does after the cockpit has left, such as ending a demo, must not be cut short.
    """
    has_left = threading.Event()

    def watch() -> None:
        while not has_left.wait(GONE_CHECK_S):
            try:
                is_there = os.isatty(0) and bool(os.ttyname(0))
            except OSError:
                is_there = False
            if not is_there:
                os._exit(EXIT_TERMINAL_GONE)

    threading.Thread(target=watch, name="terminal watch", daemon=True).start()
    return has_left


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m tui ADDRESS [:COMMAND]`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        return _refuse("usage: python -m tui SOCKET-OR-URL|--journal FILE [:COMMAND]")
    if words == ["--reference"]:
        from tui.reference import reference  # noqa: PLC0415  # only for this

        sys.stdout.write(reference())
        return 0
    if words[0] == "--journal" and len(words) > 1:
        return run_cockpit("", journal=words[1], command=" ".join(words[2:]), read_only=True)
    return run_cockpit(
        words[0], token=os.environ.get("POINTSMAN_TOKEN"), command=" ".join(words[1:])
    )


if __name__ == "__main__":
    sys.exit(main())
