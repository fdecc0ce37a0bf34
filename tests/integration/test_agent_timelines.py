"""The timelines a) to h) of agents.md 3.9, with short periods, real programs and a real network.

An engine and three agents, each in a network namespace of its own, joined by cables that can be
pulled. Every task appends a line to one file when it starts; nowhere a line appears twice. The
period is one second and the timeout six, so an outage of four and a half seconds is survived for
certain, and after six the agent kills. b) needs delays and is in `test_agent_wires.py`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.cables import CabledWorld, Network, why_not
from tests.support.programs import wait_for

PERIOD_S, TIMEOUT_S = 1, 6
AGENTS = 3
ATTEMPTS = 5
"""To look within the two seconds of the kill grace, on a machine that is busy."""
LINES = 20
"""A counting script takes two seconds."""
COUNTED = "".join(f"[stdout] {number}\n" for number in range(1, LINES + 1))
COUNT = f"n=1; while [ $n -le {LINES} ]; do echo $n; n=$((n + 1)); sleep 0.1; done"
NAMES = ("one", "two", "three")

pytestmark = pytest.mark.timeout(240)


class Timelines:
    """The programs, the orders of a test and what became of them."""

    def __init__(self, world: CabledWorld) -> None:
        self.world = world
        self.effects = world.folder / "effects"
        self._count = 0
        define(world)

    # --- orders ------------------------------------------------------------------------------

    def send(self, chain: str, script: str) -> str:
        """Add an order whose task runs this script; returns its name."""
        self._count += 1
        name = f"order-{self._count}"
        file = self.world.folder / f"{name}.sh"
        file.write_text(script)
        order = OrderDefinition(key=order_key(f"/{chain}", name), params={"script": str(file)})
        self.world.submit_all([AddOrder(order=order)], 1)
        return name

    def send_waiting(self, chain: str, script: str) -> tuple[Path, str]:
        """Add an order whose script waits for a file; returns that file and the order's name."""
        go = self.world.folder / f"go-{self._count}"
        return go, self.send(chain, f"until [ -e {go} ]; do sleep 0.05; done; {script}")

    def effect(self, order: str) -> int:
        """Return how often a task of this order has started."""
        return self._effects()[order]

    def _effects(self) -> Counter[str]:
        return Counter(self.effects.read_text().split() if self.effects.exists() else [])

    def await_start(self, order: str) -> psutil.Process:
        """Wait until the order's script has started and is known to run; return its process."""

        def pid() -> int | None:
            rows = self.world.get("/api/tasks")["tasks"]
            found = [row["pid"] for row in rows if str(row["order"]).endswith(f",{order}")]
            return int(found[0]) if found and found[0] else None

        wait_for(f"{order} to run", lambda: pid() and self.effect(order) == 1)
        number = pid()
        assert number is not None
        return psutil.Process(number)

    def end_of(self, chain: str, order: str, patience_s: float = 60.0) -> Mapping[str, Any]:
        """Wait for the order's end and return its last task from the history."""
        wait_for(f"the end of {order}", lambda: self._is_over(chain, order), patience_s)
        return self.task(order)

    def _is_over(self, chain: str, order: str) -> bool:
        return any(run["order"] == order for run in self.world.runs(f"/{chain}"))

    def end_state(self, chain: str, order: str) -> str:
        """Return where an order has ended."""
        runs = self.world.runs(f"/{chain}")
        return next(str(run["state"]) for run in runs if run["order"] == order)

    def task(self, order: str) -> Mapping[str, Any]:
        """Return the newest task of an order from the history."""
        rows = self.world.get("/api/history/tasks", order=order)["tasks"]
        return dict(rows[0])

    def log(self, order: str) -> str:
        """Return the log of an order's task."""
        return self.world.task_log(self.task(order)["task"])

    # --- programs ----------------------------------------------------------------------------

    def mend(self) -> None:
        """Put everything right: cables, programs, sessions."""
        for cable in self.world.network.cables:
            cable.plug()
        for number in range(AGENTS):
            agent = self.world.spoke_agents.get(number)
            if agent is None or agent.process.poll() is not None:
                self.world.launch_agent(number)
        engine = self.world.engine
        if engine is None or engine.process.poll() is not None:
            self.world.start_engine()
        self.world.await_agents(AGENTS)

    def kept_by(self, number: int) -> list[Path]:
        """Return the folders of tasks that an agent has not been asked to forget."""
        folder = self.world.agent_data(number) / "runs"
        return list(folder.iterdir()) if folder.exists() else []

    def await_forgotten(self, number: int) -> None:
        """Wait until an agent keeps nothing any more."""
        wait_for("the agent to be asked to forget", lambda: not self.kept_by(number))

    def pull(self, number: int) -> None:
        """Pull an agent's cable and wait until the engine has noticed."""
        self.world.network.cables[number].pull()
        self.world.await_agent(number, "delayed", "lost")

    def plug(self, number: int) -> None:
        """Plug an agent's cable in again and wait until the engine is in touch with it."""
        self.world.network.cables[number].plug()
        self.world.await_agent(number, "coupled")


