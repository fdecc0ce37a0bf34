"""Connections: logins, host keys, limits of the server, ways through other hosts."""
# ruff: noqa: ARG002 -- methods of a server are called by name; closing is repeated

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from engine.drivers.ssh_channels import Purpose
from engine.drivers.ssh_host_keys import HostKeys, trust_host
from engine.drivers.ssh_hosts import HostLink, SshHosts
from engine.drivers.ssh_login import HostUnreachable, SshSettings
from engine.errors import HostKeyUnknown, LoginRefused, SshError
from engine.kernel.sessions.parameters import (
    KeyLogin,
    PasswordLogin,
    Proxy,
    Target,
    target_of,
)
from engine.kernel.sessions.secret import Secret
from tests.support.ssh_world import login, settings_for, ssh_world, until
from tests.support.sshd import (
    SshServer,
    eventually,
    free_port,
    missing,
    needs_own_accounts,
    ssh_server,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server(password=PASSWORD, options=("MaxSessions 4",)) as running:
        yield running


@contextlib.asynccontextmanager
async def hosts_with(settings: SshSettings) -> AsyncIterator[SshHosts]:
    hosts = SshHosts(settings)
    try:
        yield hosts
    finally:
        await hosts.close()


def target(server: SshServer) -> Target:
    found = target_of(login(server))
    assert isinstance(found, Target)
    return found


async def said(link: HostLink, program: str = "echo hi\n") -> str:
    return (await link.ask(program.encode())).output.decode()


async def test_an_unknown_host_is_refused_with_its_fingerprint_and_the_way_to_accept_it(
    server: SshServer, tmp_path: Path
) -> None:
    settings = replace(settings_for(tmp_path, server), known_hosts=())
    async with hosts_with(settings) as hosts:
        with pytest.raises(HostKeyUnknown) as refusal:
            await said(hosts.link(target(server)))
        assert "SHA256:" in str(refusal.value)
        assert f"pointsman ssh trust 127.0.0.1 --port {server.port}" in str(refusal.value)
        trusted = await trust_host(hosts.keys, "127.0.0.1", server.port)
        assert not trusted.was_known
        assert trusted.key.fingerprint in str(refusal.value)
        assert (await trust_host(hosts.keys, "127.0.0.1", server.port)).was_known
    async with hosts_with(settings) as hosts:
        assert await said(hosts.link(target(server))) == "hi\n"


async def test_only_the_fingerprint_that_was_compared_is_accepted(
    server: SshServer, tmp_path: Path
) -> None:
    keys = HostKeys(tmp_path / "known")
    with pytest.raises(HostKeyUnknown, match="not SHA256:else"):
        await trust_host(keys, "127.0.0.1", server.port, fingerprint="SHA256:else")
    assert not keys.own.exists()


async def test_a_new_key_is_recorded_once_where_asked_for_and_a_changed_one_refused_always(
    tmp_path: Path,
) -> None:
    with ssh_server() as server:
        settings = replace(settings_for(tmp_path, server), known_hosts=())
        trusting = replace(target(server), strict_host_key=False)
        async with hosts_with(settings) as hosts:
            assert await said(hosts.link(trusting)) == "hi\n"
        assert len(settings.own_known_hosts.read_text().splitlines()) == 1
        assert settings.own_known_hosts.stat().st_mode & 0o777 == 0o600
        server.cut()
        server.stop_listening()
        server.new_host_key()
        await asyncio.to_thread(server.start)
        async with hosts_with(settings) as hosts:
            with pytest.raises(HostKeyUnknown, match="CHANGED"):
                await said(hosts.link(trusting))
            with pytest.raises(HostKeyUnknown, match="CHANGED"):
                await trust_host(hosts.keys, "127.0.0.1", server.port)


async def test_damaged_lines_of_known_hosts_do_not_hide_the_others(
    server: SshServer, tmp_path: Path
) -> None:
    file = tmp_path / "damaged"
    file.write_text("nonsense\n@weird a b\n\xff\n" + server.known_hosts.read_text())
    settings = replace(settings_for(tmp_path, server), known_hosts=(file,))
    async with hosts_with(settings) as hosts:
        assert await said(hosts.link(target(server))) == "hi\n"


async def test_passwords_open_where_keys_do_not(server: SshServer, tmp_path: Path) -> None:
    needs_own_accounts(server)
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        right = replace(target(server), login=PasswordLogin(password=Secret(PASSWORD)))
        assert await said(hosts.link(right)) == "hi\n"


@pytest.fixture
def agent(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent with the server's key."""
    place = tmp_path / "agent"
    running = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(place.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        subprocess.run(["ssh-add", "-q", str(server.key)], check=True, timeout=30)
        yield place
    finally:
        running.kill()
        running.wait(30)


def by_agent(server: SshServer, **more: str) -> Target:
    plain = {name: value for name, value in login(server).items() if name != "auth_file"}
    found = target_of(plain | {"use_keyagent": "true"} | more)
    assert isinstance(found, Target)
    return found


@pytest.mark.usefixtures("agent")
async def test_the_keys_of_an_agent_open_where_they_are_asked_for(
    server: SshServer, tmp_path: Path
) -> None:
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        assert await said(hosts.link(by_agent(server))) == "hi\n"
        wrong = replace(target(server), login=PasswordLogin(password=Secret("wrong")))
        with pytest.raises(LoginRefused):
            await said(hosts.link(wrong))


@pytest.mark.usefixtures("agent")
async def test_an_agent_is_forwarded_only_where_it_is_asked_for(
    server: SshServer, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  ForwardAgent yes\n")
    settings = replace(settings_for(tmp_path, server), config_files=(config,))
    async with ssh_world(tmp_path, server) as world:
        plain = login(server) | {"command": "ssh-add -l", "ignore_error": "1", "ignore_stderr": "1"}
        world.start("a/1.1", plain)
        await world.exited("a/1.1")
        assert "SHA256" not in world.text("a/1.1")
        world.start("a/2.1", plain | {"agent_forwarding": "true"})
        await world.exited("a/2.1")
        assert "SHA256" in world.text("a/2.1")
    async with hosts_with(settings) as hosts:
        answer = await hosts.link(by_agent(server)).ask(b"echo ${SSH_AUTH_SOCK-none}\n")
        assert answer.output == b"none\n"


async def test_forwarding_an_agent_that_is_not_there_is_named(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        with pytest.raises(LoginRefused, match="SSH_AUTH_SOCK"):
            await said(hosts.link(replace(target(server), forwards_agent=True)))


async def test_a_refused_login_is_not_repeated_until_a_parameter_changes(
    server: SshServer, tmp_path: Path
) -> None:
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        wrong = replace(target(server), login=PasswordLogin(password=Secret("wrong")))
        link = hosts.link(wrong)
        with pytest.raises(LoginRefused) as first:
            await said(link)
        log = server.folder / "log"
        attempts = log.read_text().count("Failed password")
        for _ in range(3):
            with pytest.raises(LoginRefused):
                await said(link)
        assert log.read_text().count("Failed password") == attempts
        assert "wrong" not in str(first.value)
        assert await said(hosts.link(target(server))) == "hi\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read"), ("no key at all", "cannot be used")],
)
async def test_a_key_file_that_is_none_is_named(
    server: SshServer, tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        broken = replace(target(server), login=KeyLogin(file=str(file)))
        with pytest.raises(LoginRefused, match=why):
            await said(hosts.link(broken))


async def test_a_server_that_allows_few_sessions_gets_more_connections(
    server: SshServer, tmp_path: Path
) -> None:
    """MaxSessions is 4 here, which no client is told."""
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        link = hosts.link(target(server))
        async with contextlib.AsyncExitStack() as open_channels:
            for _ in range(6):
                await open_channels.enter_async_context(link.open("/bin/cat", Purpose.STEP))
            assert await said(link) == "hi\n"
            assert link.connections >= 2


async def test_a_session_counts_until_its_process_has_ended(
    server: SshServer, tmp_path: Path
) -> None:
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        link = hosts.link(target(server))
        async with link.open("/bin/sleep 0.7", Purpose.STEP):
            pass
        assert link.sessions == 1, "the channel is closed, the process is not"
        await until(lambda: link.sessions == 0)


async def test_a_server_that_drops_logins_at_random_is_asked_again(tmp_path: Path) -> None:
    with ssh_server(options=("MaxStartups 1:100:1",)) as busy:
        async with ssh_world(tmp_path, busy) as world:
            keys = [f"e/{number}.1" for number in range(12)]
            for key in keys:
                world.start(key, login(busy) | {"command": "true"})
            for key in keys:
                assert (await world.exited(key)).exit_code == 0


async def test_a_connection_that_does_not_answer_is_left_for_another_one(
    server: SshServer, tmp_path: Path
) -> None:
    async with hosts_with(settings_for(tmp_path, server)) as hosts:
        link = hosts.link(target(server))
        assert await said(link) == "hi\n"
        server.freeze(frozen=True)
        try:
            answer = await link.ask(b"echo hi\n", timeout_s=1)
            assert (answer.output, link.connections) == (b"hi\n", 2)
        finally:
            server.freeze(frozen=False)


async def test_an_idle_connection_is_closed_and_opened_again_when_needed(
    server: SshServer, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, server, idle_s=0.0)
    async with hosts_with(settings) as hosts:
        link = hosts.link(target(server))
        assert await said(link) == "hi\n"
        async with asyncio.timeout(10):
            while link.connections:
                link.close_idle()
                await asyncio.sleep(0.02)
        assert await said(link) == "hi\n"


async def test_a_dead_host_fails_fast_and_delays_nobody(server: SshServer, tmp_path: Path) -> None:
    nobody = replace(target(server), port=free_port())
    with socket.socket() as silent:  # accepts, and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = replace(target(server), port=silent.getsockname()[1])
        settings = settings_for(tmp_path, server)
        async with hosts_with(replace(settings, connect_timeout_s=1, login_timeout_s=1)) as hosts:
            waiting = asyncio.create_task(said(hosts.link(mute)))
            refused = asyncio.create_task(said(hosts.link(nobody)))
            async with asyncio.timeout(0.9):
                assert await said(hosts.link(target(server))) == "hi\n"
            with pytest.raises(HostUnreachable):
                await refused
            with pytest.raises(HostUnreachable):
                await waiting
            assert hosts.link(nobody).problem is not None


async def test_a_jump_host_leads_on_with_its_own_host_key_checked(
    server: SshServer, tmp_path: Path
) -> None:
    with ssh_server() as inner:
        both = tmp_path / "both"
        both.write_text(server.known_hosts.read_text() + inner.known_hosts.read_text())
        settings = replace(settings_for(tmp_path, server), known_hosts=(both,))
        jump = f"{server.accounts[server.user].name}@127.0.0.1:{server.port}"
        # One key opens both: the inner server accepts the outer one's key, too.
        with (inner.folder / "authorized_keys").open("a") as file:
            file.write(server.key.with_suffix(".pub").read_text())
        through = replace(target(inner), jumps=(jump,), login=KeyLogin(file=str(server.key)))
        async with hosts_with(settings) as hosts:
            assert await said(hosts.link(through)) == "hi\n"
        strict = replace(settings, known_hosts=(inner.known_hosts,))
        async with hosts_with(strict) as hosts:
            with pytest.raises(HostKeyUnknown):
                await said(hosts.link(through))


async def test_the_clients_configuration_is_read_and_the_job_wins(
    server: SshServer, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host db\n  Hostname 127.0.0.1\n  Port {server.port}\n  User nobody\n")
    known = tmp_path / "known"
    known.write_text(server.known_hosts.read_text())
    settings = replace(settings_for(tmp_path, server), config_files=(config,))
    async with hosts_with(settings) as hosts:
        alias = replace(target(server), host="db", port=None)
        assert await said(hosts.link(alias)) == "hi\n"


async def proxied(kind: str, port: int) -> tuple[asyncio.Server, list[bytes]]:
    """A small proxy of each kind that leads to one port."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "http":
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 fine\r\n\r\n")
        elif kind == "socks4":
            seen.append(await reader.readexactly(8))
            seen.append(await reader.readuntil(b"\0"))
            writer.write(b"\0\x5a" + b"\0" * 6)
        else:
            seen.append(await reader.readexactly((await reader.readexactly(2))[1]))
            writer.write(b"\x05\x02")
            user = await reader.readexactly((await reader.readexactly(2))[1])
            seen.append(user + b":" + await reader.readexactly((await reader.readexactly(1))[0]))
            writer.write(b"\x01\x00")
            seen.append(await reader.readexactly((await reader.readexactly(5))[4] + 2))
            writer.write(b"\x05\x00\x00\x01" + b"\0" * 6)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0), seen


@pytest.mark.parametrize("kind", ["http", "socks4", "socks5"])
async def test_proxies_of_each_kind_lead_to_the_host(
    server: SshServer, tmp_path: Path, kind: str
) -> None:
    proxy, seen = await proxied(kind, server.port)
    async with proxy:
        way = Proxy(
            protocol=kind,
            host="127.0.0.1",
            port=proxy.sockets[0].getsockname()[1],
            user="me",
            password=Secret("pw"),
        )
        async with hosts_with(settings_for(tmp_path, server)) as hosts:
            assert await said(hosts.link(replace(target(server), proxy=way))) == "hi\n"
        assert seen
        if kind == "http":
            assert b"Proxy-Authorization: Basic bWU6cHc=" in seen[0]


async def test_a_proxy_that_refuses_is_named(server: SshServer, tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        way = replace(target(server), proxy=Proxy(protocol="http", host="127.0.0.1", port=port))
        async with hosts_with(settings_for(tmp_path, server)) as hosts:
            with pytest.raises(SshError, match="403 Forbidden"):
                await said(hosts.link(way))


class Dialogue(asyncssh.SSHServer):
    """A server that asks for the password in a dialogue, as PAM does."""

    def begin_auth(self, username: str) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: object) -> bool:
        return responses == [PASSWORD]


async def test_a_password_is_given_in_a_dialogue_too(tmp_path: Path) -> None:
    host_key = asyncssh.generate_private_key("ssh-ed25519")

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await process.stdin.read()
        process.stdout.write(b"hi\n")
        process.exit(0)

    async with asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        server_factory=Dialogue,
        process_factory=serve,
        encoding=None,
    ) as listener:
        port = listener.get_port()
        known = tmp_path / "known"
        known.write_text(f"[127.0.0.1]:{port} {host_key.export_public_key('openssh').decode()}")
        settings = SshSettings(
            own_known_hosts=tmp_path / "own", known_hosts=(known,), config_files=()
        )
        asked = Target(
            host="127.0.0.1",
            port=port,
            user="me",
            login=PasswordLogin(password=Secret(PASSWORD), in_dialogue_only=True),
        )
        async with hosts_with(settings) as hosts:
            assert await said(hosts.link(asked)) == "hi\n"


@pytest.mark.skipif(missing("dropbear") is not None, reason=str(missing("dropbear")))
async def test_dropbear_runs_and_ends_steps_like_any_other_server(tmp_path: Path) -> None:
    from engine.kernel.effects import KillMode  # noqa: PLC0415 -- only here

    with ssh_server(kind="dropbear") as small:
        async with ssh_world(tmp_path, small) as world:
            command = (
                "echo $PPID >pid; nohup sleep 650 >/dev/null 2>&1 & setsid sleep 651 & sleep 652"
            )
            world.start(
                "e/1.1", login(small) | {"command": "echo fine; exit 3", "ignore_error": "1"}
            )
            end = await world.exited("e/1.1")
            assert (end.exit_code, world.text("e/1.1")) == (0, "fine\n")
            world.start("e/1.2", login(small) | {"command": command})
            if small.has_own_uid:
                await world.wait_for(lambda: len(small.processes()) >= 5)
            await world.launched("e/1.2")
            small.cut()
            world.kill("e/1.2", KillMode.KILL)
            killed = await world.exited("e/1.2")
            assert killed.signal == 9
            if small.has_own_uid:
                await world.wait_for(
                    lambda: not [each for each in small.processes().values() if "sleep 65" in each]
                )
