"""The one command `pointsman`: no argument opens the cockpit, subcommands do the rest.

What a subcommand needs is imported when it runs, so that the small ones are quick. Exit statuses:
0 done, 1 refused or failed, 2 wrong usage or settings, 3 no engine to be reached.
"""
# ruff: noqa: PLR0913, PLR0917 - each option of the command line is a parameter

import asyncio
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import (
    __version__,
    cli_agent,
    cli_door,
    cli_journal,
    cli_orders,
    cli_plan,
    cli_requests,
    cli_ssh,
)
from engine.cli_client import EngineNotReachable, environment, find_engine
from engine.cli_options import (
    NOT_REACHABLE,
    REFUSED,
    USAGE,
    DataOption,
    EngineOption,
    JsonOption,
    TokenFileOption,
)
from engine.cli_places import with_place
from engine.errors import EngineError, SettingsError

app = typer.Typer(
    name="pointsman",
    help="Runs JobScheduler 1.x live folders across agents and SSH, with a cockpit.",
    epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage or settings, "
    "3 no engine to be reached.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_agent.app, name="agent")
app.add_typer(cli_orders.app, name="order")
app.add_typer(cli_journal.app, name="journal")
cli_requests.register(app)
cli_ssh.register(app)
cli_door.register(app)
cli_plan.register(app)

TLS_PANEL = "TLS"
INTERRUPTED = 130
"""Ended by Ctrl-C, as shells count it."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    try:
        app(with_place(arguments), prog_name="pointsman")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except SettingsError as error:
        for finding in error.findings:
            _complain(finding)
        return USAGE
    except EngineNotReachable as error:
        _complain(str(error))
        return NOT_REACHABLE
    except EngineError as error:
        _complain(str(error))
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _complain(text: str) -> None:
    typer.echo(f"pointsman: {text}", err=True)


# --- the cockpit ---------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def cockpit(
    context: typer.Context,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    go: Annotated[
        str, typer.Option("--go", metavar="PLACE", help="Begin there, such as ':orders chain=a*'.")
    ] = "",
    read_only: Annotated[
        bool | None, typer.Option("--read-only", help="Change nothing from this cockpit.")
    ] = None,
    theme: Annotated[str | None, typer.Option("--theme", metavar="NAME", help="Colours.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal", metavar="FILE", help="Show a saved journal (tail --json), no engine."
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Run JobScheduler 1.x live folders; without a subcommand open the cockpit.

    A place in the cockpit may follow: pointsman :orders chain=inv* !done
    """
    if version:
        typer.echo(f"pointsman {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        return
    if not sys.stdout.isatty():
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)
    options = {"command": go, "read_only": read_only, "theme": theme}
    if journal is not None:
        raise typer.Exit(_cockpit_of("", None, journal=str(journal), **options))
    try:
        address = find_engine(
            engine=engine, data=data, token_file=token_file, ca_file=None, environment=environment()
        )
    except EngineError:
        # The person's settings may name engines that nothing else here knows of.
        status = _cockpit_of("", None, **options)
        if status < 0:
            raise
    else:
        status = _cockpit_of(str(address), address.token, **options)
    raise typer.Exit(status)


def _cockpit_of(address: str, token: str | None, **options: Any) -> int:
    """Open the cockpit."""
    return int(_terminal_program().run_cockpit(address, token, **options))


def _terminal_program() -> Any:
    """Load the terminal program: the only place in engine/ that knows it, by name."""
    return importlib.import_module("tui.__main__")


def _demo_cockpit(engine_socket: Path) -> int:
    return _cockpit_of(str(engine_socket), None)


# --- programs ------------------------------------------------------------------------------------


@app.command()
def engine(
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            metavar="FOLDER",
            help="Folder with scheduler.xml, live/ and engine.toml, or a bare live folder.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="Everything the engine keeps. Default: a folder below the user's data folder.",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Listen on TCP as well as on the socket in the data folder.",
        ),
    ] = None,
    raw_xml_listen: Annotated[
        str | None,
        typer.Option(
            "--raw-xml-listen",
            metavar="HOST:PORT",
            help="Serve the raw XML protocol of JobScheduler 1.x; needs --trust-loopback.",
        ),
    ] = None,
    scheduler_ports: Annotated[
        bool | None,
        typer.Option(help="Listen at the ports that scheduler.xml names, too. Default: yes."),
    ] = None,
    trust_loopback: Annotated[
        bool | None, typer.Option("--trust-loopback", help="Requests of this host need no token.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", metavar="FILE", help="Access tokens, a line each: [ROLE] TOKEN."
        ),
    ] = None,
    agent_token_file: Annotated[
        Path | None,
        typer.Option("--agent-token-file", metavar="FILE", help="Token shared with the agents."),
    ] = None,
    allow_insecure: Annotated[
        bool | None,
        typer.Option(
            "--allow-insecure", help="Listen without TLS on other addresses than loopback."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate chain, PEM.", rich_help_panel=TLS_PANEL),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key, PEM.", rich_help_panel=TLS_PANEL),
    ] = None,
    engine_id: Annotated[  # the second spelling is JobScheduler's
        str | None,
        typer.Option("--id", "-id", help="Name of the engine. Default: that of scheduler.xml."),
    ] = None,
    pause: Annotated[
        bool | None,
        typer.Option("--pause", "-pause", help="Start nothing until told to continue."),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error.", metavar="LEVEL")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.", metavar="FORM")] = None,
    headless: Annotated[  # accepted, because the engine always is
        bool, typer.Option("--headless", help="Accepted and without effect: it always is.")
    ] = False,
) -> None:
    """Run the engine in the foreground until SIGTERM.

    Settings come from engine.toml in the configuration folder, then POINTSMAN_... variables, then
    these options. Tokens of the data folder are made with `pointsman token`.
    """
    from engine.service.settings import read_settings  # noqa: PLC0415  # only for this command

    overrides = {
        "data": data,
        "listen": listen,
        "raw_xml_listen": raw_xml_listen,
        "scheduler_ports": scheduler_ports,
        "trust_loopback": trust_loopback,
        "token_file": token_file,
        "agent_token_file": agent_token_file,
        "allow_insecure": allow_insecure,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "id": engine_id,
        "start_paused": pause,
        "log_level": log_level,
        "log_format": log_format,
    }
    settings = read_settings(config, overrides, environment())
    wiring = importlib.import_module("engine.service.wiring")
    raise typer.Exit(asyncio.run(wiring.run_engine(settings)))


