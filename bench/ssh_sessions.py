"""Figures for SSH: steps a second, the latency of a kill, many hosts at once.

    python -m bench.ssh_sessions throughput [COUNT]
    python -m bench.ssh_sessions kill [COUNT]
    python -m bench.ssh_sessions hosts [COUNT]

Starts its own OpenSSH server on a loopback port with throw-away keys, and ends it. Run as root with
libnss-wrapper installed, so that the server's account is nobody else's.
"""

import asyncio
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import asyncssh

from engine.drivers.remote_processes import RemoteProcesses, WatchedHost
from engine.drivers.ssh_channels import Purpose
from engine.drivers.ssh_hosts import SshHosts
from engine.drivers.ssh_wrapper import probe_program
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.sessions.browser import Act, AuditRecord, Outcome, SignalRequest
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.marks import KnownRun, RunEnd
from engine.kernel.sessions.parameters import Target, target_of
from tests.support.ssh_world import login, settings_for, ssh_world, until
from tests.support.sshd import SshServer, ssh_server

AT_ONCE = 8
ROUNDS = 3
SSH_LIMIT_S = 10.0


def target(server: SshServer) -> Target:
    """How to log in to the server."""
    found = target_of(login(server))
    assert isinstance(found, Target), found
    return found


async def throughput(count: int) -> None:
    """Steps that do nothing: ours, the bare exec rate, and ssh with a shared connection."""
    kinds = (
        ("bare asyncssh exec", bare),
        ("ssh, ControlMaster", control_master),
        ("steps of the engine", steps),
    )
    rates: dict[str, list[float]] = {name: [] for name, _ in kinds}
    with ssh_server() as server:
        for number in range(ROUNDS):
            for name, work in kinds:
                with tempfile.TemporaryDirectory() as folder:
                    rates[name].append(await work(server, Path(folder), count))
                print(f"round {number + 1}  {name:20} {rates[name][-1]:7.1f} /s", flush=True)
    for name, found in rates.items():
        print(f"best of {ROUNDS}  {name:20} {max(found):7.1f} /s")
    ratio = max(rates["steps of the engine"]) / max(rates["ssh, ControlMaster"])
    print(f"steps of the engine per `ssh` through a shared connection: {ratio:.2f}")


async def bare(server: SshServer, folder: Path, count: int) -> float:
    """Execs of `true`, and nothing around them."""
    hosts = SshHosts(settings_for(folder, server))
    link = hosts.link(target(server))
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with places, link.open("true", Purpose.STEP) as channel:
            await channel.ended()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    rate = count / (time.perf_counter() - began)
    await hosts.close()
    return rate


async def control_master(server: SshServer, folder: Path, count: int) -> float:
    """What a person's `ssh` does through one shared connection."""
    line = [
        "ssh",
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        f"UserKnownHostsFile={server.known_hosts}",
        "-o",
        f"ControlPath={folder}/cm",
        "-i",
        str(server.key),
        "-p",
        str(server.port),
        f"{server.accounts[server.user].name}@127.0.0.1",
    ]
    master = await asyncio.create_subprocess_exec(
        *line[:1], "-M", "-N", *line[1:], stdin=asyncio.subprocess.DEVNULL
    )
    await until((folder / "cm").exists)
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with places:
            process = await asyncio.create_subprocess_exec(
                *line, "true", stdin=asyncio.subprocess.DEVNULL
            )
            try:
                async with asyncio.timeout(SSH_LIMIT_S):
                    assert await process.wait() == 0
            except TimeoutError:  # now and then a client misses the end of its session
                print("an ssh client has hung and was ended")
                process.kill()
                await process.wait()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    rate = count / (time.perf_counter() - began)
    master.terminate()
    await master.wait()
    return rate


async def steps(server: SshServer, folder: Path, count: int) -> float:
    """From the first demand to the last report; eight at a time, as a process class would do."""
    async with ssh_world(folder, server, connections_max=1) as world:
        began = time.perf_counter()
        for number in range(count):
            while len(world.runs) >= AT_ONCE:
                for key in [run for run in world.runs if world.ended(run)]:
                    world.withdraw(key)
                await asyncio.sleep(0.001)
            world.start(f"t/{number}.{time.monotonic_ns()}", login(server) | {"command": "true"})
        await until(lambda: all(world.ended(run) for run in world.runs), 60)
        return count / (time.perf_counter() - began)


