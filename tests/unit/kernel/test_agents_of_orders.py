"""An order that names the agent for its shell jobs (orders-and-jobs.md 6.6, js973)."""

import pytest

from engine.kernel.commands import Tick
from engine.kernel.demands import agent_demands
from engine.kernel.events.orders import OrderStepEnded, Transition
from engine.kernel.events.tasks import JobStopped, TaskAssigned, TaskAwaitsAgent
from engine.kernel.ids import ClassPath
from engine.kernel.instants import seconds
from engine.kernel.progress.agents import ORDER_AGENT_PARAM, agent_address
from engine.kernel.reports import LaunchFailure, TaskNotLaunched
from tests.support.world import World, agents_class, chain, native_job, node, shell_job


def walk(**first: object) -> World:
    return World(
        agents_class("agents", "http://usual:1"),
        shell_job("a", process_class=ClassPath("/agents"), **first),
        chain("walk", node("100", "a")),
    )


@pytest.mark.parametrize(
    ("wanted", "agent"),
    [
        ("http://other:4445", "http://other:4445"),
        ("other:4445", "http://other:4445"),
        ("", ""),
    ],
)
def test_the_orders_address_comes_before_the_process_class(wanted: str, agent: str) -> None:
    world = walk()
    world.adds("1", params={"Scheduler.Remote_Scheduler": wanted})
    assert world.happened(TaskAssigned)[0].agent == agent
    assert world.task().process_class == "/agents", "the class still gives the slot"


def test_an_address_that_is_none_fails_the_task_and_stops_the_job() -> None:
    world = walk(stop_on_error=True)
    key = world.adds("1", params={ORDER_AGENT_PARAM: "no address"})
    assert world.order(key).state == "100"
    assert world.happened(OrderStepEnded)[0].transition is Transition.KEEP
    assert world.happened(JobStopped)


@pytest.mark.parametrize("uri", ["ftp://host:1", "http://host:99999", "nonsense", "http:"])
def test_an_unusable_address_of_the_process_class_stops_the_job(uri: str) -> None:
    """JS-1187: the task fails, the order stays, the job stops; nobody calls at the address."""
    world = World(
        agents_class("agents", uri),
        shell_job("a", process_class=ClassPath("/agents"), stop_on_error=True),
        chain("walk", node("100", "a")),
    )
    key = world.adds("1")
    assert not world.happened(TaskAssigned)
    assert world.order(key).state == "100"
    assert world.happened(JobStopped)
    assert not list(agent_demands(world.state))


def test_an_unreachable_agent_of_an_order_is_tried_again_after_the_delay() -> None:
    world = walk()
    world.adds("1", params={ORDER_AGENT_PARAM: "other:4445"})
    key = world.task().key
    assert key is not None
    failure = LaunchFailure.UNREACHABLE
    world.does(TaskNotLaunched(key=key, failure=failure, text="connection refused"))
    assert world.happened(TaskAwaitsAgent)
    assert world.task().key is None
    world.now = type(world.now)(world.now + seconds(30))
    world.does(Tick())
    assert world.happened(TaskAssigned)[0].agent == "http://other:4445"


def test_jobs_of_our_own_code_are_not_sent_away() -> None:
    world = World(native_job("a", "ssh"), chain("walk", node("100", "a")))
    world.adds("1", params={ORDER_AGENT_PARAM: "other:4445"})
    assert world.happened(TaskAssigned)[0].agent == ""


@pytest.mark.parametrize(
    "text",
    ["host", "host:", ":80", "ftp://host:1", "http://host", "a b:1", "http://u@h:1", "h:1/x"],
)
def test_what_is_no_address(text: str) -> None:
    assert agent_address(text) is None
