"""Events <-> rows of the journal: a kind and a JSON body.

The kind is the name of the event's class; from the second version of its fields on it carries the
version as well, `OrderAdded@2`. Rows are never rewritten. When the fields of an event change in a
way that missing-field defaults do not cover, an upcaster turns the bodies of the old version into
those of the next one, and decoding climbs from version to version:

    UPCASTERS = {("OrderAdded", 1): lambda body: ("OrderAdded", body | {"place": 0})}

An upcaster that answers another kind renames or splits off; decoding goes on from version 1 of that
kind. The rows of every released version are kept as files and decoded by a test.
"""

import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from engine.codec.records import RecordCodec, codec_for, dump_json, parse_json
from engine.codec.rows import NewEvent, StoredEvent
from engine.errors import CodecError
from engine.kernel.events import Event
from engine.kernel.instants import Instant

__all__ = ["JOURNAL", "UPCASTERS", "EventCodec", "NewEvent", "StoredEvent"]

E = TypeVar("E")

Body: TypeAlias = dict[str, Any]
Upcaster: TypeAlias = Callable[[Body], tuple[str, Body]]
"""Old body -> kind and body of the next version."""


class EventCodec(Generic[E]):
    """Encodes and decodes the members of one union of records."""

    def __init__(
        self, union: Any, upcasters: Mapping[tuple[str, int], Upcaster] | None = None
    ) -> None:
        classes = typing.get_args(union) or (union,)
        self._upcasters = dict(upcasters or {})
        self._codecs: dict[str, RecordCodec[Any]] = {
            each.__name__: codec_for(each) for each in classes
        }
        assert len(self._codecs) == len(classes), "event classes need different names"
        self._versions = dict.fromkeys(self._codecs, 1)
        for kind, version in self._upcasters:
            if kind in self._versions:
                self._versions[kind] = max(self._versions[kind], version + 1)
        self._kinds = {each: self._written_kind(each.__name__) for each in classes}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the events, as they are written now."""
        return tuple(self._kinds.values())

    def encode(self, event: E) -> tuple[str, bytes]:
        """Return kind and body; CodecError names the field that holds what it must not."""
        kind = self._kinds.get(type(event))
        if kind is None:
            raise CodecError(f"{type(event).__name__} is no event of the journal")
        codec = self._codecs[type(event).__name__]
        return kind, codec.to_json(event)

    def decode(self, kind: str, body: bytes) -> E:
        """Return the event of a row, whatever version wrote it."""
        name, _, version = kind.partition("@")
        codec = self._codecs.get(name)
        current = self._versions.get(name)
        if codec is not None and (version or "1") == str(current):
            event: E = codec.from_json(body)
            return event
        return self._decode_old(name, version, body)

    def decode_builtins(self, kind: str, body: object) -> E:
        """Return the event of a row whose body was parsed already."""
        name, _, version = kind.partition("@")
        codec = self._codecs.get(name)
        if codec is not None and (version or "1") == str(self._versions.get(name)):
            event: E = codec.from_builtins(body)
            return event
        return self.decode(kind, dump_json(body))

    def _decode_old(self, name: str, version_text: str, body: bytes) -> E:
        version = int(version_text) if version_text.isdigit() else 1
        data = parse_json(body)
        while (upcast := self._upcasters.get((name, version))) is not None:
            next_name, data = upcast(data)
            version = version + 1 if next_name == name else 1
            name = next_name
        if self._versions.get(name) != version:
            raise CodecError(f"an event of kind {name!r}, version {version}, is not known")
        event: E = self._codecs[name].from_builtins(data)
        return event

    def new_event(self, event: E, at: Instant, cause: str = "") -> NewEvent:
        """Return the event as a row to append."""
        kind, body = self.encode(event)
        return NewEvent(at=at, kind=kind, body=body, cause=cause)

    def event_of(self, row: StoredEvent) -> E:
        """Return the event of a stored row; errors name its number."""
        try:
            return self.decode(row.kind, row.body)
        except CodecError as error:
            raise CodecError(f"event {row.number}: {error.text}", path=error.path) from error

    def _written_kind(self, name: str) -> str:
        version = self._versions[name]
        return name if version == 1 else f"{name}@{version}"


UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""For rows of former releases; there is no former release yet."""

JOURNAL: EventCodec[Event] = EventCodec(Event, UPCASTERS)
"""The codec of the engine's journal."""
