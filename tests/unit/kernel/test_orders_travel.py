"""Orders through chains: moving, failing, ending (orders-and-jobs.md 2.6-2.10)."""

from dataclasses import replace

import pytest

from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    AtInstant,
    ModifyNode,
    ModifyOrder,
    NodeAction,
    RemoveOrder,
)
from engine.kernel.definitions import CodeRange, OnError, OnReturnCodes
from engine.kernel.events.orders import (
    OrderAdded,
    OrderFinished,
    OrderNodeChanged,
    OrderRemoved,
    OrderSetBack,
    OrderStarted,
    OrderStateTextSet,
    OrderStepEnded,
    OrderStepStarted,
    OrderSuspended,
    Transition,
)
from engine.kernel.events.tasks import JobStopped
from engine.kernel.ids import NodeState
from engine.kernel.instants import Instant, seconds
from engine.kernel.travel import ENDLESS_SETBACK
from tests.support.world import World, chain, node, setback, shell_job


def walk(**first: object) -> World:
    return World(
        shell_job("a", **first),
        shell_job("b"),
        chain("walk", node("100", "a"), node("200", "b")),
    )


def test_an_ad_hoc_order_goes_through_all_nodes_and_is_removed() -> None:
    world = walk()
    key = world.adds("1")
    world.ends()
    assert world.order(key).state == "200"
    world.ends()
    assert key not in world.state.orders
    kinds = [
        type(event)
        for event in world.journal
        if type(event).__name__.startswith("Order") and not isinstance(event, OrderStateTextSet)
    ]
    assert kinds == [
        OrderAdded,
        OrderStarted,
        OrderStepStarted,
        OrderStepEnded,
        OrderNodeChanged,
        OrderStepStarted,
        OrderStepEnded,
        OrderFinished,
        OrderRemoved,
    ]


def test_replaying_the_journal_gives_the_live_state() -> None:
    world = walk()
    world.adds("1")
    world.adds("2")
    world.ends(world.tasks()[0])
    replayed = world.replayed()
    assert replayed.orders == world.state.orders
    assert replayed.tasks == world.state.tasks
    assert replayed.control == world.state.control


def test_a_failed_step_takes_the_order_to_the_error_node() -> None:
    world = walk()
    world.adds("1")
    world.ends(code=3)
    assert world.happened(OrderFinished)[0].state == "error"


def test_without_an_error_node_a_failing_order_ends_nowhere() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a", error_state=None)))
    world.adds("1")
    world.ends(code=1)
    assert world.happened(OrderFinished)[0].state == ""


def test_stop_on_error_keeps_the_order_and_stops_the_job() -> None:
    world = walk(stop_on_error=True)
    key = world.adds("1")
    world.ends(code=1)
    assert world.order(key).state == "100"
    assert world.happened(OrderStepEnded)[0].transition is Transition.KEEP
    assert world.happened(JobStopped)
    assert not world.tasks()


def test_on_error_suspend_suspends_where_the_step_failed() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a", on_error=OnError.SUSPEND)))
    key = world.adds("1")
    world.ends(code=1)
    assert world.order(key).suspended
    assert world.order(key).state == "100"
    assert world.happened(OrderSuspended)
    world.modifies(key, suspended=False)
    assert world.tasks(), "a resumed order goes on at its node"


def test_a_setback_waits_for_the_delay_of_its_count_and_ends_in_error_after_the_maximum() -> None:
    world = World(
        shell_job("a", **setback((1, 10), (2, 60), most=2)),
        chain("walk", node("100", "a", on_error=OnError.SETBACK)),
    )
    key = world.adds("1")
    world.ends(code=1)
    assert world.happened(OrderSetBack) == [
        OrderSetBack(order=key, count=1, start_at=Instant(world.now + seconds(10)))
    ]
    world.passes(seconds(9))
    assert not world.tasks()
    world.passes(seconds(1))
    world.ends(code=1)
    assert world.happened(OrderSetBack)[0].start_at == world.now + seconds(60)
    world.passes(seconds(60))
    world.ends(code=1)
    assert world.happened(OrderFinished)[0].state == "error"


