"""The small world of the demo: everything a newcomer shall find in it, and that nothing stays."""

import re
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.cli_client import EngineAddress, EngineClient
from engine.kernel.commands import ModifyOrder, StartJob
from engine.kernel.ids import job_key, order_key
from tests.support.programs import Program, World, marked, wait_for, words_of

pytestmark = pytest.mark.timeout(240)

PATIENCE_S = 90.0


class Living:
    """A demo without its cockpit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.temporary = world.folder / "a & b"
        self.temporary.mkdir()
        world.environment["TMPDIR"] = str(self.temporary)
        self.demo: Program = world.run("demo", ["demo", "--no-cockpit"])
        told = wait_for(
            "where the engine is", lambda: re.search(r"--engine (.+)\n", self.demo.text), PATIENCE_S
        )
        assert told is not None
        (self.socket,) = shlex.split(told[1])
        self.client = EngineClient(EngineAddress(url="http://engine", socket=Path(self.socket)))

    def get(self, path: str, **query: object) -> Any:
        return self.client.get(path, **query)

    def orders(self) -> Mapping[str, str]:
        """Return the orders with their states and statuses."""
        rows = self.get("/api/orders")["orders"]
        return {f"{row['chain']},{row['id']}": f"{row['state']} {row['status']}" for row in rows}

    def waits_for(self, chain: str, order: str) -> set[str]:
        """Return the kinds of what an order waits for."""
        reasons = self.get("/api/why", chain=chain, order=order)["reasons"]
        return {reason["kind"] for reason in reasons}

    def ends(self, chain: str) -> set[str]:
        """Return the nodes at which orders of a chain have ended."""
        rows = self.get("/api/history/orders", chain=chain)["orders"]
        return {row["state"] for row in rows if row["ended_at"] is not None}

    def start(self, job: str) -> None:
        self.client.submit(StartJob(job=job_key(job)))

    def agents(self) -> list[str]:
        return [each["status"] for each in self.get("/api/agents")["agents"]]

    def host(self) -> Mapping[str, Any]:
        """Return what runs on the host that is reached over SSH; agents are asked by theirs."""
        hosts = self.get("/api/processes")["hosts"]
        (host,) = (host for host in hosts if "agent" not in host["sources"])
        return dict(self.get(f"/api/processes/{host['host']}", refresh="true"))

    def runs(self) -> dict[str, Mapping[str, Any]]:
        """Return the runs on the host by their mark."""
        return {run["mark"]: run for run in self.host()["runs"]}


@pytest.fixture(scope="module")
def living(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with World(tmp_path_factory.mktemp("living") / "world", [str(program)]) as world:
        found = Living(world)
        try:
            yield found
        finally:
            found.client.__exit__()
            found.demo.end()
            wait_for("the end of all its processes", lambda: not marked(world.mark))
            assert list(found.temporary.iterdir()) == []


def eventually(what: str, look: Callable[[], object]) -> None:
    wait_for(what, look, PATIENCE_S)


@pytest.mark.parametrize(
    ("order", "stands"),
    [
        ("/bank/import,statement", "check suspended"),
        ("/payroll/salaries,november", "pay suspended"),
        ("/partner/stock,partner", "wait setback"),
        ("/ledger/closing,october", "close running"),
        ("/ledger/audit,auditor", "audit waiting"),
        ("/night/report,nightly", "report planned"),
        ("/night/archive,by_hand", "pack not_planned"),
        ("/remote/backup,database", "backup running"),
        ("/end_of_day,end_of_day", "split not_planned"),
    ],
)
def test_every_way_to_stand_still_is_there(living: Living, order: str, stands: str) -> None:
    eventually(f"{order}: {stands}", lambda: living.orders()[order] == stands)


def test_orders_wait_for_a_lock_and_for_a_process_class(living: Living) -> None:
    eventually("the lock", lambda: "lock" in living.waits_for("/ledger/audit", "auditor"))

    def waiting() -> int:
        orders = ("catalogue", "price_list", "labels")
        kinds = [living.waits_for("/print/press", each) for each in orders]
        return sum("process_class" in each for each in kinds)

    eventually("two for the printer", lambda: waiting() == 2)


@pytest.mark.parametrize(
    ("chain", "end"),
    [
        ("/sales/invoices", "sent"),
        ("/sales/claims", "by_hand"),
        ("/sales/claims", "paid"),
        ("/bank/rates", "failed"),
        ("/remote/forgotten", "failed"),
    ],
)
def test_chains_end_well_and_badly_all_the_time(living: Living, chain: str, end: str) -> None:
    wait_for(f"{chain} at {end}", lambda: end in living.ends(chain), 120)


def test_the_statement_is_booked_with_the_right_account(living: Living) -> None:
    key = order_key("/bank/import", "statement")
    eventually("a person", lambda: "suspended" in living.orders()["/bank/import,statement"])
    living.client.submit(ModifyOrder(order=key, params={"account": "4711"}, suspended=False))
    eventually("the end", lambda: living.ends("/bank/import") == {"booked"})


def test_what_is_waited_for_can_be_brought_by_starting_a_job(living: Living) -> None:
    living.start("/partner/deliver")
    living.start("/post/write_letter")
    eventually("the partner's stock", lambda: living.ends("/partner/stock") == {"loaded"})
    eventually("a letter that is read", lambda: living.ends("/post/letters"))


def test_a_job_has_stopped_and_a_file_is_refused(living: Living) -> None:

    def stopped() -> list[str]:
        return [job["path"] for job in living.get("/api/jobs")["jobs"] if job["stopped"]]

    eventually("a stopped job", lambda: stopped() == ["/upkeep/tidy_up"])
    assert living.get("/api/overview")["broken_files"] == 1


def test_one_agent_can_be_stopped_and_started_by_jobs(living: Living) -> None:
    eventually("three agents", lambda: living.agents() == ["coupled"] * 3)
    living.start("/upkeep/stop_an_agent")
    eventually("two agents", lambda: living.agents().count("coupled") == 2)
    living.start("/upkeep/start_the_agent")
    eventually("three agents again", lambda: living.agents() == ["coupled"] * 3)


def test_the_host_has_a_step_and_an_orphan_that_can_be_ended(living: Living) -> None:
    eventually("a step and an orphan", lambda: {"step", "orphan"} <= living.runs().keys())
    orphan = living.runs()["orphan"]
    assert orphan["order"] == "/remote/forgotten,copy"
    ended = living.world.call("kill", orphan["token"], "--yes", "--engine", living.socket)
    assert ended.returncode == 0, ended.stderr
    eventually("the orphan's end", lambda: living.host()["counts"]["orphan"] == 0)
    assert living.host()["counts"]["step"] > 0


# --- every end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_nothing_stays_whatever_ends_the_demo(world: World, number: signal.Signals) -> None:
    living = Living(world)
    eventually("work everywhere", lambda: "backup running" in living.orders().values())
    eventually("an agent's task", lambda: "close running" in living.orders().values())
    living.client.__exit__()
    living.demo.send(number)
    living.demo.process.wait(60)
    wait_for("the end of all its processes", lambda: not marked(world.mark), 60)
    assert list(living.temporary.iterdir()) == []


def test_nothing_stays_even_when_the_keeper_was_killed(world: World) -> None:
    living = Living(world)
    eventually("work", lambda: "close running" in living.orders().values())
    living.client.__exit__()
    (keeper,) = [
        process for process in marked(world.mark) if "engine.cli_demo_keeper" in words_of(process)
    ]
    keeper.kill()
    living.demo.send(signal.SIGTERM)
    living.demo.process.wait(60)
    wait_for("the end of all its processes", lambda: not marked(world.mark), 60)
    assert list(living.temporary.iterdir()) == []
