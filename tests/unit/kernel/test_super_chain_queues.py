"""Orders of super chains at the nodes of inner ones: who waits for which chain (1.5, 1.8, 1.10)."""

from engine.kernel import capacity
from engine.kernel.commands import AddOrder, ModifyChain
from engine.kernel.definitions import Chain, EndNode, NestedNode, OrderDefinition
from engine.kernel.ids import NodeState, OrderId, OrderKey, chain_key
from engine.kernel.reasons import ReasonKind, order_reasons
from tests.support.world import World, chain, node, shell_job

SUPER = chain_key("/super")


def super_chain(most: int | None = None) -> Chain:
    """A super chain of one inner chain, `walk`."""
    inner = NestedNode(
        state=NodeState("inner"),
        chain=chain_key("/walk"),
        chain_path="/walk",
        next_state=NodeState("done"),
    )
    return Chain(path="/super", nodes=(inner, EndNode(state=NodeState("done"))), max_orders=most)


def world_of(most: int | None = None, tasks: int = 5) -> World:
    walk = chain("walk", node("a", "job"), node("b", "job"))
    return World(shell_job("job", tasks=tasks), walk, super_chain(most))


def test_a_full_super_chain_lets_its_begun_orders_go_on_and_those_of_others_begin() -> None:
    world = world_of(most=1)
    world.adds("one", "super")
    world.adds("two", "super")
    world.adds("own", "walk")
    working = {task.order.id for task in world.tasks() if task.order is not None}
    assert working == {"one", "own"}
    waiting = OrderKey(chain_key("/walk"), OrderId("two"))
    assert [reason.kind for reason in order_reasons(world.state, waiting, world.now)] == [
        ReasonKind.CHAIN_FULL
    ]
    (first,) = (task for task in world.tasks() if task.order is not None and task.order.id == "one")
    world.ends(first)
    assert world.order(OrderKey(chain_key("/walk"), OrderId("one"))).task is not None
    assert world.order(waiting).task is None, "one order is still on its way"


def test_a_stopped_super_chain_starts_no_step_of_its_orders_anywhere() -> None:
    world = world_of()
    one = OrderKey(chain_key("/walk"), OrderId("one"))
    world.adds("one", "super")
    world.does(ModifyChain(chain=SUPER, stopped=True))
    world.ends()
    assert (world.order(one).state, world.order(one).task) == ("b", None)
    assert [reason.kind for reason in order_reasons(world.state, one, world.now)] == [
        ReasonKind.CHAIN_STOPPED
    ]
    world.adds("own", "walk")
    assert [task.order for task in world.tasks()] == [OrderKey(chain_key("/walk"), OrderId("own"))]
    world.does(ModifyChain(chain=SUPER, stopped=False))
    assert world.order(one).task is not None


def test_all_orders_that_a_full_super_chain_holds_stand_in_one_lane() -> None:
    world = world_of(most=1, tasks=2)
    for number in range(200):
        key = OrderKey(SUPER, OrderId(str(number)))
        world.does(AddOrder(order=OrderDefinition(key=key)))
    (queue,) = world.state.queues.values()
    assert len(queue.all) == 200
    assert len(list(queue.firsts())) == 1, "who asks for the next order looks at one of them"
    job = next(iter(world.state.nodes_of_job))
    assert capacity.next_order(world.state, job, world.now) is None


def test_a_raised_limit_of_a_super_chain_lets_the_next_order_begin() -> None:
    world = world_of(most=1)
    world.adds("one", "super")
    world.adds("two", "super")
    world.modifies(OrderKey(chain_key("/walk"), OrderId("one")), suspended=True)
    world.ends()
    assert not world.tasks(), "a suspended order counts as well"
    world.defines(super_chain(2))
    assert world.task().order == OrderKey(chain_key("/walk"), OrderId("two"))