def define(world: CabledWorld) -> None:
    """Write the live folder: a class, a job and a chain for each agent, and some for all."""
    heartbeat = f'http_heartbeat_period="{PERIOD_S}" http_heartbeat_timeout="{TIMEOUT_S}"'
    script = f'echo "$SCHEDULER_ORDER_ID" >> {world.folder}/effects\n. "$SCHEDULER_PARAM_SCRIPT"'

    def classes(name: str, agents: Sequence[int]) -> None:
        entries = "".join(
            f'<remote_scheduler remote_scheduler="{world.address(number)}" {heartbeat}/>'
            for number in agents
        )
        world.write(
            f"{name}.process_class.xml",
            f'<process_class><remote_schedulers select="first">{entries}</remote_schedulers>'
            "</process_class>",
        )
        world.write_job(name, script, f'process_class="{name}" tasks="10"')
        world.write_chain(name, [name])

    for number, name in enumerate(NAMES):
        classes(name, [number])
    classes("cluster", range(AGENTS))
    world.write(
        "stopping.job.xml",
        '<job order="yes" process_class="one" tasks="10">'
        f'<script language="shell"><![CDATA[{script}]]></script><run_time/></job>',
    )
    world.write_chain("stopping", ["stopping"])
    world.write_job("suspending", script, 'process_class="one" tasks="10"')
    world.write(
        "suspending.job_chain.xml",
        '<job_chain><job_chain_node state="1" job="suspending" next_state="done"'
        ' error_state="failed" on_error="suspend"/><job_chain_node state="done"/>'
        '<job_chain_node state="failed"/></job_chain>',
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timelines]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("timelines") / "world"
    with Network(AGENTS) as network, CabledWorld(folder, network) as world:
        yield Timelines(world)


@pytest.fixture
def neighbour(lines: Timelines, tmp_path: Path) -> Iterator[Timelines]:
    """Another engine with the same agents."""
    with CabledWorld(tmp_path / "neighbour", lines.world.network) as world:
        token = "POINTSMAN_AGENT_TOKEN"
        world.environment |= {token: lines.world.environment[token], "POINTSMAN_ID": "neighbour"}
        neighbour = Timelines(world)
        world.start_engine()
        world.await_agents(AGENTS)
        yield neighbour


@pytest.fixture
def lines(whole: Timelines) -> Iterator[Timelines]:
    """Everything running and in touch; at the end no task of any test has started twice."""
    whole.mend()
    yield whole
    twice = {order: count for order, count in whole._effects().items() if count > 1}
    assert twice == {}


def _job(world: CabledWorld, path: str) -> Mapping[str, Any]:
    rows = world.get("/api/jobs")["jobs"]
    return next(row for row in rows if row["path"] == path)


# --- a) everything is well ---------------------------------------------------------------------------


def test_a_a_script_runs_over_several_heartbeats(lines: Timelines) -> None:
    order = lines.send("one", f"{COUNT}; echo total=20 >> $SCHEDULER_RETURN_VALUES")
    process = lines.await_start(order)
    assert process.is_running()
    task = lines.end_of("one", order)
    assert (task["exit_code"], task["error_code"]) == (0, "")
    assert task["agent"] == lines.world.address(0)
    assert lines.end_state("one", order) == "done"
    assert COUNTED in lines.log(order)
    lines.await_forgotten(0)


# --- c) the link is lost for less than the timeout ---------------------------------------------------


def test_c_a_task_runs_on_over_a_short_outage_and_its_log_is_whole(lines: Timelines) -> None:
    order = lines.send("one", f"{COUNT}; {COUNT}")
    lines.await_start(order)
    lines.pull(0)
    lines.plug(0)
    assert lines.end_of("one", order)["exit_code"] == 0
    assert COUNTED + COUNTED in lines.log(order)
    assert lines.world.engine is not None
    said = [line for line in lines.world.engine.text.splitlines() if lines.world.address(0) in line]
    assert any("is late" in line for line in said)
    assert "answers again" in said[-1]
    assert len(said) < 6, "not a line for each repeat"


