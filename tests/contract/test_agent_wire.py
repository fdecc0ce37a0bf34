"""The bytes between engine and agent: they come back as what they were, and are what is written here."""

import json

import pytest

from engine.codec import agent_wire
from engine.codec.agent_messages import (
    Channel,
    CommandAnswer,
    CommandRequest,
    Event,
    ExecutionStatus,
    Known,
    Numbered,
    Outcome,
    Output,
    Refusal,
    RefusalReason,
    Reserve,
    SessionAnswer,
    SessionRequest,
    Signal,
    TakeOver,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.codec.records import RecordCodec
from engine.errors import CodecError
from engine.kernel.effects import KillMode, ProcessSpec
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

KEY = ExecutionKey("e/1.1")
SPEC = ProcessSpec(
    job="/j", script="echo ä\n", environment={"A": "1"}, arguments=("x",), stderr_is_error=True
)
EVENTS: tuple[Event, ...] = (
    TaskBegun(key=KEY, pid=17, started_at=Instant(5)),
    TaskNotBegun(key=KEY, text="no"),
    Output(key=KEY, task=TaskId(1), channel=Channel.STDERR, offset=3, data=b"\xff\x00"),
    TaskEnded(
        key=KEY,
        exit_code=None,
        signal=9,
        reason=EndReason.LEASE_OVER,
        ended_at=Instant(7),
        first_line="ä",
        returned={"a": "b"},
    ),
)


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (
            agent_wire.session_request,
            SessionRequest(
                engine="e",
                epoch=Epoch(3),
                run="r",
                stamp="b.1",
                seen=5,
                ack=4,
                take=100,
                wait=Duration(10),
                take_over=TakeOver.KILL,
            ),
        ),
        (
            agent_wire.session_answer,
            SessionAnswer(
                run="r",
                ledger="l",
                stamp="b.2",
                is_terminating=True,
                executions=tuple(Known(key=KEY, status=status) for status in ExecutionStatus),
                events=tuple(
                    Numbered(number=number, event=event) for number, event in enumerate(EVENTS)
                ),
            ),
        ),
        (agent_wire.session_answer, SessionAnswer(run="r", ledger="l", stamp="s", executions=())),
        (
            agent_wire.command_request,
            CommandRequest(
                engine="e",
                epoch=Epoch(1),
                run="r",
                number=7,
                stamp="s",
                reserve=(Reserve(key=KEY, task=TaskId(1), timeout=Duration(9), spec=SPEC),),
                begin=(KEY,),
                signal=(Signal(key=KEY, kill=KillMode.TERMINATE),),
                close=(KEY,),
            ),
        ),
        (
            agent_wire.command_answer,
            CommandAnswer(
                run="r",
                stamp="s",
                outcomes=(Outcome(key=KEY, status=ExecutionStatus.REFUSED, text="why"),),
            ),
        ),
        (
            agent_wire.refusal,
            Refusal(reason=RefusalReason.OLD_EPOCH, run="r", epoch=Epoch(9)),
        ),
    ],
)
def test_every_message_comes_back_as_it_was(codec: RecordCodec[object], value: object) -> None:
    assert codec.from_json(codec.to_json(value)) == value


def test_a_session_request_looks_like_this() -> None:
    """Agents and engines of other versions read it: a change here is a change of the protocol."""
    request = SessionRequest(
        engine="e", epoch=Epoch(1), run="r", stamp="b.1", seen=5, ack=4, wait=Duration(10_000)
    )
    assert json.loads(agent_wire.session_request.to_json(request)) == {
        "engine": "e",
        "epoch": 1,
        "run": "r",
        "stamp": "b.1",
        "seen": 5,
        "ack": 4,
        "wait": 10000,
    }


def test_an_event_looks_like_this() -> None:
    answer = SessionAnswer(
        run="r", ledger="l", stamp="s", events=(Numbered(number=1, event=EVENTS[2]),)
    )
    assert json.loads(agent_wire.session_answer.to_json(answer))["events"] == [
        {
            "number": 1,
            "event": {
                "kind": "Output",
                "key": "e/1.1",
                "task": 1,
                "channel": "stderr",
                "offset": 3,
                "data": "/wA=",
            },
        }
    ]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"engine": 1}', b'{"engine":"e","epoch":1,"unknown":2}']
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        agent_wire.session_request.from_json(data)


def test_only_an_answer_without_news_is_a_heartbeat() -> None:
    plain = SessionAnswer(run="r", ledger="l", stamp="s")
    assert agent_wire.is_heartbeat(plain)
    for answer in (
        SessionAnswer(run="r", ledger="l", stamp="s", executions=()),
        SessionAnswer(run="r", ledger="l", stamp="s", is_terminating=True),
        SessionAnswer(
            run="r", ledger="l", stamp="s", events=(Numbered(number=1, event=EVENTS[0]),)
        ),
    ):
        assert not agent_wire.is_heartbeat(answer)
