"""The minimum of compatibility: one test for each line of orders-and-jobs.md 15.3.

Definitions are written as operators write them. What stands behind a line in detail is tested in
the files of its subject.
"""

from collections.abc import Mapping
from dataclasses import replace

from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    ApplyDefinitions,
    BeginEpoch,
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    StartJob,
)
from engine.kernel.definitions import Definition, OrderDefinition
from engine.kernel.demands import Run, demand_of
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.events.files import ExitCommandsChosen
from engine.kernel.events.orders import (
    OrderBlacklisted,
    OrderFinished,
    OrderSetBack,
    OrderStepEnded,
    Transition,
)
from engine.kernel.events.tasks import JobStopped, TaskAssigned, TaskAwaitsAgent
from engine.kernel.file_watching import watch_demands
from engine.kernel.ids import Epoch, NodeState, OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import NEVER, Instant, seconds
from engine.kernel.reports import (
    DirectoryRead,
    EndReason,
    FileChecked,
    LaunchFailure,
    NodeSettingsRead,
    TaskExited,
    TaskNotLaunched,
)
from engine.kernel.state import Order, Task
from tests.support.world import World
from tests.support.xml_files import definition

SHELL = '<script language="shell">true</script>'
NEVER_BY_ITSELF = "<run_time/>"
NEW_LIFE = BeginEpoch(epoch=Epoch(2), engine_id="test")


def live(files: Mapping[str, str]) -> list[Definition]:
    """Read the files of a live folder; names without their `.xml`."""
    return [definition(f"{name}.xml", text) for name, text in files.items()]


def job(inner: str = "", attributes: str = 'stop_on_error="no"') -> str:
    return f"<job {attributes}>{SHELL}{inner}</job>"


def world(**files: str) -> World:
    """A world of files; `a_job` stands for `a.job.xml`, `c__1_order` for `c,1.order.xml`."""
    found = World()
    found.defines(*live({_file(name): text for name, text in files.items()}))
    return found


def _file(name: str) -> str:
    for kind in ("job_chain", "process_class", "job", "order", "lock", "monitor"):
        if name.endswith(f"_{kind}"):
            return f"{name.removesuffix(f'_{kind}').replace('__', ',')}.{kind}"
    raise AssertionError(name)


def walk(first: str = "", attributes: str = "") -> str:
    """A chain of two nodes; `first` are attributes of its first node."""
    return (
        f"<job_chain {attributes}>"
        f'<job_chain_node state="100" job="a" error_state="bad" {first}/>'
        '<job_chain_node state="200" job="b" error_state="bad"/>'
        '<job_chain_node.end state="good"/><job_chain_node.end state="bad"/></job_chain>'
    )


def key(order: str, chain: str = "c") -> OrderKey:
    return OrderKey(chain_key(f"/{chain}"), OrderId(order))


def ended_at(found: World) -> list[str]:
    return [event.state for event in found.happened(OrderFinished)]


def again(found: World) -> World:
    """Another life of the engine: what the journal says, and nothing else."""
    found.state = found.replayed()
    found.does(NEW_LIFE)
    return found


def stands(found: World, order: str, chain: str = "c") -> Order:
    return found.order(key(order, chain))


def ends_monitored(found: World, code: int, *, result: bool) -> None:
    task = found.launches()
    assert task.key is not None
    found.does(
        TaskExited(
            key=task.key,
            exit_code=code,
            signal=None,
            reason=EndReason.EXITED,
            ended_at=found.now,
            returned={},
            monitored_result=result,
        )
    )


# --- the lines -----------------------------------------------------------------------------------


def test_implicit_end_state_implicit_next_state_empty_error_state() -> None:
    chain = '<job_chain><job_chain_node state="1" job="a"/><job_chain_node state="2" job="a"/>'
    w = world(a_job=job(), c_job_chain=f"{chain}</job_chain>")
    w.adds("x", "c")
    w.ends()
    assert stands(w, "x").state == "2"
    w.ends()
    assert ended_at(w) == ["<END_STATE>"]
    w.adds("y", "c")
    w.ends(code=3)
    assert ended_at(w) == [""]


def test_job_nodes_without_job_as_end_nodes() -> None:
    nodes = '<job_chain_node state="1" job="a"/><job_chain_node state="2"/>'
    w = world(a_job=job(), c_job_chain=f"<job_chain>{nodes}</job_chain>")
    w.adds("x", "c")
    w.ends()
    assert ended_at(w) == ["2"]


