"""State -> answer elements about orders, chains and jobs: what clients look for."""

from dataclasses import replace

from lxml import etree

from engine.codec.xml.answers import (
    PastOrder,
    PastTask,
    answer_bytes,
    answer_document,
    error_element,
    moment,
    parse_what,
)
from engine.codec.xml.answers_chains import chain_element
from engine.codec.xml.answers_jobs import history_element, job_element, task_element
from engine.codec.xml.answers_orders import order_element
from engine.codec.xml.findings import Element
from engine.kernel.calendar import (
    Period,
    RunTime,
)
from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    ObjectKind,
    ObjectRef,
    StartJob,
)
from engine.kernel.definitions import (
    FileOrderSource,
    LockUse,
    MonitorUse,
    NestedNode,
    OrderDefinition,
    SinkNode,
    Visible,
)
from engine.kernel.ids import (
    ChainKey,
    ClassPath,
    LockPath,
    MonitorPath,
    NodeState,
    OrderId,
    OrderKey,
    SchedulePath,
    chain_key,
    job_key,
)
from engine.kernel.instants import NEVER, Instant, seconds
from engine.kernel.pending import SourceState, source_key
from engine.kernel.problems import Problem
from tests.support.answers import texts, view, walking
from tests.support.world import World, chain, file_source, node, shell_job

# --- envelope ------------------------------------------------------------------------------------


def test_an_error_has_code_and_two_blanks() -> None:
    element = error_element(Problem(code="SCHEDULER-161", text="There is no Job '/x'"))
    assert element.get("text") == "SCHEDULER-161  There is no Job '/x'"


def test_a_document_declares_its_encoding() -> None:
    document = answer_document([], Instant(0), Problem(code="X", text="ü\x00€"))
    latin = answer_bytes(document, encoding="ISO-8859-1")
    assert b"ISO-8859-1" in latin[:60]
    assert etree.fromstring(latin).xpath("string(answer/ERROR/@text)") == "X  ü\ufffd€"
    assert b"UTF-8" in answer_bytes(document)[:60]


def test_what_adds_to_the_default_until_none_clears_it() -> None:
    assert parse_what("payload, source") == frozenset({"jobs", "tasks", "payload", "source"})
    assert parse_what("payload none log") == frozenset({"log"})
    assert parse_what("") == frozenset({"jobs", "tasks"})
    problem = parse_what("nonsense")
    assert isinstance(problem, Problem)
    assert problem.code == "SCHEDULER-164"


def test_never_is_written_with_a_blank_and_immediately_not_at_all() -> None:
    assert moment(NEVER) == "2038-01-19 03:14:07.000Z"
    assert moment(Instant(0)) is None
    assert moment(Instant(1_000)) == "1970-01-01T00:00:01.000Z"


# --- orders --------------------------------------------------------------------------------------


def test_an_order_shows_where_it_is_and_what_it_waits_for() -> None:
    world = walking()
    key = world.adds("o1", at=AfterDelay(delay=seconds(60)), title="T", priority=3)
    order = order_element(view(world, "payload"), world.order(key))
    assert {str(name): value for name, value in order.attrib.items()} == {
        "path": "/",
        "order": "o1",
        "id": "o1",
        "next_start_time": "2023-11-14T22:14:20.000Z",
        "title": "T",
        "state": "100",
        "initial_state": "100",
        "job_chain": "/walk",
        "job": "/first",
        "priority": "3",
        "created": "2023-11-14T22:13:20.000Z",
        "order_source_type": "AdHoc",
        "at": "2023-11-14T22:14:20.000Z",
    }
    assert order[0].tag == "file_based"
    assert texts(order, "payload/params/@count") == ["0"]


def test_an_order_in_a_task_names_it() -> None:
    world = walking()
    key = world.adds("o1")
    world.launches()
    order = order_element(view(world), world.order(key))
    assert order.get("task") == "1"
    assert order.get("in_process_since") == "2023-11-14T22:13:20.000Z"
    assert order.get("next_start_time") is None


def test_a_suspended_order_says_so() -> None:
    world = walking()
    key = world.adds("o1", suspended=True)
    order = order_element(view(world), world.order(key))
    assert order.get("suspended") == "yes"
    world.modifies(key, suspended=False)
    assert order_element(view(world), world.order(key)).get("suspended") is None


def test_payload_and_source_come_when_asked_for() -> None:
    world = walking()
    key = world.adds(
        "o1",
        suspended=True,
        params={"B": "2", "a": "1"},
        xml_payload="<x><y/></x>",
        source=replace(file_source("walk,o1.order.xml"), xml='<order title="file"/>'),
    )
    order = order_element(view(world, "payload", "source"), world.order(key))
    assert texts(order, "payload/params/param/@name") == ["a", "B"]
    assert texts(order, "source/order/@title") == ["file"]
    assert len(texts(order, "xml_payload/x/y")) == 1
    plain = order_element(view(world), world.order(key))
    assert not texts(plain, "payload | source | xml_payload")


