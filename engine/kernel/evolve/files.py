"""The fold of events about files, watched directories and on-exit commands."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import files as e
from engine.kernel.ids import ChainKey
from engine.kernel.pending import PendingCommands, SourceState, source_key
from engine.kernel.state import State
from engine.kernel.versions import replace


def _source(state: State, chain: ChainKey, directory: str) -> SourceState:
    known = state.sources.get(source_key(chain, directory))
    return SourceState(chain=chain, directory=directory) if known is None else known


def _put_source(state: State, source: SourceState) -> None:
    if source.error or source.ignored:
        state.sources[source.key] = source
    else:
        state.sources.pop(source.key, None)


def forget_sources(state: State, chain: ChainKey) -> None:
    """Forget the directories that a chain no longer watches."""
    known = state.chains.get(chain)
    watched = () if known is None else known.definition.file_order_sources
    directories = {source.directory for source in watched}
    for source in list(state.sources.values()):
        if source.chain == chain and source.directory not in directories:
            del state.sources[source.key]


def _source_failed(state: State, event: e.SourceFailed) -> None:
    source = _source(state, event.chain, event.directory)
    since = event.at if source.since is None else source.since
    _put_source(state, replace(source, error=event.text, since=since))


def _source_readable(state: State, event: e.SourceReadable) -> None:
    source = _source(state, event.chain, event.directory)
    _put_source(state, replace(source, error="", since=None))


def _file_ignored(state: State, event: e.FileIgnored) -> None:
    source = _source(state, event.chain, event.directory)
    _put_source(state, replace(source, ignored=(*source.ignored, event.path)))


def _ignored_file_gone(state: State, event: e.IgnoredFileGone) -> None:
    source = _source(state, event.chain, event.directory)
    ignored = tuple(path for path in source.ignored if path != event.path)
    _put_source(state, replace(source, ignored=ignored))


def _order_file_stays(state: State, event: e.OrderFileStays) -> None:
    order = state.orders[event.order]
    assert order.blacklisted, "only an order at its end is held against its file"
    state.put_order(replace(order, file_stays=True))


def _job_triggered(state: State, event: e.JobTriggered) -> None:
    state.put_job(replace(state.jobs[event.job], trigger_files=event.files))


def _exit_commands_chosen(state: State, event: e.ExitCommandsChosen) -> None:
    assert event.task not in state.exit_commands, "commands are chosen once"
    state.exit_commands[event.task] = PendingCommands(
        task=event.task,
        job=event.job,
        exit_code=event.exit_code,
        commands=event.commands,
        task_params=event.task_params,
        order_params=event.order_params,
        holds_task=event.holds_task,
    )
    task = state.tasks.get(event.task)
    assert task is not None, "commands are chosen before the task is closed"
    state.put_task(replace(task, exit_commands_chosen=True))


def _exit_command_carried_out(state: State, event: e.ExitCommandCarriedOut) -> None:
    pending = state.exit_commands[event.task]
    assert pending.done == event.index, "commands are carried out in their order"
    if event.index + 1 == len(pending.commands):
        del state.exit_commands[event.task]
    else:
        state.exit_commands[event.task] = replace(pending, done=event.index + 1)


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.SourceFailed: _source_failed,
    e.SourceReadable: _source_readable,
    e.FileIgnored: _file_ignored,
    e.IgnoredFileGone: _ignored_file_gone,
    e.OrderFileStays: _order_file_stays,
    e.JobTriggered: _job_triggered,
    e.ExitCommandsChosen: _exit_commands_chosen,
    e.ExitCommandCarriedOut: _exit_command_carried_out,
}
