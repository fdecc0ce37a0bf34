"""Carries out XML commands, one after the other, until one fails (xml-commands.md 2, 5, 6).

The HTTP interface, the raw XML port and commands on the exit of a task share this. Each command is
checked against what the client may; what earlier ones have done stays when a later one fails.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from engine.codec.xml import queries as q
from engine.codec.xml.answers import SCHEMA_ERROR, View, answer_document, element, ok
from engine.codec.xml.answers_jobs import task_element
from engine.codec.xml.answers_orders import order_element, waiting_order_element
from engine.codec.xml.commands import ParsedCommand, parse_commands
from engine.codec.xml.deferred import Deferred
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.findings import Element
from engine.codec.xml.queries import Permission
from engine.codec.xml.reading import Context
from engine.codec.xml.secrets import masked
from engine.kernel.commands import (
    AddOrder,
    ApplyDefinitions,
    JobAction,
    ModifyJob,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    Request,
    StartJob,
)
from engine.kernel.definitions import (
    Chain,
    Definition,
    Job,
    Lock,
    Monitor,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
)
from engine.kernel.ids import OrderId, OrderKey, TaskId, chain_key, job_key
from engine.kernel.params import merge
from engine.kernel.problems import Problem
from engine.server.auth import Role
from engine.server.custom_events import CustomEvents
from engine.server.engine_port import Accepted, EnginePort, EngineStopping
from engine.server.large_answers import LargeAnswers
from engine.server.log_categories import LogCategories
from engine.server.requests import carry_out
from engine.server.xml_questions import Questions

_log = logging.getLogger(__name__)

LOGGED_XML_MAX: Final = 2_000
_BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
NOT_PERMITTED: Final = "SCHEDULER-121"
NOT_ACTIVE: Final = "SCHEDULER-381"

_ADDS_FOR_OPERATORS: Final = frozenset({"add_order", "order"})
"""Operators place orders, although the original counts that as adding."""
_FOR_ADMINISTRATORS: Final = frozenset({"modify_hot_folder", "remove_job_chain", "terminate"})
"""These change definitions or the engine's life, although the original asks for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who sends commands, and what they may."""

    name: str
    permission: Permission
    role: Role = Role.ADMIN


def client_with(role: Role, name: str) -> Client:
    """Return the client that holds a token of this role."""
    permission = {
        Role.READ_ONLY: Permission.INFO,
        Role.OPERATOR: Permission.NO_ADD,
        Role.ADMIN: Permission.ALL,
    }[role]
    return Client(name=name, permission=permission, role=role)


def encoding_of(data: bytes, charset: str | None = None) -> str | None:
    """Return the encoding of a command, None when its text tells.

    An XML declaration is believed before the charset of the transport. Without both it is UTF-8;
    what is none comes from a client that writes ISO-8859-1 without saying so.
    """
    head = data[:200].lstrip()
    if head.startswith(b"<?xml") and b"encoding" in head.partition(b"?>")[0]:
        return None
    if charset is not None:
        return charset
    try:
        data.decode()
    except UnicodeDecodeError:
        return None if data[:2] in _BYTE_ORDER_MARKS else "iso-8859-1"
    return None


class Aborted(Exception):
    """`abort_immediately`: the connection is closed without an answer."""


Result: TypeAlias = Element | Problem


