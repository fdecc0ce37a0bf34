"""`pointsman door`: the cockpit over SSH, without a shell account."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from engine.cli_client import (
    EngineAddress,
    EngineClient,
    EngineNotReachable,
    RequestRefused,
    environment,
    find_engine,
)
from engine.cli_options import DataOption, EngineOption
from engine.errors import SettingsError

if TYPE_CHECKING:
    from engine.door.door import DoorSettings

DEFAULT_LISTEN: Final = "127.0.0.1:4446"
_NEEDS_TOKENS: Final = 401


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("door")(door)


def door(  # noqa: PLR0913  # each option of the command line is a parameter
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address; port 0: a free one.")
    ] = DEFAULT_LISTEN,
    engine: EngineOption = None,
    data: DataOption = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="What the door keeps: host key, tokens of sessions, log. "
            "Default: door/ in the engine's data folder.",
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people",
            metavar="FILE",
            help='Who may come in: lines as in authorized_keys, with person="NAME" and '
            'role="read-only|operator|admin". Default: authorized_keys in the folder.',
        ),
    ] = None,
    sessions_max: Annotated[int, typer.Option(min=1, max=1000, help="Sessions in all.")] = 20,
    sessions_per_person: Annotated[int, typer.Option(min=1, max=1000, help="And of one.")] = 5,
    idle_timeout: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="Close a terminal without a key for so long; 0: never."
        ),
    ] = 3600,
    log_level: Annotated[
        str, typer.Option(help="debug, info, warning or error.", metavar="LEVEL")
    ] = "info",
    log_format: Annotated[str, typer.Option(help="text or json.", metavar="FORM")] = "text",
) -> None:
    """Open the cockpit to people over SSH: `ssh -p 4446 NAME@HOST`, without a shell account.

    Keys and certificates only. What a person may do is enforced by the engine.
    """
    if log_level not in {"debug", "info", "warning", "error"}:
        raise SettingsError((f"--log-level: {log_level!r} is not debug, info, warning or error",))
    if log_format not in {"text", "json"}:
        raise SettingsError((f"--log-format: {log_format!r} is neither text nor json",))
    address = _entrance(
        find_engine(
            engine=engine, data=data, token_file=None, ca_file=None, environment=environment()
        )
    )
    place = folder or _default_folder(address)
    settings = _settings(
        listen, address, place.absolute(), people, environment=environment(),
        sessions_max=sessions_max, sessions_per_person=sessions_per_person,
        idle_s=idle_timeout or None,
    )  # fmt: skip
    refusal = settings.probe()
    if refusal is not None:
        raise SettingsError((refusal,))
    raise typer.Exit(asyncio.run(_serve(settings, log_level, log_format)))


def _entrance(found: EngineAddress) -> EngineAddress:
    """Return where the engine believes only tokens: beside the socket that believes its owner."""
    from engine.service.paths import door_socket_beside  # noqa: PLC0415  # only for this command

    if found.socket is None:
        return EngineAddress(url=found.url)
    return EngineAddress(socket=door_socket_beside(found.socket.absolute()))


def _default_folder(address: EngineAddress) -> Path:
    if address.socket is None:
        raise SettingsError(
            ("--folder: an engine with a URL does not say where the door may keep its things",)
        )
    if address.socket.parent.name.startswith("pointsman-"):
        raise SettingsError(("--folder: the data folder is not known from this socket",))
    return address.socket.parent / "door"


def _settings(
    listen: str,
    address: EngineAddress,
    folder: Path,
    people: Path | None,
    *,
    environment: Mapping[str, str],
    sessions_max: int,
    sessions_per_person: int,
    idle_s: float | None,
) -> "DoorSettings":
    from engine.door.door import DoorSettings  # noqa: PLC0415  # asyncssh takes long to load
    from engine.server.listeners import parse_tcp_address  # noqa: PLC0415  # only for this command

    try:
        at = parse_tcp_address(listen)
    except ValueError as error:
        raise SettingsError((f"--listen: {error}",)) from error
    return DoorSettings(
        listen=at,
        folder=folder,
        people=people or folder / "authorized_keys",
        engine=str(address),
        program=(sys.executable, "-P", "-m", "engine.cli_door_session"),
        probe=lambda: why_not(address),
        sessions_max=sessions_max,
        sessions_per_person=sessions_per_person,
        idle_s=idle_s,
        environment=environment,
    )


def why_not(address: EngineAddress) -> str | None:
    """Return why no session may begin: the engine there believes somebody without a token.

    An engine that is not there is no reason: the cockpit waits for it.
    """
    try:
        with EngineClient(address) as client:
            client.get("/api/overview")
    except EngineNotReachable:
        return None
    except RequestRefused as error:
        if error.status == _NEEDS_TOKENS:
            return None
        return f"the engine at {address} answers strangers with {error}"
    return (
        f"the engine at {address} believes everybody of this host (--trust-loopback), so a door "
        "before it could keep nobody out; use its data folder: --data"
    )


async def _serve(settings: "DoorSettings", log_level: str, log_format: str) -> int:
    module = importlib.import_module("engine.door.door")
    from engine.service.logs import set_up_engine_log  # noqa: PLC0415  # only for this command

    opened = module.Door(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await opened.open()
    set_up_engine_log(settings.folder / "door.log", log_level, log_format)
    at = f"{settings.listen.host}:{opened.port}"
    typer.echo(f"The door is open at {at}; its key is ED25519 {opened.fingerprint}")
    sys.stdout.flush()
    await opened.run(stop)
    return 0