def test_a_permanent_order_has_the_path_of_its_file() -> None:
    world = walking()
    key = world.adds("o1", suspended=True, source=file_source("walk,o1.order.xml"))
    order = order_element(view(world), world.order(key))
    assert (order.get("path"), order.get("name")) == ("/walk,o1", "walk,o1")
    assert texts(order, "file_based/requisites/requisite/@path") == ["/walk"]
    assert texts(order, "file_based/@file") == ["/etc/live/walk,o1.order.xml"]


# --- chains --------------------------------------------------------------------------------------


def test_orders_stand_in_the_queue_of_their_node() -> None:
    world = walking()
    world.adds("late", suspended=True)
    world.adds("urgent", priority=9, at=AfterDelay(delay=seconds(60)))
    world.adds("normal", at=AfterDelay(delay=seconds(60)))
    found = chain_element(view(world), world.state.chains[chain_key("/walk")], with_orders=True)
    assert texts(found, "job_chain_node[@state='100']/order_queue/@length") == ["3"]
    assert texts(found, "job_chain_node/order_queue/order/@id") == ["late", "urgent", "normal"]
    assert texts(found, "@orders | @running_orders") == ["3", "0"]
    assert texts(found, "job_chain_node/@state") == ["100", "200", "end", "error"]
    assert texts(found, "job_chain_node[@state='100']/@job") == ["/first"]


def test_the_queue_has_a_next_start_time_even_if_it_is_never() -> None:
    world = walking()
    shown = chain_element(view(world), world.state.chains[chain_key("/walk")])
    assert set(texts(shown, "job_chain_node/order_queue/@next_start_time")) == {
        "2038-01-19 03:14:07.000Z"
    }


def test_queues_are_cut_at_max_orders_but_counted_whole() -> None:
    world = walking()
    for number in range(5):
        world.adds(f"o{number}", suspended=True)
    shown = chain_element(
        view(world, max_orders=2), world.state.chains[chain_key("/walk")], with_orders=True
    )
    assert texts(shown, "job_chain_node[1]/order_queue/@length") == ["5"]
    assert texts(shown, "job_chain_node[1]/order_queue/order/@id") == ["o0", "o1"]


def test_stopped_chains_and_nodes_say_so() -> None:
    world = walking()
    key = chain_key("/walk")
    world.does(ModifyChain(chain=key, stopped=True))
    world.does(ModifyNode(chain=key, state=NodeState("200"), action=NodeAction.NEXT_STATE))
    shown = chain_element(view(world), world.state.chains[key])
    assert shown.get("state") == "stopped"
    assert texts(shown, "job_chain_node[@state='200']/@action") == ["next_state"]
    assert not texts(shown, "job_chain_node[@state='100']/@action")


def test_suspended_orders_at_an_end_are_the_blacklist() -> None:
    world = walking()
    key = world.adds("o1", suspended=True)
    world.modifies(key, state=NodeState("end"))
    chain_state = world.state.chains[chain_key("/walk")]
    shown = chain_element(view(world, "blacklist"), chain_state, with_orders=True)
    assert texts(shown, "blacklist/@count") == ["1"]
    assert texts(shown, "blacklist/order/@id") == ["o1"]
    assert texts(shown, "blacklist/order/@on_blacklist") == ["yes"]
    assert not texts(shown, "job_chain_node/order_queue/order")
    assert not texts(chain_element(view(world), chain_state), "blacklist/order")


def test_the_history_of_a_chain_has_no_leading_slash() -> None:
    world = walking()
    past = PastOrder(
        history=7,
        chain="/walk",
        order="o1",
        title="",
        state="end",
        state_text="",
        started_at=Instant(1_500),
        ended_at=None,
    )
    shown = chain_element(
        view(world, past_orders={"/walk": (past,)}), world.state.chains[chain_key("/walk")]
    )
    assert texts(shown, "order_history/order/@job_chain") == ["walk"]
    assert texts(shown, "order_history/order/@start_time") == ["1970-01-01T00:00:01.000Z"]
    assert not texts(shown, "order_history/order/@end_time")


