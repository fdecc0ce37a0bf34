"""A copy of the state that stands still while the live one goes on."""

from engine.codec.still_state import still_state
from engine.kernel.commands import AddOrder, RemoveOrder, StartJob
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import NodeState, OrderId, OrderKey, chain_key, job_key
from tests.support.fake_engine import FakeEngine
from tests.support.world import chain, node, shell_job


def test_a_still_state_keeps_what_was_when_the_live_one_goes_on() -> None:
    engine = FakeEngine(shell_job("one"), chain("walk", node("1", "one")))
    key = OrderKey(chain_key("/walk"), OrderId("o"))
    engine.step(AddOrder(order=OrderDefinition(key=key, suspended=True)))
    still = still_state(engine.state)
    engine.step(RemoveOrder(order=key))
    engine.step(StartJob(job=job_key("/one")))
    assert key not in engine.state.orders
    assert still.orders[key].suspended
    assert list(still.orders_of_chain[chain_key("/walk")]) == [key]
    assert list(still.queues[chain_key("/walk"), NodeState("1")].all) == [key]
    assert still.node(chain_key("/walk"), NodeState("1")) is not None
    assert not still.tasks


def test_a_still_state_has_every_primary_dictionary_of_its_own() -> None:
    state = FakeEngine(shell_job("one"), chain("walk", node("1", "one"))).state
    still = still_state(state)
    for name in type(state).PRIMARY:
        assert getattr(still, name) == getattr(state, name)
        assert getattr(still, name) is not getattr(state, name)
    assert (still.control, still.main) == (state.control, state.main)
