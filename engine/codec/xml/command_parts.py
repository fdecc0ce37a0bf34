"""One function a command: its element -> request, question, operation or problem.

The element has passed the schema; what is wrong nevertheless goes to the reading's findings, and
the caller makes a problem of it.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import tzinfo
from typing import TypeVar

from engine.codec.xml.definition_files import read_element
from engine.codec.xml.document import to_xml
from engine.codec.xml.findings import Element, tag_of
from engine.codec.xml.includes import read_param_set, read_params
from engine.codec.xml.jobs import read_environment, read_job
from engine.codec.xml.orders import (
    check_web_service,
    read_order,
    read_order_params,
    read_xml_payload,
)
from engine.codec.xml.queries import (
    CALENDAR_LIMIT,
    HISTORY_LENGTH,
    HISTORY_LENGTH_MAX,
    AddJobs,
    CheckFolders,
    DefineNew,
    Ignored,
    JobWhy,
    LogCategoriesReset,
    LogCategoriesShow,
    LogCategorySet,
    ModifyHotFolder,
    ModifySpooler,
    ParamGet,
    ParamsGet,
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
from engine.codec.xml.reading import Reading
from engine.codec.xml.run_times import run_time_of
from engine.codec.xml.values import (
    duration_or_never,
    integer,
    moment,
    start_at,
    start_at_or_period,
)
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    ApplyDefinitions,
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
    StartAt,
    StartJob,
)
from engine.kernel.ids import (
    ChainKey,
    HistoryId,
    JobKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
    order_key,
)
from engine.kernel.instants import FOREVER, Duration, Instant, seconds
from engine.kernel.problems import Problem, not_setback

Value = TypeVar("Value")

# --- questions -----------------------------------------------------------------------------------


def show_state(reading: Reading, element: Element) -> ShowState:
    """Read `<show_state>`."""
    return ShowState(
        what=reading.text(element, "what"),
        subsystems=reading.text(element, "subsystems"),
        path=reading.path(element, "path") or "/",
        max_orders=_count(reading, element, "max_orders"),
        max_order_history=reading.number(element, "max_order_history", 0),
        max_task_history=reading.number(element, "max_task_history", HISTORY_LENGTH),
    )


def short_state(reading: Reading, element: Element) -> ShowState:
    """Read `<s>`, which shows more than `<show_state>` does (xml-commands.md 6.1)."""
    asked = show_state(reading, element)
    return ShowState(
        what=f"job_chains job_chain_orders operations folders remote_schedulers schedules "
        f"{asked.what}".strip(),
        subsystems=asked.subsystems,
        path=asked.path,
        max_orders=asked.max_orders,
        max_order_history=asked.max_order_history,
        max_task_history=asked.max_task_history,
    )


def show_jobs(reading: Reading, element: Element) -> ShowJobs:
    """Read `<show_jobs>`."""
    return ShowJobs(
        what=reading.text(element, "what"),
        max_orders=_count(reading, element, "max_orders"),
        max_task_history=reading.number(element, "max_task_history", HISTORY_LENGTH),
    )


def show_job(reading: Reading, element: Element) -> ShowJob:
    """Read `<show_job>`."""
    chain = reading.optional(element, "job_chain")
    return ShowJob(
        job=_job(reading, element),
        chain=None if chain is None else _chain(reading, element),
        what=reading.text(element, "what"),
        max_orders=_count(reading, element, "max_orders"),
        max_task_history=reading.number(element, "max_task_history", HISTORY_LENGTH),
    )


def show_job_chains(reading: Reading, element: Element) -> ShowJobChains:
    """Read `<show_job_chains>`."""
    return ShowJobChains(
        what=reading.text(element, "what"),
        max_orders=_count(reading, element, "max_orders"),
        max_order_history=reading.number(element, "max_order_history", 0),
    )


def show_job_chain(reading: Reading, element: Element) -> ShowJobChain:
    """Read `<show_job_chain>`."""
    return ShowJobChain(
        chain=_chain(reading, element),
        what=reading.text(element, "what"),
        max_orders=_count(reading, element, "max_orders"),
        max_order_history=_count(reading, element, "max_order_history"),
    )


def show_order(reading: Reading, element: Element) -> ShowOrder | Problem:
    """Read `<show_order>`; it needs an order or a run of the history."""
    order = reading.optional(element, "order")
    history_id = _count(reading, element, "history_id")
    if order is None and history_id is None:
        reading.findings.error(
            element,
            "<show_order> needs the attribute 'order'",
            advice='Add order="…" or history_id="…"',
        )
    return ShowOrder(
        chain=_chain(reading, element),
        order=None if order is None else OrderId(reading.text(element, "order")),
        history_id=None if history_id is None else HistoryId(history_id),
        what=reading.text(element, "what"),
    )


def show_task(reading: Reading, element: Element) -> ShowTask:
    """Read `<show_task>`."""
    return ShowTask(
        task=TaskId(reading.number(element, "id", 0)), what=reading.text(element, "what")
    )


def show_history(reading: Reading, element: Element) -> ShowHistory | Problem:
    """Read `<show_history>`."""
    previous = _count(reading, element, "prev")
    following = _count(reading, element, "next")
    task = reading.read(element, "id", integer, None)
    if task is not None and task <= 0:
        return Problem(
            code="SCHEDULER-284", text=f"id={task} is not possible; it is a number from 1 on"
        )
    if max(previous or 0, following or 0) > HISTORY_LENGTH_MAX:
        return Problem(
            code="SCHEDULER-285",
            text=f"At most {HISTORY_LENGTH_MAX} entries of the history can be shown at once",
        )
    return ShowHistory(
        job=_job(reading, element),
        id=None if task is None else TaskId(task),
        previous=previous,
        following=following,
        what=reading.text(element, "what"),
    )


def show_calendar(reading: Reading, element: Element) -> ShowCalendar:
    """Read `<show_calendar>`."""
    return ShowCalendar(
        start=_instant(reading, element, "from"),
        before=_instant(reading, element, "before"),
        limit=reading.number(element, "limit", CALENDAR_LIMIT),
        what=reading.text(element, "what"),
    )


def show_process_classes(_reading: Reading, _element: Element) -> ShowProcessClasses:
    """Read `<show_process_classes>`."""
    return ShowProcessClasses()


def subsystem_show(reading: Reading, element: Element) -> SubsystemShow:
    """Read `<subsystem.show>`."""
    return SubsystemShow(what=reading.text(element, "what"))


def job_why(reading: Reading, element: Element) -> JobWhy:
    """Read `<job.why>`."""
    return JobWhy(job=_job(reading, element))


def param_get(reading: Reading, element: Element) -> ParamGet:
    """Read `<param.get>`."""
    return ParamGet(name=reading.text(element, "name"))


def params_get(_reading: Reading, _element: Element) -> ParamsGet:
    """Read `<params.get>`."""
    return ParamsGet()


def log_categories_show(_reading: Reading, _element: Element) -> LogCategoriesShow:
    """Read `<scheduler_log.log_categories.show>`."""
    return LogCategoriesShow()


# --- jobs and tasks ------------------------------------------------------------------------------


def start_job(reading: Reading, element: Element) -> StartJob:
    """Read `<start_job>`; `after` wins over `at`."""
    check_web_service(reading, element, is_file=False)
    at: StartAt | InPeriod = _read_at(reading, element, start_at_or_period) or AfterDelay()
    after = _count(reading, element, "after")
    if after is not None:
        at = AfterDelay(delay=seconds(max(after, 0)))
    return StartJob(
        job=_job(reading, element),
        at=at,
        name=reading.text(element, "name"),
        force=reading.flag(element, "force", True),
        params=read_params(reading, element),
        environment=read_environment(reading, element),
    )


def modify_job(reading: Reading, element: Element) -> ModifyJob:
    """Read `<modify_job>`."""
    return ModifyJob(
        job=_job(reading, element),
        action=reading.read(element, "cmd", JobAction, None),
        run_time=run_time_of(reading, element),
    )


def kill_task(reading: Reading, element: Element) -> KillTask:
    """Read `<kill_task>`."""
    return KillTask(
        task=TaskId(reading.number(element, "id", 0)),
        job=_job(reading, element),
        immediately=reading.flag(element, "immediately", False),
        timeout=reading.read(element, "timeout", duration_or_never, None),
    )


# --- orders and chains ---------------------------------------------------------------------------


def add_order(reading: Reading, element: Element) -> AddOrder:
    """Read `<add_order>` and `<order>`; without an id the engine makes one."""
    key = OrderKey(_chain(reading, element), OrderId(reading.text(element, "id")))
    return AddOrder(
        order=read_order(reading, element, key, None),
        at=_read_at(reading, element, start_at),
        replace=reading.flag(element, "replace", True),
    )


def modify_order(reading: Reading, element: Element) -> ModifyOrder | Problem:
    """Read `<modify_order>`; its parameters do not see environment variables."""
    if element.get("setback") is not None and reading.flag(element, "setback", False):
        return not_setback(reading.text(element, "setback"))
    state = reading.optional(element, "state")
    end_state = reading.optional(element, "end_state")
    suspended = reading.optional(element, "suspended")
    return ModifyOrder(
        order=_order(reading, element),
        reset=reading.optional(element, "action") == "reset",
        run_time=run_time_of(reading, element),
        params=read_order_params(reading, element, substitute=False),
        xml_payload=read_xml_payload(reading, element),
        priority=reading.read(element, "priority", integer, None),
        state=None if state is None else NodeState(state),
        end_state=None if end_state is None else NodeState(end_state),
        at=_read_at(reading, element, start_at),
        end_setback=element.get("setback") is not None,
        suspended=None if suspended is None else reading.flag(element, "suspended", False),
        title=None if element.get("title") is None else reading.text(element, "title"),
    )


def remove_order(reading: Reading, element: Element) -> RemoveOrder:
    """Read `<remove_order>`."""
    return RemoveOrder(order=_order(reading, element))


def remove_job_chain(reading: Reading, element: Element) -> RemoveChain:
    """Read `<remove_job_chain>`."""
    return RemoveChain(chain=_chain(reading, element))


def modify_chain(reading: Reading, element: Element) -> ModifyChain:
    """Read `<job_chain.modify>`."""
    return ModifyChain(
        chain=_chain(reading, element), stopped=reading.text(element, "state") == "stopped"
    )


def modify_node(reading: Reading, element: Element) -> ModifyNode:
    """Read `<job_chain_node.modify>`."""
    return ModifyNode(
        chain=_chain(reading, element),
        state=NodeState(reading.text(element, "state")),
        action=reading.read(element, "action", NodeAction, NodeAction.PROCESS),
    )


# --- the engine ----------------------------------------------------------------------------------


def modify_spooler(reading: Reading, element: Element) -> PauseEngine | ModifySpooler | Problem:
    """Read `<modify_spooler>`."""
    match reading.text(element, "cmd"):
        case "pause":
            return PauseEngine(paused=True)
        case "continue":
            return PauseEngine(paused=False)
        case "stop":
            return Problem(
                code="SCHEDULER-105",
                text='<modify_spooler cmd="stop"> is not possible; take cmd="terminate"',
                subject="modify_spooler",
            )
        case cmd:
            return ModifySpooler(action=SpoolerAction(cmd), timeout=_timeout(reading, element))


def terminate(reading: Reading, element: Element) -> Terminate | Problem:
    """Read `<terminate>`."""
    member = reading.optional(element, "cluster_member_id")
    if member is not None:
        return Problem(
            code="SCHEDULER-105",
            text=f"<terminate cluster_member_id={member!r}> is not possible: "
            "this engine has no cluster members; send <terminate/> to the engine itself",
            subject="terminate",
        )
    return Terminate(
        restart=reading.flag(element, "restart", False),
        all_schedulers=reading.flag(element, "all_schedulers", False),
        timeout=_timeout(reading, element),
    )


def set_param(reading: Reading, element: Element) -> SetParams:
    """Read `<param>` as a command."""
    return SetParams(params={reading.text(element, "name"): reading.text(element, "value")})


def set_params(reading: Reading, element: Element) -> SetParams:
    """Read `<params>` as a command."""
    return SetParams(params=read_param_set(reading, element))


def log_category_set(reading: Reading, element: Element) -> LogCategorySet:
    """Read `<scheduler_log.log_categories.set>`."""
    return LogCategorySet(
        category=reading.text(element, "category"), value=reading.text(element, "value")
    )


def log_categories_reset(reading: Reading, element: Element) -> LogCategoriesReset:
    """Read `<scheduler_log.log_categories.reset>`."""
    delay = reading.read(element, "delay", duration_or_never, None)
    return LogCategoriesReset(delay=delay)


def publish_event(_reading: Reading, element: Element) -> PublishEvent:
    """Read `<publish_event>`."""
    return PublishEvent(json=element.text or "")


# --- objects -------------------------------------------------------------------------------------


def ignored(_reading: Reading, _element: Element) -> Ignored:
    """Accept a command that means nothing here."""
    return Ignored()


def check_folders(_reading: Reading, _element: Element) -> CheckFolders:
    """Read `<check_folders>`."""
    return CheckFolders()


def modify_hot_folder(reading: Reading, element: Element) -> ModifyHotFolder | Problem:
    """Read `<modify_hot_folder>`: what shall stand in which file."""
    children = list(element.iterchildren("*"))
    if len(children) != 1:
        return Problem(
            code="Z-JAVA-105",
            text=f"<modify_hot_folder> has {len(children)} objects; give it exactly one "
            "job, job_chain, lock, order, process_class or schedule",
            subject="modify_hot_folder",
        )
    child = children[0]
    kind = ObjectKind(tag_of(child))
    name = _hot_name(reading, child, kind)
    if not name or "/" in name or name.startswith("."):
        return Problem(
            code="SCHEDULER-417",
            text=f"{name!r} cannot be the name of a file of the live folder",
            subject="modify_hot_folder",
        )
    content = deepcopy(child)
    for attribute in ("job_chain", "id") if kind is ObjectKind.ORDER else ("name",):
        content.attrib.pop(attribute, "")
    folder = reading.path(element, "folder") or "/"
    path = f"{folder.rstrip('/')}/{name}"
    return ModifyHotFolder(
        object=ObjectRef(kind=kind, path=path),
        file=f"{path.lstrip('/')}.{kind.value}.xml",
        xml=to_xml(content),
    )


def define_object(reading: Reading, element: Element) -> ApplyDefinitions | DefineNew:
    """Read `<job>`, `<job_chain>`, `<lock>` and `<process_class>` as commands."""
    kind = ObjectKind(tag_of(element))
    definition = read_element(reading, element, kind, _path(reading, element, "name"))
    if reading.flag(element, "replace", True):
        return ApplyDefinitions(defined=(definition,))
    return DefineNew(definition=definition)


def add_jobs(reading: Reading, element: Element) -> AddJobs:
    """Read `<add_jobs>`."""
    return AddJobs(
        jobs=tuple(
            read_job(reading, job, _path(reading, job, "name"), None)
            for job in element.iterfind("job")
        )
    )


def remove_object(reading: Reading, element: Element) -> RemoveObject:
    """Read `<lock.remove>`, `<process_class.remove>` and `<schedule.remove>`."""
    name = tag_of(element).removesuffix(".remove")
    return RemoveObject(object=ObjectRef(kind=ObjectKind(name), path=_path(reading, element, name)))


# --- attributes that many commands have ----------------------------------------------------------


def _job(reading: Reading, element: Element) -> JobKey:
    return job_key(_path(reading, element, "job"))


def _chain(reading: Reading, element: Element) -> ChainKey:
    return chain_key(_path(reading, element, "job_chain"))


def _order(reading: Reading, element: Element) -> OrderKey:
    return order_key(_path(reading, element, "job_chain"), reading.text(element, "order"))


def _path(reading: Reading, element: Element, name: str) -> str:
    """Return a path; the schema has seen to it that it is there."""
    return reading.path(element, name) or "/"


def _hot_name(reading: Reading, element: Element, kind: ObjectKind) -> str:
    if kind is ObjectKind.ORDER:
        chain = reading.text(element, "job_chain").strip().rpartition("/")[2]
        return f"{chain},{reading.text(element, 'id')}"
    return reading.text(element, "name").strip()


def _count(reading: Reading, element: Element, name: str) -> int | None:
    return reading.read(element, name, integer, None)


def _timeout(reading: Reading, element: Element) -> Duration | None:
    timeout = reading.read(element, "timeout", duration_or_never, None)
    return None if timeout is None or timeout >= FOREVER else timeout


def _instant(reading: Reading, element: Element, name: str) -> Instant | None:
    def read(text: str) -> Instant | None:
        return moment(text, reading.context.zone)

    return reading.read(element, name, read, None)


def _read_at(
    reading: Reading, element: Element, reader: Callable[[str, tzinfo], Value]
) -> Value | None:
    """Return the start that `at` names in the engine's zone; None when there is no `at`."""

    def read(text: str) -> Value | None:
        return reader(text, reading.context.zone)

    return reading.read(element, "at", read, None)
