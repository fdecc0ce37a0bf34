"""Orders that a node adds for the return codes of its steps (orders-and-jobs.md 1.9)."""

from engine.kernel.definitions import AddedOrder, CodeRange, OnReturnCodes
from engine.kernel.events.orders import OrderAdded
from engine.kernel.events.tasks import TaskWarned
from engine.kernel.ids import OrderId, OrderKey, chain_key
from tests.support.world import World, chain, node, shell_job


def world(*added: AddedOrder) -> World:
    rule = OnReturnCodes(codes=(CodeRange(first=0, last=3),), added_orders=added)
    return World(
        shell_job("a"),
        shell_job("b", tasks=9),
        chain("walk", node("100", "a", on_return_codes=(rule,))),
        chain("other", node("1", "b")),
    )


def test_the_added_order_has_the_same_id_and_a_copy_of_the_parameters() -> None:
    w = world(AddedOrder(chain=chain_key("other"), params={"b": "new"}))
    w.adds("x", params={"a": "1", "b": "old"})
    w.ends()
    (added,) = w.happened(OrderAdded)
    assert added.definition.key == OrderKey(chain_key("other"), OrderId("x"))
    assert added.definition.params == {"a": "1", "b": "new"}


def test_the_id_pattern_names_the_present_order() -> None:
    w = world(AddedOrder(chain=chain_key("other"), id="after-${ORDER_ID}"))
    w.adds("x")
    w.ends(code=3)
    assert w.happened(OrderAdded)[0].definition.key.id == "after-x"


def test_other_return_codes_add_nothing() -> None:
    w = world(AddedOrder(chain=chain_key("other")))
    w.adds("x")
    w.ends(code=4)
    assert not w.happened(OrderAdded)


def test_what_cannot_be_added_is_noted_and_the_order_goes_on() -> None:
    w = world(AddedOrder(chain=chain_key("nowhere")))
    key = w.adds("x")
    w.ends()
    assert w.happened(TaskWarned)[0].code == "NODE-ORDER-PLUGIN-100"
    assert key not in w.state.orders