def test_persistent_stop_flags_of_jobs_chains_node_actions() -> None:
    w = world(a_job=job(), b_job=job(), c_job_chain=walk())
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.STOP))
    w.does(ModifyChain(chain=chain_key("/c"), stopped=True))
    w.does(ModifyNode(chain=chain_key("/c"), state=NodeState("200"), action=NodeAction.STOP))
    again(w)
    assert w.state.jobs[job_key("/a")].stopped
    assert w.state.chains[chain_key("/c")].stopped
    assert w.state.chains[chain_key("/c")].action(NodeState("200")) is NodeAction.STOP


def test_kept_order_after_job_stop_re_run_after_unstop() -> None:
    w = world(a_job=job(attributes=""), b_job=job(), c_job_chain=walk())
    w.adds("x", "c")
    w.ends(code=1)
    assert w.happened(OrderStepEnded)[0].transition is Transition.KEEP
    assert w.happened(JobStopped)
    assert stands(w, "x").state == "100"
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.UNSTOP))
    w.ends()
    assert stands(w, "x").state == "200"


def test_setback_table_and_reset_rules() -> None:
    table = (
        '<delay_order_after_setback setback_count="1" delay="60"/>'
        '<delay_order_after_setback setback_count="3" delay="00:10" />'
        '<delay_order_after_setback setback_count="4" is_maximum="yes" delay="0"/>'
    )
    w = world(a_job=job(table), b_job=job(), c_job_chain=walk('on_error="setback"'))
    w.adds("x", "c")
    for delay in (60, 60, 600):
        w.ends(code=1)
        assert w.happened(OrderSetBack)[0].start_at == w.now + seconds(delay)
        w.passes(seconds(delay))
    w.ends(code=1)
    w.ends(code=1)
    assert ended_at(w) == ["bad"], "four repetitions are five executions"
    w.adds("y", "c")
    w.ends(code=1)
    w.modifies(key("y"), end_setback=True)
    w.ends(code=1)
    assert stands(w, "y").setback_count == 2, 'setback="no" keeps the count'
    w.modifies(key("y"), at=AfterDelay(delay=seconds(5)))
    assert stands(w, "y").setback_count == 0
    w.passes(seconds(5))
    w.ends(code=1)
    assert stands(w, "y").setback_count == 1
    w.modifies(key("y"), state=NodeState("100"))
    w.ends(code=1)
    assert stands(w, "y").setback_count == 1, "state= begins to count anew"
    w.modifies(key("y"), reset=True, at=AfterDelay())
    w.ends(code=1)
    assert stands(w, "y").setback_count == 1, "and so does a reset"
    w.passes(seconds(60))
    w.ends()
    assert stands(w, "y").setback_count == 0, "and success"


def test_to_state_is_success() -> None:
    nodes = (
        '<job_chain_node state="100" job="a" on_error="setback" error_state="bad">'
        '<on_return_codes><on_return_code return_code="5..7 9"><to_state state="300"/>'
        "</on_return_code></on_return_codes></job_chain_node>"
        '<job_chain_node state="300" job="a"/><job_chain_node.end state="bad"/>'
    )
    w = world(a_job=job(), c_job_chain=f"<job_chain>{nodes}</job_chain>")
    w.adds("x", "c")
    w.ends(code=6)
    assert stands(w, "x").state == "300"
    assert stands(w, "x").last_error == ""
    assert stands(w, "x").setback_count == 0, "on_error has no effect"
    w.ends(code=9)
    assert ended_at(w) == [""], "the codes are those of one node only"


def test_end_state_rules_including_skipped_nodes() -> None:
    w = world(a_job=job(), b_job=job(), c_job_chain=walk())
    w.adds("x", "c", end_state=NodeState("100"))
    w.ends(code=4)
    assert ended_at(w) == ["100"], "its step is done, and the order ends there, failed or not"
    w.adds("z", "c", end_state=NodeState("200"))
    w.modifies(key("z"), end_state=NodeState("bad"))
    w.ends(code=4)
    assert ended_at(w) == ["bad"], "an end node as end state is an end as any other"
    w.does(ModifyNode(chain=chain_key("/c"), state=NodeState("200"), action=NodeAction.NEXT_STATE))
    w.adds("y", "c", end_state=NodeState("200"))
    w.ends()
    assert ended_at(w) == ["100"], "nobody travels past a skipped end state"
    start = OrderDefinition(key=key("s"), state=NodeState("200"), end_state=NodeState("200"))
    assert w.refused(AddOrder(order=start)).code == "SCHEDULER-438"