def test_success_after_a_setback_counts_from_one_again_at_the_next_node() -> None:
    world = World(
        shell_job("a", **setback((1, 1), most=5)),
        shell_job("b"),
        chain("walk", node("100", "a", on_error=OnError.SETBACK), node("200", "b")),
    )
    key = world.adds("1")
    world.ends(code=1)
    world.passes(seconds(1))
    world.ends()
    assert world.order(key).setback_count == 0


def test_a_return_code_with_a_state_of_its_own_counts_as_success() -> None:
    rule = OnReturnCodes(codes=(CodeRange(first=3, last=5),), to_state=NodeState("200"))
    world = World(
        shell_job("a"),
        shell_job("b"),
        chain(
            "walk",
            node("100", "a", on_error=OnError.SUSPEND, on_return_codes=(rule,)),
            node("200", "b"),
        ),
    )
    key = world.adds("1")
    world.ends(code=4)
    assert world.order(key).state == "200"
    assert not world.order(key).suspended


def test_return_values_reach_the_next_node_also_from_a_failing_step() -> None:
    world = World(
        shell_job("a"),
        shell_job("b"),
        chain("walk", node("100", "a", error_state="200"), node("200", "b")),
    )
    key = world.adds("1", params={"Name": "old", "kept": "k"})
    world.ends(code=1, returned={"NAME": "new"})
    assert world.order(key).params == {"Name": "new", "kept": "k"}


def test_the_end_state_is_executed_and_the_order_ends_there() -> None:
    world = walk()
    world.adds("1", end_state=NodeState("100"))
    world.ends()
    assert world.happened(OrderFinished)[0].state == "100"


def test_a_node_that_suspends_holds_arriving_orders() -> None:
    world = World(
        shell_job("a"),
        shell_job("b"),
        chain("walk", node("100", "a"), node("200", "b", suspend=True)),
    )
    key = world.adds("1")
    world.ends()
    assert (world.order(key).state, world.order(key).suspended) == ("200", True)


def test_a_node_with_a_delay_lets_arriving_orders_wait() -> None:
    world = World(
        shell_job("a"),
        shell_job("b"),
        chain("walk", node("100", "a"), node("200", "b", delay=seconds(30))),
    )
    world.adds("1")
    world.ends()
    assert not world.tasks()
    world.passes(seconds(30))
    assert world.tasks()


def test_orders_of_higher_priority_go_first_when_their_start_times_are_equal() -> None:
    world = walk()
    first = world.adds("first")
    low = world.adds("low", priority=1)
    high = world.adds("high", priority=9)
    assert world.order(first).task is not None
    world.ends()
    assert world.order(high).task is not None
    assert world.order(low).task is None


def test_an_order_with_a_start_time_waits_for_it() -> None:
    world = walk()
    world.adds("later", at=AtInstant(at=Instant(world.now + seconds(5))))
    assert not world.tasks()
    world.passes(seconds(5))
    assert world.tasks()


def test_an_order_suspended_during_its_step_waits_at_the_next_node() -> None:
    world = walk()
    key = world.adds("1")
    world.launches()
    world.modifies(key, suspended=True)
    world.ends()
    assert (world.order(key).state, world.order(key).suspended) == ("200", True)


def test_an_order_in_a_task_cannot_be_sent_elsewhere() -> None:
    world = walk()
    key = world.adds("1")
    problem = world.refused(ModifyOrder(order=key, state=NodeState("200")))
    assert problem.code == "SCHEDULER-217"


def test_an_order_removed_during_its_step_goes_after_it() -> None:
    world = walk()
    key = world.adds("1")
    world.does(RemoveOrder(order=key))
    assert key in world.state.orders
    world.ends()
    assert key not in world.state.orders


