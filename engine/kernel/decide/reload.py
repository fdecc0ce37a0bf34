"""What a look at the live folder means: objects appear, change, and go (orders-and-jobs.md 0.4).

An object that is in use keeps its version until it is replaceable; `progress.definitions` carries
out what is held. After a start (`complete`) stored permanent orders whose file has changed are
dropped, whatever they were doing, unless they are in a task (chapter 10, SCHEDULER-725).
"""

from collections.abc import Iterator
from typing import assert_never

from engine.kernel.commands import ApplyDefinitions, BrokenFile, ObjectKind, ObjectRef
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.definitions import (
    Chain,
    Definition,
    Job,
    Lock,
    Monitor,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
)
from engine.kernel.events import Event
from engine.kernel.events.definitions import (
    ChainDefined,
    ChainRemovalHeld,
    ChainReplacementHeld,
    FileBroken,
    FileMended,
    JobDefined,
    JobRemovalHeld,
    JobReplacementHeld,
    LockDefined,
    LockRemovalHeld,
    MainConfigured,
    MonitorDefined,
    MonitorRemoved,
    ProcessClassDefined,
    ProcessClassRemovalHeld,
    ScheduleDefined,
    ScheduleRemoved,
)
from engine.kernel.events.orders import (
    REPLACED,
    OrderFileFound,
    OrderFileGone,
    OrderRemoved,
    OrderReplacementHeld,
)
from engine.kernel.ids import (
    ClassPath,
    LockPath,
    MonitorPath,
    OrderId,
    OrderKey,
    SchedulePath,
    chain_key,
    job_key,
)
from engine.kernel.instants import Instant
from engine.kernel.replacing import define_chain, is_busy, remove_chain, remove_job, user_of
from engine.kernel.state import SINK_JOB, State


def decide_apply_definitions(state: State, request: ApplyDefinitions, at: Instant) -> Decision:
    """Take over what the files say now."""
    if request.main is not None and request.main != state.main:
        yield MainConfigured(main=request.main)
    for broken in request.broken:
        yield from _note_broken(state, broken)
    for definition in request.defined:
        yield from _define(state, definition, fresh=request.complete)
    gone = list(request.removed)
    if request.complete:
        gone += _not_named(state, request)
    for reference in gone:
        yield from _remove(state, reference)
    return Answer()


def _note_broken(state: State, broken: BrokenFile) -> Iterator[Event]:
    known = state.broken.get(broken.object)
    if known is None or known.findings != broken.findings:
        yield FileBroken(object=broken.object, file=broken.file, findings=broken.findings)


def _note_mended(state: State, reference: ObjectRef) -> Iterator[Event]:
    """Forget the error of a file; a broken one is known by the spelling of its name."""
    for known in [broken for broken in state.broken if folded(broken) == reference]:
        yield FileMended(object=known)


def _define(state: State, definition: Definition, *, fresh: bool) -> Iterator[Event]:
    yield from _note_mended(state, reference_of(definition))
    match definition:
        case Job():
            yield from _define_job(state, definition)
        case Chain():
            yield from _define_chain(state, definition)
        case OrderDefinition():
            yield from _define_order(state, definition, fresh=fresh)
        case ProcessClass():
            known = state.process_classes.get(definition.path)
            if known is None or known.definition != definition or known.removal_held:
                yield ProcessClassDefined(process_class=definition)
        case Lock():
            lock = state.locks.get(definition.path)
            if lock is None or lock.definition != definition or lock.removal_held:
                yield LockDefined(lock=definition)
        case ScheduleFile():
            schedule = state.schedules.get(definition.schedule.path)
            if schedule is None or schedule.file != definition:
                yield ScheduleDefined(schedule=definition)
        case Monitor():
            monitor = state.monitors.get(definition.path)
            if monitor is None or monitor.definition != definition:
                yield MonitorDefined(monitor=definition)
        case _:
            assert_never(definition)


def _define_job(state: State, job: Job) -> Iterator[Event]:
    known = state.jobs.get(job.key)
    if known is None:
        yield JobDefined(job=job)
    elif known.definition == job and known.replacement is None and not known.removal_held:
        return
    elif state.tasks_of_job.get(job.key):
        yield JobReplacementHeld(job=job)
    else:
        yield JobDefined(job=job)


def _define_chain(state: State, chain: Chain) -> Iterator[Event]:
    known = state.chains.get(chain.key)
    if known is None:
        yield ChainDefined(chain=chain)
    elif known.definition == chain and known.replacement is None and not known.removal_held:
        return
    elif is_busy(state, chain.key):
        yield ChainReplacementHeld(chain=chain)
    else:
        yield from define_chain(state, chain)


