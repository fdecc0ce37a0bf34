"""Options that several subcommands share, and how their errors become exit statuses."""

from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli_client import EngineClient, environment, find_engine

REFUSED: Final = 1
"""The engine said no, or something failed."""
USAGE: Final = 2
"""The command line or the settings make no sense."""
NOT_REACHABLE: Final = 3
"""There is no engine where it should be."""

CLIENT_PANEL = "Where the engine is"

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="URL|SOCKET",
        help="Engine to talk to: http(s)://HOST:PORT, or its socket. "
        "Default: POINTSMAN_ENGINE, or the only engine of this user.",
        rich_help_panel=CLIENT_PANEL,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Data folder of an engine on this host, which holds its socket.",
        rich_help_panel=CLIENT_PANEL,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with the token. Default: POINTSMAN_TOKEN_FILE, or POINTSMAN_TOKEN itself.",
        rich_help_panel=CLIENT_PANEL,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Certificate authorities (PEM) to trust for https.",
        rich_help_panel=CLIENT_PANEL,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def connect(
    engine: str | None, data: Path | None, token_file: Path | None, ca_file: Path | None
) -> EngineClient:
    """Return a client for the engine that the options name."""
    return EngineClient(
        find_engine(
            engine=engine,
            data=data,
            token_file=token_file,
            ca_file=ca_file,
            environment=environment(),
        )
    )
