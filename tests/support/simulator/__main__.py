"""Plays seeds: see the package's own words."""

import gc
import logging
import sys
import time
from multiprocessing import Pool

from tests.support.simulator.planted import PLANTS
from tests.support.simulator.world import World

JOBS_MAX = 2
CHUNK = 20
PROGRESS = 500


def main(arguments: list[str]) -> int:
    """Play the seeds named on the command line."""
    logging.disable(logging.CRITICAL)
    if arguments[0] == "plant":
        return _play_one(PLANTS[arguments[1]].world(int(arguments[2]), keeps_trace=True))
    first, _, last = arguments[0].partition("-")
    if not last:
        return _play_one(World(int(first)))
    seeds = range(int(first), int(last) + 1)
    jobs = int(arguments[2]) if arguments[1:2] == ["--jobs"] else 1
    return _play_many(seeds, min(jobs, JOBS_MAX))


def _play_one(world: World) -> int:
    try:
        world.play()
        last, status = f"{world.kind.value}, {_listed(world.book.counts)}", 0
    except AssertionError as error:
        last, status = str(error), 1
    sys.stdout.write("\n".join([*world.lines, f"seed {world.seed}: {last}"]) + "\n")
    return status


def _play_many(seeds: range, jobs: int) -> int:
    began = time.monotonic()
    totals: dict[str, int] = {}
    failed = 0
    with Pool(jobs, initializer=_prepare) as pool:
        found = pool.imap(_play, seeds, CHUNK)
        for done, (seed, problem, counts) in enumerate(found, start=1):
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
            if problem:
                failed += 1
                sys.stdout.write(f"seed {seed}: {problem}\n")
            if done % PROGRESS == 0:
                rate = done / (time.monotonic() - began)
                sys.stdout.write(f"{done} seeds, {failed} failed, {rate:.1f} seeds/s\n")
            sys.stdout.flush()
    took = time.monotonic() - began
    sys.stdout.write(
        f"{len(seeds)} seeds, {failed} failed, {len(seeds) / took:.1f} seeds/s, {_listed(totals)}\n"
    )
    return 1 if failed else 0


def _prepare() -> None:
    logging.disable(logging.CRITICAL)
    gc.disable()  # a fifth of the time otherwise; `_play` sees to it now and then


def _play(seed: int) -> tuple[int, str, dict[str, int]]:
    if seed % CHUNK == 0:
        gc.collect()
    world = World(seed, keeps_trace=False)
    try:
        world.play()
    except Exception as error:  # noqa: BLE001  # whatever it is, the seed has failed
        return seed, f"{type(error).__name__}: {error}", {}
    return seed, "", world.book.counts


def _listed(totals: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in totals.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
