"""Files become orders, and orders end with their files (orders-and-jobs.md 1.11)."""

from dataclasses import replace

import pytest

from engine.kernel.commands import (
    ApplyDefinitions,
    BeginEpoch,
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    PauseEngine,
    RemoveOrder,
)
from engine.kernel.definitions import FileOrderSource, Job, Lock, LockUse, ProcessClass, SinkNode
from engine.kernel.demands import demand_of, environment_of
from engine.kernel.effects import CheckFile, RunNative, WatchDirectory
from engine.kernel.events.files import (
    FileIgnored,
    IgnoredFileGone,
    OrderFileStays,
    SourceFailed,
    SourceReadable,
)
from engine.kernel.events.orders import OrderAdded, OrderFinished, OrderRemoved
from engine.kernel.events.tasks import TaskCreated, TaskEnded
from engine.kernel.file_watching import check_demand, held_paths, watch_demands
from engine.kernel.ids import (
    AgentUri,
    ChainKey,
    ClassPath,
    Epoch,
    JobKey,
    LockPath,
    NodeState,
    OrderId,
    OrderKey,
)
from engine.kernel.instants import seconds
from engine.kernel.native import FILE_ORDER_SINK, SINK_TARGET
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    DirectoryRead,
    FileChecked,
    NativeEnded,
)
from engine.kernel.state import SINK_JOB
from tests.support.world import World, agents_class, chain, node, shell_job

WALK = ChainKey("/walk")
INCOMING = FileOrderSource(directory="/in")


def key_of(path: str) -> OrderKey:
    return OrderKey(WALK, OrderId(path))


def world_with(
    *jobs: Job, sources: tuple[FileOrderSource, ...] = (INCOMING,), **changes: object
) -> World:
    """A chain 100 -> 200 -> end that takes the files of `/in`."""
    return World(
        *(jobs or (shell_job("a"), shell_job("b"))),
        chain("walk", node("100", "a"), node("200", "b"), file_order_sources=sources, **changes),
    )


def demands(world: World) -> list[WatchDirectory]:
    return list(watch_demands(world.state, WALK, world.now))


def finds(world: World, *files: str, turn: int | None = None, gone: tuple[str, ...] = ()) -> None:
    """The driver tells what is in the first source's directory."""
    definition = world.state.chains[WALK].definition
    world.does(
        DirectoryRead(
            chain=WALK,
            source=0,
            directory=definition.file_order_sources[0].directory,
            turn=world.state.chains[WALK].file_turn if turn is None else turn,
            files=files,
            gone=gone,
        )
    )


def ends_at(world: World, path: str) -> None:
    """Bring a file order to the end of its chain."""
    finds(world, path)
    world.ends()
    world.ends()


# --- reading on demand ---------------------------------------------------------------------------


def test_a_directory_is_read_while_the_first_job_can_take_an_order() -> None:
    (demand,) = demands(world_with())
    assert (demand.directory, demand.room, demand.agent) == ("/in", 1, "")
    assert demand.repeat == seconds(10)


def test_no_directory_is_read_while_the_job_works() -> None:
    world = world_with()
    finds(world, "/in/1")
    assert not demands(world)
    world.ends()
    assert demands(world)


def test_no_directory_is_read_while_the_job_is_stopped() -> None:
    world = world_with()
    world.does(ModifyJob(job=JobKey("/a"), action=JobAction.STOP))
    assert not demands(world)


def test_no_directory_is_read_while_the_chain_the_node_or_the_engine_stands_still() -> None:
    for request in (
        ModifyChain(chain=WALK, stopped=True),
        ModifyNode(chain=WALK, state=NodeState("100"), action=NodeAction.STOP),
        PauseEngine(paused=True),
    ):
        world = world_with()
        world.does(request)
        assert not demands(world), request


def test_no_directory_is_read_while_an_order_could_start_instead() -> None:
    world = World(
        shell_job("a", process_class=ClassPath("/none")),
        ProcessClass(path=ClassPath("/none"), max_processes=0),
        chain("walk", node("100", "a"), file_order_sources=(INCOMING,)),
    )
    assert demands(world)
    world.adds("1")
    assert not demands(world)


def test_a_full_chain_takes_no_file_and_starts_no_task_for_one() -> None:
    world = world_with(max_orders=1)
    finds(world, "/in/1")
    world.ends()
    assert world.order(key_of("/in/1")).state == "200"
    assert not demands(world)
    finds(world, "/in/2")
    assert key_of("/in/2") not in world.state.orders
    world.ends()
    assert demands(world)


