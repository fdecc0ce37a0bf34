"""Typed names and paths.

Names of jobs and job chains compare case-insensitively (orders-and-jobs.md 0.1), so their keys are
folded once, here; the spelling of the file stays in the definition (`Job.path`, `Chain.path`) for
display. Folders, order ids, node states, process classes, locks, schedules and monitors compare as
written (live-folder.md 3).
"""

from typing import NamedTuple, NewType

JobKey = NewType("JobKey", str)
"""A job's absolute path, its name in folded spelling: `/Folder/name`."""

ChainKey = NewType("ChainKey", str)
"""A job chain's absolute path, its name in folded spelling."""

ClassPath = NewType("ClassPath", str)
"""A process class's absolute path as written; the default class is the empty string."""

LockPath = NewType("LockPath", str)
SchedulePath = NewType("SchedulePath", str)
MonitorPath = NewType("MonitorPath", str)

OrderId = NewType("OrderId", str)
NodeState = NewType("NodeState", str)
"""The name of a node in its chain; what XML calls the order's state."""

TaskId = NewType("TaskId", int)
HistoryId = NewType("HistoryId", int)
"""One run of an order from its first step to its end."""

AgentUri = NewType("AgentUri", str)
"""An agent's address, `http://host:port`; the empty string is the engine's own host."""

ExecutionKey = NewType("ExecutionKey", str)
"""Identity of one attempt to run a task, `<engine id>/<task id>.<attempt>`; repeatable."""


EventNumber = NewType("EventNumber", int)
Epoch = NewType("Epoch", int)
"""Counts the lives of the engine on one journal; grows with every start."""

DEFAULT_CLASS = ClassPath("")
LOCAL = AgentUri("")
END_STATE = NodeState("<END_STATE>")
"""The implicit end node of a chain without one (orders-and-jobs.md 1.4.1)."""


class OrderKey(NamedTuple):
    """Where an order lives and its id; unique among all orders."""

    chain: ChainKey
    id: OrderId

    def __str__(self) -> str:
        return f"{self.chain},{self.id}"


def absolute(path: str, folder: str = "/") -> str:
    """Return `path` as an absolute path; a relative one starts in `folder`."""
    if path.startswith("/"):
        return "/" + path.strip("/")
    return f"{folder.rstrip('/')}/{path.strip('/')}"


def folder_of(path: str) -> str:
    """Return the folder part of an absolute path, `/` for the root."""
    head, _, _ = path.rpartition("/")
    return head or "/"


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def folded_path(path: str) -> str:
    """Return a path with its name folded; folders have case."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.casefold()}"


def job_key(path: str, folder: str = "/") -> JobKey:
    """Return the key of a job named `path` in a file of `folder`."""
    return JobKey(folded_path(absolute(path, folder)))


def chain_key(path: str, folder: str = "/") -> ChainKey:
    """Return the key of a job chain named `path` in a file of `folder`."""
    return ChainKey(folded_path(absolute(path, folder)))


def order_key(chain: str, order_id: str) -> OrderKey:
    """Return the key of an order as commands name it: chain path and id."""
    return OrderKey(chain_key(chain), OrderId(order_id))


def task_of_key(key: ExecutionKey) -> TaskId | None:
    """Return the task that a key is an attempt of, None for a key that is none of an engine's."""
    number, _, _ = key.rpartition("/")[2].partition(".")
    return TaskId(int(number)) if number.isdecimal() else None
