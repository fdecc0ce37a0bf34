"""The command line against a served engine, and without one."""

import asyncio
import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from engine import cli
from engine.agent.settings import AgentSettings, TlsSettings
from engine.kernel.commands import PauseEngine
from engine.kernel.ids import order_key
from engine.kernel.state import Order
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.listeners import TcpAddress
from engine.server.serve import HttpServer, Listener, bind_tcp, bind_unix
from engine.service.paths import EnginePaths
from engine.service.settings import EngineSettings
from tests.support.fake_engine import FACTS, FakeEngine
from tests.support.world import chain, node, shell_job

WALK = (shell_job("work"), chain("walk", node("100", "work")))
LIMIT_S = 20.0


class ServedEngine:
    """A fake engine in an event loop and thread of its own, on a socket and on TCP."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(LIMIT_S)

    def order(self, order_id: str) -> Order | None:
        return self.engine.state.orders.get(order_key("/walk", order_id))

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.engine = FakeEngine(*WALK)
        paths = EnginePaths(self.data)
        context = ServerContext(
            port=self.engine,
            gate=Gate(TokenFiles([paths.tokens])),
            facts=FACTS,
            wrong_token_delay_s=0.0,
        )
        bound = bind_tcp(TcpAddress(host="127.0.0.1", port=0))
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        server = HttpServer(
            application(context),
            (
                Listener(socket=bind_unix(paths.socket), trust=Trust.OWNER),
                Listener(socket=bound, trust=Trust.NOBODY),
            ),
        )
        await server.start()
        self._ready.set()
        await self._end.wait()
        await self.engine.stop()
        await server.stop()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedEngine]:
    data = tmp_path / "data"
    data.mkdir()
    with ServedEngine(data) as engine:
        yield engine


def on(engine: ServedEngine, *arguments: str) -> list[str]:
    return [*arguments, "--data", str(engine.data)]


# --- orders --------------------------------------------------------------------------------------


def test_an_order_is_added_and_its_id_printed(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["order", "add", "/walk", "-p", "a=1", "-p", "b=x=y", "--title", "T"]
    assert cli.run(on(served, *arguments, "--at", "now+60")) == 0
    assert capsys.readouterr().out == "1\n"
    order = served.order("1")
    assert order is not None
    assert (order.params, order.title) == ({"a": "1", "b": "x=y"}, "T")


def test_an_order_is_suspended_resumed_started_reset_and_removed(served: ServedEngine) -> None:
    assert cli.run(on(served, "order", "add", "/walk", "o", "--at", "2040-01-01T00:00")) == 0
    assert cli.run(on(served, "order", "suspend", "/walk", "o")) == 0
    order = served.order("o")
    assert order is not None
    assert order.suspended
    assert cli.run(on(served, "order", "resume", "/walk", "o")) == 0
    order = served.order("o")
    assert order is not None
    assert not order.suspended
    assert cli.run(on(served, "order", "reset", "/walk", "o")) == 0
    assert cli.run(on(served, "order", "remove", "/walk", "o")) == 0
    assert served.order("o") is None
    assert cli.run(on(served, "order", "add", "/walk", "p", "--at", "now+60")) == 0
    assert cli.run(on(served, "order", "start", "/walk", "p", "-p", "x=1")) == 0
    order = served.order("p")
    assert order is not None
    assert order.task is not None


def test_orders_are_listed_and_shown(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(on(served, "order", "add", "/walk", "o", "--suspended", "--title", "T", "-p", "a=1"))
    capsys.readouterr()
    assert cli.run(on(served, "order", "list", "/walk")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CHAIN", "ORDER", "NODE", "STATUS", "START", "TITLE"]
    assert lines[1].split() == ["/walk", "o", "100", "suspended", "T"]
    assert cli.run(on(served, "order", "list", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["orders"][0]["id"] == "o"
    assert cli.run(on(served, "order", "show", "/walk", "o")) == 0
    assert "param          a=1" in capsys.readouterr().out


def test_a_refusal_is_told_with_its_code_and_exit_status_1(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(on(served, "order", "remove", "/walk", "missing")) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("pointsman: SCHEDULER-162 ")
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["order", "add", "/walk", "-p", "no-equals"],
        ["order", "add", "/walk", "--at", "whenever"],
        ["order"],
        ["nonsense"],
        ["engine"],
        ["order", "list", "--limit", "0"],
    ],
)
def test_wrong_usage_is_exit_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    capsys.readouterr()


def test_an_absent_engine_is_exit_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["order", "list", "--data", str(tmp_path)]) == 3
    assert cli.run(["order", "list", "--engine", "http://127.0.0.1:1"]) == 3
    shown = capsys.readouterr().err
    assert "there is no such socket" in shown
    assert "does not answer" in shown
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert cli.run(["order", "list"]) == 3
    assert "no running engine was found" in capsys.readouterr().err


# --- where the engine is -------------------------------------------------------------------------


def test_tcp_needs_the_token(
    served: ServedEngine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cli.run(["token", "--role", "read-only", "--data", str(served.data)]) == 0
    token = capsys.readouterr().out.strip()
    listing = ["order", "list", "--engine", served.url]
    assert cli.run(listing) == 1
    assert "A token is needed" in capsys.readouterr().err
    monkeypatch.setenv("POINTSMAN_TOKEN", token)
    assert cli.run(listing) == 0
    assert cli.run(["order", "add", "/walk", "--engine", served.url]) == 1
    monkeypatch.delenv("POINTSMAN_TOKEN")
    file = tmp_path / "token"
    file.write_text(token)
    assert cli.run([*listing, "--token-file", str(file)]) == 0
    assert cli.run([*listing, "--token-file", str(tmp_path / "missing")]) == 1


def test_the_environment_names_the_engine(
    served: ServedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSMAN_ENGINE", str(EnginePaths(served.data).socket))
    assert cli.run(["order", "list"]) == 0
    monkeypatch.setenv("POINTSMAN_ENGINE", str(served.data))
    assert cli.run(["order", "list"]) == 0


def test_the_only_engine_of_the_user_is_found(
    served: ServedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    folder = home / "pointsman" / "engines" / "one"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(served.data)
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    assert cli.run(["order", "list"]) == 0
    other = folder.parent / "two"
    other.symlink_to(served.data)
    assert cli.run(["order", "list"]) == 3


# --- commands and events -------------------------------------------------------------------------


def test_an_xml_command_is_answered(
    served: ServedEngine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cli.run(on(served, "command", "<show_state/>")) == 0
    assert "<state " in capsys.readouterr().out
    assert cli.run(on(served, "command", "show_state")) == 0
    capsys.readouterr()
    assert cli.run(on(served, "command", '<show_job job="missing"/>')) == 1
    assert "SCHEDULER-161" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"<show_state/>")))
    assert cli.run(on(served, "command")) == 0


def test_errors_inside_of_objects_are_no_failure(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    command = '<param name="a" value="&lt;ERROR/>&lt;/answer>"/>'
    assert cli.run(on(served, "command", command)) == 0
    assert cli.run(on(served, "command", "<params.get/>")) == 0
    capsys.readouterr()


def test_what_happens_is_printed_a_line_an_event(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    served.engine.step(PauseEngine(paused=True))
    count = served.engine.number
    assert cli.run(on(served, "tail", "--after", "0", "--count", str(count))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == count
    assert lines[-1].endswith("EnginePausedSet  paused=true")
    assert cli.run(on(served, "tail", "--after", "0", "--count", "1", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "EpochBegan"


def test_forgotten_events_are_told(
    served: ServedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    served.engine.oldest = 1
    assert cli.run(on(served, "tail", "--after", "0")) == 1
    assert "--after" in capsys.readouterr().err


# --- without an engine ---------------------------------------------------------------------------


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("engine", "agent", "demo", "check", "order", "command", "tail", "token"):
        assert name in shown
    for name in ("engine", "agent", "demo", "check", "order", "command", "tail", "token"):
        assert cli.run([name, "--help"]) == 0
    capsys.readouterr()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pointsman ")


def test_without_a_terminal_there_is_no_cockpit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_a_folder_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fine.job.xml").write_text('<job><script language="shell">true</script></job>')
    assert cli.run(["check", str(tmp_path)]) == 0
    (tmp_path / "bad.job.xml").write_text(
        "<job nonsense='1'><script language='shell'>true</script></job>"
    )
    capsys.readouterr()
    assert cli.run(["check", str(tmp_path)]) == 1
    assert "bad.job.xml:1:6: error:" in capsys.readouterr().out
    assert cli.run(["check", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == 1
    assert cli.run(["check", str(tmp_path / "missing")]) == 2


def test_tokens_are_made_into_files_by_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    arguments = ["token", "--role", "operator", "--name", "night shift", "--file", str(file)]
    assert cli.run(arguments) == 0
    token = capsys.readouterr().out.strip()
    assert token not in file.read_text()
    assert file.read_text().startswith("operator sha256:")
    found = TokenFiles([file]).find(token)
    assert found is not None
    assert found.name == "night shift"
    assert cli.run(["token", "--role", "boss"]) == 2
    assert cli.run(["token", "--name", "a#b"]) == 2


def test_engine_options_become_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[EngineSettings] = []

    async def run_engine(settings: EngineSettings) -> int:
        given.append(settings)
        return 0

    monkeypatch.setitem(
        sys.modules, "engine.service.wiring", SimpleNamespace(run_engine=run_engine)
    )
    live = tmp_path / "live"
    live.mkdir()
    arguments = ["engine", "--config", str(live), "--data", str(tmp_path / "data"), "--headless"]
    assert cli.run([*arguments, "--listen", "127.0.0.1:4444", "--trust-loopback", "--pause"]) == 0
    (settings,) = given
    assert settings.listen == TcpAddress(host="127.0.0.1", port=4444)
    assert settings.trust_loopback
    assert settings.starts_paused
    assert cli.run([*arguments, "-pause", "-id=night"]) == 0, "as JobScheduler spells them"
    assert (given[1].starts_paused, given[1].engine_id) == (True, "night")
    assert cli.run([*arguments, "--listen", "0.0.0.0:4444"]) == 2
    assert "can be reached from other hosts" in capsys.readouterr().err


def test_agent_options_become_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[AgentSettings] = []

    async def run_agent(settings: AgentSettings) -> int:
        given.append(settings)
        return 0

    monkeypatch.setitem(sys.modules, "engine.agent.main", SimpleNamespace(run_agent=run_agent))
    arguments = ["agent", "--data", str(tmp_path), "--listen", "127.0.0.1:0"]
    assert cli.run(arguments) == 2
    assert "nobody gets in" in capsys.readouterr().err
    assert cli.run([*arguments, "--trust-loopback", "--tasks-max", "3"]) == 0
    monkeypatch.setenv("POINTSMAN_AGENT_TOKEN", "shared")
    assert cli.run(arguments) == 0
    assert [(one.tasks_max, one.token) for one in given] == [(3, None), (None, "shared")]
    assert cli.run([*arguments, "--tls-client-ca", "authority.pem"]) == 2
    assert "--tls-client-ca needs --tls-certificate" in capsys.readouterr().err
    tls = ["--tls-certificate", "a.pem", "--tls-client-ca", "b.pem", "--uri-prefix", "/below"]
    assert cli.run([*arguments, *tls]) == 0
    assert given[-1].tls == TlsSettings(
        certificate=Path("a.pem"), key=Path("a.pem"), client_authority=Path("b.pem")
    )
    assert given[-1].uri_prefix == "/below"


def test_the_cockpit_is_opened_on_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, str | None, object]] = []

    def run_cockpit(address: str, token: str | None, **options: object) -> int:
        opened.append((address, token, options["command"]))
        return 7

    monkeypatch.setitem(sys.modules, "tui.__main__", SimpleNamespace(run_cockpit=run_cockpit))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    assert cli.run(["--engine", "https://user:secret@host:4444/"]) == 7
    assert cli.run(["--data", str(tmp_path), "--go", ":orders"]) == 7
    assert cli.run(["--data", str(tmp_path), ":orders", "chain=inv*", "!done"]) == 7
    assert cli.run(["--journal", "saved.jsonl", ":plan"]) == 7
    assert opened == [
        ("https://host:4444", "secret", ""),
        (str(EnginePaths(tmp_path).socket), None, ":orders"),
        (str(EnginePaths(tmp_path).socket), None, ":orders chain=inv* !done"),
        ("", None, ":plan"),
    ]


def test_without_an_engine_the_settings_may_know_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [7, -1]
    program = SimpleNamespace(run_cockpit=lambda *_, **__: answers.pop(0))
    monkeypatch.setitem(sys.modules, "tui.__main__", program)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("POINTSMAN_ENGINE", raising=False)
    monkeypatch.delenv("POINTSMAN_DATA", raising=False)
    assert cli.run([]) == 7
    assert cli.run([]) != 7
    assert answers == []
