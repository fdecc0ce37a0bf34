"""XML commands: envelopes, permissions, what each asks for, what is refused."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.codec.xml.command_schema import COMMAND_NAMES, COMMANDS, MEANINGLESS
from engine.codec.xml.commands import _READERS, Action, as_element
from engine.codec.xml.queries import (
    AddJobs,
    CheckFolders,
    DefineNew,
    JobWhy,
    LogCategoriesReset,
    LogCategoriesShow,
    LogCategorySet,
    ModifyHotFolder,
    ModifySpooler,
    ParamGet,
    ParamsGet,
    Permission,
    PublishEvent,
    RemoveObject,
    SetParams,
    ShowCalendar,
    ShowHistory,
    ShowJob,
    ShowJobChain,
    ShowJobChains,
    ShowJobs,
    ShowOrder,
    ShowProcessClasses,
    ShowState,
    ShowTask,
    SpoolerAction,
    SubsystemShow,
    Terminate,
)
from engine.kernel.calendar import RunTime
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    AtInstant,
    InPeriod,
    JobAction,
    KillTask,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    ModifyOrder,
    NodeAction,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    RemoveChain,
    RemoveOrder,
    StartJob,
)
from engine.kernel.definitions import Chain, Job, Lock, ProcessClass
from engine.kernel.ids import (
    HistoryId,
    NodeState,
    OrderId,
    SchedulePath,
    TaskId,
    chain_key,
    job_key,
    order_key,
)
from engine.kernel.instants import FOREVER, from_datetime, seconds
from engine.kernel.problems import Problem
from tests.support.xml_files import SCRIPT, action, added, defined, parsed


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<show_state/>", ShowState()),
        (
            (
                '<show_state what="folders" subsystems="job" path="f/g" max_orders="0" '
                'max_order_history="2" max_task_history="3"/>'
            ),
            ShowState(
                what="folders",
                subsystems="job",
                path="/f/g",
                max_orders=0,
                max_order_history=2,
                max_task_history=3,
            ),
        ),
        ("<show_jobs what='task_queue'/>", ShowJobs(what="task_queue")),
        (
            "<show_job job='f/J' job_chain='c'/>",
            ShowJob(job=job_key("/f/j"), chain=chain_key("/c")),
        ),
        ("<show_job_chains/>", ShowJobChains()),
        ("<show_job_chain job_chain='/C'/>", ShowJobChain(chain=chain_key("/c"))),
        (
            "<show_order job_chain='c' order=' A b'/>",
            ShowOrder(chain=chain_key("/c"), order=OrderId(" A b")),
        ),
        (
            "<show_order job_chain='c' history_id='7' what='log'/>",
            ShowOrder(chain=chain_key("/c"), history_id=HistoryId(7), what="log"),
        ),
        ("<show_task id='7'/>", ShowTask(task=TaskId(7))),
        (
            "<show_history job='j' prev='5' id='9' what='log'/>",
            ShowHistory(job=job_key("/j"), id=TaskId(9), previous=5, what="log"),
        ),
        ("<show_history job='j' next='20'/>", ShowHistory(job=job_key("/j"), following=20)),
        (
            "<show_calendar from='2030-01-01T00:00:00' before='2030-02-01T00:00:00Z' limit='9'/>",
            ShowCalendar(
                start=from_datetime(datetime(2030, 1, 1, tzinfo=UTC)),
                before=from_datetime(datetime(2030, 2, 1, tzinfo=UTC)),
                limit=9,
            ),
        ),
        ("<show_process_classes/>", ShowProcessClasses()),
        ("<subsystem.show what='statistics'/>", SubsystemShow(what="statistics")),
        ("<job.why job='j'/>", JobWhy(job=job_key("/j"))),
        ("<param.get name='n'/>", ParamGet(name="n")),
        ("<params.get/>", ParamsGet()),
        ("<param name='n' value='v'/>", SetParams(params={"n": "v"})),
        ("<params><param name='n' value='v'/></params>", SetParams(params={"n": "v"})),
        ("<scheduler_log.log_categories.show/>", LogCategoriesShow()),
        (
            "<scheduler_log.log_categories.set category='a.b' value='1'/>",
            LogCategorySet(category="a.b", value="1"),
        ),
        (
            "<scheduler_log.log_categories.reset delay='5'/>",
            LogCategoriesReset(delay=seconds(5)),
        ),
        ("<start_job job='j'/>", StartJob(job=job_key("/j"))),
        ("<start_job job='j' at='period'/>", StartJob(job=job_key("/j"), at=InPeriod())),
        (
            (
                "<start_job job='j' at='period' after='60' force='no' name='n'><params><param name='a' "
                "value='1'/></params><environment><variable name='E' value='2'/></environment>"
                "</start_job>"
            ),
            StartJob(
                job=job_key("/j"),
                at=AfterDelay(delay=seconds(60)),
                force=False,
                name="n",
                params={"a": "1"},
                environment={"E": "2"},
            ),
        ),
        (
            "<modify_job job='j' cmd='wake_when_in_period'><run_time/></modify_job>",
            ModifyJob(job=job_key("/j"), action=JobAction.WAKE_WHEN_IN_PERIOD, run_time=RunTime()),
        ),
        ("<kill_task job='j' id='7'/>", KillTask(task=TaskId(7), job=job_key("/j"))),
        (
            "<kill_task job='j' id='7' immediately='yes' timeout='never'/>",
            KillTask(task=TaskId(7), job=job_key("/j"), immediately=True, timeout=FOREVER),
        ),
        (
            "<modify_order job_chain='c' order='1'/>",
            ModifyOrder(order=order_key("/c", "1")),
        ),
        (
            (
                "<modify_order job_chain='c' order='1' action='reset' state='s' end_state='e' "
                "priority='-1' title='' at='2030-01-01 10:00' setback='no' suspended='0'><run_time/>"
                "<params><param name='a' value='$X'/></params><xml_payload><x/></xml_payload>"
                "</modify_order>"
            ),
            ModifyOrder(
                order=order_key("/c", "1"),
                reset=True,
                state=NodeState("s"),
                end_state=NodeState("e"),
                priority=-1,
                title="",
                at=AtInstant(at=from_datetime(datetime(2030, 1, 1, 10, tzinfo=UTC))),
                end_setback=True,
                suspended=False,
                run_time=RunTime(),
                params={"a": "$X"},
                xml_payload="<x/>",
            ),
        ),
        ("<remove_order job_chain='c' order='1'/>", RemoveOrder(order=order_key("/c", "1"))),
        ("<remove_job_chain job_chain='c'/>", RemoveChain(chain=chain_key("/c"))),
        (
            "<job_chain.modify job_chain='c' state='stopped'/>",
            ModifyChain(chain=chain_key("/c"), stopped=True),
        ),
        (
            "<job_chain_node.modify job_chain='c' state='s' action='next_state'/>",
            ModifyNode(chain=chain_key("/c"), state=NodeState("s"), action=NodeAction.NEXT_STATE),
        ),
        ("<modify_spooler cmd='pause'/>", PauseEngine(paused=True)),
        ("<modify_spooler cmd='continue'/>", PauseEngine(paused=False)),
        (
            "<modify_spooler cmd='terminate_and_restart' timeout='30'/>",
            ModifySpooler(action=SpoolerAction.TERMINATE_AND_RESTART, timeout=seconds(30)),
        ),
        ("<terminate restart='yes'/>", Terminate(restart=True)),
        ("<check_folders/>", CheckFolders()),
        (
            "<lock.remove lock='F/L'/>",
            RemoveObject(object=ObjectRef(kind=ObjectKind.LOCK, path="/F/L")),
        ),
        (
            "<process_class.remove process_class='p'/>",
            RemoveObject(object=ObjectRef(kind=ObjectKind.PROCESS_CLASS, path="/p")),
        ),
        (
            "<schedule.remove schedule='s'/>",
            RemoveObject(object=ObjectRef(kind=ObjectKind.SCHEDULE, path="/s")),
        ),
        ("<publish_event>{}</publish_event>", PublishEvent(json="{}")),
    ],
)
def test_a_command_is_read(xml: str, expected: Action) -> None:
    assert action(xml) == expected


def test_the_short_form_of_show_state_shows_more() -> None:
    asked = action("<s what='source'/>")
    assert isinstance(asked, ShowState)
    assert {"job_chain_orders", "folders", "schedules", "source"} <= set(asked.what.split())


def test_an_order_is_added_with_everything() -> None:
    request = action(
        "<add_order job_chain='f/C' id='1' at='now+60' title='T' replace='no' priority='2' "
        "state='s' end_state='e' suspended='yes'><params><param name='a' value='$G $HOME'/>"
        "</params><run_time schedule='s'/><xml_payload><x/></xml_payload></add_order>",
        variables={"G": "g", "home": "scheduler"},
        environment={"HOME": "h"},
    )
    assert isinstance(request, AddOrder)
    assert (request.at, request.replace) == (AfterDelay(delay=seconds(60)), False)
    order = request.order
    assert order.key == order_key("/f/c", "1")
    assert (order.title, order.priority, order.suspended) == ("T", 2, True)
    assert (order.state, order.end_state) == ("s", "e")
    assert order.params == {"a": "g scheduler"}
    assert order.run_time == RunTime(schedule=SchedulePath("/s"))
    assert order.xml_payload == "<x/>"
    assert order.source is None


def test_an_order_without_id_gets_one_later() -> None:
    assert added("<order job_chain='c'/>").key.id == ""


def test_local_times_of_commands_are_those_of_the_engines_zone() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    commands = parsed("<order job_chain='c' at='2030-01-01 10:00'/>", zone=zone)
    assert not isinstance(commands, Problem)
    request = commands[0].action
    assert isinstance(request, AddOrder)
    assert request.at == AtInstant(at=from_datetime(datetime(2030, 1, 1, 1, tzinfo=UTC)))


def test_objects_are_defined_by_commands() -> None:
    job = defined(f"<job name='/f/J' order='yes'>{SCRIPT}<run_time/></job>")
    assert isinstance(job, Job)
    assert (job.path, job.source) == ("/f/J", None)
    chain = defined("<job_chain name='C'><job_chain_node state='a' job='f/J'/></job_chain>")
    assert isinstance(chain, Chain)
    assert [node.state for node in chain.nodes] == ["a", "<END_STATE>"]
    assert isinstance(defined("<lock name='l' max_non_exclusive='1'/>"), Lock)
    assert isinstance(defined("<process_class name='p' max_processes='1'/>"), ProcessClass)


def test_an_object_that_must_not_replace_another_is_a_new_one() -> None:
    assert isinstance(action("<lock name='l' replace='no'/>"), DefineNew)


def test_temporary_jobs_are_added() -> None:
    request = action(
        f"<add_jobs><job name='a'>{SCRIPT}</job><job name='b'>{SCRIPT}</job></add_jobs>"
    )
    assert isinstance(request, AddJobs)
    assert [job.path for job in request.jobs] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("xml", "file", "content"),
    [
        (
            f"<job name='a' title='T'>{SCRIPT}</job>",
            "f/g/a.job.xml",
            f'<job title="T">{SCRIPT}</job>',
        ),
        ("<lock name='a'/>", "f/g/a.lock.xml", "<lock/>"),
        (
            "<order job_chain='/x/c' id='1,2' title='T'/>",
            "f/g/c,1,2.order.xml",
            '<order title="T"/>',
        ),
        (
            "<schedule name='s'><period repeat='1'/></schedule>",
            "f/g/s.schedule.xml",
            '<schedule><period repeat="1"/></schedule>',
        ),
    ],
)
def test_a_file_of_the_live_folder_is_written_without_its_name(
    xml: str, file: str, content: str
) -> None:
    request = action(f"<modify_hot_folder folder='/f/g'>{xml}</modify_hot_folder>")
    assert isinstance(request, ModifyHotFolder)
    assert (request.file, request.xml) == (file, content)
    assert request.object.path == f"/{file.rpartition('.')[0].rpartition('.')[0]}"


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        ("<modify_order job_chain='c' order='1' setback='yes'/>", "SCHEDULER-351"),
        ("<modify_spooler cmd='stop'/>", "SCHEDULER-105"),
        ("<terminate cluster_member_id='x'/>", "SCHEDULER-105"),
        ("<start_job job='../j'/>", "SCHEDULER-461"),
        ("<show_history job='j' id='0'/>", "SCHEDULER-284"),
        ("<show_history job='j' next='1001'/>", "SCHEDULER-285"),
        ("<show_order job_chain='c'/>", "Z-JAVA-105"),
        ("<modify_hot_folder/>", "Z-JAVA-105"),
        ("<modify_hot_folder><schedule/></modify_hot_folder>", "SCHEDULER-417"),
        ("<modify_hot_folder><lock name='a/b'/></modify_hot_folder>", "SCHEDULER-417"),
        ("<modify_hot_folder><lock name='.l'/></modify_hot_folder>", "SCHEDULER-417"),
        (
            "<start_job job='j'><params><copy_params from='task'/></params></start_job>",
            "SCHEDULER-329",
        ),
        (
            "<start_job job='j'><params><include live_file='x'/></params></start_job>",
            "SCHEDULER-399",
        ),
        (f"<order job_chain='c' id='{'x' * 251}'/>", "SCHEDULER-344"),
        ("<order job_chain='c'><run_time><period begin='25:00'/></run_time></order>", ""),
    ],
)
def test_a_command_that_is_wrong_in_itself_becomes_a_problem(xml: str, code: str) -> None:
    refused = action(xml)
    assert isinstance(refused, Problem)
    assert code in refused.code
    assert refused.text


def test_a_negative_delay_of_a_start_means_now() -> None:
    started = action('<start_job job="a" after="-5"/>')
    assert isinstance(started, StartJob)
    assert started.at == AfterDelay()


def test_a_schedule_is_known_as_a_command_and_has_no_meaning() -> None:
    refused = action('<schedule name="s"><period single_start="10:00"/></schedule>')
    assert isinstance(refused, Problem)
    assert refused.code == "SCHEDULER-105"


@pytest.mark.parametrize("name", sorted(MEANINGLESS))
def test_a_known_command_without_meaning_is_refused_by_name(name: str) -> None:
    refused = action(f"<{name}/>")
    assert isinstance(refused, Problem)
    assert refused.code == "SCHEDULER-105"
    assert f"<{name}>" in refused.text


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        ("", "empty"),
        ("show_state", "XML element"),
        ("<show_state>", "well-formed"),
        ("<!DOCTYPE a []><show_state/>", "DOCTYPE"),
        ("<show_stat/>", "Did you mean 'show_state'"),
        ("<show_job/>", "needs the attribute 'job'"),
        ("<show_job job=''/>", "Allowed"),
        ("<show_job job='j' jobchain='c'/>", "Did you mean 'job_chain'"),
        ("<kill_task job='j' id='x'/>", "1 or more"),
        ("<modify_job job='j' cmd='stopp'/>", "wake_when_in_period"),
        ("<start_job job='j' at='tomorrow'/>", "yyyy-mm-dd"),
        ("<start_job job='j'><param name='a' value='b'/></start_job>", "not known inside"),
        ("<show_state>text</show_state>", "no text"),
        ("<order id='1'/>", "job_chain"),
        ("<order job_chain='c' title='€'/>", "ISO-8859-1"),
        ("<commands><param name='a' value='b'/></commands>", "not known inside <commands>"),
        ("<modify_hot_folder><monitor name='m'/></modify_hot_folder>", "not known inside"),
        ("<s><show_state/></s>", "not known inside"),
    ],
)
def test_a_fault_of_the_schema_refuses_everything(xml: str, told: str) -> None:
    for text in (xml, f"<commands><check_folders/>{xml}</commands>" if xml[:1] == "<" else xml):
        refused = parsed(text)
        assert isinstance(refused, Problem), text
        assert refused.code == "Z-JAVA-105"
    first = parsed(xml)
    assert isinstance(first, Problem)
    assert told in first.text


@pytest.mark.parametrize(
    "envelope",
    [
        "<commands>{}</commands>",
        "<command>{}</command>",
        "<spooler>{}</spooler>",
        "<spooler><commands>{}</commands></spooler>",
        "<?xml version='1.0' encoding='ISO-8859-1'?>\n<spooler><command>{}</command></spooler>",
    ],
)
def test_several_commands_may_stand_in_each_envelope(envelope: str) -> None:
    commands = parsed(envelope.format("<check_folders/><!-- x --><show_task id='1'/>"))
    assert not isinstance(commands, Problem)
    assert [one.action for one in commands] == [CheckFolders(), ShowTask(task=TaskId(1))]
    assert [one.xml for one in commands] == ["<check_folders/>", '<show_task id="1"/>']


def test_commands_before_a_wrong_one_are_kept() -> None:
    commands = parsed(
        "<commands><check_folders/><modify_spooler cmd='stop'/><show_state/></commands>"
    )
    assert not isinstance(commands, Problem)
    assert [isinstance(one.action, Problem) for one in commands] == [False, True, False]


def test_on_exit_commands_copy_the_parameters_of_task_and_order() -> None:
    commands = parsed(
        "<start_job job='j'><params><copy_params from='order'/><param name='a' value='2'/>"
        "</params></start_job>",
        copied={"order": {"A": "1", "b": "1"}},
    )
    assert not isinstance(commands, Problem)
    request = commands[0].action
    assert isinstance(request, StartJob)
    assert request.params == {"A": "2", "b": "1"}


def test_the_charset_of_a_request_is_honoured() -> None:
    xml = "<?xml version='1.0' encoding='ISO-8859-1'?><order job_chain='c' title='ä'/>"
    commands = parsed(xml.encode("latin-1"))
    assert not isinstance(commands, Problem)
    request = commands[0].action
    assert isinstance(request, AddOrder)
    assert request.order.title == "ä"


@pytest.mark.parametrize(
    ("xml", "needed", "shows"),
    [
        ("<show_state/>", Permission.INFO, True),
        ("<s/>", Permission.INFO, True),
        ("<check_folders/>", Permission.INFO, False),
        ("<params.get/>", Permission.INFO, False),
        ("<start_job job='j'/>", Permission.NO_ADD, False),
        ("<terminate/>", Permission.NO_ADD, False),
        ("<order job_chain='c'/>", Permission.ALL, False),
        ("<job_chain.modify job_chain='c' state='running'/>", Permission.ALL, False),
        ("<param name='a' value='b'/>", Permission.ALL, False),
    ],
)
def test_each_command_needs_a_permission(xml: str, needed: Permission, shows: bool) -> None:
    commands = parsed(xml)
    assert not isinstance(commands, Problem)
    assert (commands[0].permission, commands[0].is_show) == (needed, shows)


def test_permissions_include_one_another() -> None:
    assert Permission.ALL.includes(Permission.NO_ADD)
    assert Permission.NO_ADD.includes(Permission.NO_ADD)
    assert not Permission.INFO.includes(Permission.NO_ADD)
    assert not Permission.NONE.includes(Permission.INFO)


def test_a_bare_name_is_completed_to_an_element() -> None:
    assert as_element(" show_state\n") == "<show_state/>"
    assert as_element("<show_state/>") == "<show_state/>"
    assert as_element("show_job job=x") == "show_job job=x"


def test_every_command_of_the_schema_is_read_or_refused_by_name() -> None:
    assert set(_READERS) | MEANINGLESS == COMMAND_NAMES
    assert not set(_READERS) & MEANINGLESS
    assert set(COMMANDS) >= COMMAND_NAMES
