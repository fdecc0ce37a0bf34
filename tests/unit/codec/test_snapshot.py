"""Snapshots: the whole state there and back, with its indexes."""

import zlib
from dataclasses import replace

import pytest

from engine.codec.records import dump_json
from engine.codec.snapshot import capture, snapshot_bytes, state_from_snapshot
from engine.errors import CodecError
from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import (
    Chain,
    EndNode,
    Job,
    JobNode,
    OrderDefinition,
    ShellScript,
    Text,
)
from engine.kernel.effects import KillMode
from engine.kernel.events.tasks import Cause
from engine.kernel.ids import (
    AgentUri,
    ChainKey,
    Epoch,
    JobKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
)
from engine.kernel.instants import Instant
from engine.kernel.reports import AgentStatus
from engine.kernel.state import (
    Agent,
    Broken,
    ChainState,
    Control,
    JobState,
    Order,
    State,
    Task,
    TaskStatus,
)

CHAIN = ChainKey("/daily")
JOB = JobKey("/load")


def order(number: int) -> Order:
    key = OrderKey(CHAIN, OrderId(str(number)))
    return Order(
        key=key,
        definition=OrderDefinition(key=key, params={"a": "1"}),
        title=f"order {number}",
        priority=number % 3,
        params={"a": "1", "b": "ü"},
        state=NodeState("load"),
        initial_state=NodeState("load"),
        end_state=None,
        run_time=None,
        xml_payload="",
        start_at=Instant(1_700_000_000_000 + number),
        place=number,
        created_at=Instant(1_700_000_000_000),
    )


def world(orders: int = 3) -> State:
    state = State()
    state.control = Control(engine_id="e", epoch=Epoch(4), last_task=TaskId(9))
    state.put_job(
        JobState(definition=Job(path="/Load", script=ShellScript(parts=(Text(text="true"),))))
    )
    state.put_chain(
        ChainState(
            definition=Chain(
                path="/daily",
                nodes=(
                    JobNode(state=NodeState("load"), job=JOB, job_path="/Load"),
                    EndNode(state=NodeState("end")),
                ),
            )
        )
    )
    for number in range(orders):
        state.put_order(order(number))
    state.put_task(
        Task(
            id=TaskId(9),
            job=JOB,
            status=TaskStatus.RUNNING,
            cause=Cause.NONE,
            created_at=Instant(5),
            kill=KillMode.KILL,
            deadline=Instant(99),
        )
    )
    agent = AgentUri("http://a:1")
    state.agents[agent] = Agent(
        uri=agent, status=AgentStatus.COUPLED, run_id="r", text="", since=Instant(1)
    )
    broken = ObjectRef(kind=ObjectKind.JOB, path="/bad")
    state.broken[broken] = Broken(object=broken, file="bad.job.xml", findings=("no",))
    return state


def test_a_state_comes_back_with_its_indexes() -> None:
    state = world()
    assert vars(state_from_snapshot(snapshot_bytes(state))) == vars(state)


def test_an_empty_state_comes_back() -> None:
    assert vars(state_from_snapshot(snapshot_bytes(State()))) == vars(State())


def test_the_order_of_the_records_is_kept() -> None:
    state = world()
    first = state.orders[OrderKey(CHAIN, OrderId("0"))]
    del state.orders[first.key]
    state.orders[first.key] = first
    assert list(state_from_snapshot(snapshot_bytes(state)).orders) == list(state.orders)


def test_a_capture_is_not_changed_by_what_happens_later() -> None:
    state = world()
    taken = capture(state)
    expected = taken.to_bytes()
    state.put_order(order(77))
    state.drop_order(OrderKey(CHAIN, OrderId("1")))
    assert taken.to_bytes() == expected


def test_everything_but_the_indexes_is_in_the_snapshot() -> None:
    bare = object.__new__(State)
    bare._clear_indexes()
    kept = vars(State()).keys() - vars(bare).keys()
    assert kept == {*State.PRIMARY, "control", "main"}


def packed(**content: object) -> bytes:
    return zlib.compress(dump_json(content))


def test_what_an_older_release_did_not_write_is_as_in_a_new_state() -> None:
    assert vars(state_from_snapshot(packed(format=1))) == vars(State())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"rubbish", "not a snapshot"),
        (zlib.compress(b"[1]"), "not a snapshot"),
        (packed(), "format None"),
        (packed(format=99), "format 99"),
        (packed(format=1, ghosts=[]), "a snapshot has no ghosts"),
        (packed(format=1, locks=[{"definition": {"path": "/a", "max": 1}}]), "locks[0].definition"),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(CodecError) as caught:
        state_from_snapshot(data)
    assert text in str(caught.value)


def test_orders_share_what_is_equal_among_them() -> None:
    state = state_from_snapshot(snapshot_bytes(world()))
    one, two = list(state.orders.values())[:2]
    assert one.definition.key is one.key
    assert one.key.chain is two.key.chain
    assert one.state is two.state


def test_bytes_that_were_no_text_come_back() -> None:
    state = world()
    first = next(iter(state.orders.values()))
    state.put_order(replace(first, title="caf\udce9"))
    assert vars(state_from_snapshot(snapshot_bytes(state))) == vars(state)


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(CodecError, match="jobs"):
        state_from_snapshot(packed(format=1, jobs={"a": 1}))