@app.command()
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Run the order once, print what happens, and end.")
    ] = False,
    no_cockpit: Annotated[
        bool, typer.Option("--no-cockpit", help="Tell where the world is, and keep it till Ctrl-C.")
    ] = False,
) -> None:
    """Show a small world to play with, in a private temporary place that goes with the demo.

    Chains that succeed, fail, wait and are set back; three agents, of which one can be stopped; a
    host over SSH. `--headless` runs the end-of-day order on three agents and tells each step.
    """
    program = importlib.import_module("engine.cli_demo")
    if no_cockpit:
        raise typer.Exit(program.run_demo(headless=headless, cockpit=program.stay))
    raise typer.Exit(
        program.run_demo(headless=headless, cockpit=_demo_cockpit, warm_up=_terminal_program)
    )


# --- without an engine ---------------------------------------------------------------------------


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(help="A live folder, or a folder with scheduler.xml and live/.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Report everything that is wrong with a folder of definitions; exit status 1 if errors.

    Tells also what happens to starts that fall into a downtime of the engine.
    """
    from engine.cli_check import report_of  # noqa: PLC0415  # only for this command

    report = report_of(folder)
    findings, errors = report["findings"], report["errors"]
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        for finding in findings:
            typer.echo(finding["shown"])
        for note in report["downtime"]:
            typer.echo(f"downtime: {note['shown']}")
        warnings = len(findings) - errors
        typer.echo(f"{errors} errors, {warnings} warnings", err=bool(findings))
    raise typer.Exit(REFUSED if errors else 0)


@app.command()
def token(
    role: Annotated[
        str, typer.Option(help="read-only, operator or admin.", metavar="ROLE")
    ] = "admin",
    name: Annotated[str, typer.Option(help="Whose token it is; shown in the log.")] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Make it known to the engine of this data folder."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Make it known in a token file.")
    ] = None,
) -> None:
    """Make an access token and print it; the engine keeps only its SHA-256.

    Without --data and --file nothing is written: put the token into a file for --token-file.
    """
    from engine.cli_tokens import make_token  # noqa: PLC0415  # only for this command

    typer.echo(make_token(role, name, data=data, file=file))
