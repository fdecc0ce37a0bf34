"""The fourteen rows of the cleanup table, and that no observation is left without an answer."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.sessions.decisions import (
    ComeAgain,
    Deed,
    GoToError,
    MoveOn,
    Observation,
    SessionMode,
    StepState,
    backoff,
    decide,
)
from engine.kernel.sessions.verdicts import (
    Alive,
    Bad,
    Gone,
    Leader,
    NoRecord,
    Unknown,
    Unsure,
    Verdict,
)

NOW = Instant(1_000_000_000)
ALIVE = Alive(leader=Leader.OURS, members=())
BASE = Observation(at=NOW, step=StepState.OVER, verdict=ALIVE, launched_at=Instant(NOW - 3_600_000))
K = seconds(5)


def ago(count: float) -> Instant:
    return Instant(NOW - seconds(count))


ROWS = [
    (1, Deed.NOTHING, ComeAgain(after=seconds(30)), {"verdict": Unknown(why="x"), "failures": 1}),
    (
        1,
        Deed.NOTHING,
        GoToError(),
        {"verdict": Unknown(why="x"), "unreachable_since": ago(24 * 3600)},
    ),
    (2, Deed.NOTHING, ComeAgain(after=seconds(30)), {"step": StepState.OPEN}),
    (3, Deed.NOTHING, ComeAgain(after=seconds(30)), {"step": StepState.UNKNOWN}),
    (4, Deed.KILL, ComeAgain(after=seconds(2)), {}),
    (4, Deed.KILL, ComeAgain(after=seconds(2)), {"kill_after": Duration(0)}),
    (5, Deed.TERMINATE, ComeAgain(after=seconds(5)), {"kill_after": seconds(60)}),
    (6, Deed.NOTHING, ComeAgain(after=seconds(1)), {"kill_after": K, "terminated_at": ago(4)}),
    (6, Deed.NOTHING, ComeAgain(after=Duration(1)), {"kill_after": K, "terminated_at": ago(4.999)}),
    (7, Deed.KILL, ComeAgain(after=seconds(2)), {"kill_after": K, "terminated_at": ago(5)}),
    (4, Deed.KILL, ComeAgain(after=seconds(2)), {"killed_at": ago(29)}),
    (8, Deed.GIVE_UP, GoToError(), {"killed_at": ago(30)}),
    (
        9,
        Deed.NOTHING,
        ComeAgain(after=seconds(10)),
        {"step": StepState.OPEN, "verdict": Gone(result=3)},
    ),
    (
        9,
        Deed.CLOSE_WITH_RESULT,
        MoveOn(),
        {"step": StepState.OPEN, "verdict": Gone(result=3), "first_gone_at": ago(10)},
    ),
    (
        10,
        Deed.CLOSE_AS_VANISHED,
        MoveOn(),
        {"step": StepState.OPEN, "verdict": Gone(result=None), "first_gone_at": ago(10)},
    ),
    (11, Deed.REMOVE_DIRECTORY, MoveOn(), {"verdict": Gone(result=0)}),
    (
        12,
        Deed.NOTHING,
        ComeAgain(after=seconds(30), is_setback=True),
        {"verdict": Unsure(pids=(5,), why="x")},
    ),
    (12, Deed.NOTHING, ComeAgain(after=seconds(30), is_setback=True), {"verdict": Bad(why="x")}),
    (
        13,
        Deed.NOTHING,
        ComeAgain(after=seconds(2)),
        {
            "step": StepState.OPEN,
            "verdict": NoRecord(result=None, has_directory=True),
            "launched_at": ago(50),
        },
    ),
    (
        13,
        Deed.CLOSE_AS_VANISHED,
        MoveOn(),
        {
            "step": StepState.OPEN,
            "verdict": NoRecord(result=None, has_directory=True),
            "launched_at": ago(60),
        },
    ),
    (14, Deed.NOTHING, MoveOn(), {"verdict": NoRecord(result=None, has_directory=False)}),
]


@pytest.mark.parametrize(("row", "deed", "order", "seen"), ROWS)
def test_each_row_of_the_table_has_its_consequence(
    row: int, deed: Deed, order: object, seen: dict[str, object]
) -> None:
    decision = decide(replace(BASE, **seen))  # type: ignore[arg-type]  # fields by name
    assert (decision.row, decision.deed, decision.order) == (row, deed, order)


def test_a_reboot_is_named_when_a_process_vanished_with_it() -> None:
    gone = Gone(result=None, rebooted=True)
    seen = replace(BASE, step=StepState.OPEN, verdict=gone, first_gone_at=ago(11))
    assert "rebooted" in decide(seen).text


def test_the_old_mode_ends_the_task_and_counts_waiting_as_setbacks() -> None:
    legacy = replace(BASE, mode=SessionMode.LEGACY, step=StepState.OPEN)
    gone = replace(legacy, verdict=Gone(result=0), first_gone_at=ago(10))
    assert decide(gone).deed is Deed.END_TASK
    for verdict in (ALIVE, Unknown(why="x"), Unsure(pids=(), why="x")):
        order = decide(replace(legacy, verdict=verdict)).order
        assert isinstance(order, ComeAgain)
        assert order.is_setback


def test_waiting_for_an_unreachable_host_grows_to_ten_minutes() -> None:
    assert [backoff(failures) // 1000 for failures in (0, 1, 2, 3, 4, 5, 6, 99)] == [
        30,
        30,
        60,
        120,
        240,
        480,
        600,
        600,
    ]


MOMENTS = st.one_of(st.none(), st.integers(NOW - 100_000_000, NOW).map(Instant))
VERDICTS: st.SearchStrategy[Verdict] = st.one_of(
    st.just(ALIVE),
    st.builds(Gone, result=st.one_of(st.none(), st.integers(0, 255)), rebooted=st.booleans()),
    st.builds(NoRecord, result=st.none(), has_directory=st.booleans()),
    st.just(Unsure(pids=(7,), why="x")),
    st.just(Bad(why="x")),
    st.just(Unknown(why="x")),
)
OBSERVATIONS = st.builds(
    Observation,
    at=st.just(NOW),
    step=st.sampled_from(StepState),
    verdict=VERDICTS,
    launched_at=st.integers(NOW - 100_000_000, NOW).map(Instant),
    unreachable_since=MOMENTS,
    failures=st.integers(0, 100),
    first_gone_at=MOMENTS,
    terminated_at=MOMENTS,
    killed_at=MOMENTS,
    kill_after=st.one_of(st.none(), st.integers(0, 100_000).map(Duration)),
    mode=st.sampled_from(SessionMode),
)


@given(OBSERVATIONS)
def test_a_signal_is_sent_only_for_a_step_that_is_over_and_processes_that_live(
    seen: Observation,
) -> None:
    decision = decide(seen)
    if decision.deed in {Deed.KILL, Deed.TERMINATE}:
        assert seen.step is StepState.OVER
        assert isinstance(seen.verdict, Alive)
    if isinstance(decision.order, ComeAgain):
        assert decision.order.after > 0, "never a loop without a pause"


@given(OBSERVATIONS)
def test_waiting_for_what_runs_well_never_uses_up_setbacks(seen: Observation) -> None:
    decision = decide(seen)
    if seen.mode is SessionMode.NATIVE and decision.row in {1, 2, 3}:
        assert not (isinstance(decision.order, ComeAgain) and decision.order.is_setback)