def test_c1_a_task_whose_lease_ended_first_fails_as_soon_as_the_link_is_back(
    lines: Timelines,
) -> None:
    for _ in range(ATTEMPTS):
        order = lines.send("one", "sleep 100")
        process = lines.await_start(order)
        lines.pull(0)
        wait_for("the agent to kill it", lambda: not process.is_running())  # noqa: B023  # now
        is_given_up = lines._is_over("one", order)
        lines.plug(0)
        task = lines.end_of("one", order)
        assert task["error_code"] == "SCHEDULER-202"
        assert lines.end_state("one", order) == "failed"
        if not is_given_up:
            return
    pytest.fail("the engine did not wait for the kill grace")


def test_c2_a_result_from_within_the_outage_is_delivered_and_not_made_again(
    lines: Timelines,
) -> None:
    done = lines.world.folder / "c2-is-done"
    order = lines.send("one", f"sleep 1; echo well; touch {done}; exit 0")
    lines.await_start(order)
    lines.world.network.cables[0].pull()
    wait_for("the script to end", done.exists)
    lines.world.await_agent(0, "delayed", "lost")
    lines.plug(0)
    assert lines.end_of("one", order)["exit_code"] == 0
    assert lines.end_state("one", order) == "done"
    assert "[stdout] well\n" in lines.log(order)
    assert lines.effect(order) == 1


# --- d) the link is lost for more than the timeout ---------------------------------------------------


def test_d_a_task_is_dead_before_it_is_called_lost_and_its_order_follows_its_job(
    lines: Timelines,
) -> None:
    orders = {chain: lines.send(chain, "sleep 100") for chain in ("one", "stopping", "suspending")}
    processes = {chain: lines.await_start(order) for chain, order in orders.items()}
    lines.pull(0)
    task = lines.end_of("one", orders["one"])
    assert not any(process.is_running() for process in processes.values())
    assert (task["error_code"], task["exit_code"]) == ("SCHEDULER-202", 1)
    assert task["agent"] == lines.world.address(0)
    assert f"timeout of {TIMEOUT_S} s" in lines.log(orders["one"])
    assert lines.end_state("one", orders["one"]) == "failed"
    world = lines.world
    wait_for("the job to be stopped", lambda: _job(world, "/stopping")["stopped"])
    waiting = world.order("/stopping", orders["stopping"])
    assert waiting is not None
    assert (waiting["state"], waiting["task"]) == ("1", None), "it stays at its node"
    suspended = world.order("/suspending", orders["suspending"])
    assert suspended is not None
    assert (suspended["state"], suspended["suspended"]) == ("1", True)
    elsewhere = lines.send("cluster", "exit 0")
    assert lines.end_of("cluster", elsewhere)["agent"] == world.address(1)
    lines.plug(0)
    lines.await_forgotten(0)
    for order in orders.values():
        assert lines.effect(order) == 1, "nothing is repeated by itself"


def test_d_a_result_from_within_a_long_outage_is_told_late_and_not_made_again(
    lines: Timelines,
) -> None:
    go, order = lines.send_waiting("one", "echo well; exit 4")
    process = lines.await_start(order)
    lines.world.network.cables[0].pull()
    go.touch()
    wait_for("the script to end", lambda: not process.is_running())
    assert lines.end_of("one", order)["error_code"] == "SCHEDULER-202"
    lines.plug(0)
    wait_for("the late result", lambda: "late result" in lines.task(order)["error_text"])
    task = lines.task(order)
    assert (task["exit_code"], task["error_code"]) == (1, "SCHEDULER-202")
    assert "late result: exit code 4" in task["error_text"]
    wait_for("the log", lambda: "late result: exit code 4" in lines.log(order))
    assert "[stdout] well\n" in lines.log(order)
    assert lines.end_state("one", order) == "failed"
    lines.await_forgotten(0)


# --- e) the engine is killed -------------------------------------------------------------------------


