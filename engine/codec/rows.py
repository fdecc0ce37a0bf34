"""Rows of the journal, whatever events they hold: on their way in, stored, and on a stream."""

from dataclasses import dataclass

from engine.codec.records import codec_for, dump_json, parse_json
from engine.errors import CodecError
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event on its way into the journal."""

    at: Instant
    """The time of the step that it belongs to."""
    kind: str
    body: bytes
    cause: str = ""
    """Who or what asked for it: a request's id and origin, or empty for the engine itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the journal, as rows and streams carry it."""

    number: EventNumber
    at: Instant
    kind: str
    body: bytes
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """A row without its body."""

    number: EventNumber
    at: Instant
    kind: str
    cause: str = ""


_ENVELOPE = codec_for(_Envelope)
_BODY = "body"


def row_to_json(row: StoredEvent) -> bytes:
    """Return a row as one JSON object, its body inside, as event streams send it."""
    envelope = _Envelope(number=row.number, at=row.at, kind=row.kind, cause=row.cause)
    return dump_json({**_ENVELOPE.to_builtins(envelope), _BODY: parse_json(row.body)})


def row_from_json(data: bytes) -> StoredEvent:
    """Return the row that `row_to_json` wrote."""
    content = parse_json(data)
    if not isinstance(content, dict) or _BODY not in content:
        raise CodecError("must be an object with a body", path="StoredEvent")
    body = dump_json(content.pop(_BODY))
    head = _ENVELOPE.from_builtins(content)
    return StoredEvent(number=head.number, at=head.at, kind=head.kind, cause=head.cause, body=body)
