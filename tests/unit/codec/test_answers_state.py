"""State -> answer elements about the engine, its folders, calendars and reasons."""

import pytest

from engine.codec.xml.answers_calendar import calendar_element
from engine.codec.xml.answers_run_time import run_time_element
from engine.codec.xml.answers_state import state_element, subsystems_element
from engine.codec.xml.answers_why import job_why_element
from engine.codec.xml.findings import Element
from engine.kernel.calendar import (
    DatePeriods,
    DayPeriods,
    Holidays,
    LocalDate,
    LocalTime,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    Schedule,
    WhenHoliday,
)
from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    BrokenFile,
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
    Chain,
    EndNode,
    Job,
    Lock,
    LockUse,
    Monitor,
    NestedNode,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
    Source,
    Visible,
)
from engine.kernel.ids import (
    ClassPath,
    LockPath,
    MonitorPath,
    NodeState,
    SchedulePath,
    chain_key,
    job_key,
    order_key,
)
from engine.kernel.instants import Instant, seconds
from tests.support.answers import texts, view, walking
from tests.support.world import SCRIPT, World, agents_class, chain, node, shell_job

# --- the engine ----------------------------------------------------------------------------------


def test_the_flat_form_has_its_containers_even_if_empty() -> None:
    shown = state_element(view(World()))
    tags = [child.tag for child in shown]
    assert [tag for tag in tags if tag in {"jobs", "process_classes", "job_chains"}] == [
        "jobs",
        "process_classes",
        "job_chains",
    ]
    assert shown.get("state") == "running"
    assert shown.get("version") == "1.2.3"
    assert shown.get("spooler_running_since") == "2023-11-14T22:13:20Z"


def test_chains_are_listed_when_asked_for_and_sorted_by_folded_name() -> None:
    world = World(shell_job("b"), shell_job("A"), shell_job("c", visible=Visible.NEVER))
    world.defines(chain("z", node("1", "a")), chain("Y", node("1", "b")))
    assert texts(state_element(view(world)), "jobs/job/@path") == ["/A", "/b"]
    assert not texts(state_element(view(world)), "job_chains/job_chain")
    shown = state_element(view(world, "job_chains"))
    assert texts(shown, "job_chains/job_chain/@path") == ["/Y", "/z"]


def foldered() -> World:
    world = World(
        shell_job("top"),
        shell_job("a/inner"),
        shell_job("a/b/deep"),
        ProcessClass(path=ClassPath("/a/class")),
        Lock(path=LockPath("/a/lock")),
        Monitor(path=MonitorPath("/a/monitor"), script=SCRIPT),
        ScheduleFile(schedule=Schedule(path=SchedulePath("/a/when"))),
    )
    world.defines(chain("a/walk", node("1", "a/inner")))
    return world


def test_the_tree_has_folders_with_their_objects() -> None:
    shown = state_element(view(foldered(), "folders"))
    assert texts(shown, "folder/@path") == ["/"]
    assert texts(shown, "//folder[@path='/a']/jobs/job/@name") == ["inner"]
    assert texts(shown, "//folder[@path='/a/b']/jobs/job/@name") == ["deep"]
    (folder,) = shown.findall("folder/folders/folder")
    assert {child.tag for child in folder} == {
        *("process_classes", "locks", "monitors", "jobs", "job_chains", "schedules"),
        *("file_based", "folders"),
    }
    assert not texts(shown, "//folder[@path='/a/b']/job_chains")


def test_the_tree_can_be_asked_for_a_folder_without_the_deeper_ones() -> None:
    shown = state_element(view(foldered(), "folders", "no_subfolders", folder="/a"))
    assert texts(shown, "folder/@path") == ["/a"]
    assert texts(shown, "folder/folders/folder/@path") == ["/a/b"]
    assert not texts(shown, "//folder[@path='/a/b']/jobs")
    assert not texts(state_element(view(foldered(), "folders", folder="/x")), "folder")


def test_subsystems_choose_the_containers() -> None:
    shown = state_element(view(foldered(), "folders", subsystems=frozenset({"folder", "job"})))
    assert texts(shown, "//folder[@path='/a']/jobs/job/@name") == ["inner"]
    assert not texts(shown, "//process_classes | //job_chains")
    only = state_element(view(foldered(), "folders", subsystems=frozenset({"job"})))
    assert not texts(only, "folder/folders")


