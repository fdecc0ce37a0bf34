"""`pointsman ssh trust`, `processes`, `orphans`, `kill`: SSH hosts and what runs on them."""
# ruff: noqa: PLR0913, PLR0917 - each option of the command line is a parameter

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from engine.cli_client import EngineClient, EngineNotReachable
from engine.cli_options import (
    REFUSED,
    CaOption,
    DataOption,
    EngineOption,
    JsonOption,
    TokenFileOption,
    connect,
)
from engine.errors import EngineError

ssh_app = typer.Typer(help="Keys of hosts that are reached by SSH.", no_args_is_help=True)

HOSTS_AT_A_TIME: Final = 16
HOSTS_NAMED_MAX: Final = 10
COLUMNS_BEFORE_COMMAND: Final = 55
_SHOWN_MARKS: Final = ("step", "orphan", "left behind", "lost", "other session", "foreign")
_IS_IT_THE_KEY: Final = (
    "Is this the fingerprint that the host itself shows (ssh-keygen -lf)?",
    "--fingerprint or --yes accepts it",
)
_HEADINGS: Final = ("PID", "USER", "MARK", "S", "CPU s", "RSS KiB", "COMMAND")


def register(app: typer.Typer) -> None:
    """Add the subcommands of this module."""
    app.add_typer(ssh_app, name="ssh")
    app.command("processes")(processes)
    app.command("orphans")(orphans)
    app.command("kill")(kill)


# --- keys ----------------------------------------------------------------------------------------


@ssh_app.callback()
def _ssh() -> None:
    """Keys of hosts that are reached by SSH."""


