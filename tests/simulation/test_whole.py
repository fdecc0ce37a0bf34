"""The whole product under everything that can go wrong, in virtual time: see the README.

More seeds: `python -m tests.support.simulator 0-20000 --jobs 2`.
"""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tests.support.simulator.planted import PLANTS
from tests.support.simulator.world import World

SEEDS = int(os.environ.get("POINTSMAN_SIMULATOR_SEEDS", "64"))
BATCH = 16
SEEDS_UNTIL_FOUND_MAX = 500
ROOT = Path(__file__).parents[2]


def seeds_that_failed_once() -> list[int]:
    lines = (Path(__file__).parent / "whole_seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_fault_makes_the_product_break_a_promise(first: int) -> None:
    for seed in range(first, min(first + BATCH, SEEDS)):
        World(seed, keeps_trace=False).play()


@pytest.mark.parametrize("seed", seeds_that_failed_once())
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    World(seed, keeps_trace=False).play()


def test_the_command_that_plays_a_seed_again_prints_the_same_trace() -> None:
    traces = [_trace_of(17, hash_seed) for hash_seed in ("1", "2")]
    assert traces[0] == traces[1]
    assert len(traces[0].splitlines()) > 50


def _trace_of(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.simulator", str(seed)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    plant = PLANTS[name]
    near = range(plant.found_at, SEEDS_UNTIL_FOUND_MAX)
    for seed in chain(near, range(plant.found_at)):
        try:
            plant.world(seed).play()
        except AssertionError:
            return
    pytest.fail(f"{name} is not found in {SEEDS_UNTIL_FOUND_MAX} seeds")
