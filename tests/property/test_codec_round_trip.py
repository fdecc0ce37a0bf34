"""Whatever the kernel can hold comes back from its bytes as it was."""

import contextlib
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codec.journal import JOURNAL
from engine.codec.records import codec_for, parse_json
from engine.errors import CodecError
from engine.kernel.commands import Request
from engine.kernel.events import Event
from engine.kernel.state import State
from tests.support.values import values_of

# Records of the kernel are deep; what counts is that all of them are tried, not each one often.
QUICK = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
EVENTS: tuple[type[Any], ...] = typing.get_args(Event)
RECORDS = (*typing.get_args(Request), *(record for record, _ in State.PRIMARY.values()))


@pytest.mark.parametrize("event_class", EVENTS, ids=lambda each: each.__name__)
def test_events_come_back_from_their_rows(event_class: type[Any]) -> None:
    @QUICK
    @given(event=values_of(event_class))
    def check(event: Event) -> None:
        kind, body = JOURNAL.encode(event)
        assert JOURNAL.decode(kind, body) == event

    check()


@pytest.mark.parametrize("record_class", RECORDS, ids=lambda each: each.__name__)
def test_records_come_back_from_their_bytes(record_class: type[Any]) -> None:
    codec = codec_for(record_class)

    @QUICK
    @given(record=values_of(record_class))
    def check(record: Any) -> None:
        assert codec.from_json(codec.to_json(record)) == record

    check()


@QUICK
@given(kind=st.sampled_from(JOURNAL.kinds), body=st.binary(max_size=40))
def test_rubbish_is_never_more_than_a_codec_error(kind: str, body: bytes) -> None:
    with contextlib.suppress(CodecError):
        JOURNAL.decode(kind, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@QUICK
@given(kind=st.sampled_from(JOURNAL.kinds), content=JSON, data=st.data())
def test_a_body_with_another_entry_is_a_codec_error_or_still_an_event(
    kind: str, content: Any, data: st.DataObject
) -> None:
    event_class = next(each for each in EVENTS if each.__name__ == kind)
    body = parse_json(JOURNAL.encode(data.draw(values_of(event_class)))[1])
    name = data.draw(st.sampled_from([*body, "added"]))
    codec = codec_for(event_class)
    with contextlib.suppress(CodecError):
        event = codec.from_builtins({**body, name: content})
        assert codec.from_json(codec.to_json(event)) == event