def test_a_broken_file_shows_its_error() -> None:
    world = World(shell_job("fine"))
    broken = [
        BrokenFile(
            object=ObjectRef(kind=ObjectKind.JOB, path=path),
            file=f"{path[1:]}.job.xml",
            findings=("SCHEDULER-428 line 1, column 2: No element",),
        )
        for path in ("/fine", "/new")
    ]
    world.does(ApplyDefinitions(broken=tuple(broken)))
    shown = state_element(view(world))
    assert texts(shown, "jobs/job[@path='/fine']/file_based/ERROR/@code") == ["SCHEDULER-428"]
    assert texts(shown, "jobs/job[@path='/new']/@state") == ["not_initialized"]
    assert texts(shown, "jobs/job[@path='/new']/file_based/ERROR/@text") == [
        "SCHEDULER-428  line 1, column 2: No element"
    ]


def test_xml_that_cannot_be_used_is_wrapped_and_a_rule_of_its_own_is_not() -> None:
    world = World(shell_job("xml"), shell_job("rule"))
    broken = [
        BrokenFile(
            object=ObjectRef(kind=ObjectKind.JOB, path=f"/{name}"),
            file=f"{name}.job.xml",
            findings=(finding,),
        )
        for name, finding in (("xml", "Z-JAVA-105 No end tag"), ("rule", "SCHEDULER-155 No"))
    ]
    world.does(ApplyDefinitions(broken=tuple(broken)))
    shown = state_element(view(world))
    error = "jobs/job[@path='/%s']/file_based/ERROR/@%s"
    assert texts(shown, error % ("xml", "code")) == ["SCHEDULER-428"]
    assert "Z-JAVA-105  No end tag" in texts(shown, error % ("xml", "text"))[0]
    assert texts(shown, error % ("rule", "code")) == ["SCHEDULER-155"]


def test_an_object_whose_file_has_gone_says_why_it_is_still_there() -> None:
    world = World(shell_job("busy", is_order_job=False))
    world.does(StartJob(job=job_key("/busy")))
    gone = ObjectRef(kind=ObjectKind.JOB, path="/busy")
    world.does(ApplyDefinitions(removed=(gone,)))
    part = "jobs/job[@path='/busy']/file_based"
    shown = state_element(view(world))
    assert texts(shown, f"{part}/@removed") == ["yes"]
    assert texts(shown, f"{part}/removed/ERROR/@code") == ["SCHEDULER-989"]


def test_a_job_that_stands_in_a_chain_shows_its_orders_whatever_it_says_itself() -> None:
    plain = shell_job("plain", is_order_job=False)
    world = World(plain, shell_job("alone", is_order_job=False), chain("walk", node("1", "plain")))
    shown = state_element(view(world))
    assert texts(shown, "jobs/job[@path='/plain']/@order") == ["yes"]
    assert texts(shown, "jobs/job[@path='/plain']/order_queue/@length") == ["0"]
    assert texts(shown, "jobs/job[@path='/alone']/@order") == ["no"]
    assert not texts(shown, "jobs/job[@path='/alone']/order_queue/@length")


def test_a_broken_chain_stands_in_the_list_with_its_error() -> None:
    world = World(chain("fine", node("1", "a")))
    named = ObjectRef(kind=ObjectKind.CHAIN, path="/New")
    world.does(
        ApplyDefinitions(
            broken=(BrokenFile(object=named, file="New.job_chain.xml", findings=("bad",)),)
        )
    )
    shown = state_element(view(world, "job_chains"))
    assert texts(shown, "job_chains/job_chain/@path") == ["/fine", "/New"]
    assert texts(shown, "job_chains/job_chain[@path='/New']/file_based/@state") == ["undefined"]


@pytest.mark.parametrize(
    ("kind", "path", "tag"),
    [
        (ObjectKind.PROCESS_CLASS, "/f/New", "process_classes/process_class"),
        (ObjectKind.LOCK, "/f/New", "locks/lock"),
        (ObjectKind.MONITOR, "/f/New", "monitors/monitor"),
        (ObjectKind.SCHEDULE, "/f/New", "schedules/schedule"),
        (ObjectKind.ORDER, "/f/chain,New", "orders/order"),
        (ObjectKind.CHAIN, "/f/New", "job_chains/job_chain"),
        (ObjectKind.JOB, "/f/New", "jobs/job"),
    ],
)
def test_an_added_file_that_is_broken_is_an_object_in_the_state_undefined(
    kind: ObjectKind, path: str, tag: str
) -> None:
    world = World(shell_job("fine"))
    file = f"{path[1:]}.{kind.value}.xml"
    broken = BrokenFile(
        object=ObjectRef(kind=kind, path=path), file=file, findings=("SCHEDULER-428 No",)
    )
    world.does(ApplyDefinitions(broken=(broken,)))
    shown = state_element(view(world, "folders"))
    found = f"//folder[@path='/f']/{tag}[@path='{path}']"
    assert texts(shown, f"{found}/@name") == [path.rpartition("/")[2]]
    assert texts(shown, f"{found}/file_based/@state") == ["undefined"]
    assert texts(shown, f"{found}/file_based/@file")[0].endswith(f"/{file}")
    assert texts(shown, f"{found}/file_based/ERROR/@code") == ["SCHEDULER-428"]


