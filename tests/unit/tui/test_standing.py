"""How orders stand, counted by what changed."""

from dataclasses import replace

from tests.support.world import World, chain, node, shell_job
from tui.views.standing import Standing, Tally


def test_what_may_need_a_person_is_kept_up_to_date_by_what_changed() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    busy, other = world.adds("busy"), world.adds("other")
    state, tally = world.state, Tally()
    tally.update(state, world.now, None)
    assert not tally.needing
    state.put_order(replace(state.orders[other], suspended=True))
    tally.update(state, world.now, {other})
    assert list(tally.needing) == [other]
    assert tally.counts[Standing.SUSPENDED] == 1
    whole = Tally()
    whole.update(state, world.now, None)
    assert (whole.needing, +whole.counts) == (tally.needing, +tally.counts)
    state.put_order(replace(state.orders[other], suspended=False))
    tally.update(state, world.now, {busy, other})
    assert not tally.needing
    state.drop_order(other)
    tally.update(state, world.now, {other})
    assert tally.counts.total() == 1
