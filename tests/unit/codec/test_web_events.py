"""Events of the JSON web service: whole sequences of the kernel, as clients are told of them."""

from collections.abc import Iterable

from engine.codec.journal import JOURNAL
from engine.codec.streamed_json import Json
from engine.codec.web_events import WebEventMaker, are_events, group_of, is_asked_for
from engine.kernel.commands import (
    AddOrder,
    ApplyDefinitions,
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    Request,
    StartJob,
    Tick,
)
from engine.kernel.definitions import (
    Definition,
    Monitor,
    MonitorUse,
    NestedNode,
    OnError,
    OrderDefinition,
    Source,
)
from engine.kernel.ids import (
    ClassPath,
    MonitorPath,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Instant, seconds
from engine.kernel.reports import LaunchFailure, TaskNotLaunched
from tests.support.fake_engine import FakeEngine
from tests.support.world import SCRIPT, agents_class, chain, node, setback, shell_job


class Told:
    """An engine whose events are made into those of the web service, one commit after the other."""

    def __init__(self, *definitions: Definition) -> None:
        self.engine = FakeEngine(*definitions)
        self.read = len(self.engine.rows)
        self.maker = WebEventMaker(self.engine.state, from_the_first=False)

    def step(self, request: Request) -> None:
        self.engine.step(request)

    def add(self, order_id: str, path: str = "/walk", **changes: object) -> None:
        key = OrderKey(chain_key(path), OrderId(order_id))
        definition = OrderDefinition(key=key, **changes)  # type: ignore[arg-type]  # by name
        self.step(AddOrder(order=definition))

    def run(self, task: int, code: int = 0) -> None:
        self.engine.launch(task)
        self.engine.end(task, code)

    def news(self) -> list[Json]:
        """Return what is told of everything since the last call."""
        rows = self.engine.rows[self.read :]
        self.read = len(self.engine.rows)
        return [told for row in rows for told in self.maker.events(JOURNAL.event_of(row))]

    def order_news(self) -> list[str]:
        """Return what is told of orders, as `Name(node)`."""
        return named(each for each in self.news() if each["TYPE"].startswith("Order"))


def named(events: Iterable[Json]) -> list[str]:
    told = []
    for event in events:
        name, node_id, former = event["TYPE"], event.get("nodeId"), event.get("fromNodeId")
        places = ", ".join(each for each in (node_id, former) if each is not None)
        told.append(f"{name}({places})" if places else name)
    return told


def order_file(order_id: str, path: str = "/walk", **changes: object) -> OrderDefinition:
    key = OrderKey(chain_key(path), OrderId(order_id))
    source = Source(file=f"walk,{order_id}.order.xml", modified_at=Instant(1_000))
    return OrderDefinition(key=key, source=source, **changes)  # type: ignore[arg-type]  # by name


WALK = (shell_job("one"), shell_job("two"), chain("walk", node("1", "one"), node("2", "two")))


def test_an_ad_hoc_order_goes_through_two_nodes() -> None:
    told = Told(*WALK)
    told.add("o")
    told.run(1)
    told.run(2)
    assert told.order_news() == [
        "OrderAdded(1)",
        "OrderStarted",
        "OrderStepStarted(1)",
        "OrderStepEnded",
        "OrderNodeChanged(2, 1)",
        "OrderStepStarted(2)",
        "OrderStepEnded",
        "OrderNodeChanged(end, 2)",
        "OrderFinished(end)",
        "OrderRemoved",
    ]


def test_a_permanent_order_goes_back_instead_of_being_removed() -> None:
    told = Told(*WALK)
    told.step(ApplyDefinitions(defined=(order_file("p"),)))
    told.run(1)
    told.run(2)
    news = told.order_news()
    assert news[0] == "OrderAdded(1)"
    assert news[news.index("OrderFinished(end)") + 1] == "OrderNodeChanged(1, end)"
    assert "OrderRemoved" not in news


def test_a_failing_order_is_suspended_without_a_change_of_node() -> None:
    suspending = node("1", "one", on_error=OnError.SUSPEND)
    told = Told(shell_job("one"), chain("walk", suspending))
    told.add("o")
    told.run(1, code=7)
    news = told.news()
    ended = next(each for each in news if each["TYPE"] == "OrderStepEnded")
    assert ended["nodeTransition"] == {"TYPE": "Error", "returnCode": 7}
    assert "OrderSuspended" in named(news)
    assert not [each for each in news if each["TYPE"] == "OrderNodeChanged"]


def test_a_setback_names_the_node_it_happens_at() -> None:
    patient = shell_job("one", **setback((1, 60), most=3))
    told = Told(patient, chain("walk", node("1", "one", on_error=OnError.SETBACK)))
    told.add("o")
    told.run(1, code=1)
    assert "OrderSetBack(1)" in told.order_news()


def test_an_order_that_waits_for_an_agent_is_told_to_be_waiting_in_its_task_once() -> None:
    remote = shell_job("one", process_class=ClassPath("/remote"))
    told = Told(agents_class("remote", "http://a:1"), remote, chain("walk", node("1", "one")))
    told.add("o")
    for _ in range(2):
        key = told.engine.state.tasks[TaskId(1)].key
        assert key is not None
        told.engine.step(TaskNotLaunched(key=key, failure=LaunchFailure.UNREACHABLE, text="away"))
        told.engine.time = Instant(told.engine.time + seconds(600))
        told.engine.step(Tick())
    assert told.order_news().count("OrderWaitingInTask") == 1


def test_orders_of_super_chains_begin_and_end_each_inner_chain() -> None:
    told = Told(
        shell_job("one"),
        shell_job("two"),
        chain("inner1", node("1", "one")),
        chain("inner2", node("2", "two")),
        chain(
            "super",
            NestedNode(
                state=NodeState("A"),
                chain=chain_key("/inner1"),
                chain_path="/inner1",
                next_state=NodeState("B"),
            ),
            NestedNode(
                state=NodeState("B"),
                chain=chain_key("/inner2"),
                chain_path="/inner2",
                next_state=NodeState("end"),
            ),
        ),
    )
    told.add("o", "/super")
    told.run(1)
    told.run(2)
    news = [each for each in told.news() if each["TYPE"].startswith("Order")]
    assert [each["key"] for each in news if each["TYPE"] == "OrderAdded"] == ["/inner1,o"]
    steps = [
        (each["TYPE"], each["key"])
        for each in news
        if each["TYPE"] in {"OrderStarted", "OrderFinished"} or "Nested" in each["TYPE"]
    ]
    assert steps == [
        ("OrderStarted", "/inner1,o"),
        ("OrderNestedFinished", "/inner1,o"),
        ("OrderNestedStarted", "/inner2,o"),
        ("OrderNestedFinished", "/inner2,o"),
        ("OrderFinished", "/inner2,o"),
    ]


def test_tasks_are_named_with_their_job_to_their_end() -> None:
    told = Told(*WALK)
    told.add("o")
    told.run(1, code=3)
    tasks = [each for each in told.news() if each["TYPE"].startswith("Task")]
    assert [each["TYPE"] for each in tasks[:3]] == ["TaskStarted", "TaskEnded", "TaskClosed"]
    assert {each["key"]["jobPath"] for each in tasks[:3]} == {"/one"}
    assert tasks[1]["returnCode"] == 3


def test_the_end_of_a_task_comes_after_a_step_that_succeeded_and_before_one_that_failed() -> None:
    told = Told(*WALK)
    told.add("o")
    told.run(1)
    told.run(2, code=1)
    ends = [each["TYPE"] for each in told.news() if each["TYPE"] in {"TaskEnded", "OrderStepEnded"}]
    assert ends == ["OrderStepEnded", "TaskEnded", "TaskEnded", "OrderStepEnded"]


def test_a_job_tells_each_state_it_comes_into_once() -> None:
    told = Told(shell_job("alone", is_order_job=False))
    told.step(StartJob(job=job_key("/alone")))
    states = told.news()
    told.engine.launch()
    told.step(ModifyJob(job=job_key("/alone"), action=JobAction.STOP))
    states += told.news()
    told.engine.end()
    states += told.news()
    told.step(ModifyJob(job=job_key("/alone"), action=JobAction.UNSTOP))
    states += told.news()
    names = [each.get("state", each["TYPE"]) for each in states if each["TYPE"].startswith("Job")]
    assert names == [
        "JobTaskQueueChanged",
        "JobTaskQueueChanged",
        "running",
        "stopping",
        "stopped",
        "JobUnstopped",
        "pending",
    ]


def test_chains_and_nodes_tell_what_was_done_to_them() -> None:
    told = Told(*WALK)
    told.step(ModifyChain(chain=chain_key("/walk"), stopped=True))
    told.step(ModifyChain(chain=chain_key("/walk"), stopped=True))
    told.step(ModifyNode(chain=chain_key("/walk"), state=NodeState("1"), action=NodeAction.STOP))
    assert told.news() == [
        {"TYPE": "JobChainStateChanged", "key": "/walk", "state": "stopped"},
        {
            "TYPE": "JobChainNodeActionChanged",
            "key": "/walk",
            "nodeId": "1",
            "action": "stop",
        },
    ]


def test_the_engine_tells_when_it_pauses() -> None:
    told = Told(*WALK)
    told.step(PauseEngine(paused=True))
    assert told.news() == [{"TYPE": "SchedulerStateChanged", "state": "paused"}]


# --- files ---------------------------------------------------------------------------------------


def of_files(told: Told) -> list[tuple[str, str]]:
    return [
        (each["TYPE"], each["key"]) for each in told.news() if each["TYPE"].startswith("FileBased")
    ]


def test_a_new_file_is_added_and_activated_a_changed_one_replaced() -> None:
    told = Told(*WALK)
    told.step(ApplyDefinitions(defined=(shell_job("New"),)))
    assert of_files(told) == [("FileBasedAdded", "Job:/New"), ("FileBasedActivated", "Job:/New")]
    told.step(ApplyDefinitions(defined=(shell_job("New", title="changed"),)))
    assert of_files(told) == [
        ("FileBasedReplaced", "Job:/New"),
        ("FileBasedActivated", "Job:/New"),
    ]
    gone = ObjectRef(kind=ObjectKind.JOB, path="/New")
    told.step(ApplyDefinitions(removed=(gone,)))
    assert of_files(told) == [("FileBasedRemoved", "Job:/New")]


def test_a_replaced_chain_tells_nothing_of_its_orders() -> None:
    told = Told(*WALK)
    told.add("o", suspended=True)
    told.news()
    told.step(ApplyDefinitions(defined=(chain("walk", node("1", "one"), title="new"),)))
    assert [each["TYPE"] for each in told.news()] == ["FileBasedReplaced", "FileBasedActivated"]


def test_a_job_that_misses_something_is_activated_when_that_comes() -> None:
    path = MonitorPath("/m")
    told = Told()
    told.step(ApplyDefinitions(defined=(shell_job("late", monitors=(MonitorUse(path=path),)),)))
    assert of_files(told) == [("FileBasedAdded", "Job:/late")]
    told.step(ApplyDefinitions(defined=(Monitor(path=path, script=SCRIPT),)))
    assert of_files(told) == [
        ("FileBasedAdded", "Monitor:/m"),
        ("FileBasedActivated", "Monitor:/m"),
        ("FileBasedActivated", "Job:/late"),
    ]
    told.step(ApplyDefinitions(removed=(ObjectRef(kind=ObjectKind.MONITOR, path="/m"),)))
    gone = told.news()
    assert {"TYPE": "JobStateChanged", "key": "/late", "state": "loaded"} in gone
    told.step(ApplyDefinitions(defined=(Monitor(path=path, script=SCRIPT),)))
    assert ("FileBasedActivated", "Job:/late") in of_files(told)


def test_the_file_of_an_order_is_told_of_beside_the_order() -> None:
    told = Told(*WALK)
    told.step(ApplyDefinitions(defined=(order_file("p", suspended=True),)))
    assert of_files(told) == [
        ("FileBasedAdded", "Order:/walk,p"),
        ("FileBasedActivated", "Order:/walk,p"),
    ]
    gone = ObjectRef(kind=ObjectKind.ORDER, path="/walk,p")
    told.step(ApplyDefinitions(removed=(gone,)))
    assert ("FileBasedRemoved", "Order:/walk,p") in of_files(told)


# --- what clients ask for ------------------------------------------------------------------------


def test_groups_mean_their_events_and_event_means_all() -> None:
    assert group_of("JobChainStateChanged") == "JobChainEvent"
    assert group_of("JobStateChanged") == "JobEvent"
    assert group_of("FileBasedAdded") == "FileBasedEvent"
    changed = {"TYPE": "JobChainStateChanged"}
    assert is_asked_for(changed, frozenset({"JobChainEvent"}))
    assert not is_asked_for(changed, frozenset({"JobEvent"}))
    assert is_asked_for(changed, frozenset({"Event"}))
    assert are_events(frozenset({"OrderEvent", "TaskStarted", "Logged"}))
    assert not are_events(frozenset({"OrderEvent", "OrderOverview"}))
    assert not are_events(frozenset())
