"""A real engine beside a real SSH server: definitions, settings, and questions about both."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.support.programs import World, wait_for
from tests.support.sshd import SshServer, needs_own_accounts, ssh_server

T = TypeVar("T")

CLEANUP_CHAIN = """
<job_chain orders_recoverable="yes" visible="yes">
  <job_chain_node error_state="ERROR" job="readPidFile"
    next_state="CheckTaskAndRemoteProcessesAndKillIfNeeded" on_error="setback"
    state="ReadPidFile"/>
  <job_chain_node error_state="ERROR" job="CheckAndKill" next_state="SUCCESS" on_error="setback"
    state="CheckTaskAndRemoteProcessesAndKillIfNeeded"/>
  <job_chain_node state="ERROR"/>
  <job_chain_node state="SUCCESS"/>
</job_chain>
"""
"""As the published example has it."""

_CLEANUP_JOB = """
<job order="yes" stop_on_error="no" title="{title}">
  <description><include file="jobs/{documentation}.xml"/></description>
  <script java_class="sos.scheduler.job.{java_class}" language="java"/>
  <delay_order_after_setback delay="30" is_maximum="no" setback_count="1"/>
  <delay_order_after_setback delay="0" is_maximum="yes" setback_count="3"/>
  <run_time/>
</job>
"""
READ_PID_JOB = _CLEANUP_JOB.format(
    title="Launch read pid file command by SSH",
    documentation="SOSSSHReadPidFileJob",
    java_class="SOSSSHReadPidFileJobJSAdapter",
)
KILL_JOB = _CLEANUP_JOB.format(
    title="Kills orphaned PIDs on the Remote Host for clean up by SSH",
    documentation="SOSSSHKillJob",
    java_class="SOSSSHKillJobJSAdapter",
)

SEED_PARAMETERS = {
    "runWithWatchdog": "true",
    "cleanupJobchain": "kill_jobs/remote_cleanup_test",
    "ssh_job_kill_pid_command": r"kill -9 \${pid}",
    "ssh_job_terminate_pid_command": r"kill -15 \${pid}",
    "ssh_job_get_pid_command": "echo $$",
    "ssh_job_get_active_processes_command": (
        r"/bin/ps -ef | grep \${pid} | grep \${user} | grep -v grep"
    ),
}


def quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def ssh_job_xml(parameters: Mapping[str, str], script: str = "", attributes: str = "") -> str:
    """Return an SSH job as the published example writes it."""
    params = "".join(
        f'<param name="{name}" value="{quoted(value)}"/>' for name, value in parameters.items()
    )
    return (
        f'<job order="yes" stop_on_error="false" {attributes} '
        'title="Launch commands or executable files by SSH">'
        '<description><include file="jobs/JobSchedulerSSHJob.xml"/></description>'
        f"<params>{params}</params>"
        '<script java_class="sos.scheduler.job.SOSSSHJob2JSAdapter" language="java">'
        f"{quoted(script)}</script><run_time/></job>"
    )


class SshEngine(World):
    """An engine whose jobs run on one SSH server."""

    def __init__(self, folder: Path, server: SshServer) -> None:
        super().__init__(folder)
        self.server = server
        (self.live / "kill_jobs").mkdir()
        self.write_settings()

    def write_settings(self, **more: object) -> None:
        """Write `engine.toml`: the server's key is known, nothing of the person is read."""
        known = [str(self.server.known_hosts)]
        values: dict[str, object] = {"known_hosts": known, "config_files": []} | more
        lines = ["[ssh]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
        (self.live.parent / "engine.toml").write_text("\n".join(lines), encoding="utf-8")

    def login(self) -> dict[str, str]:
        """Return the parameters that lead to the server by key."""
        return {
            "host": "127.0.0.1",
            "port": str(self.server.port),
            "user": self.server.user,
            "auth_file": str(self.server.key),
        }

    def write_ssh_chain(
        self, parameters: Mapping[str, str], script: str = "", attributes: str = ""
    ) -> None:
        """Write the job `remote` and the chain `work` that runs it."""
        self.write("remote.job.xml", ssh_job_xml(parameters, script, attributes))
        self.write_chain("work", ["remote"])

    def write_cleanup_chain(self, setback_delay_s: int = 30) -> None:
        """Write the cleanup chain of the published example, or an impatient one."""
        for name, text in (("readPidFile", READ_PID_JOB), ("CheckAndKill", KILL_JOB)):
            patient = text.replace('delay="30"', f'delay="{setback_delay_s}"')
            self.write(f"kill_jobs/{name}.job.xml", patient)
        self.write("kill_jobs/remote_cleanup_test.job_chain.xml", CLEANUP_CHAIN)

    def add(self, order: str, *params: str, chain: str = "/work") -> None:
        """Place an order."""
        options = [word for param in params for word in ("--param", param)]
        self.ask("order", "add", chain, order, *options)

    def engine_again(self) -> None:
        """End the engine in an orderly way and start it again."""
        assert self.engine is not None, "started before"
        assert self.engine.end() == 0
        self.start_engine()

    def run_of(self, order: str, patience_s: float = 60.0) -> Mapping[str, Any]:
        """Wait for the end of an order's run and return it."""
        return self.awaited(
            f"the end of {order}",
            lambda: next((run for run in self.runs("/work") if run["order"] == order), None),
            patience_s,
        )

    def awaited(self, what: str, look: Callable[[], T | None], patience_s: float = 60.0) -> T:
        """Wait until something is there; the engine's own words help if it never comes."""

        def found() -> T | None:
            assert self.engine is not None, "started before"
            assert self.engine.process.poll() is None, self.engine.text
            return look()

        value = wait_for(what, found, patience_s)
        assert value is not None
        return value

    def task_of(self, order: str, chain: str = "/work") -> int:
        """Wait until an order's task runs and return its number."""

        def running() -> int | None:
            row = self.order(chain, order)
            return int(row["task"]) if row is not None and row["status"] == "running" else None

        return self.awaited(f"a running task of {order}", running)

    def kept_files(self) -> Iterator[tuple[str, bytes]]:
        """Iterate over everything the engine has written."""
        for file in [*self.data.rglob("*"), *self.folder.glob("*.log")]:
            if file.is_file() and not file.is_symlink():
                yield str(file), file.read_bytes()


@contextlib.contextmanager
def ssh_engine(folder: Path, **server: object) -> Iterator[SshEngine]:
    """Provide a server and an engine's place; the engine itself is started by the test."""
    with ssh_server(**server) as running:
        needs_own_accounts(running)
        with SshEngine(folder, running) as world:
            yield world