class XmlCommands:
    """Carries out XML commands on one engine."""

    def __init__(self, port: EnginePort, facts: EngineFacts) -> None:
        self._port = port
        self._facts = facts
        self.large = LargeAnswers()
        self._questions = Questions(port, facts, self.large)
        self._categories = LogCategories()
        self.custom_events = CustomEvents()

    async def execute(
        self,
        data: bytes,
        client: Client,
        *,
        encoding: str | None = None,
        context: Context | None = None,
        only_shows: bool = False,
        deferred: Deferred | None = None,
    ) -> Element:
        """Return the whole answer to the text of one or more commands.

        With `deferred` long lists are left out; `large.text` puts them in.
        """
        parsed = parse_commands(data, context or self._port.command_context(), encoding=encoding)
        results: list[Element] = []
        problem = parsed if isinstance(parsed, Problem) else None
        for command in () if isinstance(parsed, Problem) else parsed:
            if only_shows and not command.is_show:
                result: Result = not_permitted(command.name)
            else:
                result = await self.one(command, client, deferred)
            if isinstance(result, Problem):
                problem = result
                break
            results.append(result)
        return answer_document(results, self._port.now(), problem)

    async def one(
        self, command: ParsedCommand, client: Client, deferred: Deferred | None = None
    ) -> Result:
        """Carry out one command."""
        if not _may(client, command):
            return not_permitted(command.name)
        if not _is_question(command):
            text = masked(command.xml)[:LOGGED_XML_MAX]
            _log.info("SCHEDULER-965 XML command", extra={"by": client.name, "xml": text})
        try:
            return await self._done(command, client.name, deferred)
        except EngineStopping:
            return Problem(code=NOT_ACTIVE, text="The engine is stopping")
        except OSError as error:
            return Problem(code=f"ERRNO-{error.errno or 5}", text=str(error))

    async def _done(self, command: ParsedCommand, by: str, deferred: Deferred | None) -> Result:
        action = command.action
        if isinstance(action, Problem):
            return action
        if isinstance(action, q.LogCategoriesShow):
            return self._categories.element()
        if isinstance(action, q.Query):
            return await self._questions.answer(action, deferred)
        if isinstance(action, q.Operation):
            return await self._operation(action, by)
        return await self._request(action, by)

    # --- requests to the kernel ------------------------------------------------------------------

    async def _request(self, request: Request, by: str) -> Result:
        done = await carry_out(self._port, request, by)
        if isinstance(done, Problem):
            return done
        match request:
            case AddOrder():
                return ok(*self._added_order(request, done))
            case StartJob():
                return ok(*self._started_task(request, done))
            case _:
                return ok()

    def _added_order(self, request: AddOrder, done: Accepted) -> list[Element]:
        """Return the order as it is now; a quick one may have come and gone already."""
        key = request.order.key
        if done.subject:
            key = OrderKey(key.chain, OrderId(done.subject))
        order = self._port.state.find_order(key)
        if order is not None and order.replacement is not None:
            return [waiting_order_element(self._view(), order)]
        if order is not None:
            return [order_element(self._view(), order)]
        chain = self._port.state.chains.get(key.chain)
        path = key.chain if chain is None else chain.definition.path
        return [element("order", order=key.id, id=key.id, job_chain=path)]

    def _started_task(self, request: StartJob, done: Accepted) -> list[Element]:
        if not done.subject:
            return []
        task = self._port.state.tasks.get(TaskId(int(done.subject)))
        if task is not None:
            return [task_element(self._view(), task)]
        job = self._port.state.jobs.get(request.job)
        path = request.job if job is None else job.definition.path
        return [element("task", job=path, id=done.subject, task=done.subject)]

    def _view(self) -> View:
        return View(state=self._port.state, now=self._port.now(), facts=self._facts)

    # --- operations around it --------------------------------------------------------------------

    async def _operation(self, action: q.Operation, by: str) -> Result:
        match action:
            case q.Ignored():
                pass
            case q.CheckFolders():
                await self._port.look_at_folders()
            case q.ModifyHotFolder():
                await self._port.write_live_file(action.file, action.xml)
            case q.RemoveObject():
                return await self._removed(action.object, by)
            case q.SetParams():
                main = self._port.state.main
                changed = replace(main, params=merge(main.params, action.params))
                return await self._applied(ApplyDefinitions(main=changed), by)
            case q.DefineNew():
                if _exists(self._port, action.definition):
                    return _already_there(action.definition)
                return await self._applied(ApplyDefinitions(defined=(action.definition,)), by)
            case q.AddJobs():
                return await self._added_jobs(action.jobs, by)
            case q.ModifySpooler():
                return await self._spooler(action)
            case q.Terminate():
                await self._port.terminate(action.timeout, action.restart)
            case q.LogCategorySet():
                return self._categories.set(action.category, action.value)
            case q.LogCategoriesReset():
                return self._categories.reset(action.delay)
            case q.PublishEvent():
                return self._published(action.json)
            case _:
                assert_never(action)
        return ok()

    async def _applied(self, request: ApplyDefinitions, by: str) -> Result:
        done = await self._port.submit(request, by)
        return done if isinstance(done, Problem) else ok()

    async def _removed(self, ref: ObjectRef, by: str) -> Result:
        if not _is_known(self._port, ref):
            kind = ref.kind.value.capitalize()
            return Problem(code="SCHEDULER-161", text=f"There is no {kind} {ref.path!r}")
        if await self._port.remove_live_file(ref):
            return ok()
        return await self._applied(ApplyDefinitions(removed=(ref,)), by)

    async def _added_jobs(self, jobs: tuple[Job, ...], by: str) -> Result:
        for job in jobs:
            if job.key in self._port.state.jobs:
                return Problem(code="SCHEDULER-141", text=f"The job {job.path!r} already exists")
        temporary = tuple(replace(job, temporary=not job.is_order_job) for job in jobs)
        result = await self._applied(ApplyDefinitions(defined=temporary), by)
        for job in jobs:
            if isinstance(result, Problem):
                return result
            done = await self._port.submit(StartJob(job=job_key(job.path)), by)
            result = done if isinstance(done, Problem) else ok()
        return result

    async def _spooler(self, action: q.ModifySpooler) -> Result:
        match action.action:
            case q.SpoolerAction.RELOAD:
                await self._port.check_folders()
            case q.SpoolerAction.ROTATE_LOGS:
                await self._port.rotate_logs()
            case q.SpoolerAction.TERMINATE:
                await self._port.terminate(action.timeout, restart=False)
            case q.SpoolerAction.TERMINATE_AND_RESTART:
                await self._port.terminate(action.timeout, restart=True)
            case q.SpoolerAction.LET_RUN_TERMINATE_AND_RESTART:
                await self._port.terminate(None, restart=True)
            case q.SpoolerAction.ABORT_IMMEDIATELY:
                await self._port.abort(restart=False)
                raise Aborted
            case q.SpoolerAction.ABORT_IMMEDIATELY_AND_RESTART:
                await self._port.abort(restart=True)
                raise Aborted
            case _:
                assert_never(action.action)
        return ok()

    def _published(self, text: str) -> Result:
        try:
            self.custom_events.publish(text, self._port.now())
        except ValueError as error:
            return Problem(code=SCHEMA_ERROR, text=str(error))
        return ok()


