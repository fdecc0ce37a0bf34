"""The published example with its watchdog order: begin it, and let the cleanup chain come now."""

from collections.abc import Mapping
from typing import Any

from tests.support.ssh_engine import SEED_PARAMETERS, SshEngine

PASSWORD = "Tv3-throwaway-Qm8"
CLEANUP = "/kill_jobs/remote_cleanup_test"
FAMILY = """
nohup sleep 5700 >/dev/null 2>&1 &
setsid sleep 5800 &
echo started
while [ ! -e "$HOME/go" ]; do sleep 0.1; done
echo "n=1" >> "$SCHEDULER_RETURN_VALUES"
exit 3
"""
"""A script with children that outlive a hangup and a session."""


TELLING_CHAIN = """
<job_chain>
  <job_chain_node state="1" job="remote" next_state="done" error_state="tell"/>
  <job_chain_node state="tell" job="tell" next_state="failed" error_state="failed"/>
  <job_chain_node state="done"/>
  <job_chain_node state="failed"/>
</job_chain>
"""
"""Of a failed script it tells what has come back nevertheless."""


def begin(world: SshEngine, setback_delay_s: int = 30, **more: str) -> int:
    """Start the example's order and return its task once the script runs."""
    script = world.folder / "script.sh"
    script.write_text(FAMILY)
    world.write_ssh_chain(
        {
            "host": "127.0.0.1",
            "port": str(world.server.port),
            "user": world.server.user,
            "password": PASSWORD,
            "auth_method": "password",
            "command_script_file": str(script),
        }
        | SEED_PARAMETERS
        | more
    )
    world.write("work.job_chain.xml", TELLING_CHAIN)
    world.write_job("tell", "echo n=$SCHEDULER_PARAM_N code=$SCHEDULER_PARAM_EXIT_CODE")
    world.write_cleanup_chain(setback_delay_s)
    world.start_engine()
    world.add("a")
    task = world.task_of("a")
    world.awaited("its output", lambda: "started" in world.task_log(task))
    return task


def cleanup_order(world: SshEngine) -> Mapping[str, Any] | None:
    rows = world.get("/api/orders", chain=CLEANUP)["orders"]
    return rows[0] if rows else None


def visit_now(world: SshEngine) -> None:
    """Let the cleanup order come now instead of in some seconds."""
    row = cleanup_order(world)
    assert row is not None
    if row["status"] != "running":
        key = f'job_chain="{CLEANUP}" order="{row["id"]}"'
        world.call("command", f'<modify_order {key} at="now"/>', "--data", str(world.data))


def cleanup_run(world: SshEngine) -> Mapping[str, Any]:
    """Poke the cleanup order until its run is over."""

    def ended() -> Mapping[str, Any] | None:
        runs = world.runs(CLEANUP)
        if runs:
            return runs[0]
        if cleanup_order(world) is not None:
            visit_now(world)
        return None

    return world.awaited("the end of the cleanup order", ended, 60)