def test_nested_chains_with_outer_state_id_space_reset() -> None:
    outer = (
        '<job_chain><job_chain_node.job_chain state="one" job_chain="c" error_state="lost"/>'
        '<job_chain_node.job_chain state="two" job_chain="d"/>'
        '<job_chain_node.end state="done"/><job_chain_node.end state="lost"/></job_chain>'
    )
    w = world(a_job=job(), b_job=job(), c_job_chain=walk(), d_job_chain=walk(), s_job_chain=outer)
    w.adds("x", "s", suspended=True)
    assert stands(w, "x").outer is not None
    w.adds("x", "d", suspended=True)
    assert key("x") not in w.state.orders, "one id is one order in all of these chains"
    w.adds("y", "s", state=NodeState("two"))
    w.ends()
    w.ends()
    assert ended_at(w) == ["good"], "it began at the second inner chain"
    w.adds("z", "s")
    w.ends()
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.STOP))
    w.ends()
    place = stands(w, "z", "d").outer
    assert place is not None
    assert place.state == "two"
    w.modifies(key("z", "d"), reset=True)
    place = stands(w, "z").outer
    assert place is not None
    assert place.state == "one", "a reset leads to the first inner chain"


def test_permanent_order_repetition_pending_file_replacement_at_the_end() -> None:
    w = world(a_job=job(), b_job=job(), c_job_chain=walk(), c__p_order="<order/>")
    changed = definition("c,p.order.xml", f'<order title="new">{NEVER_BY_ITSELF}</order>')
    w.defines(changed)
    w.ends()
    assert stands(w, "p").title == ""
    w.ends()
    assert ended_at(w) == ["good"]
    assert (stands(w, "p").title, stands(w, "p").state) == ("new", "100")
    assert stands(w, "p").start_at == NEVER
    w.modifies(key("p"), at=AfterDelay())
    w.ends()
    w.ends()
    assert stands(w, "p").state == "100", "it returns after each run"


def test_file_order_blacklist_and_lazy_directory_reading() -> None:
    source = '<job_chain><file_order_source directory="/in"/>'
    chain = walk().replace("<job_chain >", source)
    w = world(a_job=job(), b_job=job(), c_job_chain=chain)
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.STOP))
    assert not list(watch_demands(w.state, chain_key("/c"), w.now)), "nobody would take a file"
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.UNSTOP))
    (watch,) = watch_demands(w.state, chain_key("/c"), w.now)
    look = DirectoryRead(
        chain=chain_key("/c"), source=0, directory="/in", turn=watch.turn, files=("/in/f",)
    )
    w.does(look)
    w.ends()
    w.ends()
    assert w.happened(OrderBlacklisted)
    w.does(FileChecked(order=key("/in/f"), path="/in/f", exists=True))
    w.does(look)
    assert stands(w, "/in/f").blacklisted, "a file that stays does not start again"
    w.does(replace(look, files=(), gone=("/in/f",)))
    assert key("/in/f") not in w.state.orders


def test_ad_hoc_persistence_permanent_persistence_by_modify_order_and_time_stamp() -> None:
    files = {
        "a.job": job(attributes='enabled="no"'),
        "b.job": job(),
        "c.job_chain": walk(),
        "c,p.order": f"<order>{NEVER_BY_ITSELF}</order>",
        "c,q.order": f"<order>{NEVER_BY_ITSELF}</order>",
    }
    w = World(*live(files))
    w.adds("x", "c", params={"n": "1"}, suspended=True, priority=5)
    for name in ("p", "q"):
        w.modifies(key(name), title="by command", state=NodeState("200"), suspended=True)
    again(w)
    q = definition("c,q.order.xml", f"<order>{NEVER_BY_ITSELF}</order>")
    assert isinstance(q, OrderDefinition)
    assert q.source is not None
    touched = replace(q, source=replace(q.source, modified_at=Instant(9_000)))
    others = [one for one in live(files) if one != q]
    w.does(ApplyDefinitions(defined=(*others, touched), complete=True))
    x = stands(w, "x")
    assert (x.params, x.suspended, x.priority) == ({"n": "1"}, True, 5)
    assert (stands(w, "p").title, stands(w, "p").state) == ("by command", "200")
    assert (stands(w, "q").title, stands(w, "q").state) == ("", "100")


def test_environment_variables_prefix_precedence_state_name_return_values() -> None:
    a = job('<params><param name="p" value="job"/><param name="j" value="job"/></params>')
    a = a.replace(SHELL, "").replace("</job>", f"{SHELL}</job>")
    w = world(a_job=a, b_job=job(), c_job_chain=walk())
    params = {"p": "engine", "e": "engine"}
    w.does(ApplyDefinitions(main=replace(w.state.main, params=params)))
    w.adds("x", "c", params={"J": "order", "100/own": "1", "200/other": "2"})
    environment = _environment(w)
    assert environment["SCHEDULER_PARAM_E"] == "engine"
    assert environment["SCHEDULER_PARAM_P"] == "job"
    assert environment["SCHEDULER_PARAM_J"] == "order"
    assert environment["SCHEDULER_PARAM_OWN"] == "1"
    assert "SCHEDULER_PARAM_OTHER" not in environment
    assert environment["SCHEDULER_ORDER_STATE"] == "100"
    w.ends(code=0, returned={"j": "returned"})
    assert stands(w, "x").params["J"] == "returned"
    prefix = {"scheduler.variable_name_prefix": "*NONE"}
    w.does(ApplyDefinitions(main=replace(w.state.main, params=prefix)))
    assert _environment(w)["OTHER"] == "2"