@pytest.mark.parametrize("tag", ["locks/lock", "monitors/monitor"])
def test_the_flat_form_shows_undefined_objects_too(tag: str) -> None:
    world = World(shell_job("fine"))
    kind = ObjectKind(tag.partition("/")[2])
    named = ObjectRef(kind=kind, path="/new")
    world.does(ApplyDefinitions(broken=(BrokenFile(object=named, file="f", findings=("No",)),)))
    shown = state_element(view(world))
    assert texts(shown, f"{tag}/file_based/@state") == ["undefined"]


def test_an_order_file_without_its_chain_waits_in_its_folder() -> None:
    source = Source(file="f/Later,1.order.xml", modified_at=Instant(0))
    world = World(OrderDefinition(key=order_key("/f/later", "1"), title="waits", source=source))
    shown = state_element(view(world, "folders"))
    found = "//folder[@path='/f']/orders/order[@path='/f/Later,1'][@job_chain='/f/Later']"
    assert texts(shown, f"{found}/@title") == ["waits"]
    assert texts(shown, f"{found}/file_based/@state") == ["incomplete"]
    assert texts(shown, f"{found}/file_based/requisites/requisite/@is_missing") == ["yes"]
    world.does(ApplyDefinitions(defined=(chain("f/Later", node("1", "a")),)))
    shown = state_element(view(world, "folders"))
    assert texts(shown, f"{found}/file_based/@state") == ["active"]


def test_chains_that_a_super_chain_joins_share_an_order_id_space() -> None:
    nested = Chain(
        path="/Super",
        nodes=(
            NestedNode(
                state=NodeState("1"),
                chain=chain_key("inner"),
                chain_path="/inner",
                next_state=NodeState("e"),
            ),
            EndNode(state=NodeState("e")),
        ),
    )
    world = World(nested, chain("inner", node("1", "a")), chain("alone", node("1", "a")))
    shown = state_element(view(world, "job_chains"))
    assert texts(shown, "order_id_spaces/order_id_space/@name") == ["/Super"]
    assert texts(shown, "order_id_spaces/order_id_space/job_chain/@job_chain") == [
        "/inner",
        "/Super",
    ]
    assert texts(shown, "job_chains/job_chain/@order_id_space") == ["/Super", "/Super"]
    assert not texts(state_element(view(World(shell_job("a")))), "order_id_spaces")


def test_a_super_chain_without_one_of_its_chains_is_incomplete() -> None:
    node_of_missing = NestedNode(
        state=NodeState("1"), chain=chain_key("missing"), chain_path="/missing", next_state=None
    )
    world = World(Chain(path="/super", nodes=(node_of_missing,)))
    shown = state_element(view(world, "job_chains"))
    found = "job_chains/job_chain[@path='/super']"
    assert texts(shown, f"{found}/@state") == ["loaded"]
    assert texts(shown, f"{found}/file_based/@state") == ["incomplete"]
    world.does(ApplyDefinitions(defined=(chain("missing", node("1", "a")),)))
    shown = state_element(view(world, "job_chains"))
    assert texts(shown, f"{found}/@state") == ["running"]
    assert texts(shown, f"{found}/file_based/@state") == ["active"]


def test_included_files_are_told() -> None:
    xml = (
        '<job><params><include live_file="p.xml"/></params><script>'
        '<include file="a.sh"/><include file="a.sh"/></script></job>'
    )
    source = Source(file="a.job.xml", modified_at=Instant(0), xml=xml)
    shown = state_element(view(World(shell_job("a", source=source))))
    found = "jobs/job/file_based/includes/include"
    assert texts(shown, f"{found}/@live_file | {found}/@file") == ["p.xml", "a.sh"]


def test_operations_are_shown_when_asked_for() -> None:
    world = World(shell_job("slow", is_order_job=False))
    world.does(StartJob(job=job_key("slow")))
    assert not texts(state_element(view(world)), "operations")
    shown = state_element(view(world, "operations"))
    assert texts(shown, "operations/@count") == ["1"]
    assert texts(shown, "operations/operation/@job") == ["/slow"]


