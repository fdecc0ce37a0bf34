"""Text, durations, gauges, filters: the small pure parts of the cockpit."""
# the signs of the screen

import pytest

from engine.kernel.ids import AgentUri
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, seconds
from engine.kernel.reports import AgentStatus
from tui.mirror import AgentPulse
from tui.views.durations import age_text, clock_text, duration_text, wait_text
from tui.views.filtering import FilterProblem, compile_filter
from tui.views.gauge import bar, curve, lease_bar, standing_of_agent
from tui.views.glyphs import ASCII, UNICODE
from tui.views.text import Span, clean, fit, fit_line, line, plain, spread
from tui.views.texts import Texts

NOON = Instant(1_793_966_400_000)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("a\nb\rc\0d", "a b c d"),
        ("rtl\u202eevil", "rtl evil"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_text_from_outside_loses_what_could_change_the_screen(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("表表表", 4, "表 …"), ("abc", 0, "")],
)
def test_text_is_cut_and_padded_to_cells(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


def test_numbers_stand_at_the_right() -> None:
    assert fit("7", 3, right=True) == "  7"


def test_a_line_is_cut_across_its_spans() -> None:
    assert plain(fit_line(line("abc", Span("def", "run")), 5)) == "abcd…"
    assert plain(spread(line("left"), line("right"), 12)) == "left   right"
    assert plain(spread(line("left side"), line("right"), 9)) == "lef…right"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0:00"),
        (42_000, "0:42"),
        (557_000, "9:17"),
        (11_520_000, "3h12m"),
        (93_600_000, "1d02h"),
    ],
)
def test_durations_have_two_units_at_most(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_ages_are_finer_when_they_are_small() -> None:
    assert [age_text(ms) for ms in (400, 36_000, 552_000)] == ["0.4 s", "36 s", "9m12s"]


def test_a_time_of_today_is_a_clock_another_day_has_its_date() -> None:
    assert clock_text(Instant(NOON + 60_000), NOON) == "12:01:00"
    assert clock_text(Instant(NOON + 86_400_000), NOON) == "11-07 12:00"
    assert clock_text(NEVER, NOON) == ""
    assert clock_text(IMMEDIATELY, NOON) == "now"


def test_bars_and_curves() -> None:
    assert bar(0.5, 10, UNICODE) == "█████░░░░░"
    assert bar(7, 4, ASCII) == "####"
    assert curve([0, 1, 8], UNICODE) == "·▁█"
    assert curve([], UNICODE) == ""


def _pulse(heard_ago_s: float, status: AgentStatus = AgentStatus.COUPLED) -> AgentPulse:
    return AgentPulse(
        agent=AgentUri("http://a:1"),
        status=status,
        heard_at=Instant(NOON - seconds(heard_ago_s)),
        heartbeat_period=seconds(10),
        heartbeat_timeout=seconds(60),
    )


@pytest.mark.parametrize(
    ("ago", "said", "shown"),
    [
        (0, AgentStatus.COUPLED, AgentStatus.COUPLED),
        (10.9, AgentStatus.COUPLED, AgentStatus.COUPLED),
        (11.1, AgentStatus.COUPLED, AgentStatus.DELAYED),
        (60.1, AgentStatus.COUPLED, AgentStatus.LOST),
        (1, AgentStatus.DELAYED, AgentStatus.DELAYED),
        (1, AgentStatus.TERMINATING, AgentStatus.TERMINATING),
    ],
)
def test_a_silent_agent_is_late_before_anybody_said_so(
    ago: float, said: AgentStatus, shown: AgentStatus
) -> None:
    assert standing_of_agent(said, _pulse(ago, said), NOON) is shown


def test_the_lease_bar_shows_what_is_left_and_where_late_begins() -> None:
    assert plain(lease_bar(_pulse(0), NOON, 20, UNICODE, "ok")) == "█" * 20
    assert plain(lease_bar(_pulse(36), NOON, 20, UNICODE, "late")) == "████████░░░░░░░░│░░░"
    assert plain(lease_bar(_pulse(90), NOON, 20, ASCII, "late")) == "................|..."


ROWS = {
    "order": "inv-2281",
    "chain": "/billing/invoice_daily",
    "status": "✗ FAIL",
    "tasks": "12",
    "since": "3h12m",
}


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("inv", True),
        ("inv fail", True),
        ("inv done", False),
        ("!done", True),
        ("!fail", False),
        ("done|fail", True),
        ("chain=inv*", True),
        ("chain=bil*", False),
        ("chain=/billing/*", True),
        ("chain!=inv*", False),
        ("status=fail", True),
        ("tasks>3", True),
        ("tasks>12", False),
        ("tasks>=12", True),
        ("since<4h00m", True),
        ("since<9:17", False),
        ("sin>1h", True),
        ("nothing>3", False),
        ("-f iv81", True),
        ("-f 18vi", False),
    ],
)
def test_the_filter_language(text: str, stays: bool) -> None:
    keep = compile_filter(text)
    assert keep is not None
    assert keep(Texts(tuple(ROWS), tuple(ROWS.values()))) is stays


def test_a_word_is_not_found_across_two_texts() -> None:
    keep = compile_filter("ab")
    assert keep is not None
    assert not keep(Texts(("one", "two"), ("A", "b")))
    assert keep(Texts(("one", "two"), ("", "AB")))


def test_an_empty_filter_is_none_and_a_broken_one_says_so() -> None:
    assert compile_filter("  ") is None
    with pytest.raises(FilterProblem, match="regular expression"):
        compile_filter("a|(")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "<1m"), (59_999, "<1m"), (61_000, "1m"), (3_599_000, "59m"), (7_260_000, "2h01m")],
)
def test_a_wait_is_told_in_minutes(milliseconds: int, text: str) -> None:
    assert wait_text(milliseconds) == text
