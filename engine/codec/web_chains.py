"""Job chains with their orders in the shapes of the web service (xml-commands.md 9.3), pure."""

from collections.abc import Iterator
from posixpath import dirname

from engine.codec.streamed_json import Json, Parts, Rows
from engine.codec.web_obstacles import present
from engine.codec.web_orders import order_overview
from engine.codec.web_service import chain_overview, node_shape
from engine.kernel.definitions import FileOrderSource
from engine.kernel.instants import Instant
from engine.kernel.state import ChainState, State


def chain_detailed(state: State, chain: ChainState, now: Instant) -> Json:
    """Return JobChainDetailed."""
    blacklisted = state.blacklisted_in_chain.get(chain.key, ())
    return Parts(
        overview=chain_overview(state, chain),
        nodes=[node_shape(state, chain, node, now) for node in chain.definition.nodes],
        fileOrderSources=Rows(
            _file_order_source(state, chain, source)
            for source in chain.definition.file_order_sources
        ),
        blacklistedOrders=Rows(
            order_overview(state, state.orders[key], now) for key in blacklisted
        ),
    )


def _file_order_source(state: State, chain: ChainState, source: FileOrderSource) -> Json:
    delay = source.delay_after_error
    return Parts(
        present(
            directory=source.directory,
            regex=source.regex,
            repeat=None if source.repeat is None else source.repeat / 1000,
            delayAfterError=None if delay is None else delay / 1000,
            files=Rows(_files(state, chain, source)),
            alertWhenDirectoryMissing=source.alert_when_directory_missing,
        )
    )


def _files(state: State, chain: ChainState, source: FileOrderSource) -> Iterator[Json | None]:
    """Yield the files of the directory that are orders; when they were changed is not known."""
    directory = source.directory.rstrip("/")
    for key in state.orders_of_chain.get(chain.key, ()):
        path = state.orders[key].file_path
        yield {"file": path} if path and dirname(path) == directory else None