def test_e_without_its_engine_a_task_is_killed_and_a_result_is_kept(
    lines: Timelines, neighbour: Timelines
) -> None:
    assert lines.world.engine is not None
    release, theirs = neighbour.send_waiting("one", "exit 0")
    their_process = neighbour.await_start(theirs)
    running = lines.send("one", "sleep 100")
    process = lines.await_start(running)
    go, finishing = lines.send_waiting("one", "echo well")
    lines.await_start(finishing)
    lines.world.engine.kill()
    go.touch()
    wait_for("the lease to be over", lambda: not process.is_running())
    kept = {folder.name: (folder / "stdout").read_text() for folder in lines.kept_by(0)}
    assert "well\n" in kept.values(), "a result is kept longer than the lease"
    assert their_process.is_running(), "a task of another engine goes on"
    lines.world.start_engine()
    assert lines.end_of("one", running)["error_code"] == "SCHEDULER-202"
    assert lines.end_of("one", finishing)["exit_code"] == 0
    release.touch()
    assert neighbour.end_of("one", theirs)["exit_code"] == 0


# --- f) the agent is killed and stays away -----------------------------------------------------------


def test_f_tasks_of_a_killed_agent_die_before_they_are_called_lost(lines: Timelines) -> None:
    order = lines.send("cluster", "sleep 100")
    process = lines.await_start(order)
    lines.world.spoke_agents[0].kill()
    assert process.is_running(), "the agent's death is not its tasks' death"
    elsewhere = lines.send("cluster", "exit 0")
    assert lines.end_of("cluster", elsewhere)["agent"] == lines.world.address(1)
    task = lines.end_of("cluster", order)
    assert not process.is_running()
    assert (task["error_code"], task["exit_code"]) == ("SCHEDULER-202", 1)
    assert task["agent"] == lines.world.address(0)
    assert lines.end_state("cluster", order) == "failed"


# --- g) the agent is restarted -----------------------------------------------------------------------


def test_g_an_orderly_stop_ends_tasks_and_their_codes_arrive(lines: Timelines) -> None:
    handling = lines.send("one", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    dying = lines.send("one", "while :; do sleep 0.1; done")
    for order in (handling, dying):
        lines.await_start(order)
    agent = lines.world.spoke_agents[0]
    assert agent.end() == 0
    lines.world.launch_agent(0)
    assert lines.end_of("one", handling)["exit_code"] == 7
    assert lines.end_of("one", dying)["exit_code"] == 143


def test_g_a_killed_agent_takes_its_tasks_over_and_delivers_what_has_finished(
    lines: Timelines,
) -> None:
    counting = lines.send("one", f"{COUNT}; {COUNT}")
    go, finishing = lines.send_waiting("one", "echo well; exit 3")
    processes = [lines.await_start(order) for order in (counting, finishing)]
    lines.world.spoke_agents[0].kill()
    go.touch()
    wait_for("the script to end", lambda: not processes[1].is_running())
    lines.world.launch_agent(0)
    assert lines.end_of("one", finishing)["exit_code"] == 3
    assert "[stdout] well\n" in lines.log(finishing)
    assert lines.end_of("one", counting)["exit_code"] == 0
    assert COUNTED + COUNTED in lines.log(counting)


# --- h) the engine is restarted ----------------------------------------------------------------------


def test_h_an_engine_that_is_back_in_time_takes_everything_over(lines: Timelines) -> None:
    assert lines.world.engine is not None
    counting = lines.send("one", f"{COUNT}; {COUNT}")
    go, finishing = lines.send_waiting("two", "echo well; exit 3")
    for order in (counting, finishing):
        lines.await_start(order)
    lines.world.engine.kill()
    go.touch()
    lines.world.start_engine()
    assert lines.end_of("two", finishing)["exit_code"] == 3
    assert lines.end_of("one", counting)["exit_code"] == 0
    assert COUNTED + COUNTED in lines.log(counting)


def test_h_an_order_waits_for_an_agent_that_cannot_be_asked_and_is_then_lost(
    lines: Timelines,
) -> None:
    assert lines.world.engine is not None
    order = lines.send("cluster", "sleep 100")
    process = lines.await_start(order)
    lines.world.engine.kill()
    lines.world.network.cables[0].pull()
    lines.world.start_engine()
    task = lines.end_of("cluster", order)
    assert not process.is_running()
    assert task["error_code"] == "SCHEDULER-202"
    assert task["agent"] == lines.world.address(0)


# --- 4.6: a start that is not confirmed --------------------------------------------------------------


def test_a_start_over_a_pulled_cable_goes_to_another_agent_and_never_runs_here(
    lines: Timelines,
) -> None:
    lines.world.network.cables[0].pull()
    order = lines.send("cluster", "exit 0")
    assert lines.end_of("cluster", order)["agent"] == lines.world.address(1)
    lines.plug(0)
    lines.await_forgotten(0)
    assert lines.effect(order) == 1
