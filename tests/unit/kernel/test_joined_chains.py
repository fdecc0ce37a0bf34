"""Chains that a super chain joins: their orders, their ids, their end (orders-and-jobs.md 1.10)."""

from dataclasses import replace

from engine.kernel.calendar import RunTime
from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    JobAction,
    ModifyJob,
    ObjectKind,
    ObjectRef,
    RemoveChain,
    RemoveOrder,
)
from engine.kernel.definitions import Chain, EndNode, NestedNode, OrderDefinition
from engine.kernel.ids import NodeState, OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import NEVER
from engine.kernel.replacing import is_busy
from tests.support.world import World, chain, file_source, node, shell_job

ONE = chain("one", node("100", "a"))
TWO = chain("two", node("100", "b"))


def nested(state: str, inner: str, following: str) -> NestedNode:
    return NestedNode(
        state=NodeState(state),
        chain=chain_key(inner),
        chain_path=f"/{inner}",
        next_state=NodeState(following),
        error_state=NodeState("lost"),
    )


SUPER = Chain(
    path="/super",
    nodes=(
        nested("in-one", "one", "in-two"),
        nested("in-two", "two", "done"),
        EndNode(state=NodeState("done")),
        EndNode(state=NodeState("lost")),
    ),
)


def world(*more: Chain | OrderDefinition) -> World:
    return World(shell_job("a"), shell_job("b"), ONE, TWO, *more)


def key(chain_name: str, order: str) -> OrderKey:
    return OrderKey(chain_key(chain_name), OrderId(order))


def removes(found: World, path: str) -> None:
    gone = ObjectRef(kind=ObjectKind.CHAIN, path=path)
    found.does(ApplyDefinitions(removed=(gone,)))


def file_order(chain_name: str) -> OrderDefinition:
    return OrderDefinition(
        key=key(chain_name, "p"),
        run_time=RunTime(),
        source=file_source(f"{chain_name},p.order.xml"),
    )


def test_of_two_files_with_one_id_in_joined_chains_one_order_is_placed() -> None:
    found = world(SUPER, file_order("one"), file_order("super"))
    assert [order.key for order in found.state.orders.values()] == [key("one", "p")]


def test_an_order_does_not_enter_a_chain_that_has_its_id_already() -> None:
    found = world(SUPER, chain("three", node("100", "b")))
    found.adds("x", "three", title="of three", suspended=True)
    found.adds("x", "super", suspended=True)
    nodes = (SUPER.nodes[0], nested("in-two", "three", "done"), *SUPER.nodes[2:])
    found.defines(replace(SUPER, nodes=nodes))
    found.modifies(key("one", "x"), suspended=False)
    found.ends()
    stays = found.order(key("one", "x"))
    assert (stays.state, stays.suspended) == ("end", True), "SCHEDULER-426"
    assert found.order(key("three", "x")).title == "of three"


def test_the_orders_of_a_super_chain_go_with_it() -> None:
    found = world(SUPER, file_order("super"))
    found.adds("x", "super", at=None, suspended=True)
    found.adds("own", "one", suspended=True)
    removes(found, "/super")
    assert list(found.state.orders) == [key("one", "own")]
    found.defines(SUPER)
    assert found.order(key("one", "p")).start_at == NEVER, "the file's order comes back with it"


def test_a_super_chain_waits_for_its_orders_in_inner_chains() -> None:
    found = world(SUPER)
    found.adds("x", "super", at=AfterDelay())
    removes(found, "/super")
    assert chain_key("/super") in found.state.chains
    found.ends()
    assert chain_key("/super") not in found.state.chains
    assert not found.state.orders


def test_a_chain_in_use_by_a_super_chain_is_not_removed_by_a_command() -> None:
    found = world(SUPER)
    refusal = found.refused(RemoveChain(chain=chain_key("one")))
    assert refusal.code == "SCHEDULER-894"
    removes(found, "/super")
    found.does(RemoveChain(chain=chain_key("one")))
    assert chain_key("one") not in found.state.chains


def test_a_chain_whose_file_goes_stays_until_no_super_chain_uses_it() -> None:
    found = world(SUPER)
    removes(found, "/one")
    removes(found, "/two")
    assert found.state.chains[chain_key("one")].removal_held
    found.defines(replace(SUPER, nodes=(SUPER.nodes[0], *SUPER.nodes[2:])))
    assert chain_key("one") in found.state.chains
    assert chain_key("two") not in found.state.chains
    removes(found, "/super")
    assert chain_key("one") not in found.state.chains


def test_a_super_chain_is_busy_as_long_as_one_of_its_orders_is_in_a_task_anywhere() -> None:
    found = world(SUPER)
    found.adds("x", "super")
    found.adds("y", "two")
    assert is_busy(found.state, chain_key("super"))
    (own,) = (task for task in found.tasks() if task.order == key("one", "x"))
    found.modifies(key("one", "x"), suspended=True)
    found.ends(own)
    assert not is_busy(found.state, chain_key("super")), "the other order is not its own"
    assert is_busy(found.state, chain_key("two"))


def test_what_a_command_changes_beside_the_state_counts_in_the_next_inner_chain() -> None:
    found = world(SUPER)
    found.adds("x", "super", suspended=True)
    found.modifies(key("one", "x"), state=NodeState("end"), title="new", priority=3)
    moved = found.order(key("two", "x"))
    assert (moved.title, moved.priority, moved.suspended) == ("new", 3, True)
    found.modifies(key("two", "x"), suspended=False)
    assert found.task().order == key("two", "x")


def test_a_changed_file_waits_for_the_end_of_a_run_that_has_gone_on_to_another_chain() -> None:
    stopped = shell_job("b", enabled=False)
    found = World(shell_job("a"), stopped, ONE, TWO, SUPER, file_order("super"))
    found.modifies(key("one", "p"), at=AfterDelay())
    found.ends()
    assert not found.order(key("two", "p")).touched, "its run in this chain has not begun"
    found.defines(replace(file_order("super"), title="new"))
    assert found.order(key("two", "p")).title == ""
    found.does(ModifyJob(job=job_key("b"), action=JobAction.UNSTOP))
    found.ends()
    assert found.order(key("one", "p")).title == "new"


def test_an_order_of_a_file_is_placed_when_nobody_has_its_id_any_more() -> None:
    found = world(SUPER, file_order("one"), file_order("two"))
    assert set(found.state.orders) == {key("one", "p")}
    removes(found, "/super")
    assert set(found.state.orders) == {key("one", "p"), key("two", "p")}
    found.defines(SUPER)
    found.does(RemoveOrder(order=key("one", "p")))
    assert set(found.state.orders) == {key("two", "p")}


def test_the_file_of_an_inner_chain_does_not_take_the_place_of_the_super_chains_order() -> None:
    found = world(SUPER, file_order("super"))
    found.defines(file_order("one"))
    assert found.order(key("one", "p")).definition.key == key("super", "p")
    found.defines(replace(file_order("super"), title="new"))
    assert found.order(key("one", "p")).title == "new"
    found.does(RemoveOrder(order=key("one", "p")))
    assert found.order(key("one", "p")).definition.key == key("one", "p")


def test_an_order_added_by_command_stays_though_there_is_a_file_of_its_name() -> None:
    found = world(SUPER, file_order("super"), file_order("two"))
    found.does(RemoveOrder(order=key("one", "p")))
    assert set(found.state.orders) == {key("two", "p")}
    found.defines(file_order("super"))
    found.adds("p", "super", title="by command")
    assert found.order(key("one", "p")).title == "by command"
