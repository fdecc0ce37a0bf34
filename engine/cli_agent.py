"""`pointsman agent`: run an agent, look at one, end one.

Without a subcommand it is the agent program itself, in the foreground.
"""
# ruff: noqa: PLR0913, PLR0917 - each option of the command line is a parameter

import asyncio
import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from platformdirs import user_data_path

from engine.agent.settings import DEFAULT_PORT, AgentSettings, TlsSettings, read_token
from engine.cli_client import environment
from engine.cli_options import NOT_REACHABLE, JsonOption
from engine.errors import AgentRefused, AgentUnreachable, EngineError, SettingsError
from engine.server.listeners import parse_tcp_address

app = typer.Typer(
    help="Run an agent in the foreground: it runs tasks for engines on other hosts.",
    invoke_without_command=True,
)

TLS_PANEL: Final = "TLS"
THERE_PANEL: Final = "Where the agent is"
ANSWER_S: Final = 10.0
"""For an agent to answer."""
LOOK_S: Final = 0.2
"""Between looks whether an agent has gone."""

TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Token shared with the engines. Default: POINTSMAN_AGENT_TOKEN.",
    ),
]
AddressArgument = Annotated[
    str,
    typer.Argument(metavar="[URL]", help="The agent as a process class names it."),
]
ThereCaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Certificate authorities (PEM) to trust for https.",
        rich_help_panel=THERE_PANEL,
    ),
]
ThereCertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="Certificate and key (PEM) to show to an agent that asks for one.",
        rich_help_panel=THERE_PANEL,
    ),
]
HERE: Final = f"http://127.0.0.1:{DEFAULT_PORT}"


@app.callback()
def agent(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address; port 0: a free one.")
    ] = f"127.0.0.1:{DEFAULT_PORT}",
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Everything the agent keeps."),
    ] = None,
    trust_loopback: Annotated[
        bool, typer.Option("--trust-loopback", help="Requests of this host need no token.")
    ] = False,
    token_file: TokenOption = None,
    uri_prefix: Annotated[
        str, typer.Option(metavar="PATH", help="Serve everything below this path.")
    ] = "",
    allow_insecure: Annotated[
        bool,
        typer.Option(
            "--allow-insecure", help="Listen without TLS on other addresses than loopback."
        ),
    ] = False,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate chain, PEM.", rich_help_panel=TLS_PANEL),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key, PEM.", rich_help_panel=TLS_PANEL),
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only clients with a certificate of these authorities (PEM) are connected.",
            rich_help_panel=TLS_PANEL,
        ),
    ] = None,
    tasks_max: Annotated[
        int | None, typer.Option(min=1, help="Tasks at the same time; default: no limit.")
    ] = None,
    result_retention: Annotated[
        float,
        typer.Option(
            min=0.01, metavar="HOURS", help="How long results wait for an engine that is away."
        ),
    ] = 24.0,
    kill_script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Called before a task and its children are killed."),
    ] = None,
    end_found_tasks: Annotated[
        bool, typer.Option(help="Kill tasks of a former life instead of taking them over.")
    ] = False,
    leave_tasks: Annotated[
        bool, typer.Option(help="Let tasks run on when SIGTERM ends the agent, for an upgrade.")
    ] = False,
    headless: Annotated[  # accepted, because the agent always is
        bool, typer.Option("--headless", help="Accepted and without effect: it always is.")
    ] = False,
) -> None:
    """Run an agent in the foreground: it runs tasks for engines on other hosts."""
    if context.invoked_subcommand is not None:
        return
    settings = agent_settings(
        listen=listen,
        data=data,
        trust_loopback=trust_loopback,
        token_file=token_file,
        uri_prefix=uri_prefix,
        allow_insecure=allow_insecure,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tasks_max=tasks_max,
        result_retention_h=result_retention,
        kill_script=kill_script,
        ends_found_tasks=end_found_tasks,
        leaves_tasks=leave_tasks,
        environment=environment(),
    )
    program = importlib.import_module("engine.agent.main")
    try:
        status = asyncio.run(program.run_agent(settings))
    except OSError as error:
        raise EngineError(f"the agent cannot listen on {listen}: {error.strerror}") from error
    raise typer.Exit(status)


