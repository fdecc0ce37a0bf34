"""Nodes that are skipped, and the orders that stand at them (orders-and-jobs.md 1.5, 2.8, 2.10)."""

from engine.kernel.commands import AfterDelay, ModifyNode, NodeAction
from engine.kernel.definitions import OrderDefinition, SinkNode
from engine.kernel.events.orders import OrderBlacklisted, OrderFinished, OrderRemoved
from engine.kernel.ids import NodeState, OrderId, OrderKey, chain_key
from engine.kernel.instants import NEVER, seconds
from tests.support.world import World, chain, file_source, node, shell_job
from tests.support.xml_files import definition

WALK = chain_key("/walk")


def skips(world: World, *states: str, action: NodeAction = NodeAction.NEXT_STATE) -> None:
    for state in states:
        world.does(ModifyNode(chain=WALK, state=NodeState(state), action=action))


def order(order_id: str) -> OrderKey:
    return OrderKey(WALK, OrderId(order_id))


def two_nodes(*, suspend: bool = False) -> World:
    nodes = node("a", "job", suspend=suspend), node("b", "job")
    return World(shell_job("job"), chain("walk", *nodes))


def test_a_skipped_start_node_suspends_the_orders_placed_there_all_the_same() -> None:
    world = two_nodes(suspend=True)
    skips(world, "a")
    world.adds("x")
    assert (world.order(order("x")).state, world.order(order("x")).suspended) == ("b", True)


def test_an_order_that_waits_at_its_end_state_ends_there_when_that_is_skipped() -> None:
    world = two_nodes()
    world.adds("x", end_state=NodeState("a"), suspended=True)
    skips(world, "a")
    assert [event.state for event in world.happened(OrderFinished)] == ["a"]
    assert world.happened(OrderBlacklisted), "it was suspended"


def test_an_order_sent_to_its_skipped_end_state_ends_where_it_stands() -> None:
    world = two_nodes()
    world.adds("x", end_state=NodeState("b"), at=AfterDelay(delay=seconds(9)))
    skips(world, "b")
    world.modifies(order("x"), state=NodeState("b"))
    assert [event.state for event in world.happened(OrderFinished)] == ["a"]


def test_a_permanent_order_all_whose_nodes_were_skipped_goes_to_the_first_that_is_not() -> None:
    world = two_nodes()
    waiting = definition("walk,x.order.xml", "<order><run_time/></order>")
    world.defines(waiting)
    skips(world, "b", "a")
    assert world.order(order("x")).start_at == NEVER
    skips(world, "b", action=NodeAction.PROCESS)
    assert world.order(order("x")).state == "b"
    skips(world, "a", action=NodeAction.PROCESS)
    assert world.order(order("x")).state == "b", "who was put to a node stays there"
    world.modifies(order("x"), at=AfterDelay())
    assert world.task().state == "b"


def test_a_permanent_order_that_ends_where_it_began_goes_until_its_file_is_read_again() -> None:
    sink = SinkNode(state=NodeState("sink"), remove=True)
    own = OrderDefinition(key=order("x"), state=NodeState("sink"), source=file_source("walk,x"))
    world = World(shell_job("job"), chain("walk", node("a", "job"), sink), own)
    world.native_ends()
    assert world.happened(OrderRemoved)
    assert not world.tasks(), "it does not start over and over"
    world.defines(own)
    assert world.order(order("x")).task is not None


def test_a_file_whose_order_had_no_node_to_start_at_gets_it_with_the_first_one() -> None:
    world = two_nodes()
    skips(world, "a", "b")
    world.defines(definition("walk,x.order.xml", "<order><run_time/></order>"))
    assert not world.state.orders
    skips(world, "b", action=NodeAction.PROCESS)
    assert world.order(order("x")).state == "b"
