"""What may be done from the remote-process browser, and what is asked first."""

from dataclasses import replace

import pytest

from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.sessions.browser import (
    Act,
    HostState,
    HostView,
    Outcome,
    SignalRequest,
    confirmation,
    refusal_of,
    shown_state,
)
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.marks import HostMarks, KnownRun, Mark, Marked, RunEnd
from engine.kernel.sessions.processes import HostTable, Process
from engine.kernel.sessions.verdicts import Alive, Gone, Leader

TOKEN = token_of(ExecutionKey("e/1.1"))
PROCESS = Process(
    pid=42,
    parent=1,
    group=42,
    session=42,
    user="me",
    is_own=True,
    state="S",
    start="t5",
    began=940,
    arguments="sleep 600",
)
TABLE = HostTable(now=1000, uid=7, user="me", system="Linux", boot="-", processes={42: PROCESS})
VIEW = HostView(
    host="db1",
    state=HostState.SHOWN,
    table=TABLE,
    marks=HostMarks(processes=(Marked(process=PROCESS, mark=Mark.FOREIGN),)),
)
REQUEST = SignalRequest(host="db1", act=Act.END, by="ada", origin="key", token=TOKEN, may_act=True)


def known(end: RunEnd) -> KnownRun:
    return KnownRun(
        token=TOKEN,
        key=ExecutionKey("e/1.1"),
        task=TaskId(1),
        job="/job",
        end=end,
        order="/chain,o1",
    )


def outcome(request: SignalRequest, run: KnownRun | None, view: HostView = VIEW) -> Outcome | None:
    refused = refusal_of(request, view, run, allow_foreign_kill=False)
    return refused.outcome if refused is not None else None


def test_one_keypress_is_enough_for_an_orphan_and_for_nothing_else() -> None:
    assert outcome(REQUEST, known(RunEnd.BROKEN)) is None
    for run in (known(RunEnd.OPEN), known(RunEnd.NORMAL), None):
        assert outcome(REQUEST, run) is Outcome.NEEDS_CONFIRMATION
        assert outcome(replace(REQUEST, is_confirmed=True), run) is None


def test_root_and_protected_hosts_always_ask() -> None:
    orphan = known(RunEnd.BROKEN)
    protected = replace(VIEW, is_protected=True)
    root = replace(VIEW, table=replace(TABLE, uid=0))
    for view in (protected, root):
        assert outcome(REQUEST, orphan, view) is Outcome.NEEDS_CONFIRMATION


def test_a_role_that_only_looks_can_only_try() -> None:
    reader = replace(REQUEST, may_act=False, is_confirmed=True)
    assert outcome(reader, known(RunEnd.BROKEN)) is Outcome.REFUSED
    assert outcome(replace(reader, act=Act.DRY_RUN), known(RunEnd.BROKEN)) is None


def test_a_foreign_process_is_killed_only_where_the_settings_allow_it() -> None:
    foreign = replace(REQUEST, token=None, pid=42, start="t5", act=Act.KILL, is_confirmed=True)
    assert outcome(foreign, None) is Outcome.REFUSED
    assert refusal_of(foreign, VIEW, None, allow_foreign_kill=True) is None
    assert outcome(replace(foreign, act=Act.END), None) is None


@pytest.mark.parametrize("signal", ["0", "SEGV", "kill", ""])
def test_signals_are_chosen_from_a_list(signal: str) -> None:
    request = replace(REQUEST, act=Act.SIGNAL, signal=signal, is_confirmed=True)
    assert outcome(request, known(RunEnd.BROKEN)) is Outcome.REFUSED


def test_the_question_names_everything_that_matters() -> None:
    row = Marked(process=PROCESS, mark=Mark.STEP, token=TOKEN)
    view = replace(VIEW, marks=HostMarks(processes=(row,)))
    text = confirmation(REQUEST, view, known(RunEnd.OPEN))
    assert text == (
        "End 1 process(es) of order /chain,o1 on db1 as me: sleep 600, 60 s old, scope token?"
    )


def test_only_a_living_verdict_can_be_expected() -> None:
    assert shown_state(Alive(leader=Leader.GONE, members=())) == "alive/gone"
    assert shown_state(Gone(result=0)) == ""
