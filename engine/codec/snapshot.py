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

from engine.codec.records import RecordCodec, codec_for, dump_json, parse_json
from engine.errors import CodecError
from engine.kernel.definitions import MainConfiguration
from engine.kernel.params import NO_PARAMS
from engine.kernel.state import Control, State

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


def _state_from(content: dict[str, Any]) -> State:
    state = State()
    for name, codec in _SINGLE.items():
        if name in content:
            setattr(state, name, _decoded(codec, name, content.pop(name)))
    for name, codec in _LISTS.items():
        if name in content:
            records = _decoded_list(codec, name, content.pop(name))
            key_of = attrgetter(State.PRIMARY[name][1])
            setattr(state, name, {key_of(record): record for record in records})
    if content:
        raise CodecError(f"a snapshot has no {', '.join(content)}")
    _share_equal_parts(state)
    state.rebuild_indexes()
    return state


def _share_equal_parts(state: State) -> None:
    """Let orders share what is equal among them, as in the state that was captured.

    There may be 100,000, each with texts and mappings of its own after decoding: a third of their
    memory. Only fields whose values are equal and never changed are replaced.
    """
    texts: dict[str, str] = {}
    set_field = object.__setattr__
    for key, order in state.orders.items():
        definition = order.definition
        if definition.key == key:
            set_field(definition, "key", key)
        for record in (order, definition):
            if not record.params:
                set_field(record, "params", NO_PARAMS)
        for name in ("state", "initial_state"):
            text = getattr(order, name)
            if text is not None:
                set_field(order, name, texts.setdefault(text, text))


def _decoded(codec: RecordCodec[Any], name: str, data: object) -> Any:
    try:
        return codec.decode(data)
    except CodecError as error:
        raise error.within(name) from None


def _decoded_list(codec: RecordCodec[Any], name: str, data: object) -> list[Any]:
    """Decode records one by one; what was decoded is forgotten, so that memory has no peak."""
    if not isinstance(data, list):
        raise CodecError("must be an array").within(name)
    data.reverse()
    records: list[Any] = []
    try:
        while data:
            records.append(codec.decode(data.pop()))
    except CodecError as error:
        raise error.within(f"[{len(records)}]").within(name) from None
    return records


def _content(data: bytes) -> dict[str, Any]:
    """Return the content of a snapshot in the present format."""
    content: Any
    try:
        content = parse_json(zlib.decompress(data))
    except zlib.error as error:
        raise CodecError(f"not a snapshot: {error}") from error
    if not isinstance(content, dict):
        raise CodecError("not a snapshot")
    found = content.pop(_FORMAT, None)
    while found in UPCASTERS:
        content = UPCASTERS[found](content)
        found += 1
    if found != FORMAT:
        raise CodecError(f"snapshots of format {found!r} are not known")
    return dict(content)