def test_a_process_class_shows_the_tasks_that_wait_for_its_processes() -> None:
    one = ProcessClass(path=ClassPath("/one"), max_processes=1)
    jobs = [shell_job(name, is_order_job=False, process_class="/one") for name in ("a", "b")]
    world = World(one, *jobs)
    for job in jobs:
        world.does(StartJob(job=job.key))
    shown = state_element(view(world))
    found = "process_classes/process_class[@path='/one']"
    assert texts(shown, f"{found}/processes/process/@job") == ["/a"]
    assert texts(shown, f"{found}/waiting_tasks/task/@job") == ["/b"]
    assert texts(shown, f"{found}/waiting_jobs/job/@job") == ["/b"]


def test_process_classes_show_their_processes_and_agents() -> None:
    world = World(
        agents_class("remote", "http://a:1", "http://b:1"),
        shell_job("work", process_class=ClassPath("/remote")),
        chain("walk", node("1", "work")),
    )
    world.adds("o1")
    world.launches()
    shown = state_element(view(world))
    remote = "process_classes/process_class[@path='/remote']"
    assert texts(shown, "process_classes/process_class[1]/@max_processes") == ["30"]
    assert not texts(shown, "process_classes/process_class[@path='/']/@name")
    assert texts(shown, f"{remote}/remote_schedulers/@select") == ["next"]
    assert texts(shown, f"{remote}/remote_schedulers/remote_scheduler/@remote_scheduler") == [
        "http://a:1",
        "http://b:1",
    ]
    assert texts(shown, f"{remote}/processes/process/@job") == ["/work"]


def test_locks_show_their_holders() -> None:
    world = World(
        Lock(path=LockPath("/l"), max_non_exclusive=2),
        shell_job("work", locks=(LockUse(lock=LockPath("/l"), exclusive=True),)),
        chain("walk", node("1", "work")),
    )
    assert texts(state_element(view(world)), "locks/lock/@is_free") == ["yes"]
    world.adds("o1")
    shown = state_element(view(world))
    assert texts(shown, "locks/lock/lock.holders/lock.holder/@job") == ["/work"]
    assert texts(shown, "locks/lock/lock.holders/@exclusive") == ["yes"]


def test_a_waiting_job_tells_which_of_its_locks_leave_room() -> None:
    shared = LockUse(lock=LockPath("/shared"), exclusive=False)
    alone = LockUse(lock=LockPath("/alone"))
    locks = [Lock(path=LockPath(name)) for name in ("/shared", "/alone")]
    holder = shell_job("holder", is_order_job=False, locks=(shared, alone))
    waits = shell_job("waits", is_order_job=False, locks=(shared, alone))
    world = World(*locks, holder, waits)
    for name in ("holder", "waits"):
        world.does(StartJob(job=job_key(name)))
    shown = state_element(view(world))
    requestor = "jobs/job[@path='/waits']/lock.requestor[@waiting='yes']"
    assert texts(shown, f"{requestor}/lock.use[@lock='/shared']/@is_available") == ["yes"]
    assert texts(shown, f"{requestor}/lock.use[@lock='/alone']/@is_available") == ["no"]


def test_statistics_count_jobs_tasks_and_orders() -> None:
    world = walking()
    world.adds("o1")
    shown = subsystems_element(view(world, "statistics"))
    assert texts(shown, "subsystem[@name='job']/*/@count_visible") == ["2"]
    assert texts(shown, "//job.statistic[@job_state='running']/@count") == ["1"]
    assert texts(shown, "//order.statistic[@order_state='any']/@count") == ["1"]
    assert not texts(subsystems_element(view(world)), "//job.statistics")


# --- run times -----------------------------------------------------------------------------------


def test_statistics_count_the_folders() -> None:
    shown = subsystems_element(view(foldered(), "statistics"))
    folders = "subsystem[@name='folder']/file_based.statistics"
    assert texts(shown, f"{folders}/@count") == ["3"]