def test_sources_sinks_and_nested_chains_are_shown() -> None:
    source = FileOrderSource(directory="/in", regex="x", repeat=None, next_state=NodeState("100"))
    nested = NestedNode(state=NodeState("N"), chain=ChainKey("/walk"), chain_path="/walk")
    world = walking()
    world.defines(
        chain(
            "files",
            node("100", "first"),
            SinkNode(state=NodeState("sink"), move_to="/done"),
            file_order_sources=(source,),
        ),
        chain("whole", nested),
    )
    shown = chain_element(view(world), world.state.chains[chain_key("/files")])
    assert texts(shown, "file_order_source/@directory") == ["/in"]
    assert texts(shown, "file_order_source/@repeat") == ["no"]
    assert texts(shown, "job_chain_node[@state='sink']/file_order_sink/@move_to") == ["/done"]
    whole = chain_element(view(world), world.state.chains[chain_key("/whole")])
    assert texts(whole, "job_chain_node[@state='N']/@job_chain") == ["/walk"]


# --- jobs ----------------------------------------------------------------------------------------


def job_shown(world: World, path: str, *what: str, **changes: object) -> Element:
    return job_element(view(world, *what, **changes), world.state.jobs[job_key(path)])


def test_a_job_shows_its_name_path_and_state() -> None:
    world = World(shell_job("a/Work", title="T", visible=Visible.NO))
    shown = job_shown(world, "/a/work")
    assert (shown.get("path"), shown.get("name"), shown.get("job")) == ("/a/Work", "Work", "Work")
    assert (shown.get("state"), shown.get("visible"), shown.get("order")) == (
        "pending",
        "no",
        "yes",
    )
    assert shown[0].tag == "file_based"
    assert texts(shown, "tasks/@count") == ["0"]
    assert texts(shown, "queued_tasks/@length") == ["0"]
    assert texts(shown, "order_queue/@length") == ["0"]


def test_the_state_of_a_job_follows_its_tasks() -> None:
    world = walking()
    key = job_key("/first")
    world.adds("o1")
    world.launches()
    assert job_shown(world, "/first").get("state") == "running"
    world.does(ModifyJob(job=key, action=JobAction.STOP))
    assert job_shown(world, "/first").get("state") == "stopping"
    world.ends()
    assert job_shown(world, "/first").get("state") == "stopped"
    world.does(ModifyJob(job=key, action=JobAction.UNSTOP))
    assert job_shown(world, "/first").get("state") == "pending"


def test_a_job_without_its_requisites_is_loaded() -> None:
    world = World(
        shell_job(
            "work",
            process_class=ClassPath("/missing"),
            locks=(LockUse(lock=LockPath("/gone")),),
            monitors=(MonitorUse(path=MonitorPath("/away")),),
            run_time=RunTime(schedule=SchedulePath("/when")),
        )
    )
    shown = job_shown(world, "/work")
    assert shown.get("state") == "loaded"
    assert texts(shown, "file_based/@state") == ["incomplete"]
    assert texts(shown, "file_based/requisites/requisite[@is_missing='yes']/@type") == [
        "Process_class",
        "Lock",
        "Monitor",
        "Schedule",
    ]


def test_the_last_failure_is_the_error_of_the_job() -> None:
    world = walking()
    failed = PastTask(
        id=3,
        job="/first",
        cause="order",
        started_at=Instant(0),
        ended_at=Instant(1_000),
        exit_code=-9,
        error_code="SCHEDULER-728",
        error_text="killed",
    )
    shown = job_shown(world, "/first", past_tasks={"/first": (failed,)})
    assert texts(shown, "ERROR/@code") == ["SCHEDULER-728"]
    assert texts(shown, "ERROR/@text") == ["SCHEDULER-728  killed"]
    running = replace(failed, id=4, ended_at=None, error_code="", error_text="")
    shown = job_shown(world, "/first", past_tasks={"/first": (running, failed)})
    assert texts(shown, "ERROR/@code") == ["SCHEDULER-728"]
    fine = replace(failed, id=4, error_code="", error_text="")
    assert not texts(job_shown(world, "/first", past_tasks={"/first": (fine, failed)}), "ERROR")


def test_params_and_the_rest_come_when_asked_for() -> None:
    world = World(
        shell_job(
            "work",
            params={"a": "1"},
            description="What it does",
            run_time=RunTime(periods=(Period(single_start=3_600),)),
            source=replace(file_source("work.job.xml"), xml="<job><script/></job>"),
        )
    )
    asked = ("job_params", "description", "run_time", "source")
    shown = job_shown(world, "/work", *asked)
    assert texts(shown, "params/param/@value") == ["1"]
    assert texts(shown, "description/text()") == ["What it does"]
    assert texts(shown, "run_time/period/@single_start") == ["01:00:00"]
    assert len(texts(shown, "source/job/script")) == 1
    assert not texts(job_shown(world, "/work"), "params | description | run_time | source")