async def kill(count: int) -> None:
    """From the request to the answer that the process has gone, against one exec."""
    with ssh_server() as server, tempfile.TemporaryDirectory() as name:
        async with ssh_world(Path(name), server) as world:
            known: dict[RunToken, KnownRun] = {}
            service = service_of(world.hosts, known)
            service.set_hosts([WatchedHost(name="here", target=target(server))])
            link = world.hosts.link(target(server))
            times: dict[Act, list[float]] = {Act.KILL: [], Act.END: []}
            execs = []
            for number in range(count):
                for act, found in times.items():
                    key = f"k/{number}{act.value}.{time.monotonic_ns()}"
                    world.start(key, login(server) | {"command": "sleep 600 & sleep 600"})
                    await world.launched(key)
                    token = token_of(ExecutionKey(key))
                    known[token] = KnownRun(
                        token=token,
                        key=ExecutionKey(key),
                        task=TaskId(1),
                        job="/j",
                        end=RunEnd.BROKEN,
                    )
                    await service.refresh("here")
                    request = SignalRequest(
                        host="here", act=act, by="x", origin="key", token=token, may_act=True
                    )
                    began = time.perf_counter()
                    result = await service.signal(request)
                    found.append(time.perf_counter() - began)
                    assert result.outcome is Outcome.DONE, result
                    world.withdraw(key)
                began = time.perf_counter()
                await link.ask(b"exit 0\n")
                execs.append(time.perf_counter() - began)
            show("X: KILL, process gone", times[Act.KILL])
            show("x: TERM, then KILL, gone", times[Act.END])
            show("one exec", execs)


async def hosts(count: int) -> None:
    """Many hosts looked at by one browser; a server on a port of its own stands for each."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        server = stack.enter_context(ssh_server(options=("MaxStartups 500:100:500",)))
        inner = await asyncssh_servers(server, count)
        known_hosts = Path(name) / "known"
        known_hosts.write_text("".join(line for _, line in inner))
        settings = replace(settings_for(Path(name), server), known_hosts=(known_hosts,))
        all_hosts = SshHosts(settings)
        service = service_of(all_hosts, {})
        service.set_hosts(
            [
                WatchedHost(name=str(port), target=replace(target(server), port=port))
                for port, _ in inner
            ]
        )
        task = asyncio.create_task(service.run())
        with service.watching():
            await until(lambda: all(view.version >= 1 for view in service.views().values()), 120)
            began, cpu = time.perf_counter(), time.process_time()
            first = {name: view.version for name, view in service.views().items()}
            await asyncio.sleep(30)
            took = time.perf_counter() - began
            looks = [view.version - first[name] for name, view in service.views().items()]
            problems = [view.problem for view in service.views().values() if view.problem]
        print(f"{count} hosts, {took:.0f} s: looks a host {min(looks)}..{max(looks)}")
        print(f"problems: {len(problems)} {problems[:1]}")
        print(f"CPU {100 * (time.process_time() - cpu) / took:.0f} % (servers included)")
        print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await all_hosts.close()


async def asyncssh_servers(server: SshServer, count: int) -> list[tuple[int, str]]:
    """Servers in this very process that answer each program with a recorded probe."""
    shell = await asyncio.create_subprocess_exec(
        "/bin/sh", "-s", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = await shell.communicate(probe_program())
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def serve(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        await process.stdin.read()
        process.stdout.write(answer)
        process.exit(0)

    made = []
    for _ in range(count):
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            authorized_client_keys=str(server.folder / "authorized_keys"),
            process_factory=serve,
            encoding=None,
        )
        port = listener.get_port()
        made.append((port, f"[127.0.0.1]:{port} {key.export_public_key('openssh').decode()}"))
    return made


def service_of(hosts: SshHosts, known: dict[RunToken, KnownRun]) -> RemoteProcesses:
    """Return a browser's service that remembers nothing."""

    async def audit(record: AuditRecord) -> None:
        """Thrown away here."""

    return RemoteProcesses(
        hosts,
        known_runs=lambda: known,
        audit=audit,
        now=lambda: Instant(time.time_ns() // 1_000_000),
    )


def show(what: str, times: list[float]) -> None:
    """Print median and 99th percentile."""
    p99 = sorted(times)[int(len(times) * 0.99) - 1 if len(times) > 1 else 0]
    print(f"{what:28} median {statistics.median(times) * 1000:6.1f} ms  p99 {p99 * 1000:6.1f} ms")


if __name__ == "__main__":
    work = {"throughput": (throughput, 1000), "kill": (kill, 100), "hosts": (hosts, 200)}
    function, default = work[sys.argv[1]]
    asyncio.run(function(int(sys.argv[2]) if len(sys.argv) > 2 else default))