@ssh_app.command()
def trust(
    host: Annotated[str, typer.Argument(help="Name or address, as SSH jobs write it.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of its SSH server.")] = 22,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="SHA256:…", help="Accept this key only, without asking."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept whatever key it shows.")] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Accept the key that a host shows now, after comparing its fingerprint.

    The key goes into the engine's own known_hosts; with --data that works without a running engine
    too. A host that shows another key than the recorded one is refused.
    """
    ask = _engine_asks(engine, data, token_file, ca_file)
    shown = ask({"host": host, "port": port})
    key = shown["key"]
    said = f"{key['host']} port {key['port']} shows {key['algorithm']} {key['fingerprint']}"
    typer.echo(said, err=as_json)
    if fingerprint not in {None, key["fingerprint"]}:
        raise EngineError(f"the host shows another key than {fingerprint}")
    is_accepted = bool(shown["was_known"])
    if not is_accepted:
        is_accepted = yes or fingerprint is not None or _confirmed(*_IS_IT_THE_KEY)
        if is_accepted:  # this one, whatever it shows by then
            wanted = key["fingerprint"]
            ask({"host": host, "port": port, "fingerprint": wanted, "accept": yes})
    if as_json:
        known = {"was_known": shown["was_known"], "accepted": is_accepted}
        typer.echo(json.dumps(key | known, indent=2))
    elif is_accepted:
        typer.echo("this key is known already" if shown["was_known"] else "accepted")
    if not is_accepted:
        raise typer.Exit(REFUSED)


Ask = Callable[[dict[str, Any]], Any]


def _engine_asks(
    engine: str | None, data: Path | None, token_file: Path | None, ca_file: Path | None
) -> Ask:
    """Return what asks the engine, or works on its file when it is not running."""

    def ask(content: dict[str, Any]) -> Any:
        try:
            with connect(engine, data, token_file, ca_file) as client:
                return client.post("/api/ssh/trust", content)
        except EngineNotReachable:
            if data is None or not data.is_dir():
                raise
            return asyncio.run(_trust_without_engine(data, content))

    return ask


async def _trust_without_engine(data: Path, content: dict[str, Any]) -> dict[str, Any]:
    from engine.drivers.ssh_host_keys import HostKeys, shown_key, trust_host  # noqa: PLC0415
    from engine.service.paths import EnginePaths  # noqa: PLC0415  # both only for this command

    keys = HostKeys(EnginePaths(data).known_hosts)
    host, port = content["host"], content["port"]
    fingerprint = content.get("fingerprint")
    if fingerprint is None and not content.get("accept"):
        key, was_known = await shown_key(host, port), False
    else:
        trusted = await trust_host(keys, host, port, fingerprint=fingerprint)
        key, was_known = trusted.key, trusted.was_known
    shown = {
        "host": key.host,
        "port": key.port,
        "algorithm": key.algorithm,
        "fingerprint": key.fingerprint,
    }
    return {"key": shown, "was_known": was_known}


def _confirmed(question: str, hint: str) -> bool:
    """Ask a person; nobody there means no."""
    if not sys.stdin.isatty():
        typer.echo(f"{question} Nobody was there to answer; {hint}", err=True)
        return False
    return typer.confirm(question, default=False, err=True)


# --- processes -----------------------------------------------------------------------------------


def processes(
    host: Annotated[
        str | None, typer.Argument(help="Its name or address; absent: all hosts in short.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Processes of other accounts, too.")
    ] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Show what runs on the hosts of SSH jobs, and whose it is."""
    with connect(engine, data, token_file, ca_file) as client:
        if host is None:
            rows = _looked_at(client)
            if as_json:
                typer.echo(json.dumps({"hosts": rows}, indent=2))
            else:
                _print_hosts(rows)
            return
        shown = _look(client, _named(client, host), everyone=everyone)
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    else:
        _print_processes(shown)
    if shown["state"] != "shown":
        raise typer.Exit(REFUSED)


def orphans(
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """List runs whose step is over and whose processes still run on their hosts."""
    with connect(engine, data, token_file, ca_file) as client:
        rows = _looked_at(client)
    found = [
        run | {"host": row["host"]}
        for row in rows
        for run in row["runs"]
        if run["mark"] == "orphan" and run["verdict"] == "alive"
    ]
    unreachable = [row for row in rows if row["state"] != "shown"]
    if as_json:
        silent = [row["host"] for row in unreachable]
        typer.echo(json.dumps({"orphans": found, "unreachable": silent}, indent=2))
        return
    for run in found:
        pids = ", ".join(str(member["pid"]) for member in run["members"])
        whose = run["order"] or run["job"]
        typer.echo(f"{run['token']}  {run['host']}  {whose}  task {run['task']}  pids {pids}")
    for row in unreachable:
        typer.echo(f"{row['host']}: {row['problem'] or 'not looked at'}", err=True)
    typer.echo(f"{_counted(found, 'orphan')} on {_counted(rows, 'host')}", err=True)


def kill(
    token: Annotated[str, typer.Argument(help="Token of the run, as `orphans` shows it.")],
    signal: Annotated[
        str | None,
        typer.Option("--signal", "-s", metavar="NAME", help="Send this signal only: HUP, USR1, …"),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="KILL at once instead of TERM first.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which processes would be signalled, and why.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer the question with yes.")] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """End what is left of a run: TERM, then KILL after the job's time or ten seconds.

    Every signal is verified on the host in the breath that sends it.
    """
    named = (signal or "").upper().removeprefix("SIG")
    act = "dry_run" if dry_run else "signal" if signal else "kill" if now else "end"
    with connect(engine, data, token_file, ca_file) as client:
        host, expected = _find(client, token)
        request = {
            "act": act,
            "token": token,
            "signal": named or ("KILL" if now else "TERM"),
            "expected": expected,
            "origin": "command line",
            "confirmed": yes,
        }
        path = f"/api/processes/{quote(host)}/signal"
        result = client.post(path, request)["result"]
        if result["outcome"] == "needs confirmation":
            if not _confirmed(f"{result['question']} ({result['text']})", "--yes answers it"):
                raise typer.Exit(REFUSED)
            result = client.post(path, request | {"confirmed": True})["result"]
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        typer.echo(f"{result['outcome']}: {result['text']}")
        for member in result["members"]:
            typer.echo(f"  {member['pid']}  {member['reason']}")
    if result["outcome"] not in {"done", "dry run", "nothing there"}:
        raise typer.Exit(REFUSED)


# --- parts ---------------------------------------------------------------------------------------


def _named(client: EngineClient, host: str) -> str:
    """Return how the engine calls a host that is given by its name or its address."""
    rows = client.get("/api/processes")["hosts"]
    names = [str(row["host"]) for row in rows]
    if host in names:
        return host
    found = [
        str(row["host"])
        for row in rows
        if host in {row["address"], f"{row['address']}:{row['port']}"}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise EngineError(f"{host} may be {' or '.join(found)}")
    known = ", ".join(names[:HOSTS_NAMED_MAX]) + (", …" if len(names) > HOSTS_NAMED_MAX else "")
    raise EngineError(f"there is no host {host}; known: {known or 'none yet'}")


def _counted(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def _look(client: EngineClient, host: str, *, everyone: bool = False) -> dict[str, Any]:
    """Have a host looked at now."""
    answer = client.get(
        f"/api/processes/{quote(host)}", refresh="true", all="true" if everyone else None
    )
    shown: dict[str, Any] = answer
    return shown


def _looked_at(client: EngineClient) -> list[dict[str, Any]]:
    """Have all hosts looked at, some at a time: a dead one must not hold up the others."""
    names = [row["host"] for row in client.get("/api/processes")["hosts"]]
    with ThreadPoolExecutor(HOSTS_AT_A_TIME) as pool:
        return list(pool.map(lambda name: _look(client, name), names))


def _find(client: EngineClient, token: str) -> tuple[str, str]:
    """Return the host of a run, and what its processes look like now."""
    rows = client.get("/api/processes", token=token)["hosts"]
    if not rows:
        _looked_at(client)
        rows = client.get("/api/processes", token=token)["hosts"]
    if not rows:
        raise EngineError(f"no host is known to have the run {token}")
    host = str(rows[0]["host"])
    runs = _look(client, host)["runs"]
    return host, next((str(run["expected"]) for run in runs if run["token"] == token), "")


def _print_hosts(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        counts = ", ".join(
            f"{row['counts'][mark]} {mark}" for mark in _SHOWN_MARKS if row["counts"][mark]
        )
        typer.echo(f"{row['host']}  {row['state']}  {row['problem'] or counts or 'nothing'}")


def _print_processes(shown: dict[str, Any]) -> None:
    if shown["state"] != "shown":
        typer.echo(f"{shown['host']}: {shown['problem']}", err=True)
        return
    typer.echo("{:>8} {:<10} {:<14} {} {:>7} {:>9}  {}".format(*_HEADINGS))
    # A person gets what fits on a line, a program everything.
    room = None
    if sys.stdout.isatty():
        room = max(shutil.get_terminal_size().columns - COLUMNS_BEFORE_COMMAND, 20)
    for row in shown["processes"]:
        mark = row["mark"] + ("*" if row["inherited"] else "")
        command = "  " * min(row["depth"], 8) + row["command"]
        typer.echo(
            f"{row['pid']:>8} {row['user']:<10} {mark:<14} {row['state']} "
            f"{_number(row['cpu_s']):>7} {_number(row['rss_kib']):>9}  "
            f"{command[:room]}"
        )
    for run in shown["runs"]:
        whose = run["order"] or run["job"] or "not of this engine"
        typer.echo(f"{run['token']}  {run['verdict']}  {run['mark'] or '-'}  {whose}")


def _number(value: object) -> str:
    return "" if value is None else str(value)