def agent_settings(
    *,
    listen: str,
    data: Path | None,
    token_file: Path | None,
    uri_prefix: str = "",
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None = None,
    environment: Mapping[str, str],
    trust_loopback: bool,
    allow_insecure: bool,
    tasks_max: int | None,
    result_retention_h: float = 24.0,
    kill_script: Path | None,
    ends_found_tasks: bool,
    leaves_tasks: bool,
) -> AgentSettings:
    """Return the settings of an agent. Raises SettingsError with everything against them."""
    try:
        address = parse_tcp_address(listen)
    except ValueError as error:
        raise SettingsError((f"--listen: {error}",)) from error
    for option, given in (("--tls-key", tls_key), ("--tls-client-ca", tls_client_ca)):
        if given is not None and tls_certificate is None:
            raise SettingsError((f"{option} needs --tls-certificate as well",))
    tls = None
    if tls_certificate is not None:
        tls = TlsSettings(
            certificate=tls_certificate,
            key=tls_key or tls_certificate,
            client_authority=tls_client_ca,
        )
    if data is None:
        data = user_data_path("pointsman") / "agents" / f"{address.host}-{address.port}"
    return AgentSettings(
        data=data,
        host=address.host,
        port=address.port,
        token=_token(token_file, environment),
        trusts_loopback=trust_loopback,
        tls=tls,
        allows_plain=allow_insecure,
        uri_prefix=uri_prefix,
        ends_found_tasks=ends_found_tasks,
        leaves_tasks=leaves_tasks,
        tasks_max=tasks_max,
        result_retention_s=result_retention_h * 3600,
        kill_script=kill_script,
    ).checked()


def _token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is not None:
        return read_token(file)
    return environment.get("POINTSMAN_AGENT_TOKEN") or None


# --- another agent -------------------------------------------------------------------------------


@app.command()
def stop(
    address: AddressArgument = HERE,
    kill_after: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Send SIGTERM to its tasks now and kill what is left after this time. "
            "Without it the tasks end by themselves, however long that takes.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the agent has gone.")] = False,
    token_file: TokenOption = None,
    ca_file: ThereCaOption = None,
    certificate: ThereCertificateOption = None,
) -> None:
    """Have an agent take no new tasks and end when its tasks have ended.

    Engines start new tasks on other agents at once, and still get the results of those that run.
    """
    there = _There.of(address, token_file, ca_file, certificate)
    content: dict[str, Any] = {"$TYPE": "Terminate"}
    if kill_after is not None:
        content |= {"sigtermProcesses": True, "sigkillProcessesAfter": kill_after}
    tasks = there.ask("/task")["currentTaskCount"]
    there.ask("/command", content)
    typer.echo(f"{address} takes no new tasks and ends; {tasks} task(s) are there")
    while wait and there.is_there():
        time.sleep(LOOK_S)


@app.command()
def show(
    address: AddressArgument = HERE,
    as_json: JsonOption = False,
    token_file: TokenOption = None,
    ca_file: ThereCaOption = None,
    certificate: ThereCertificateOption = None,
) -> None:
    """Show an agent and its tasks, also those whose results no engine has taken yet."""
    there = _There.of(address, token_file, ca_file, certificate)
    overview, tasks = there.ask("/overview"), there.ask("/task/")
    if as_json:
        typer.echo(json.dumps({"overview": overview, "tasks": tasks}, indent=2))
        return
    ending = ", takes no new tasks" if overview["isTerminating"] else ""
    typer.echo(
        f"{address} on {overview['system']['hostname']}, version {overview['version']}, "
        f"since {overview['startedAt']}{ending}"
    )
    for task in tasks:
        job, number = task["startMeta"]["job"], task["startMeta"]["taskId"]
        typer.echo(f"{task['id']}\t{task['status']}\t{task.get('pid', '-')}\t{job}\ttask {number}")
    if not tasks:
        typer.echo("no tasks")


@dataclass(frozen=True, slots=True)
class _There:
    """An agent to be asked."""

    address: str
    token: str | None
    tls: Any

    @classmethod
    def of(
        cls, address: str, token_file: Path | None, ca_file: Path | None, certificate: Path | None
    ) -> "_There":
        from engine.drivers.agent_tls import agent_tls  # noqa: PLC0415  # only when asked

        tls = agent_tls(ca_file, certificate)
        return cls(address.rstrip("/"), _token(token_file, environment()), tls)

    def ask(self, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """Return an answer; a command when there is content."""
        try:
            return asyncio.run(self._ask(path, content))
        except AgentUnreachable as error:
            typer.echo(f"pointsman: {error}", err=True)
            raise typer.Exit(NOT_REACHABLE) from error

    def is_there(self) -> bool:
        """Return whether somebody answers."""
        try:
            asyncio.run(self._ask("/task", None))
        except AgentUnreachable:
            return False
        return True

    async def _ask(self, path: str, content: Mapping[str, Any] | None) -> Any:
        from engine.codec.agent_wire import AGENT_API  # noqa: PLC0415  # only when asked
        from engine.drivers.http_client import (  # noqa: PLC0415
            Credentials,
            HttpClient,
            refusal_text,
        )

        client = HttpClient(self.address, Credentials(token=self.token, tls=self.tls))
        try:
            if content is None:
                answer = await client.get(AGENT_API + path, patience_s=ANSWER_S)
            else:
                body = json.dumps(content).encode()
                answer = await client.post(AGENT_API + path, body, patience_s=ANSWER_S)
        finally:
            await client.close()
        if answer.status != HTTPStatus.OK:
            raise AgentRefused(refusal_text(self.address, answer), agent=self.address)
        return json.loads(answer.body)
