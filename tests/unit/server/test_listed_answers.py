"""What lists show of hidden objects, and of jobs that lack something (0.6, live-folder.md 7.2)."""

import pytest

from engine.kernel.definitions import LockUse, MonitorUse, Visible
from engine.kernel.ids import LockPath, MonitorPath
from tests.support.http_engine import HttpEngine
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio


async def listed(http: HttpEngine) -> tuple[list[str], list[str]]:
    jobs = (await http.xml("<show_jobs/>")).iterfind(".//jobs/job")
    chains = (await http.xml("<show_job_chains/>")).iterfind(".//job_chains/job_chain")
    return [job.get("name", "") for job in jobs], [each.get("name", "") for each in chains]


async def test_hidden_objects_are_listed_once_something_was_enqueued() -> None:
    http = HttpEngine(
        shell_job("hidden", visible=Visible.NO),
        shell_job("unseen", visible=Visible.NEVER),
        chain("walk", node("1", "hidden"), node("2", "unseen"), visible=Visible.NO),
    )
    assert await listed(http) == ([], [])
    job = (await http.xml('<show_job job="/hidden"/>')).find("job")
    assert job is not None
    assert job.get("visible") == "no"
    await http.xml('<add_order job_chain="/walk" id="x" suspended="yes"/>')
    assert await listed(http) == (["hidden"], ["walk"])


async def test_a_job_is_incomplete_without_a_monitor_and_waits_without_a_lock() -> None:
    http = HttpEngine(
        shell_job("of_lock", locks=(LockUse(lock=LockPath("/l")),)),
        shell_job("of_monitor", monitors=(MonitorUse(path=MonitorPath("/m")),)),
    )
    found = {}
    for name in ("of_lock", "of_monitor"):
        job = (await http.xml(f'<show_job job="/{name}"/>')).find("job")
        assert job is not None
        file_based = job.find("file_based")
        assert file_based is not None
        found[name] = (job.get("state"), file_based.get("state"))
    assert found == {"of_lock": ("pending", "active"), "of_monitor": ("loaded", "incomplete")}