def test_room_is_for_as_many_files_as_tasks_may_run() -> None:
    world = world_with(shell_job("a", tasks=3), shell_job("b"))
    assert demands(world)[0].room == 3
    finds(world, "/in/1", "/in/2", "/in/3", "/in/4")
    assert len(world.tasks()) == 3
    assert key_of("/in/4") not in world.state.orders


def test_a_job_with_locks_takes_one_file_at_a_time() -> None:
    lock = LockPath("/l")
    world = World(
        Lock(path=lock),
        shell_job("a", tasks=3, locks=(LockUse(lock=lock),)),
        chain("walk", node("100", "a"), file_order_sources=(INCOMING,)),
    )
    finds(world, "/in/1", "/in/2")
    assert len(world.tasks()) == 1


def test_repeat_no_looks_all_the_same_every_ten_seconds() -> None:
    world = world_with(sources=(replace(INCOMING, repeat=None),))
    assert demands(world)[0].repeat == seconds(10)


def test_after_an_error_the_repeat_counts_unless_a_delay_is_given() -> None:
    source = replace(INCOMING, repeat=seconds(3))
    assert demands(world_with(sources=(source,)))[0].delay_after_error == seconds(3)
    source = replace(source, delay_after_error=seconds(60))
    assert demands(world_with(sources=(source,)))[0].delay_after_error == seconds(60)


# --- orders for files ----------------------------------------------------------------------------


def test_a_file_becomes_an_order_named_by_its_path() -> None:
    world = world_with()
    finds(world, "/in/1")
    order = world.order(key_of("/in/1"))
    assert order.params == {"scheduler_file_path": "/in/1"}
    assert (order.title, order.run_time, order.is_permanent) == ("", None, False)
    assert order.is_file_order
    task = world.task()
    assert environment_of(world.state, task)["SCHEDULER_TASK_TRIGGER_FILES"] == "/in/1"
    assert environment_of(world.state, task)["SCHEDULER_PARAM_SCHEDULER_FILE_PATH"] == "/in/1"


def test_files_are_taken_in_the_order_in_which_they_are_told() -> None:
    world = world_with()
    finds(world, "/in/z", "/in/a")
    assert world.happened(OrderAdded)[0].definition.key.id == "/in/z"


def test_a_file_told_twice_becomes_one_order() -> None:
    world = world_with(shell_job("a", tasks=2), shell_job("b"))
    finds(world, "/in/1")
    finds(world, "/in/1")
    assert len(world.ever(OrderAdded)) == 1


def test_a_look_from_before_an_order_went_creates_nothing() -> None:
    world = world_with()
    before = demands(world)[0].turn
    ends_at(world, "/in/1")
    world.does(FileChecked(order=key_of("/in/1"), path="/in/1", exists=False))
    finds(world, "/in/1", turn=before)
    assert key_of("/in/1") not in world.state.orders


def test_file_orders_begin_at_next_state() -> None:
    world = world_with(sources=(replace(INCOMING, next_state=NodeState("200")),))
    finds(world, "/in/1")
    assert world.order(key_of("/in/1")).state == "200"


def test_file_orders_begin_behind_skipped_nodes() -> None:
    world = world_with()
    skipped = ModifyNode(chain=WALK, state=NodeState("100"), action=NodeAction.NEXT_STATE)
    world.does(skipped)
    finds(world, "/in/1")
    assert world.order(key_of("/in/1")).state == "200"
    assert world.task().job == "/b"


def test_a_path_longer_than_an_order_id_is_ignored_until_the_file_has_gone() -> None:
    world = world_with()
    path = "/in/" + "x" * 247
    finds(world, path, "/in/1")
    (ignored,) = world.happened(FileIgnored)
    assert ignored.path == path
    assert key_of("/in/1") in world.state.orders
    world.ends()
    finds(world, path)
    assert not world.happened(FileIgnored)
    assert path in held_paths(world.state, WALK, "/in", AgentUri(""))
    finds(world, gone=(path,))
    assert world.happened(IgnoredFileGone)
    assert path not in held_paths(world.state, WALK, "/in", AgentUri(""))


def test_a_report_about_a_source_that_is_no_longer_there_says_nothing() -> None:
    world = world_with()
    for source, directory in ((1, "/in"), (0, "/elsewhere"), (-1, "/in")):
        world.does(
            DirectoryRead(chain=WALK, source=source, directory=directory, turn=0, files=("/in/1",))
        )
        assert not world.last


# --- directories that cannot be read -------------------------------------------------------------


