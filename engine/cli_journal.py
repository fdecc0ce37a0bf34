"""`pointsman journal`: look after the journal of an engine that does not run."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli_options import JsonOption

app = typer.Typer(
    name="journal",
    help="Verify the journal of a stopped engine, or make its histories again.",
    no_args_is_help=True,
)

DataFolder = Annotated[
    Path, typer.Argument(metavar="DATA", help="The data folder of an engine that does not run.")
]


@app.command("verify")
def verify(data: DataFolder, as_json: JsonOption = False) -> None:
    """Read and replay everything; exit status 1 if anything is wrong."""
    from engine.service import journal_tools  # noqa: PLC0415  # only for this command

    facts = asyncio.run(journal_tools.verify(data))
    if as_json:
        typer.echo(json.dumps(asdict(facts), indent=2))
    else:
        snapshot = "none" if facts.snapshot is None else str(facts.snapshot)
        typer.echo(f"events {facts.first} to {facts.last}, snapshot {snapshot}")
        typer.echo(f"{facts.orders} orders, {facts.tasks} tasks")
        for problem in facts.problems:
            typer.echo(problem, err=True)
    raise typer.Exit(1 if facts.problems else 0)


@app.command("rebuild")
def rebuild(data: DataFolder) -> None:
    """Make the histories of orders and tasks again from the journal."""
    from engine.service import journal_tools  # noqa: PLC0415  # only for this command

    number = asyncio.run(journal_tools.rebuild_histories(data))
    typer.echo(f"the histories are complete up to event {number}")
