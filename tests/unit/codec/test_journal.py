"""Events as rows: kinds, versions and the way up from old ones."""

from dataclasses import dataclass

import pytest

from engine.codec.journal import JOURNAL, EventCodec, StoredEvent
from engine.errors import CodecError
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    name: str
    place: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    name: str


def test_an_event_becomes_a_kind_and_a_small_body() -> None:
    codec: EventCodec[Added | Removed] = EventCodec(Added | Removed)
    assert codec.encode(Added(name="a")) == ("Added", b'{"name":"a"}')
    assert codec.decode("Added", b'{"name":"a"}') == Added(name="a")


def test_a_union_of_one_works_as_well() -> None:
    codec: EventCodec[Added] = EventCodec(Added)
    assert codec.decode(*codec.encode(Added(name="a", place=3))) == Added(name="a", place=3)


def test_old_rows_climb_from_version_to_version() -> None:
    codec: EventCodec[Added | Removed] = EventCodec(
        Added | Removed,
        {
            ("Added", 1): lambda body: ("Added", {"title": body["label"]}),
            ("Added", 2): lambda body: ("Added", {"name": body["title"], "place": 7}),
        },
    )
    assert codec.decode("Added", b'{"label":"a"}') == Added(name="a", place=7)
    assert codec.decode("Added@2", b'{"title":"a"}') == Added(name="a", place=7)
    assert codec.encode(Added(name="b")) == ("Added@3", b'{"name":"b"}')
    assert codec.decode("Added@3", b'{"name":"b"}') == Added(name="b")
    assert codec.kinds == ("Added@3", "Removed")


def test_a_renamed_event_is_read_under_its_new_name() -> None:
    codec: EventCodec[Added | Removed] = EventCodec(
        Added | Removed, {("Dropped", 1): lambda body: ("Removed", body)}
    )
    assert codec.decode("Dropped", b'{"name":"a"}') == Removed(name="a")


@pytest.mark.parametrize("kind", ["Gone", "Added@2"])
def test_a_row_that_nobody_knows_is_refused(kind: str) -> None:
    codec: EventCodec[Added | Removed] = EventCodec(Added | Removed)
    with pytest.raises(CodecError, match="is not known"):
        codec.decode(kind, b'{"name":"a"}')


def test_an_event_of_another_union_is_refused() -> None:
    with pytest.raises(CodecError, match="Unknown is no event"):
        EventCodec(Added | Removed).encode(Unknown(name="a"))  # type: ignore[arg-type]


def test_an_error_names_the_row_and_the_field() -> None:
    codec: EventCodec[Added | Removed] = EventCodec(Added | Removed)
    row = StoredEvent(
        number=EventNumber(17), at=Instant(0), kind="Added", body=b'{"name":1}', cause=""
    )
    with pytest.raises(CodecError, match=r"Added\.name: event 17: must be str"):
        codec.event_of(row)


def test_a_new_event_carries_its_time_and_cause() -> None:
    codec: EventCodec[Added | Removed] = EventCodec(Added | Removed)
    new = codec.new_event(Added(name="a"), Instant(5), "ann")
    assert (new.at, new.cause, new.kind, new.body) == (5, "ann", "Added", b'{"name":"a"}')


def test_every_event_of_the_kernel_has_a_codec() -> None:
    assert "OrderAdded" in JOURNAL.kinds
