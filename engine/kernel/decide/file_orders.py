"""What is found in directories: files become orders, blacklisted orders go with their files (1.11).

A look may be told twice and may be older than what has happened since: files that have an order are
passed over, and looks of an older turn create nothing, since their files may have gone.
"""

from collections.abc import Iterator

from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.definitions import FileOrderSource, OrderDefinition
from engine.kernel.events import Event
from engine.kernel.events.files import (
    FileIgnored,
    IgnoredFileGone,
    OrderFileStays,
    SourceFailed,
    SourceReadable,
)
from engine.kernel.events.orders import OrderRemoved
from engine.kernel.file_watching import entry_of, is_new_file, room_for_files, watching_agent
from engine.kernel.ids import OrderId, OrderKey
from engine.kernel.instants import IMMEDIATELY, Instant
from engine.kernel.limits import ORDER_ID_CHARACTERS_MAX
from engine.kernel.pending import source_key
from engine.kernel.reports import DirectoryRead, FileChecked
from engine.kernel.state import FILE_AGENT_PARAM, FILE_ORDER_PARAM, ChainState, State
from engine.kernel.travel import place


def decide_directory_read(state: State, report: DirectoryRead, at: Instant) -> Decision:
    """Take over a look into a directory."""
    chain = state.chains.get(report.chain)
    source = None if chain is None else _source(chain, report)
    if chain is None or source is None:
        return Answer()
    known = state.sources.get(source_key(chain.key, source.directory))
    had_error = known is not None and bool(known.error)
    if report.error:
        if not had_error:
            yield SourceFailed(
                chain=chain.key,
                directory=source.directory,
                text=report.error,
                at=at,
                alerts=source.alert_when_directory_missing,
            )
        return Answer()
    if had_error:
        yield SourceReadable(chain=chain.key, directory=source.directory, at=at)
    yield from _let_go(state, chain, source, report.gone)
    if report.turn == chain.file_turn:
        yield from _take(state, chain, source, report, at)
    return Answer()


def _source(chain: ChainState, report: DirectoryRead) -> FileOrderSource | None:
    """Return the source that was looked at, None when the chain has changed since."""
    sources = chain.definition.file_order_sources
    if not 0 <= report.source < len(sources):
        return None
    source = sources[report.source]
    return source if source.directory == report.directory else None


def _let_go(
    state: State, chain: ChainState, source: FileOrderSource, gone: tuple[str, ...]
) -> Iterator[Event]:
    """Remove blacklisted orders whose files have gone (SCHEDULER-981)."""
    if not gone:
        return
    missing = set(gone)
    for key in list(state.blacklisted_in_chain.get(chain.key, ())):
        path = state.orders[key].file_path
        if path in missing:
            yield OrderRemoved(order=key, reason=file_gone(path))
    known = state.sources.get(source_key(chain.key, source.directory))
    for path in () if known is None else known.ignored:
        if path in missing:
            yield IgnoredFileGone(chain=chain.key, directory=source.directory, path=path)


def file_gone(path: str) -> str:
    """Return why a file order goes when its file has gone."""
    return f"SCHEDULER-981 the file {path} is not there any more"


def _take(
    state: State, chain: ChainState, source: FileOrderSource, report: DirectoryRead, at: Instant
) -> Iterator[Event]:
    """Place an order for each file that can be worked on at once, oldest first."""
    room = room_for_files(state, chain, source, at)
    entry = entry_of(state, chain, source)
    if entry is None:
        return
    for path in report.files:
        if room <= 0:
            return
        if not is_new_file(state, chain, source.directory, path):
            continue
        if len(path) > ORDER_ID_CHARACTERS_MAX:
            yield FileIgnored(
                chain=chain.key,
                directory=source.directory,
                path=path,
                reason=f"an order id has {ORDER_ID_CHARACTERS_MAX} characters at most, "
                f"the path has {len(path)}",
            )
            continue
        definition = _order_of(state, chain, source, path)
        yield from place(state, definition, entry, IMMEDIATELY, at)
        room -= 1


def _order_of(
    state: State, chain: ChainState, source: FileOrderSource, path: str
) -> OrderDefinition:
    params = {FILE_ORDER_PARAM: path}
    agent = watching_agent(state, chain.definition)
    if agent:
        params[FILE_AGENT_PARAM] = agent
    return OrderDefinition(
        key=OrderKey(chain.key, OrderId(path)), params=params, state=source.next_state
    )


def decide_file_checked(state: State, report: FileChecked, at: Instant) -> Decision:
    """A finished file order goes with its file, or blocks it as long as it is there."""
    order = state.orders.get(report.order)
    if order is None or not order.blacklisted or order.file_path != report.path:
        return Answer()
    if not report.exists:
        yield OrderRemoved(order=order.key, reason=file_gone(report.path))
    elif not order.file_stays:
        yield OrderFileStays(order=order.key, path=report.path, task=order.last_task)
    return Answer()
