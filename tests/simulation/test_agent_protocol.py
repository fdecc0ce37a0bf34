"""The protocol between engine and agents under everything that can go wrong, in virtual time.

More seeds: `python -m tests.support.protocol.world 0-20000`.
"""

from itertools import chain
from pathlib import Path

import pytest

from engine.agent.ledger import Ledger
from engine.drivers.link_core import Link
from tests.support.protocol.checker import Violation
from tests.support.protocol.planted import LEDGERS, LINKS
from tests.support.protocol.world import World

SEEDS_UNTIL_FOUND_MAX = 500


def seeds_that_failed_once() -> list[tuple[int, bool]]:
    lines = (Path(__file__).parent / "agent_seeds.txt").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(int(line[0]), "gentle" in line) for line in words]


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_no_fault_makes_engine_and_agents_break_their_promises(first: int) -> None:
    for seed in range(first, first + 20):
        World(seed, keeps_trace=False).play()


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_every_task_survives_outages_shorter_than_its_timeout_allows(first: int) -> None:
    for seed in range(first, first + 20):
        World(seed, keeps_trace=False, is_gentle=True).play()


@pytest.mark.parametrize(("seed", "is_gentle"), seeds_that_failed_once())
def test_a_seed_that_failed_once_passes(seed: int, is_gentle: bool) -> None:
    World(seed, keeps_trace=False, is_gentle=is_gentle).play()


def test_a_seed_plays_the_same_way_twice() -> None:
    worlds = [World(76), World(76)]
    for world in worlds:
        world.play()
    assert worlds[0].lines == worlds[1].lines
    assert len(worlds[0].lines) > 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("planted", LEDGERS, ids=lambda kind: kind.__name__)
def test_a_bug_planted_in_the_agent_is_found(planted: type[Ledger]) -> None:
    assert _is_found(LEDGERS[planted], ledger=planted)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("planted", LINKS, ids=lambda kind: kind.__name__)
def test_a_bug_planted_in_the_engine_is_found(planted: type[Link]) -> None:
    assert _is_found(LINKS[planted], link=planted)


def _is_found(near: int, *, ledger: type[Ledger] = Ledger, link: type[Link] = Link) -> bool:
    for seed in chain(range(near, SEEDS_UNTIL_FOUND_MAX), range(near)):
        try:
            World(seed, ledger, link, keeps_trace=False).play()
        except (Violation, AssertionError):
            return True
    return False
