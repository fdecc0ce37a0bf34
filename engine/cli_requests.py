"""`pointsman command` and `pointsman tail`: XML commands, and what happens."""

import json
import re
import sys
from typing import Annotated, Any

import typer

from engine.cli_client import RequestRefused
from engine.cli_options import (
    REFUSED,
    CaOption,
    DataOption,
    EngineOption,
    JsonOption,
    TokenFileOption,
    connect,
)
from engine.kernel.instants import NEVER, Instant, utc_text


def register(app: typer.Typer) -> None:
    """Add the subcommands of this module."""
    app.command("command")(command)
    app.command("tail")(tail)


def command(
    xml: Annotated[
        str | None,
        typer.Argument(help="Command such as '<show_state/>'; absent or -: from stdin."),
    ] = None,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Send an XML command and print the answer; exit status 1 if it holds an ERROR."""
    content = sys.stdin.buffer.read() if xml in {None, "-"} else str(xml).encode()
    if not content.strip():
        raise typer.BadParameter("the command is empty", param_hint="XML")
    if not content.lstrip().startswith((b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        content = b"<%b/>" % content.strip()
    with connect(engine, data, token_file, ca_file) as client:
        answer = client.xml(content).decode()
    typer.echo(answer)
    if re.search(r"<ERROR[\s/>][^<]*(?:</ERROR>\s*|(?<=/)>\s*)?</answer>", answer):
        raise typer.Exit(REFUSED)


def tail(
    after: Annotated[
        int | None,
        typer.Option(help="Begin after this event; 0: from the beginning. Default: from now on."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    pulses: Annotated[bool, typer.Option("--pulses", help="Signs of life of agents, too.")] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
    data: DataOption = None,
    token_file: TokenFileOption = None,
    ca_file: CaOption = None,
) -> None:
    """Print what happens, a line an event, until the engine ends or Ctrl-C comes."""
    seen = 0
    with connect(engine, data, token_file, ca_file) as client:
        try:
            for name, content in client.events(after):
                if name != "fact" and not pulses:
                    continue
                typer.echo(json.dumps(content) if as_json else _line(name, content))
                sys.stdout.flush()
                seen += 1
                if seen == count:
                    return
        except RequestRefused as error:
            if error.status == 410:
                hint = f"{error}; the oldest events are gone, see --after"
                raise RequestRefused(hint, status=error.status) from error
            raise


def _line(name: str, content: dict[str, Any]) -> str:
    if name != "fact":
        return f"{'pulse':>32}  {content.get('agent')} {content.get('status')}"
    body = ", ".join(
        f"{key}={_shown(value)}" for key, value in content["body"].items() if key != "at"
    )
    return f"{utc_text(Instant(content['at']))} {content['number']:>7}  {content['kind']}  {body}"


def _shown(value: Any) -> str:
    """Return a value in one short piece."""
    if value == NEVER:
        return "never"
    if isinstance(value, str):
        return value if len(value) <= 80 else f"{value[:77]}..."
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