def _environment(found: World) -> Mapping[str, str]:
    demand = demand_of(found.state, found.task())
    assert isinstance(demand, Run)
    return demand.run.spec.environment


def test_monitors_before_after_semantics_on_exit_commands() -> None:
    commands = '<commands on_exit_code="error"><start_job job="/b"/></commands>'
    w = world(a_job=job(commands, attributes=""), b_job=job(), c_job_chain=walk())
    w.adds("x", "c")
    ends_monitored(w, 7, result=True)
    assert stands(w, "x").state == "200", "what `after` says counts for the order"
    assert w.happened(JobStopped), "and the exit code for the job"
    assert w.happened(ExitCommandsChosen)
    w.ends()
    w.does(ModifyJob(job=job_key("/a"), action=JobAction.UNSTOP))
    w.adds("y", "c")
    ends_monitored(w, 0, result=False)
    assert ended_at(w) == ["bad"]
    assert not w.happened(JobStopped), "a result of false is no error of the task"
    assert not w.happened(ExitCommandsChosen)


def test_process_class_select_first_next_with_retry_delay_waiting_for_agent() -> None:
    def agents(select: str) -> str:
        listed = "".join(f'<remote_scheduler remote_scheduler="http://{n}:1"/>' for n in "ab")
        return (
            f'<process_class><remote_schedulers select="{select}">{listed}'
            "</remote_schedulers></process_class>"
        )

    for select, expected in (("first", ["a", "a", "a"]), ("next", ["a", "b", "a"])):
        a = job(attributes='process_class="k"')
        w = world(a_job=a, k_process_class=agents(select))
        for _ in range(3):
            w.does(StartJob(job=job_key("/a")))
            w.ends()
        assert [event.agent[7] for event in w.ever(TaskAssigned)] == expected
    w.does(StartJob(job=job_key("/a")))
    for _ in range(2):
        _unreachable(w, w.task())
    assert w.happened(TaskAwaitsAgent), "both are left out for the retry delay"
    w.passes(seconds(29))
    assert w.task().key is None
    w.passes(seconds(2))
    assert w.task().key is not None


def _unreachable(found: World, task: Task) -> None:
    assert task.key is not None
    failure = LaunchFailure.UNREACHABLE
    found.does(TaskNotLaunched(key=task.key, failure=failure, text="connection refused"))


def test_atomic_multi_lock_acquisition() -> None:
    uses = '<lock.use lock="l"/><lock.use lock="m"/>'
    one = f'<job><lock.use lock="m"/>{SHELL}</job>'
    w = world(
        a_job=f"<job>{uses}{SHELL}</job>",
        b_job=one,
        d_job=one.replace('"m"', '"l"'),
        l_lock="<lock/>",
        m_lock="<lock/>",
    )
    w.does(StartJob(job=job_key("/b")))
    w.does(StartJob(job=job_key("/a")))
    assert set(w.state.lock_holders) == {"/m"}, "who cannot have all locks takes none"
    w.ends(w.tasks()[0])
    assert set(w.state.lock_holders) == {"/l", "/m"}


def test_configuration_monitor_as_built_in() -> None:
    java_class = "sos.scheduler.managed.configuration.ConfigurationOrderMonitor"
    monitor = (
        '<monitor name="configuration_monitor" ordering="0">'
        f'<script language="java" java_class="{java_class}"/></monitor>'
    )
    w = world(a_job=job(monitor), b_job=job(), c_job_chain=walk())
    w.adds("x", "c")
    asked = demand_of(w.state, w.task())
    assert isinstance(asked, ReadNodeSettings)
    w.does(
        NodeSettingsRead(
            key=asked.key,
            task_params=asked.task_params,
            order_params={"wide": "1", "own": "2"},
            xml_payload="<settings/>",
            taken_back=("own",),
        )
    )
    environment = _environment(w)
    assert environment["SCHEDULER_PARAM_WIDE"] == "1"
    assert environment["SCHEDULER_PARAM_OWN"] == "2"
    w.ends()
    assert stands(w, "x").params == {"wide": "1"}, "what is for one node leaves after its step"
