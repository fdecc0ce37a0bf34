"""The bounds that need a memory."""

import pytest

from engine.door.limits import (
    ADDRESSES_MAX,
    FAILED_LOGINS_MAX,
    FAILED_LOGINS_WINDOW,
    FailedLogins,
    Places,
    shown,
)
from engine.kernel.instants import Instant


def test_an_address_that_fails_too_often_waits() -> None:
    failed = FailedLogins()
    for at in range(FAILED_LOGINS_MAX):
        assert failed.refuses("a", Instant(at)) is None
        failed.count("a", Instant(at))
    assert failed.refuses("a", Instant(100)) == FAILED_LOGINS_WINDOW - 100
    assert failed.refuses("b", Instant(100)) is None
    assert failed.refuses("a", Instant(FAILED_LOGINS_WINDOW)) is None, "the first is forgotten"


def test_only_so_many_addresses_are_remembered() -> None:
    failed = FailedLogins()
    for number in range(ADDRESSES_MAX + 50):
        failed.count(str(number), Instant(0))
    assert len(failed._failures) == ADDRESSES_MAX


def test_a_person_has_so_many_places_and_all_have_so_many() -> None:
    places = Places(in_all=3, per_person=2)
    assert places.take("anna") is None
    assert places.take("anna") is None
    assert "2 sessions" in str(places.take("anna"))
    assert places.take("bob") is None
    assert "all 3 places" in str(places.take("carla"))
    places.give_back("anna")
    assert places.take("carla") is None
    assert places.taken == 3


def test_a_place_is_given_back_once() -> None:
    places = Places(in_all=3, per_person=2)
    with pytest.raises(AssertionError):
        places.give_back("anna")


def test_a_stranger_cannot_forge_a_line_of_the_log() -> None:
    assert shown("a\nlogin of root\x1b[2J\u2028") == r"'a\nlogin of root\x1b[2J\u2028'"
    assert len(shown("x" * 1000)) < 120
