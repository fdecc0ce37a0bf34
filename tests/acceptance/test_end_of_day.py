"""The end-of-day example on real agents: some of them away, and the engine killed in the middle."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.programs import World, free_port, wait_for, words_of

CHAIN, ORDER = "/end_of_day", "end_of_day"
CHILD = re.compile(r"end_of_day_child_order_\d+")

pytestmark = pytest.mark.timeout(180)


class EndOfDay:
    """The example with three agents, of which any number runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ports = [free_port() for _ in range(3)]
        self.trace = world.folder / "trace"
        world.environment["END_OF_DAY_TRACE"] = str(self.trace)
        world.use_example(self.ports)

    def begin(self, agents: int) -> None:
        """Start so many of the agents, and the engine."""
        for port in self.ports[:agents]:
            self.world.start_agent(port)
        self.world.start_engine()
        self.world.await_agents(agents)

    def start_order(self) -> None:
        """Start the order as a person does."""
        self.world.ask("order", "start", CHAIN, ORDER)

    def await_run(self, number: int = 1, patience_s: float = 60) -> Mapping[str, Any]:
        """Return the main order's run of this number, once it has ended."""

        def ended() -> Mapping[str, Any] | None:
            runs = [run for run in self.world.runs(CHAIN) if run["order"] == ORDER]
            return runs[0] if len(runs) == number else None

        found = wait_for(f"the end of run {number}", ended, patience_s)
        assert found is not None
        return found

    def traced(self) -> list[tuple[int, int, int]]:
        """Return what the children have written: first and last account, port of the agent."""
        if not self.trace.exists():
            return []
        rows = re.findall(r"^(\d+)-(\d+) (\d+)$", self.trace.read_text(), re.MULTILINE)
        return sorted((int(low), int(high), int(port)) for low, high, port in rows)

    def assert_whole(self, children: int) -> None:
        """Check that so many parts cover every account once, each on an agent of its own."""
        parts = self.traced()
        assert len(parts) == children
        assert all(low <= high for low, high, _ in parts)
        assert parts[0][0] == 100_000
        assert parts[-1][1] == 200_000
        assert all(one[1] + 1 == other[0] for one, other in itertools.pairwise(parts))
        assert len({port for *_, port in parts}) == children


@pytest.fixture
def end_of_day(world: World) -> EndOfDay:
    return EndOfDay(world)


def test_with_one_agent_stopped_two_children_cover_all_accounts(end_of_day: EndOfDay) -> None:
    world = end_of_day.world
    end_of_day.begin(agents=3)
    stopped = end_of_day.ports[1]
    world.agents[stopped].end()
    end_of_day.start_order()
    assert end_of_day.await_run()["state"] == "success"
    end_of_day.assert_whole(children=2)
    assert stopped not in {port for *_, port in end_of_day.traced()}
    runs = world.runs(CHAIN)
    children = [run for run in runs if CHILD.fullmatch(run["order"])]
    assert len(children) == 2
    assert {child["parent"] for child in children} == {f"{CHAIN},{ORDER}"}


def test_without_any_agent_the_order_ends_at_its_error_node_and_says_why(
    end_of_day: EndOfDay,
) -> None:
    world = end_of_day.world
    end_of_day.begin(agents=0)
    end_of_day.start_order()
    run = end_of_day.await_run()
    assert run["state"] == "error"
    (step,) = run["steps"]
    assert "None of these agents is available" in step["error_text"]
    assert all(f"http://127.0.0.1:{port}" in step["error_text"] for port in end_of_day.ports)
    log = world.task_log(step["task"])
    assert "[error] SCHEDULER-280 None of these agents is available" in log
    assert end_of_day.traced() == [], "nothing was processed"


def test_children_stand_under_their_parent_while_they_run(end_of_day: EndOfDay) -> None:
    world = end_of_day.world
    end_of_day.begin(agents=3)
    end_of_day.start_order()
    wait_for("three running children", lambda: len(end_of_day.traced()) == 3)
    parent = world.get("/api/orders", chain=CHAIN, order=ORDER)
    assert parent["state"] == "sync"
    assert len(parent["children"]) == 3
    for child in parent["children"]:
        row = world.get("/api/orders", chain=CHAIN, order=child.partition(",")[2])
        assert (row["state"], row["status"], row["parent"]) == (
            "create",
            "running",
            f"{CHAIN},{ORDER}",
        )


@pytest.mark.parametrize("is_back", ["while they run", "after their end"])
def test_an_engine_killed_while_the_children_run_processes_every_range_once(
    end_of_day: EndOfDay, is_back: str
) -> None:
    world = end_of_day.world
    end_of_day.begin(agents=3)
    end_of_day.start_order()
    wait_for("three running children", lambda: len(end_of_day.traced()) == 3)
    assert world.engine is not None
    world.engine.kill()
    if is_back == "after their end":
        wait_for("the end of all children", lambda: not _running_scripts(world))
    world.start_engine()
    assert end_of_day.await_run()["state"] == "success"
    end_of_day.assert_whole(children=3)
    states = Counter(run["state"] for run in world.runs(CHAIN) if CHILD.fullmatch(run["order"]))
    assert states == {"sync": 3}
    for run in world.runs(CHAIN):
        for step in run["steps"]:
            if step["state"] == "create":
                log = world.task_log(step["task"])
                assert log.count("creating balance statements") == 1
                assert log.count("balance statements are complete") == 1


def _running_scripts(world: World) -> list[int]:
    """Return the processes that belong to tasks."""
    return [
        process.pid
        for process in world.other_processes()
        if any("JobScheduler-Agent-" in word for word in words_of(process))
    ]
