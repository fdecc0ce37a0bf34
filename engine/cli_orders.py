"""`pointsman order …`: add, list, show, move and remove orders."""
# ruff: noqa: PLR0913, PLR0917 - each option of the command line is a parameter

import json
import re
from datetime import datetime
from typing import Annotated, Any

import typer

from engine.cli_options import (
    CaOption,
    DataOption,
    EngineOption,
    JsonOption,
    TokenFileOption,
    connect,
)
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    AtInstant,
    ModifyOrder,
    RemoveOrder,
    StartAt,
)
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import NodeState, OrderId, OrderKey, chain_key, order_key
from engine.kernel.instants import from_datetime, parse_duration

app = typer.Typer(help="Add, list, show, move and remove orders.", no_args_is_help=True)

ChainArgument = Annotated[str, typer.Argument(help="Path of the job chain, such as /folder/name.")]
OrderArgument = Annotated[str, typer.Argument(help="Id of the order.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        help="Start time: now, now+SECONDS, now+HH:MM[:SS], or yyyy-mm-ddTHH:MM[:SS] "
        "(local time of this host without a zone).",
        metavar="TIME",
    ),
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; repeatable."),
]


@app.command()
def add(
    chain: ChainArgument,
    order: Annotated[str, typer.Argument(help="Id of the order; absent: a number.")] = "",
    param: ParamOption = None,
    title: Annotated[str, typer.Option(help="What it is about.")] = "",
    state: Annotated[str | None, typer.Option(help="Node to start at.", metavar="NODE")] = None,
    end_state: Annotated[str | None, typer.Option(help="Node to end at.", metavar="NODE")] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    at: AtOption = None,
    suspended: Annotated[bool, typer.Option("--suspended", help="Wait to be resumed.")] = False,
    replace: Annotated[
        bool, typer.Option(help="Replace an order of this id, or refuse to.")
    ] = True,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Place an order in a job chain and print its id."""
    definition = OrderDefinition(
        key=OrderKey(chain_key(chain), OrderId(order)),
        title=title,
        priority=priority,
        params=_params(param),
        state=None if state is None else NodeState(state),
        end_state=None if end_state is None else NodeState(end_state),
        suspended=suspended,
    )
    request = AddOrder(order=definition, at=_start(at), replace=replace)
    with connect(engine, data, token_file, ca_file) as client:
        accepted = client.submit(request)
    typer.echo(json.dumps(accepted) if as_json else accepted.get("subject") or order)


@app.command("list")
def list_orders(
    chain: Annotated[str | None, typer.Argument(help="Only orders of this job chain.")] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only orders that are: waiting, planned, not_planned, setback, running, "
            "waiting_for_agent, starting, suspended or blacklisted."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """List orders: chain, id, node, status, title."""
    with connect(engine, data, token_file, ca_file) as client:
        found = client.get("/api/orders", chain=chain, status=status, limit=limit)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _table(
        ("CHAIN", "ORDER", "NODE", "STATUS", "START", "TITLE"),
        [
            (
                row["chain"],
                row["id"],
                row["state"],
                row["status"],
                row["start_at"] or "",
                row["title"],
            )
            for row in found["orders"]
        ],
    )
    hidden = found["total"] - len(found["orders"])
    if hidden > 0:
        typer.echo(f"... and {hidden} more; see --limit", err=True)


@app.command()
def show(
    chain: ChainArgument,
    order: OrderArgument,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Show everything about one order."""
    with connect(engine, data, token_file, ca_file) as client:
        row = client.get("/api/orders", chain=chain, order=order)
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    params: dict[str, str] = row.pop("params")
    for name, value in row.items():
        if value not in (None, "", [], False):
            typer.echo(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")
    for name, value in params.items():
        typer.echo(f"param          {name}={value}")


@app.command()
def why(
    chain: ChainArgument,
    order: OrderArgument,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Say what an order waits for, and who has it."""
    with connect(engine, data, token_file, ca_file) as client:
        answer = client.get("/api/why", chain=chain, order=order)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    for reason in answer["reasons"]:
        typer.echo(f"waits for {reason['sentence']}")
    if not answer["reasons"]:
        typer.echo("waits for nothing: it is being worked on")


@app.command()
def log(
    chain: ChainArgument,
    order: OrderArgument,
    history: Annotated[
        int | None,
        typer.Option("--run", min=1, help="The run with this history id; absent: the last one."),
    ] = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Print what happened in a run of an order: the logs of its tasks and all between them."""
    with connect(engine, data, token_file, ca_file) as client:
        found = client.get("/api/orders/log", chain=chain, order=order, history=history)
    typer.echo(json.dumps(found, indent=2) if as_json else found["text"], nl=as_json)


@app.command()
def suspend(
    chain: ChainArgument,
    order: OrderArgument,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Hold an order where it is, after its present step."""
    request = ModifyOrder(order=order_key(chain, order), suspended=True)
    with connect(engine, data, token_file, ca_file) as client:
        client.submit(request)


@app.command()
def resume(
    chain: ChainArgument,
    order: OrderArgument,
    state: Annotated[str | None, typer.Option(help="Go on at this node.", metavar="NODE")] = None,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Let a suspended order go on."""
    node = None if state is None else NodeState(state)
    request = ModifyOrder(order=order_key(chain, order), state=node, suspended=False)
    with connect(engine, data, token_file, ca_file) as client:
        client.submit(request)


@app.command()
def start(
    chain: ChainArgument,
    order: OrderArgument,
    param: ParamOption = None,
    at: AtOption = "now",
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Start a waiting order now, or at a time; parameters are merged into its own."""
    request = ModifyOrder(order=order_key(chain, order), params=_params(param), at=_start(at))
    with connect(engine, data, token_file, ca_file) as client:
        client.submit(request)


@app.command()
def reset(
    chain: ChainArgument,
    order: OrderArgument,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Put an order back to its first node, as it was defined."""
    request = ModifyOrder(order=order_key(chain, order), reset=True)
    with connect(engine, data, token_file, ca_file) as client:
        client.submit(request)


@app.command()
def remove(
    chain: ChainArgument,
    order: OrderArgument,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Remove an order; one in a task goes after its step."""
    with connect(engine, data, token_file, ca_file) as client:
        client.submit(RemoveOrder(order=order_key(chain, order)))


def _params(given: list[str] | None) -> dict[str, str]:
    params: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        params[name] = value
    return params


def _start(text: str | None) -> StartAt | None:
    if text is None:
        return None
    found = re.fullmatch(r"now(?:\s*\+\s*(\S+))?", text.strip())
    try:
        if found is not None:
            return AfterDelay(delay=parse_duration(found[1] or "0"))
        moment = datetime.fromisoformat(text.strip())
        return AtInstant(at=from_datetime(moment.astimezone()))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is not a time", param_hint="--at") from error


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print columns as wide as their content, without cutting anything."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
