"""Refusals: what the engine says when it will not do something.

A problem is a value, not an exception. XML answers, JSON answers, the log and the cockpit show the
same code and text. Codes are those of JobScheduler 1.x where it had one (`SCHEDULER-161`), so that
existing clients and runbooks keep working.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal: a code, a sentence for a person, and what it is about."""

    code: str
    text: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def unknown_object(kind: str, name: str) -> Problem:
    """Nothing of this kind has this name."""
    return Problem(code="SCHEDULER-161", text=f"There is no {kind} {name!r}", subject=name)


def unknown_order(chain: str, order_id: str) -> Problem:
    """The chain has no order of this id."""
    return Problem(
        code="SCHEDULER-162",
        text=f"The job chain {chain!r} has no order {order_id!r}",
        subject=order_id,
    )


def unknown_state(chain: str, state: str) -> Problem:
    """The job chain has no node of this name."""
    return Problem(
        code="SCHEDULER-149", text=f"The job chain {chain!r} has no node {state!r}", subject=chain
    )


def order_exists(chain: str, order_id: str) -> Problem:
    """An order with this id is already in the chain."""
    return Problem(
        code="SCHEDULER-186",
        text=f"The job chain {chain!r} already has an order {order_id!r}",
        subject=order_id,
    )


def order_ids_collide(chain: str, order_id: str) -> Problem:
    """Chains that are joined by a super chain hold two orders of one id."""
    return Problem(
        code="SCHEDULER-426",
        text=f"The job chain {chain!r} has an order {order_id!r} of its own already",
        subject=order_id,
    )


def order_in_task(order_id: str, change: str) -> Problem:
    """The order is being processed; this change has to wait for the end of the step."""
    return Problem(
        code="SCHEDULER-217",
        text=f"The order {order_id!r} is being processed by a task: {change} is not possible now",
        subject=order_id,
    )


def not_addable(chain: str, state: str) -> Problem:
    """No job would ever take an order placed at this node."""
    return Problem(
        code="SCHEDULER-438",
        text=f"An order cannot start at the node {state!r} of the job chain {chain!r}: "
        "it leads to no job",
        subject=chain,
    )


def skipping_loop(chain: str, state: str) -> Problem:
    """The nodes to be skipped form a circle."""
    return Problem(
        code="SCHEDULER-403",
        text=f"The nodes to be skipped after {state!r} in the job chain {chain!r} form a circle",
        subject=chain,
    )


def order_id_too_long(length: int, limit: int) -> Problem:
    """The id does not fit."""
    return Problem(
        code="SCHEDULER-344", text=f"The order id has {length} characters, {limit} are allowed"
    )


def schedule_is_substitute(schedule: str) -> Problem:
    """Nobody may refer to a schedule that stands in for another one."""
    return Problem(
        code="SCHEDULER-466",
        text=f"The schedule {schedule!r} is a substitute and cannot be referred to",
        subject=schedule,
    )


def unknown_task(task_id: int) -> Problem:
    """No waiting or running task has this number."""
    return Problem(code="SCHEDULER-207", text=f"There is no task {task_id}", subject=str(task_id))


def attribute_needs(attribute: str, needed: str) -> Problem:
    """One attribute is of no use without another."""
    return Problem(code="SCHEDULER-467", text=f"The attribute {attribute!r} requires {needed}")


def not_setback(value: str) -> Problem:
    """`setback` can only be cleared."""
    return Problem(
        code="SCHEDULER-351", text=f'setback={value!r} is not possible, only setback="no"'
    )


def no_further_period(job: str) -> Problem:
    """A start that needs a period of the job's run time would never happen."""
    return Problem(
        code="SCHEDULER-143",
        text=f"No period of the job {job!r} follows in which the task could start",
        subject=job,
    )


def job_in_error(job: str) -> Problem:
    """The job could not be initialised, so it does not start."""
    return Problem(
        code="SCHEDULER-204", text=f"The job {job!r} is in error and cannot start", subject=job
    )


def job_not_initialised(job: str) -> Problem:
    """The file of the job could not be used, so there is only its name."""
    return Problem(
        code="SCHEDULER-396",
        text=f"The job {job!r} is not initialised: its file has an error",
        subject=job,
    )


def chain_being_removed(chain: str) -> Problem:
    """The chain takes no new orders: it goes as soon as none of its orders is in a task."""
    return Problem(
        code="SCHEDULER-353",
        text=f"The job chain {chain!r} is being removed and takes no orders",
        subject=chain,
    )


def chain_in_use(chain: str, user: str) -> Problem:
    """The chain is part of a super chain and stays as long as that."""
    return Problem(
        code="SCHEDULER-894",
        text=f"The job chain {chain!r} is still used by the job chain {user!r}",
        subject=chain,
    )


def job_being_removed(job: str) -> Problem:
    """The job takes no new starts: it goes as soon as its tasks have ended."""
    return Problem(
        code="SCHEDULER-230", text=f"The job {job!r} is being removed and cannot start", subject=job
    )


def bad_value(attribute: str, value: str, allowed: str) -> Problem:
    """A value outside of what is allowed."""
    return Problem(
        code="SCHEDULER-218", text=f"{attribute}={value!r} is not allowed; allowed: {allowed}"
    )