def _define_order(state: State, definition: OrderDefinition, *, fresh: bool) -> Iterator[Event]:
    key = definition.key
    if state.order_files.get(key) == definition:
        return
    order = state.find_order(key)
    if order is not None and order.definition != definition:
        # After a start a changed file drops what was stored (SCHEDULER-725); an order that was
        # placed without a file gives way to one with a file at any time (js1048).
        if order.task is None and (fresh or not order.is_permanent):
            yield OrderRemoved(order=order.key, reason=REPLACED)
        elif order.task is not None and not order.is_permanent:
            yield OrderReplacementHeld(order=order.key, definition=definition)
    yield OrderFileFound(definition=definition)


# --- removal -------------------------------------------------------------------------------------


def _not_named(state: State, request: ApplyDefinitions) -> list[ObjectRef]:
    """Return the objects that are known from files and that a complete look did not find."""
    named = {reference_of(definition) for definition in request.defined}
    named |= {folded(broken.object) for broken in request.broken}
    known = [job.definition for job in state.jobs.values() if job.key != SINK_JOB]
    objects: list[Definition] = [
        *known,
        *(chain.definition for chain in state.chains.values()),
        *state.order_files.values(),
        *(known.definition for known in state.process_classes.values() if known.path),
        *(lock.definition for lock in state.locks.values()),
        *(schedule.file for schedule in state.schedules.values()),
        *(monitor.definition for monitor in state.monitors.values()),
    ]
    return [
        reference
        for reference in (reference_of(definition) for definition in objects)
        if reference not in named
    ]


def reference_of(definition: Definition) -> ObjectRef:
    """Return how the object is named, in folded spelling where names compare folded."""
    match definition:
        case Job():
            return ObjectRef(kind=ObjectKind.JOB, path=definition.key)
        case Chain():
            return ObjectRef(kind=ObjectKind.CHAIN, path=definition.key)
        case OrderDefinition():
            return ObjectRef(kind=ObjectKind.ORDER, path=str(definition.key))
        case ProcessClass():
            return ObjectRef(kind=ObjectKind.PROCESS_CLASS, path=definition.path)
        case Lock():
            return ObjectRef(kind=ObjectKind.LOCK, path=definition.path)
        case ScheduleFile():
            return ObjectRef(kind=ObjectKind.SCHEDULE, path=definition.schedule.path)
        case Monitor():
            return ObjectRef(kind=ObjectKind.MONITOR, path=definition.path)
        case _:
            assert_never(definition)


def folded(reference: ObjectRef) -> ObjectRef:
    """Return the reference in the spelling of `reference_of`."""
    match reference.kind:
        case ObjectKind.JOB:
            return ObjectRef(kind=reference.kind, path=job_key(reference.path))
        case ObjectKind.CHAIN:
            return ObjectRef(kind=reference.kind, path=chain_key(reference.path))
        case ObjectKind.ORDER:
            return ObjectRef(kind=reference.kind, path=str(order_key_of(reference.path)))
        case _:
            return reference


def order_key_of(path: str) -> OrderKey:
    """Return the key of `CHAIN PATH,ID`; an id may hold commas."""
    chain, _, order_id = path.partition(",")
    return OrderKey(chain_key(chain), OrderId(order_id))


def _remove(state: State, named: ObjectRef) -> Iterator[Event]:
    reference = folded(named)
    yield from _note_mended(state, reference)
    match reference.kind:
        case ObjectKind.JOB:
            yield from _remove_job(state, reference.path)
        case ObjectKind.CHAIN:
            yield from _remove_chain(state, reference.path)
        case ObjectKind.ORDER:
            key = order_key_of(reference.path)
            if key in state.order_files:
                yield OrderFileGone(order=key)
        case ObjectKind.PROCESS_CLASS:
            if ClassPath(reference.path) in state.process_classes:
                yield ProcessClassRemovalHeld(process_class=ClassPath(reference.path))
        case ObjectKind.LOCK:
            if LockPath(reference.path) in state.locks:
                yield LockRemovalHeld(lock=LockPath(reference.path))
        case ObjectKind.SCHEDULE:
            if SchedulePath(reference.path) in state.schedules:
                yield ScheduleRemoved(schedule=SchedulePath(reference.path))
        case ObjectKind.MONITOR:
            if MonitorPath(reference.path) in state.monitors:
                yield MonitorRemoved(monitor=MonitorPath(reference.path))
        case _:
            assert_never(reference.kind)


def _remove_job(state: State, path: str) -> Iterator[Event]:
    key = job_key(path)
    if key in state.jobs:
        if state.tasks_of_job.get(key):
            yield JobRemovalHeld(job=key)
        else:
            yield from remove_job(state, key)


def _remove_chain(state: State, path: str) -> Iterator[Event]:
    key = chain_key(path)
    if key not in state.chains:
        return
    if is_busy(state, key) or user_of(state, key) is not None:
        yield ChainRemovalHeld(chain=key)
        return
    yield from remove_chain(state, key)