def test_an_order_replaced_during_its_step_begins_anew_after_it() -> None:
    world = walk()
    world.adds("1", title="old")
    key = world.adds("1", title="new")
    assert world.order(key).title == "old"
    world.ends()
    assert (world.order(key).title, world.order(key).state) == ("new", "100")


def test_a_reset_order_without_run_time_waits_until_it_is_started() -> None:
    world = walk(stop_on_error=True)
    key = world.adds("1")
    world.ends(code=1)
    world.modifies(key, reset=True)
    world.modifies(key, at=AfterDelay())
    assert not world.order(key).touched
    assert world.order(key).start_at == 0


def test_a_suspended_order_moved_to_an_end_is_blacklisted_and_goes_when_resumed() -> None:
    world = walk()
    key = world.adds("1", suspended=True)
    world.modifies(key, state=NodeState("end"))
    assert world.order(key).blacklisted
    world.modifies(key, suspended=False)
    assert key not in world.state.orders


def test_without_a_maximum_the_first_setback_is_one_too_many_unless_told_otherwise() -> None:
    for params, waits in (({}, False), ({ENDLESS_SETBACK: "yes"}, True)):
        world = World(
            shell_job("a", **setback((1, 10), most=0)),
            chain("walk", node("100", "a", on_error=OnError.SETBACK)),
        )
        world.does(ApplyDefinitions(main=replace(world.state.main, params=params)))
        world.adds("1")
        for _ in range(5 if waits else 1):
            world.ends(code=1)
            world.passes(seconds(10))
        assert bool(world.tasks()) is waits


def test_an_order_sent_to_another_node_keeps_the_start_time_of_its_run() -> None:
    world = walk()
    key = world.adds("1", at=AfterDelay(delay=seconds(60)))
    world.modifies(key, state=NodeState("200"))
    assert world.order(key).state == "200"
    assert not world.tasks()
    world.passes(seconds(60))
    assert world.tasks()


def test_an_order_sent_to_another_node_is_no_longer_set_back() -> None:
    world = World(
        shell_job("a", **setback((1, 60), most=2)),
        shell_job("b"),
        chain("walk", node("100", "a", on_error=OnError.SETBACK), node("200", "b")),
    )
    key = world.adds("1")
    world.ends(code=1)
    world.modifies(key, state=NodeState("200"))
    assert world.order(key).setback_count == 0
    assert world.tasks()


def test_an_order_suspended_in_a_step_that_fails_once_too_often_waits_to_be_sent_on() -> None:
    world = World(
        shell_job("a", **setback((1, 0), most=0)),
        shell_job("b"),
        chain("walk", node("100", "a", on_error=OnError.SETBACK), node("200", "b")),
    )
    key = world.adds("1")
    world.launches()
    world.modifies(key, suspended=True)
    world.ends(code=1)
    assert world.order(key).state == "100"
    world.modifies(key, suspended=False)
    assert not world.tasks()
    world.modifies(key, state=NodeState("200"))
    assert world.tasks()


@pytest.mark.parametrize(
    "change",
    [{"state": NodeState("200")}, {"at": AfterDelay()}, {"end_setback": True}, {"reset": True}],
)
def test_what_cannot_be_changed_while_the_order_is_in_a_task(change: dict[str, object]) -> None:
    world = walk()
    key = world.adds("1")
    refusal = world.refused(ModifyOrder(order=key, **change))  # type: ignore[arg-type]  # by name
    assert refusal.code == "SCHEDULER-217"


def test_a_node_set_to_be_skipped_while_its_step_runs_is_skipped_when_the_step_is_kept() -> None:
    world = walk(stop_on_error=True)
    key = world.adds("1")
    world.launches()
    skip = ModifyNode(chain=key.chain, state=NodeState("100"), action=NodeAction.NEXT_STATE)
    world.does(skip)
    assert world.order(key).state == "100"
    world.ends(code=1)
    assert world.order(key).state == "200", "js1395"
