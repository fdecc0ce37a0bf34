"""Super chains: their orders stand in the chains that they join."""

from engine.kernel.definitions import NestedNode
from engine.kernel.ids import ChainKey, NodeState, OrderKey
from engine.kernel.state import Order
from tui.views.scene import Scene


def keys_of_chain(scene: Scene, chain: ChainKey) -> list[OrderKey]:
    """Return the orders of a chain, with those of a super chain that are in its inner chains."""
    state = scene.state
    found = list(state.orders_of_chain.get(chain, ()))
    known = state.chains.get(chain)
    if known is None or not known.definition.is_nested:
        return found
    inner = {node.chain: None for node in known.definition.nodes if isinstance(node, NestedNode)}
    for each in inner:
        keys = state.orders_of_chain.get(each, {})
        found += [key for key in keys if is_of_chain(state.orders[key], chain)]
    return found


def is_of_chain(order: Order, chain: ChainKey) -> bool:
    """Return whether an order is one of this chain, or of this super chain."""
    return order.key.chain == chain or (order.outer is not None and order.outer.chain == chain)


def keys_at_node(scene: Scene, chain: ChainKey, node: NodeState) -> list[OrderKey]:
    """Return the orders at a node; at one that stands for a chain, those in that chain."""
    state = scene.state
    known = state.node(chain, node)
    if not isinstance(known, NestedNode):
        queue = state.queues.get((chain, node))
        return [] if queue is None else list(queue.all)
    return [
        key
        for key in state.orders_of_chain.get(known.chain, {})
        if (outer := state.orders[key].outer) is not None
        and (outer.chain, outer.state) == (chain, node)
    ]
