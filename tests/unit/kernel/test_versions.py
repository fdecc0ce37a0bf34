"""The fold's own `replace`."""

import dataclasses
import inspect
from dataclasses import dataclass

import pytest

from engine.kernel import state
from engine.kernel.instants import Instant
from engine.kernel.versions import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    only: int = 1


def test_a_version_differs_in_what_was_changed_only() -> None:
    control = state.Control(engine_id="e", began_at=Instant(5))
    later = replace(control, last_place=7, paused=True)
    assert later == dataclasses.replace(control, last_place=7, paused=True)
    assert control == state.Control(engine_id="e", began_at=Instant(5))
    assert replace(_One(), only=2) == _One(only=2)


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError):
        replace(_One(), other=2)  # type: ignore[call-arg]  # that is what is tested


def test_no_record_of_the_state_has_a_check_that_would_be_passed_over() -> None:
    records = [each for _, each in inspect.getmembers(state, dataclasses.is_dataclass)]
    assert len(records) > 10
    for each in records:
        assert "__slots__" in vars(each)
        assert not hasattr(each, "__post_init__")
