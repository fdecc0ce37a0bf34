"""The bytes of the agent protocol: JSON of the records in `engine.codec.agent_messages`.

A heartbeat has no body: status 202 and headers (agents.md 2.6), because almost all answers of a
large installation are heartbeats.
"""

from http import HTTPStatus

from engine.codec.agent_messages import (
    CommandAnswer,
    CommandRequest,
    Refusal,
    RefusalReason,
    SessionAnswer,
    SessionRequest,
)
from engine.codec.records import codec_for

AGENT_API = "/jobscheduler/agent/api"
SESSION_PATH = AGENT_API + "/session"
COMMAND_PATH = AGENT_API + "/command"
COMMAND_TYPE = "TaskCommands"
"""The `$TYPE` under which a command request travels on the original's command path."""

JSON_TYPE = "application/json"
HEARTBEAT_HEADER = "x-jobscheduler-heartbeat"
RUN_HEADER = "x-jobscheduler-agent-run"
LEDGER_HEADER = "x-jobscheduler-agent-ledger"

REFUSAL_STATUS = {
    RefusalReason.OLD_EPOCH: HTTPStatus.CONFLICT,
    RefusalReason.OTHER_RUN: HTTPStatus.GONE,
    RefusalReason.EXPIRED: HTTPStatus.BAD_REQUEST,
}

session_request = codec_for(SessionRequest)
session_answer = codec_for(SessionAnswer)
command_request = codec_for(CommandRequest)
command_answer = codec_for(CommandAnswer)
refusal = codec_for(Refusal)


def is_heartbeat(answer: SessionAnswer) -> bool:
    """Return whether an answer says nothing but that the agent lives."""
    return not answer.events and answer.executions is None and not answer.is_terminating


def heartbeat_headers(answer: SessionAnswer) -> dict[str, str]:
    """Return the headers that stand for an answer without news."""
    return {
        HEARTBEAT_HEADER: answer.stamp,
        RUN_HEADER: answer.run,
        LEDGER_HEADER: answer.ledger,
    }