def fails(world: World) -> None:
    world.does(DirectoryRead(chain=WALK, source=0, directory="/in", turn=0, error="gone"))


def test_an_unreadable_directory_is_told_once_and_again_when_it_is_back() -> None:
    world = world_with()
    fails(world)
    assert [event.alerts for event in world.happened(SourceFailed)] == [True]
    fails(world)
    assert not world.last
    finds(world)
    assert world.happened(SourceReadable)
    finds(world)
    assert not world.last


def test_a_directory_that_may_be_missing_gives_no_alert() -> None:
    world = world_with(sources=(replace(INCOMING, alert_when_directory_missing=False),))
    fails(world)
    assert [event.alerts for event in world.happened(SourceFailed)] == [False]


def test_what_is_wrong_with_a_directory_is_forgotten_with_its_source() -> None:
    world = world_with()
    fails(world)
    assert world.state.sources
    world.defines(chain("walk", node("100", "a")))
    assert not world.state.sources


# --- the end -------------------------------------------------------------------------------------


def test_a_file_that_is_still_there_at_the_end_blocks_its_order() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    key = key_of("/in/1")
    assert world.order(key).blacklisted
    assert check_demand(world.state, key) == CheckFile(order=key, path="/in/1", agent=AgentUri(""))
    world.does(FileChecked(order=key, path="/in/1", exists=True))
    assert world.happened(OrderFileStays)[0].task is not None
    assert check_demand(world.state, key) is None
    assert world.order(key).state == "end"
    finds(world, "/in/1")
    assert not world.tasks()


def test_an_order_goes_with_its_file() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    world.does(FileChecked(order=key_of("/in/1"), path="/in/1", exists=False))
    assert world.happened(OrderRemoved)
    finds(world, "/in/1")
    assert world.task().order == key_of("/in/1")


def test_the_blacklist_is_looked_through_with_every_read() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    world.does(FileChecked(order=key_of("/in/1"), path="/in/1", exists=True))
    assert held_paths(world.state, WALK, "/in", AgentUri("")) == ["/in/1"]
    finds(world, gone=("/in/1",))
    assert world.happened(OrderRemoved)


def test_a_failed_file_order_is_held_against_its_file_as_well() -> None:
    world = world_with()
    finds(world, "/in/1")
    world.ends(code=1)
    assert world.happened(OrderFinished)[0].state == "error"
    assert world.order(key_of("/in/1")).blacklisted


def test_modify_order_state_takes_an_order_off_the_blacklist() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    key = key_of("/in/1")
    world.does(FileChecked(order=key, path="/in/1", exists=True))
    world.modifies(key, state=NodeState("100"))
    assert not world.order(key).blacklisted
    assert world.task().order == key
    world.ends()
    world.ends()
    assert check_demand(world.state, key) is not None


def test_a_blacklisted_order_still_shows_the_log_of_its_run() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    order = world.order(key_of("/in/1"))
    assert order.history is None
    assert order.shown_history == 1


def test_a_removed_blacklisted_order_lets_its_file_start_again() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    world.does(RemoveOrder(order=key_of("/in/1")))
    finds(world, "/in/1")
    assert world.task().order == key_of("/in/1")


def test_a_check_that_comes_too_late_does_no_harm() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    key = key_of("/in/1")
    world.modifies(key, state=NodeState("100"))
    world.does(FileChecked(order=key, path="/in/1", exists=False))
    assert key in world.state.orders


def test_the_blacklist_survives_a_restart() -> None:
    world = world_with()
    ends_at(world, "/in/1")
    world.does(FileChecked(order=key_of("/in/1"), path="/in/1", exists=True))
    replayed = world.replayed()
    assert replayed.orders == world.state.orders
    world.does(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    assert world.order(key_of("/in/1")).blacklisted


def test_an_order_whose_path_is_blank_is_no_file_order() -> None:
    world = world_with()
    world.adds("1", params={"scheduler_file_path": ""})
    world.ends()
    world.ends()
    assert world.happened(OrderRemoved)


# --- sinks ---------------------------------------------------------------------------------------


def sink_world(**sink: object) -> World:
    values: dict[str, object] = {"state": NodeState("sink"), **sink}
    return World(
        shell_job("a"),
        chain(
            "walk",
            node("100", "a", next_state="sink"),
            SinkNode(**values),  # type: ignore[arg-type]  # by name
            file_order_sources=(INCOMING,),
        ),
    )


def at_sink(world: World) -> RunNative:
    finds(world, "/in/1")
    world.ends()
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, RunNative)
    return demand