def not_permitted(name: str) -> Problem:
    """Return the refusal of a command that the client may not send."""
    return Problem(code=NOT_PERMITTED, text=f"The client may not execute <{name}>", subject=name)


def _is_question(command: ParsedCommand) -> bool:
    return isinstance(command.action, q.Query)


def _may(client: Client, command: ParsedCommand) -> bool:
    if command.name in _ADDS_FOR_OPERATORS:
        return client.role.includes(Role.OPERATOR) and client.permission.includes(
            Permission.NO_ADD if client.role is Role.OPERATOR else command.permission
        )
    if not client.permission.includes(command.permission):
        return False
    if client.role is Role.ADMIN:
        return True
    return not _is_for_administrators(command)


def _is_for_administrators(command: ParsedCommand) -> bool:
    match command.action:
        case ModifyJob(action=JobAction.REMOVE):
            return True
        case q.ModifySpooler() | q.CheckFolders():
            return isinstance(command.action, q.ModifySpooler)
        case PauseEngine():
            return False
        case _:
            return command.name in _FOR_ADMINISTRATORS


def _exists(port: EnginePort, definition: Definition) -> bool:
    return _is_known(port, reference(definition))


def reference(definition: Definition) -> ObjectRef:
    """Name the object that a definition defines."""
    match definition:
        case Job():
            return ObjectRef(kind=ObjectKind.JOB, path=definition.path)
        case Chain():
            return ObjectRef(kind=ObjectKind.CHAIN, path=definition.path)
        case OrderDefinition():
            return ObjectRef(kind=ObjectKind.ORDER, path=str(definition.key))
        case ProcessClass():
            return ObjectRef(kind=ObjectKind.PROCESS_CLASS, path=definition.path)
        case Lock():
            return ObjectRef(kind=ObjectKind.LOCK, path=definition.path)
        case Monitor():
            return ObjectRef(kind=ObjectKind.MONITOR, path=definition.path)
        case ScheduleFile():
            return ObjectRef(kind=ObjectKind.SCHEDULE, path=definition.schedule.path)
        case _:
            assert_never(definition)


def _is_known(port: EnginePort, ref: ObjectRef) -> bool:
    """Return whether the state or a broken file has this object."""
    state = port.state
    if ref in state.broken:
        return True
    match ref.kind:
        case ObjectKind.JOB:
            return job_key(ref.path) in state.jobs
        case ObjectKind.CHAIN:
            return chain_key(ref.path) in state.chains
        case ObjectKind.PROCESS_CLASS:
            return ref.path in {str(key) for key in state.process_classes}
        case ObjectKind.LOCK:
            return ref.path in {str(key) for key in state.locks}
        case ObjectKind.SCHEDULE:
            return ref.path in {str(key) for key in state.schedules}
        case ObjectKind.MONITOR:
            return ref.path in {str(key) for key in state.monitors}
        case ObjectKind.ORDER:
            return ref.path in {str(key) for key in state.order_files}
        case _:
            assert_never(ref.kind)


def _already_there(definition: Definition) -> Problem:
    ref = reference(definition)
    code = {ObjectKind.JOB: "SCHEDULER-141", ObjectKind.CHAIN: "SCHEDULER-163"}
    return Problem(
        code=code.get(ref.kind, "SCHEDULER-160"),
        text=f"{ref.path!r} already exists",
        subject=ref.path,
    )