def test_a_run_time_is_written_as_it_was_read() -> None:
    run_time = RunTime(
        periods=(Period(begin=3_600, end=7_200, repeat=seconds(90), let_run=True),),
        weekdays=(DayPeriods(days=(1, 2), periods=(Period(single_start=60),)),),
        monthdays=(DayPeriods(days=(15,)),),
        month_weekdays=(MonthWeekday(weekdays=(5,), which=-1),),
        ultimos=(DayPeriods(days=(0,)),),
        months=(Month(months=(3, 4), weekdays=(DayPeriods(days=(0,)),)),),
        dates=(
            DatePeriods(
                date=LocalDate("2030-01-02"),
                periods=(Period(single_start=0, when_holiday=WhenHoliday.IGNORE_HOLIDAY),),
            ),
        ),
        at=(LocalTime("2030-01-02T10:00:00"),),
        holidays=Holidays(dates=(LocalDate("2030-12-25"),), weekdays=(0, 6)),
        time_zone="Europe/Berlin",
    )
    shown = run_time_element(run_time)
    assert texts(shown, "period/@begin | period/@end | period/@repeat") == [
        "01:00:00",
        "02:00:00",
        "90",
    ]
    assert texts(shown, "at/@at") == ["2030-01-02 10:00:00"]
    assert texts(shown, "weekdays/day/@day") == ["1 2"]
    assert texts(shown, "monthdays/day/@day") == ["15"]
    assert texts(shown, "monthdays/weekday/@day | monthdays/weekday/@which") == ["friday", "-1"]
    assert texts(shown, "ultimos/day/@day") == ["0"]
    assert texts(shown, "month/@month") == ["march april"]
    assert texts(shown, "date/period/@when_holiday") == ["ignore_holiday"]
    assert texts(shown, "holidays/holiday/@date") == ["2030-12-25"]
    assert texts(shown, "holidays/weekdays/day/@day") == ["0", "6"]


def test_the_calendar_lists_periods_of_jobs_and_starts_of_orders() -> None:
    daily = RunTime(periods=(Period(single_start=3_600),))
    world = World(
        shell_job("work"),
        shell_job("alone", is_order_job=False, run_time=daily),
        chain("walk", node("1", "work")),
    )
    world.adds("o1", run_time=daily)
    shown = calendar_element(view(world), start=None, before=None, limit=100, with_orders=True)
    assert texts(shown, "at/@order") == ["o1"]
    assert texts(shown, "at/@at") == ["2023-11-15T01:00:00Z"]
    assert texts(shown, "period[@job='/alone']/@single_start")[0] == "2023-11-15T01:00:00Z"
    assert len(texts(shown, "period[@order='o1' and @job_chain='/walk']")) == 6
    only_jobs = calendar_element(view(world), start=None, before=None, limit=2, with_orders=False)
    assert len(only_jobs) == 2


def test_the_calendar_counts_queued_tasks() -> None:
    world = World(shell_job("a/alone", is_order_job=False))
    world.does(StartJob(job=job_key("/a/alone"), at=AfterDelay(delay=seconds(60))))
    shown = calendar_element(view(world), start=None, before=None, limit=100, with_orders=False)
    assert texts(shown, "at/@job | at/@task") == ["a/alone", "1"]


# --- why -----------------------------------------------------------------------------------------


def why(world: World, path: str) -> Element:
    return job_why_element(view(world), world.state.jobs[job_key(path)])


def test_a_job_without_obstacles_has_none() -> None:
    assert not texts(why(World(shell_job("work")), "/work"), "//obstacle")


def test_obstacles_of_job_chain_node_and_order_are_named() -> None:
    world = walking()
    key = chain_key("/walk")
    world.adds("held", suspended=True)
    world.adds("later", at=AfterDelay(delay=seconds(60)))
    world.does(ModifyJob(job=job_key("/first"), action=JobAction.STOP))
    world.does(ModifyChain(chain=key, stopped=True))
    world.does(ModifyNode(chain=key, state=NodeState("100"), action=NodeAction.STOP))
    shown = why(world, "/first")
    assert texts(shown, "obstacle/@state") == ["stopped"]
    assert texts(shown, "//job_chain_node.why/obstacle/@action") == ["stop"]
    assert texts(shown, "//job_chain.why/obstacle/@state") == ["stopped"]
    assert texts(shown, "//order.why[@order='held']/obstacle/@suspended") == ["yes"]
    assert texts(shown, "//order.why[@order='later']/obstacle/@start_time") == [
        "2023-11-14T22:14:20.000Z"
    ]


def test_waiting_for_a_lock_is_an_obstacle() -> None:
    uses = (LockUse(lock=LockPath("/l")),)
    world = World(
        Lock(path=LockPath("/l")),
        shell_job("one", locks=uses),
        shell_job("two", locks=uses),
        chain("walk", node("1", "one")),
        chain("run", node("1", "two")),
    )
    world.adds("o1")
    world.adds("o2", chain="run")
    assert texts(why(world, "/two"), "lock.requestor/lock.use/obstacle/@lock") == ["/l"]


@pytest.mark.parametrize("job", [shell_job("work", tasks=1)])
def test_the_task_limit_is_an_obstacle(job: Job) -> None:
    world = World(job, chain("walk", node("1", "work")))
    world.adds("o1")
    assert texts(why(world, "/work"), "obstacle/@max_tasks") == ["1"]