def test_a_sink_is_carried_out_by_the_internal_job() -> None:
    demand = at_sink(sink_world(remove=True))
    assert demand.kind == FILE_ORDER_SINK
    assert demand.parameters == {"scheduler_file_path": "/in/1"}
    world = sink_world(move_to="/done")
    assert at_sink(world).parameters[SINK_TARGET] == "/done"
    assert world.task().job == SINK_JOB


def test_an_order_whose_sink_has_succeeded_ends_in_the_sink_and_is_gone() -> None:
    world = sink_world(remove=True)
    at_sink(world)
    world.native_ends()
    assert world.happened(OrderFinished)[0].state == "sink"
    assert key_of("/in/1") not in world.state.orders


def test_an_order_whose_sink_has_failed_ends_and_waits_for_its_file() -> None:
    world = sink_world(move_to="/nowhere")
    demand = at_sink(world)
    world.does(NativeEnded(key=demand.key, succeeded=False, text="No such directory"))
    assert world.happened(OrderFinished)[0].state == "sink"
    assert world.order(key_of("/in/1")).blacklisted
    assert not world.state.jobs[SINK_JOB].stopped


def test_an_order_without_a_file_fails_in_a_sink_and_goes() -> None:
    world = sink_world(remove=True)
    world.adds("1")
    world.ends()
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, RunNative)
    text = "SCHEDULER-343 The order is no file order"
    world.does(NativeEnded(key=demand.key, succeeded=False, text=text))
    (ended,) = world.happened(TaskEnded)
    assert (ended.error_code, ended.error_text) == ("SCHEDULER-343", "The order is no file order")
    assert not world.state.orders


def test_a_file_may_go_straight_to_the_sink_when_all_nodes_are_skipped() -> None:
    world = sink_world(remove=True)
    skip = ModifyNode(chain=WALK, state=NodeState("100"), action=NodeAction.NEXT_STATE)
    world.does(skip)
    finds(world, "/in/1")
    assert world.happened(TaskCreated)[0].job == SINK_JOB


def test_the_internal_job_outlives_a_look_at_the_live_folder() -> None:
    world = sink_world(remove=True)
    definitions = [job.definition for job in world.state.jobs.values() if job.key != SINK_JOB]
    world.does(ApplyDefinitions(defined=tuple(definitions), complete=True))
    assert SINK_JOB in world.state.jobs
    world.does(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    assert SINK_JOB in world.state.jobs


# --- agents --------------------------------------------------------------------------------------

ONE, TWO = AgentUri("http://one:4445"), AgentUri("http://two:4445")


def agent_world() -> World:
    return World(
        agents_class("remote", ONE, TWO),
        shell_job("a"),
        chain(
            "walk",
            node("100", "a", next_state="sink"),
            SinkNode(state=NodeState("sink"), remove=True),
            process_class=ClassPath("/remote"),
            file_order_sources=(INCOMING,),
        ),
    )


@pytest.mark.parametrize("name", ["process_class", "file_watching_process_class"])
def test_the_directory_of_a_chain_with_a_process_class_is_on_its_agent(name: str) -> None:
    world = world_with(**{name: ClassPath("/remote")})  # type: ignore[arg-type]  # by name
    assert not demands(world), "the class is missing, so the source waits"
    world.defines(agents_class("remote", ONE, TWO))
    assert demands(world)[0].agent == ONE
    world.defines(agents_class("remote", TWO))
    assert demands(world)[0].agent == TWO


def test_the_directory_is_read_on_the_next_agent_when_the_first_is_lost() -> None:
    world = agent_world()
    world.does(AgentContact(agent=ONE, status=AgentStatus.LOST))
    assert demands(world)[0].agent == TWO


def test_an_order_of_an_agents_file_names_the_agent() -> None:
    world = agent_world()
    finds(world, "/in/1")
    order = world.order(key_of("/in/1"))
    assert order.params["scheduler_file_remote_scheduler"] == ONE
    assert order.file_agent == ONE


def test_the_sink_of_an_agents_file_and_the_look_for_it_are_done_there() -> None:
    world = agent_world()
    assert at_sink(world).agents == (ONE,)
    world.does(NativeEnded(key=world.task().key or "", succeeded=False, text="no"))  # type: ignore[arg-type]
    check = check_demand(world.state, key_of("/in/1"))
    assert check is not None
    assert check.agent == ONE


def test_an_engine_that_ended_paused_begins_its_next_life_running() -> None:
    world = world_with()
    world.does(PauseEngine(paused=True))
    world.does(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    assert demands(world)
