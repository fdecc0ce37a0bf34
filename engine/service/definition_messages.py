"""Messages of the engine log about objects that go or change while in use (live-folder.md 15)."""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from engine.kernel.events import Event
from engine.kernel.events import definitions as e
from engine.kernel.state import State

USERS_NAMED_MAX: Final = 10
"""Users of a missing object that a message names."""

_log = logging.getLogger(__name__)


class DefinitionMessages:
    """Logs what becomes of definitions, once it is durable."""

    def __init__(self, state: State) -> None:
        self._state = state

    def committed(self, events: Sequence[Event]) -> None:
        """Tell of these events."""
        for event in events:
            for level, text in self._messages(event):
                _log.log(level, "%s", text)

    def _messages(self, event: Event) -> Iterator[tuple[int, str]]:
        match event:
            case e.JobRemovalHeld() if event.job in self._state.jobs:
                yield _info("989", f"The job {event.job!r} goes when its tasks have ended")
            case e.ChainRemovalHeld() if event.chain in self._state.chains:
                text = f"The job chain {event.chain!r} goes when its orders have left their tasks"
                yield _info("989", text)
            case e.LockRemovalHeld() if event.lock in self._state.locks:
                yield _info("886", f"The lock {event.lock!r} goes when nobody holds it")
            case e.JobRemoved():
                yield _info("861", f"The job {event.job!r} is removed")
                chains = {chain for chain, _ in self._state.nodes_of_job.get(event.job, ())}
                yield from _missed("job", event.job, "orders collect there", sorted(chains))
            case e.ChainRemoved():
                yield _info("861", f"The job chain {event.chain!r} is removed")
            case e.LockRemoved():
                yield _info("861", f"The lock {event.lock!r} is removed")
                yield from _missed("lock", event.lock, "they wait", self._jobs_with(event))
            case e.ProcessClassRemoved():
                yield _info("861", f"The process class {event.process_class!r} is removed")
                users = self._jobs_with(event)
                yield from _missed("process class", event.process_class, "they wait", users)
            case e.ScheduleRemoved():
                yield _info("885", f"The schedule {event.schedule!r} is removed")
                users = self._users_of_schedule(event)
                yield from _missed("schedule", event.schedule, "they wait", users)
            case e.MonitorRemoved():
                yield _info("861", f"The monitor {event.monitor!r} is removed")
                yield from _missed("monitor", event.monitor, "they wait", self._jobs_with(event))
            case e.ProcessClassDefined():
                yield from self._lowered_class(event)
            case e.LockDefined():
                yield from self._lowered_lock(event)
            case _:
                pass

    def _jobs_with(
        self, event: e.LockRemoved | e.ProcessClassRemoved | e.MonitorRemoved
    ) -> list[str]:
        found = []
        for job in self._state.jobs.values():
            definition = job.definition
            match event:
                case e.LockRemoved():
                    is_user = any(use.lock == event.lock for use in definition.locks)
                case e.ProcessClassRemoved():
                    is_user = definition.process_class == event.process_class
                case e.MonitorRemoved():
                    is_user = any(one.path == event.monitor for one in definition.monitors)
            if is_user:
                found.append(definition.path)
        return sorted(found)

    def _users_of_schedule(self, event: e.ScheduleRemoved) -> list[str]:
        jobs = (
            job.definition.path
            for job in self._state.jobs.values()
            if job.definition.run_time is not None
            and job.definition.run_time.schedule == event.schedule
        )
        orders = (
            str(order.key)
            for order in self._state.orders.values()
            if order.run_time is not None and order.run_time.schedule == event.schedule
        )
        return sorted([*jobs, *orders])

    def _lowered_class(self, event: e.ProcessClassDefined) -> Iterator[tuple[int, str]]:
        definition = event.process_class
        used = len(self._state.class_slots.get(definition.path, ()))
        if used > definition.max_processes:
            text = (
                f"SCHEDULER-419 The process class {definition.path!r} has {used} processes, more "
                f"than its new limit {definition.max_processes}; they run to their end"
            )
            yield logging.WARNING, text

    def _lowered_lock(self, event: e.LockDefined) -> Iterator[tuple[int, str]]:
        lock = event.lock
        holders = self._state.lock_holders.get(lock.path, {})
        shared = sum(not exclusive for exclusive in holders.values())
        if lock.max_non_exclusive is not None and shared > lock.max_non_exclusive:
            text = (
                f"SCHEDULER-887 The lock {lock.path!r} has {shared} holders, more than its new "
                f"limit {lock.max_non_exclusive}; they keep it"
            )
            yield logging.WARNING, text


def _info(code: str, text: str) -> tuple[int, str]:
    return logging.INFO, f"SCHEDULER-{code} {text}"


def _missed(kind: str, path: str, effect: str, users: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Tell of the users of an object that is gone."""
    if users:
        more = len(users) - USERS_NAMED_MAX
        named = ", ".join(users[:USERS_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        yield (
            logging.WARNING,
            f"SCHEDULER-893 The {kind} {path!r} is missing for {named}; {effect}",
        )
