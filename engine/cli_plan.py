"""`pointsman plan`: what starts, what is late, what was missed."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from engine.cli_options import (
    CaOption,
    DataOption,
    EngineOption,
    JsonOption,
    TokenFileOption,
    connect,
)


def register(app: typer.Typer) -> None:
    """Add the subcommand of this module."""
    app.command("plan")(plan)


def plan(
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="yyyy-mm-dd[THH:MM[:SS]], local time of the engine's zone unless a zone is given. "
            "Default: the beginning of today.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Exclusive. Default: a day after --from."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="End after so many starts.")] = 10_000,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """List what starts by itself, with the expected end; what is late, and what was missed.

    The duration is the median of the last runs. Starts that fell into a downtime of the engine are
    missed: they are not made up.
    """
    with connect(engine, data, token_file, ca_file) as client:
        found = client.get("/api/plan", **{"from": from_, "to": to, "limit": limit})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for line in _lines(found):
        typer.echo(line)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    zone = ZoneInfo(found["time_zone"])
    day = None
    for entry in found["entries"]:
        at = _local(entry["at"], zone)
        if at.date() != day:
            day = at.date()
            yield f"{at:%A %Y-%m-%d} ({found['time_zone']})"
        yield _line(entry, at, zone)
    late, missed = (_count(found, status) for status in ("late", "missed"))
    yield f"{_count(found, 'planned')} starts planned, {late} late, {missed} missed"
    if not found["complete"]:
        yield f"There are more: this list ends after {found['count']} starts; see --limit."


def _line(entry: Mapping[str, Any], at: datetime, zone: ZoneInfo) -> str:
    expected = ""
    if entry["end"] is not None:
        end = _local(entry["end"], zone)
        lasts = timedelta(milliseconds=entry["duration_ms"] - entry["duration_ms"] % 1000)
        expected = f"~{lasts} to {end:%H:%M:%S}"
    name = entry["path"] if entry["order"] is None else f"{entry['path']},{entry['order']}"
    reason = entry["kind"] if entry["schedule"] is None else f"{entry['kind']} {entry['schedule']}"
    more = f" and {entry['count'] - 1} more" if entry["count"] > 1 else ""
    status = "" if entry["status"] == "planned" else entry["status"].upper()
    return f"  {at:%H:%M:%S}  {status:6}  {expected:22}  {name}  ({reason}{more})"


def _local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)


def _count(found: Mapping[str, Any], status: str) -> int:
    return sum(entry["count"] for entry in found["entries"] if entry["status"] == status)
