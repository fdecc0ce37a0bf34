"""`GET /api/why`: what an order, a task or a job waits for, and who has it.

`?chain=PATH&order=ID`, `?task=N` or `?job=PATH` answers `{"subject": …, "reasons": [{"kind",
"subject", "until", "used", "limit", "holders": [{"task", "chain", "order"}], "text",
"sentence"}]}`; no reasons mean that nothing is waited for.
"""

from starlette.requests import Request
from starlette.responses import Response

from engine.codec.json_api import time_text
from engine.kernel.ids import TaskId, job_key, order_key
from engine.kernel.instants import NEVER
from engine.kernel.problems import unknown_object, unknown_order, unknown_task
from engine.kernel.reasons import Reason, job_reasons, order_reasons, sentence, task_reasons
from engine.server.auth import Role
from engine.server.context import context_of
from engine.server.json_endpoints import http_problem, json_response, problem_response


async def why(request: Request) -> Response:
    """Answer one question; 400 when it asks for nothing, 404 when nothing has this name."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    await context.port.settled()
    state, now, query = context.port.state, context.port.now(), request.query_params
    if "order" in query:
        key = order_key(query.get("chain", ""), query["order"])
        if state.find_order(key) is None:
            return problem_response(unknown_order(query.get("chain", ""), key.id), 404)
        return _answer(str(key), order_reasons(state, key, now))
    if query.get("task", "").isdecimal():
        task = TaskId(int(query["task"]))
        if task not in state.tasks:
            return problem_response(unknown_task(task), 404)
        return _answer(f"task {task}", task_reasons(state, task, now))
    if "job" in query:
        job = job_key(query["job"])
        if job not in state.jobs:
            return problem_response(unknown_object("Job", query["job"]), 404)
        return _answer(state.jobs[job].definition.path, job_reasons(state, job, now))
    return http_problem(400, "Ask for chain and order, for a task, or for a job")


def _answer(subject: str, reasons: tuple[Reason, ...]) -> Response:
    return json_response(
        {"subject": subject, "reasons": [reason_row(reason) for reason in reasons]}
    )


def reason_row(reason: Reason) -> dict[str, object]:
    """Return a reason as a row."""
    until = None if reason.until is None or reason.until >= NEVER else reason.until
    return {
        "kind": reason.kind.value,
        "subject": reason.subject,
        "until": time_text(until),
        "used": reason.used,
        "limit": reason.limit,
        "holders": [
            {
                "task": holder.task,
                "chain": None if holder.order is None else holder.order.chain,
                "order": None if holder.order is None else holder.order.id,
            }
            for holder in reason.holders
        ],
        "text": reason.text,
        "sentence": sentence(reason),
    }
