"""The state <-> bytes: what recovery starts from and what a mirror begins with.

A snapshot holds the primary dictionaries of `State` as lists of records, in their order, and
nothing that can be derived; indexes are rebuilt after loading. It is compressed JSON with a format
number. A format that older releases wrote is turned into the next one by `UPCASTERS`.

Taking one is split in two, so that the event loop is held up for a moment only: `capture` copies
references (records are frozen), `to_bytes` does the work and may run in any thread.
"""

import gc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from engine.codec.records import (
    RecordCodec,
    codec_for,
    dump_json,
    parse_json,
    split_array,
    split_object,
)
from engine.errors import CodecError
from engine.kernel.definitions import JobNode, MainConfiguration
from engine.kernel.ids import OrderKey
from engine.kernel.params import NO_PARAMS
from engine.kernel.state import ChainState, Control, JobState, Order, State

FORMAT = 1
UPCASTERS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Format -> what turns its content into that of the next format."""

_FORMAT = "format"
_SINGLE: Mapping[str, RecordCodec[Any]] = {
    "control": codec_for(Control),
    "main": codec_for(MainConfiguration),
}
_LISTS: Mapping[str, RecordCodec[Any]] = {
    name: codec_for(record) for name, (record, _) in State.PRIMARY.items()
}
_COMPRESSION = 1
"""Three times smaller at a fraction of the time of the default."""


@dataclass(frozen=True, slots=True)
class Capture:
    """The state at one moment, not yet encoded."""

    single: Mapping[str, Any]
    lists: Mapping[str, tuple[Any, ...]]

    def to_bytes(self) -> bytes:
        """Return the snapshot; may run outside of the event loop."""
        content: dict[str, Any] = {_FORMAT: FORMAT}
        for name, codec in _SINGLE.items():
            content[name] = codec.to_builtins(self.single[name])
        for name, codec in _LISTS.items():
            content[name] = [codec.to_builtins(record) for record in self.lists[name]]
        return zlib.compress(dump_json(content), _COMPRESSION)

    def to_state(self) -> State:
        """Return a state that stands still, for answers; may run outside of the event loop."""
        state = State()
        for name in _SINGLE:
            setattr(state, name, self.single[name])
        for name in _LISTS:
            key_of = attrgetter(State.PRIMARY[name][1])
            setattr(state, name, {key_of(record): record for record in self.lists[name]})
        state.rebuild_indexes()
        return state


def capture(state: State) -> Capture:
    """Return the state of this moment; takes about a millisecond per 100,000 records."""
    return Capture(
        single={name: getattr(state, name) for name in _SINGLE},
        lists={name: tuple(getattr(state, name).values()) for name in _LISTS},
    )


def snapshot_bytes(state: State) -> bytes:
    """Return the state as bytes."""
    return capture(state).to_bytes()


def state_from_snapshot(data: bytes) -> State:
    """Return the state that a snapshot holds, with its indexes; CodecError names what is wrong.

    What a snapshot does not have, because its release did not know it, is as in a new state.
    """
    with _without_collector():
        return _state_from(_content(data))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let the cycle collector rest: among a million new records it finds nothing, at great cost."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _state_from(content: dict[str, bytes]) -> State:
    state = State()
    share = _Sharer()
    for name, codec in _SINGLE.items():
        if name in content:
            setattr(state, name, _decoded(codec, name, content.pop(name)))
    for name, codec in _LISTS.items():
        if name in content:
            records = _decoded_list(codec, name, content.pop(name), share.of(name))
            key_of = attrgetter(State.PRIMARY[name][1])
            setattr(state, name, {key_of(record): record for record in records})
    if content:
        raise CodecError(f"a snapshot has no {', '.join(content)}")
    state.rebuild_indexes()
    return state


class _Sharer:
    """Lets records share what is equal among them, as in the state that was captured.

    There may be 100,000 orders, each with texts and mappings of its own after decoding: a third of
    their memory. Only fields whose values are equal and never changed are replaced.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, name: str) -> Callable[[Any], None]:
        """Return what is done with each new record of this list."""
        match name:
            case "jobs":
                return self._job
            case "chains":
                return self._chain
            case "orders":
                return self._order
            case _:
                return lambda _record: None

    def _texts(self, record: Any, *names: str) -> None:
        known, set_field = self._known, object.__setattr__
        for name in names:
            text = getattr(record, name)
            set_field(record, name, known.setdefault(text, text))

    def _job(self, job: JobState) -> None:
        self._texts(job.definition, "path")

    def _chain(self, chain: ChainState) -> None:
        self._texts(chain.definition, "path")
        for node in chain.definition.nodes:
            self._texts(node, "state")
            if isinstance(node, JobNode):
                self._texts(node, "job", "job_path", "next_state", "error_state")

    def _order(self, order: Order) -> None:
        set_field, definition = object.__setattr__, order.definition
        chain = self._known.setdefault(order.key.chain, order.key.chain)
        key = OrderKey(chain, order.key.id)
        set_field(order, "key", key)
        if definition.key == key:
            set_field(definition, "key", key)
        for record in (order, definition):
            if not record.params:
                set_field(record, "params", NO_PARAMS)
        self._texts(order, "state", "initial_state", "created_at", "started_at")


def _decoded(codec: RecordCodec[Any], name: str, data: bytes) -> Any:
    try:
        return codec.decode(parse_json(data))
    except CodecError as error:
        raise error.within(name) from None


def _decoded_list(
    codec: RecordCodec[Any], name: str, data: bytes, share: Callable[[Any], None]
) -> list[Any]:
    """Decode records one by one: all of them as builtins would take several times their memory."""
    records: list[Any] = []
    try:
        parts = split_array(data)
    except CodecError as error:
        raise error.within(name) from None
    try:
        for part in parts:
            record = codec.decode(parse_json(part))
            share(record)
            records.append(record)
    except CodecError as error:
        raise error.within(f"[{len(records)}]").within(name) from None
    return records


def _content(data: bytes) -> dict[str, bytes]:
    """Return the content of a snapshot in the present format, its parts not yet parsed."""
    try:
        content = split_object(zlib.decompress(data))
    except (zlib.error, CodecError) as error:
        raise CodecError(f"not a snapshot: {error}") from error
    found = parse_json(content.pop(_FORMAT, b"null"))
    if found in UPCASTERS:
        whole = {name: parse_json(part) for name, part in content.items()}
        while found in UPCASTERS:
            whole = UPCASTERS[found](whole)
            found += 1
        content = {name: dump_json(part) for name, part in whole.items()}
    if found != FORMAT:
        raise CodecError(f"snapshots of format {found!r} are not known")
    return content
