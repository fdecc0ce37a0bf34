"""Split over available agents, and the meeting of all parts (agents.md chapter 7)."""

from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.commands import JobAction, ModifyJob
from engine.kernel.demands import run_demands
from engine.kernel.effects import RunNative
from engine.kernel.events.orders import OrderAdded, OrderFinished
from engine.kernel.events.tasks import TaskAssigned
from engine.kernel.ids import ClassPath, OrderId, OrderKey, chain_key
from engine.kernel.split_sync import ranges
from engine.kernel.state import TaskStatus
from tests.support.world import World, agents_class, chain, native_job, node, shell_job

A, B, C = "http://a:1", "http://b:1", "http://c:1"


def world() -> World:
    return World(
        agents_class("agents", A, B, C),
        native_job("split", "split", params={"sync_state_name": "sync"}),
        shell_job("create", process_class=ClassPath("/agents"), tasks=10),
        native_job("sync", "sync"),
        chain("day", node("split", "split"), node("create", "create"), node("sync", "sync")),
    )


def starts(world: World, low: int = 1, high: int = 90, order: str = "main") -> OrderKey:
    params = {"min_account": str(low), "max_account": str(high)}
    return world.adds(order, "day", params=params)


def children(world: World) -> list[tuple[str, str]]:
    return [
        (event.definition.params["min_account"], event.definition.params["max_account"])
        for event in world.happened(OrderAdded)
    ]


@given(st.integers(-1000, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_ranges_are_disjoint_not_empty_even_and_cover_everything(
    first: int, size: int, parts: int
) -> None:
    cut = ranges(first, first + size, parts)
    assert [number for low, high in cut for number in range(low, high + 1)] == list(
        range(first, first + size + 1)
    )
    sizes = [high - low + 1 for low, high in cut]
    assert len(cut) == min(parts, size + 1)
    assert max(sizes) - min(sizes) <= 1


def test_the_split_asks_for_the_agents_of_the_next_job() -> None:
    w = world()
    starts(w)
    (demand,) = run_demands(w.state)
    assert isinstance(demand, RunNative)
    assert demand.agents == (A, B, C)


def test_each_available_agent_gets_one_child_of_its_own() -> None:
    w = world()
    main = starts(w)
    w.native_ends([A, B, C])
    assert children(w) == [("1", "30"), ("31", "60"), ("61", "90")]
    assert sorted(event.agent for event in w.happened(TaskAssigned) if event.agent) == [A, B, C]
    assert list(w.state.children[main]) == [
        OrderKey(main.chain, OrderId(f"main_child_order_{number}")) for number in (1, 2, 3)
    ]


def test_with_one_agent_down_two_children_cover_the_whole_range() -> None:
    w = world()
    starts(w)
    w.native_ends([A, C])
    assert children(w) == [("1", "45"), ("46", "90")]


def test_without_agents_the_order_ends_in_its_error_node_with_a_clear_text() -> None:
    w = world()
    starts(w)
    w.native_ends([])
    assert w.happened(OrderFinished)[0].state == "error"
    texts = [event.error_text for event in w.journal if hasattr(event, "error_text")]
    assert any("None of these agents is available" in text and A in text for text in texts)


def test_bad_parameters_end_in_the_error_node_and_name_what_is_wrong() -> None:
    for params, text in (
        ({"min_account": "1"}, "'max_account' is missing"),
        ({"min_account": "x", "max_account": "2"}, "min_account='x' is not a whole number"),
        ({"min_account": "3", "max_account": "2"}, "The range 3 to 2 is empty"),
    ):
        w = world()
        w.adds("main", "day", params=params)
        w.native_ends([A])
        assert w.happened(OrderFinished)[0].state == "error"
        assert any(text in getattr(event, "error_text", "") for event in w.journal)


def end_next(w: World) -> None:
    w.ends(next(task for task in w.tasks(TaskStatus.STARTING, TaskStatus.RUNNING)))


def test_the_main_order_goes_on_after_all_children_have_arrived() -> None:
    w = world()
    main = starts(w)
    w.native_ends([A, B, C])
    assert (w.order(main).state, w.order(main).suspended) == ("sync", True)
    end_next(w)
    end_next(w)
    assert w.order(main).suspended
    end_next(w)
    ended = {event.order.id: event.state for event in w.journal if isinstance(event, OrderFinished)}
    assert ended == {
        "main": "end",
        "main_child_order_1": "sync",
        "main_child_order_2": "sync",
        "main_child_order_3": "sync",
    }
    assert not w.state.orders


def test_two_main_orders_in_one_chain_do_not_release_each_other() -> None:
    w = world()
    first = starts(w, order="one")
    w.native_ends([A, B])
    second = starts(w, order="two")
    split = next(task for task in w.tasks(TaskStatus.STARTING) if task.order == second)
    w.native_ends([A, B], split)
    for task in list(w.tasks(TaskStatus.STARTING)):
        if task.order is not None and task.order.id.startswith("two"):
            w.ends(task)
    assert second not in w.state.orders
    assert w.order(first).suspended


def test_a_second_run_with_children_left_over_gives_its_children_other_names() -> None:
    w = world()
    starts(w)
    w.native_ends([A, B])
    end_next(w)
    end_next(w)
    w.does(ModifyJob(job=next(iter(w.state.jobs)), action=JobAction.UNSTOP))
    stuck = w.adds("main_child_order_1", "day", suspended=True)
    starts(w)
    w.native_ends([A])
    names = [event.definition.key.id for event in w.happened(OrderAdded)]
    assert names
    assert stuck.id not in names


def test_a_session_counts_only_its_own_orders_and_the_requirement_of_the_node_wins() -> None:
    w = World(
        native_job("sync", "sync"),
        chain("day", node("sync", "sync")),
    )
    first = w.adds(
        "1",
        "day",
        params={"required_orders": "9", "day,sync_required_orders": "2", "sync_session_id": "x"},
    )
    w.adds("other", "day", params={"required_orders": "9", "sync_session_id": "y"})
    assert w.order(first).suspended
    assert w.order(first).state_text == "required: 2, waiting: 1"
    w.adds("2", "day", params={"day,sync_required_orders": "2", "sync_session_id": "x"})
    assert first not in w.state.orders
    assert OrderKey(chain_key("day"), OrderId("other")) in w.state.orders


def test_a_sync_job_with_setback_waits_and_counts_those_set_back() -> None:
    w = World(native_job("sync", "sync"), chain("day", node("sync", "sync")))
    params = {"required_orders": "2", "setback_type": "setback", "setback_interval": "60"}
    first = w.adds("1", "day", params=params)
    assert not w.order(first).suspended
    assert w.order(first).start_at == w.now + 60_000
    w.adds("2", "day", params=params)
    assert not w.state.orders