def test_queued_tasks_are_listed_when_asked_for() -> None:
    world = World(shell_job("alone", is_order_job=False))
    world.does(
        StartJob(
            job=job_key("/alone"), at=AfterDelay(delay=seconds(60)), params={"p": "1"}, name="N"
        )
    )
    shown = job_shown(world, "/alone", "task_queue")
    assert texts(shown, "queued_tasks/@length") == ["1"]
    assert texts(shown, "queued_tasks/queued_task/@start_at") == ["2023-11-14T22:14:20.000Z"]
    assert texts(shown, "queued_tasks/queued_task/params/param/@name") == ["p"]


def test_a_running_task_shows_its_process_and_order() -> None:
    world = walking()
    world.adds("o1")
    world.launches(pid=4711)
    task = task_element(view(world), world.task())
    assert (task.get("pid"), task.get("state")) == ("4711", "running_process")
    assert (task.get("cause"), task.get("job")) == ("order", "/first")
    assert texts(task, "order/@id") == ["o1"]


def test_history_entries_have_times_without_milliseconds() -> None:
    entry = PastTask(
        id=1,
        job="/a/job",
        cause="queue",
        started_at=Instant(1_234),
        ended_at=Instant(5_678),
        exit_code=1,
        error_code="SCHEDULER-280",
        error_text="SCHEDULER-280  exit code 1",
        log="text",
    )
    shown = history_element([entry], "")
    assert texts(shown, "history.entry/@job_name") == ["a/job"]
    assert texts(shown, "history.entry/@start_time") == ["1970-01-01T00:00:01.000Z"]
    assert texts(shown, "history.entry/@error_text") == ["SCHEDULER-280  exit code 1"]
    assert texts(shown, "history.entry/@spooler_id") == ["-"]
    assert texts(shown, "history.entry/log/text()") == ["text"]


def test_a_new_version_that_waits_is_shown_beside_the_old_one() -> None:
    world = walking()
    world.adds("o1")
    world.launches()
    world.defines(shell_job("first", title="new"))
    shown = job_shown(world, "/first")
    assert texts(shown, "replacement/job/file_based/@state") == ["initialized"]


def test_a_new_order_that_waits_is_shown_whole_at_the_present_one() -> None:
    world = walking()
    world.adds("o1")
    world.launches()
    key = world.adds("o1", title="new")
    shown = order_element(view(world), world.order(key))
    assert texts(shown, "@replaced") == ["yes"]
    assert texts(shown, "replacement/order/@title") == ["new"]
    assert texts(shown, "replacement/order/file_based/@state") == ["initialized"]


def test_a_changed_or_deleted_file_of_a_running_order_is_shown_until_the_run_ends() -> None:
    world = walking()
    key = OrderKey(chain_key("/walk"), OrderId("p"))
    world.defines(OrderDefinition(key=key, title="old", source=file_source("walk,p.order.xml")))
    world.defines(OrderDefinition(key=key, title="new", source=file_source("walk,p.order.xml", 9)))
    shown = order_element(view(world), world.order(key))
    assert (texts(shown, "@title"), texts(shown, "@replaced")) == (["old"], ["yes"])
    assert texts(shown, "replacement/order/@title") == ["new"]
    assert texts(shown, "replacement/order/file_based/@state") == ["initialized"]
    gone = ObjectRef(kind=ObjectKind.ORDER, path="/walk,p")
    world.does(ApplyDefinitions(removed=(gone,)))
    shown = order_element(view(world), world.order(key))
    assert (texts(shown, "@removed"), texts(shown, "file_based/@removed")) == (["yes"], ["yes"])
    assert not texts(shown, "replacement/order/@title")


def test_a_schedule_that_is_missing_is_not_in_force() -> None:
    world = walking()
    missing = RunTime(schedule=SchedulePath("/nowhere"))
    key = world.adds("1", run_time=missing)
    world.defines(shell_job("planned", run_time=missing))
    assert order_element(view(world), world.order(key)).get("active_schedule") is None
    assert job_shown(world, "/planned").get("active_schedule") is None


def test_what_is_wrong_with_a_directory_is_shown() -> None:
    source = FileOrderSource(directory="/in")
    world = World(
        shell_job("first"), chain("files", node("1", "first"), file_order_sources=(source,))
    )
    key = chain_key("/files")
    world.state.sources[source_key(key, "/in")] = SourceState(
        chain=key, directory="/in", error="No such directory (errno 2)", ignored=("/in/long",)
    )
    shown = chain_element(view(world), world.state.chains[key])
    assert texts(shown, "file_order_source/ERROR/@code") == ["ERRNO-2"]
    assert texts(shown, "file_order_source/ERROR/@text") == ["ERRNO-2  No such directory (errno 2)"]
    assert texts(shown, "file_order_source/bad_files/file/@path") == ["/in/long"]
    assert texts(shown, "file_order_source/bad_files/file/ERROR/@code") == ["SCHEDULER-346"]
