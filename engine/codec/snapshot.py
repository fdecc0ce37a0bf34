"""The state <-> bytes: what recovery starts from and what a mirror begins with.

A snapshot holds the primary dictionaries of `State` as lists of records, in their order, and
nothing that can be derived; indexes are rebuilt after loading. It is compressed JSON with a format
number. A format that older releases wrote is turned into the next one by `UPCASTERS`.

Taking one is split in two, so that the event loop is held up for a moment only: `capture` copies
references (records are frozen), `to_bytes` does the work and may run in any thread.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from engine.codec.records import RecordCodec, codec_for, dump_json, parse_json
from engine.errors import CodecError
from engine.kernel.definitions import MainConfiguration
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
    name: codec_for(tuple[record, ...])  # type: ignore[valid-type]  # known at run time
    for name, (record, _) in State.PRIMARY.items()
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
            content[name] = codec.to_builtins(self.lists[name])
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
    content = _content(data)
    state = State()
    for name, codec in _SINGLE.items():
        if name in content:
            setattr(state, name, _decoded(codec, name, content.pop(name)))
    for name, codec in _LISTS.items():
        if name in content:
            key_of = attrgetter(State.PRIMARY[name][1])
            records = _decoded(codec, name, content.pop(name))
            setattr(state, name, {key_of(record): record for record in records})
    if content:
        raise CodecError(f"a snapshot has no {', '.join(content)}")
    state.rebuild_indexes()
    return state


def _decoded(codec: RecordCodec[Any], name: str, data: object) -> Any:
    try:
        return codec.decode(data)
    except CodecError as error:
        raise error.within(name) from None


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
