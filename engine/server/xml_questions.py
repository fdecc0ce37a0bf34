"""Answers questions asked in XML: fetches histories and logs for the pure answers."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from engine.codec.xml import queries as q
from engine.codec.xml.answers import (
    WHAT_DEFAULT,
    PastOrder,
    PastTask,
    View,
    element,
    log,
    params,
    parse_what,
)
from engine.codec.xml.answers_calendar import calendar_element
from engine.codec.xml.answers_chains import broken_chain_element, chain_element
from engine.codec.xml.answers_jobs import (
    broken_job_element,
    history_element,
    job_element,
    past_task_as_task,
    task_element,
)
from engine.codec.xml.answers_orders import order_element, past_order_element
from engine.codec.xml.answers_state import (
    SUBSYSTEMS,
    job_chains_element,
    jobs_element,
    process_classes_element,
    state_element,
    subsystems_element,
)
from engine.codec.xml.answers_why import job_why_element
from engine.codec.xml.deferred import Deferred
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.findings import Element
from engine.kernel.commands import ObjectKind
from engine.kernel.ids import OrderKey, TaskId
from engine.kernel.params import value_of
from engine.kernel.problems import Problem, unknown_object, unknown_order
from engine.kernel.state import ChainState, NodeKey
from engine.server.engine_port import (
    EnginePort,
    HistoryQuery,
    OrderHistoryEntry,
    TaskHistoryEntry,
)
from engine.server.large_answers import AT_ONCE_MAX, LargeAnswers
from engine.server.source_files import SourceFiles, waiting_files

LOG_BYTES_MAX: Final = 4 * 1024 * 1024
"""Longer logs are answered with their end."""
LOGS_OF_HISTORY_BYTES_MAX: Final = 256 * 1024
"""In a history of each log, its end; and of all of them together, newest first:"""
LOGS_OF_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
LOG_LEFT_OUT: Final = "(left out, the answer has many logs: ask for this task alone)"
HISTORIES_MAX: Final = 500
"""Jobs or chains whose history is read for one answer; beyond them it is left out."""
ORDER_HISTORY_DEFAULT: Final = 20
_SHOW_ORDERS: Final = frozenset({"folders", "job_chains", "job_orders", "orders", "job_chain_jobs"})


class Questions:
    """Answers questions about one engine."""

    def __init__(self, port: EnginePort, facts: EngineFacts, large: LargeAnswers) -> None:
        self._port = port
        self._facts = facts
        self._large = large

    async def answer(self, query: q.Query, deferred: Deferred | None = None) -> Element | Problem:
        """Return the element that answers, or why there is none."""
        await self._port.settled()
        match query:
            case q.ShowState():
                return await self._state(query, deferred)
            case q.ShowJobs():
                return await self._jobs(query, deferred)
            case q.ShowJob():
                return await self._job(query, deferred)
            case q.ShowJobChains():
                return await self._chains(query, deferred)
            case q.ShowJobChain():
                return await self._chain(query, deferred)
            case q.ShowOrder():
                return await self._order(query)
            case q.ShowTask():
                return await self._task(query)
            case q.ShowHistory():
                return await self._history(query)
            case q.ShowCalendar():
                return await self._calendar(query, deferred)
            case q.JobWhy():
                return await self._why(query, deferred)
            case _:
                return self._plain(query)

    def _plain(self, query: q.Query) -> Element | Problem:
        """Answer what the state alone tells."""
        state = self._port.state
        match query:
            case q.ShowProcessClasses():
                return process_classes_element(self._view())
            case q.SubsystemShow():
                what = parse_what(query.what)
                if isinstance(what, Problem):
                    return what
                return subsystems_element(self._view(what))
            case q.ParamGet():
                value = value_of(state.main.params, query.name)
                if value is None:
                    return element("ok")
                return element("param", name=query.name, value=value)
            case q.ParamsGet():
                return params(state.main.params)
            case _:
                raise AssertionError(f"{type(query).__name__} is answered elsewhere")

    def _view(
        self,
        what: frozenset[str] = WHAT_DEFAULT,
        *,
        max_orders: int | None = None,
        past_tasks: Mapping[str, tuple[PastTask, ...]] | None = None,
        past_orders: Mapping[str, tuple[PastOrder, ...]] | None = None,
        only_chain: str | None = None,
        log_text: str | None = None,
        subsystems: frozenset[str] | None = None,
        folder: str = "/",
    ) -> View:
        return View(
            state=self._port.state,
            now=self._port.now(),
            facts=self._facts,
            what=what,
            subsystems=subsystems,
            folder=folder,
            max_orders=max_orders,
            past_tasks=past_tasks or {},
            past_orders=past_orders or {},
            tasks_begun=self._port.tasks_begun(),
            only_chain=only_chain,
            log=log_text,
            next_due=self._port.state.next_due(),
        )

    async def _calendar(self, query: q.ShowCalendar, deferred: Deferred | None) -> Element:
        make = partial(
            calendar_element,
            start=query.start,
            before=query.before,
            limit=query.limit,
            with_orders="orders" in re.split(r"[,\s]+", query.what),
        )
        # How long the search for starts takes shows only when it is done: never in the event loop.
        return await self._large.made(make, self._view(), AT_ONCE_MAX + 1, deferred)

    async def _why(self, query: q.JobWhy, deferred: Deferred | None) -> Element | Problem:
        state = self._port.state
        job = state.jobs.get(query.job)
        if job is None:
            return unknown_object("Job", query.job)
        view = self._view()
        objects = sum(_orders_at(view, node) for node in state.nodes_of_job.get(job.key, ()))
        objects += len(state.queued_tasks.get(job.key, ()))
        return await self._large.made(partial(job_why_element, job=job), view, objects, deferred)

    # --- the engine ------------------------------------------------------------------------------

    async def _state(self, query: q.ShowState, deferred: Deferred | None) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        subsystems = _subsystems(query.subsystems)
        if isinstance(subsystems, Problem):
            return subsystems
        state = self._port.state
        past_tasks = past_orders = None
        if "task_history" in what:
            past_tasks = await self._past_tasks(state.jobs, query.max_task_history)
        elif "jobs" in what:
            # Those are the ones whose last error people look for.
            stopped = [key for key, job in state.jobs.items() if job.stopped]
            past_tasks = await self._past_tasks(stopped, 1)
        if query.max_order_history:
            past_orders = await self._past_orders(state.chains, query.max_order_history)
        files = await self._source_files(what, state.chains.values())
        view = self._view(
            what,
            max_orders=query.max_orders,
            past_tasks=past_tasks,
            past_orders=past_orders,
            subsystems=subsystems,
            folder=query.path,
        )
        view = replace(view, source_files=files)
        return await self._large.made(state_element, view, _objects_of_state(view), deferred)

    # --- jobs and tasks --------------------------------------------------------------------------

    async def _jobs(self, query: q.ShowJobs, deferred: Deferred | None) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        past = None
        if "task_history" in what:
            past = await self._past_tasks(self._port.state.jobs, query.max_task_history)
        view = self._view(what, max_orders=query.max_orders, past_tasks=past)
        make = partial(jobs_element, folder="/")
        return await self._large.made(make, view, _objects_of_state(view), deferred)

    async def _job(self, query: q.ShowJob, deferred: Deferred | None) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        past = await self._past_tasks([query.job], max(query.max_task_history, 1))
        text = await self._log_of_last(past.get(query.job, ())) if "log" in what else None
        state = self._port.state
        job = state.jobs.get(query.job)
        if job is None:
            broken = state.unreadable(ObjectKind.JOB, query.job)
            if broken is not None:
                return broken_job_element(self._view(), broken.path)
            return unknown_object("Job", query.job)
        view = self._view(
            what,
            max_orders=query.max_orders,
            past_tasks=past,
            only_chain=query.chain,
            log_text=text,
        )
        nodes = state.nodes_of_job.get(job.key, ())
        shown = view.wants("job_orders", "orders")
        objects = sum(_orders_at(view, node) for node in nodes) if shown else 1
        return await self._large.made(partial(job_element, job=job), view, objects, deferred)

    async def _task(self, query: q.ShowTask) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        text = await self._task_log(query.task, LOG_BYTES_MAX) if "log" in what else None
        task = self._port.state.tasks.get(query.task)
        if task is not None:
            return task_element(self._view(what, log_text=text), task)
        found = await self._port.task_history(HistoryQuery(ids=(query.task,), limit=1))
        if not found:
            return Problem(code="SCHEDULER-207", text=f"There is no task {query.task}")
        return past_task_as_task(self._view(what, log_text=text), _past_task(found[0]))

    async def _history(self, query: q.ShowHistory) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        if query.job not in self._port.state.jobs:
            return unknown_object("Job", query.job)
        found = await self._port.task_history(_history_query(query))
        entries = []
        left = LOGS_OF_ANSWER_BYTES_MAX
        for entry in found:
            text = None
            if "log" in what and left <= 0:
                text = LOG_LEFT_OUT
            elif "log" in what:
                text = await self._task_log(entry.task, min(left, LOGS_OF_HISTORY_BYTES_MAX))
                left -= len(text.encode("utf-8", "replace"))
            entries.append(_past_task(entry, log_text=text))
        state = self._port.state
        return history_element(entries, state.main.scheduler_id or state.control.engine_id)

    async def _past_tasks(
        self, jobs: Iterable[str], limit: int
    ) -> Mapping[str, tuple[PastTask, ...]]:
        past = {}
        for job in list(jobs)[:HISTORIES_MAX]:
            found = await self._port.task_history(HistoryQuery(job=job, limit=max(limit, 1)))
            past[job] = tuple(_past_task(entry) for entry in found)
        return past

    async def _log_of_last(self, past: tuple[PastTask, ...]) -> str:
        return await self._task_log(TaskId(past[0].id), LOG_BYTES_MAX) if past else ""

    async def _task_log(self, task: TaskId, limit: int) -> str:
        part = await self._port.task_log(task, -limit, limit)
        return "" if part is None else part.text

    # --- chains and orders -----------------------------------------------------------------------

    async def _chains(self, query: q.ShowJobChains, deferred: Deferred | None) -> Element | Problem:
        what = parse_what(query.what, WHAT_DEFAULT | {"job_chain_jobs"})
        if isinstance(what, Problem):
            return what
        past = None
        if query.max_order_history:
            past = await self._past_orders(self._port.state.chains, query.max_order_history)
        view = self._view(what, max_orders=query.max_orders, past_orders=past)
        make = partial(job_chains_element, folder="/")
        return await self._large.made(make, view, _objects_of_state(view), deferred)

    async def _chain(self, query: q.ShowJobChain, deferred: Deferred | None) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        limit = query.max_order_history
        if limit is None:
            limit = ORDER_HISTORY_DEFAULT if "order_history" in what else 0
        past = await self._past_orders([query.chain], limit) if limit else None
        known = self._port.state.chains.get(query.chain)
        files = await self._source_files(what, [] if known is None else [known])
        chain = self._port.state.chains.get(query.chain)
        if chain is None:
            broken = self._port.state.unreadable(ObjectKind.CHAIN, query.chain)
            if broken is not None:
                return broken_chain_element(self._view(), broken.path)
            return unknown_object("Job_chain", query.chain)
        view = self._view(what, max_orders=query.max_orders, past_orders=past)
        view = replace(view, source_files=files)
        make = partial(
            chain_element, chain=chain, with_jobs="job_chain_jobs" in what, with_orders=True
        )
        nodes = [(chain.key, node.state) for node in chain.definition.nodes]
        return await self._large.made(
            make, view, sum(_orders_at(view, node) for node in nodes), deferred
        )

    async def _order(self, query: q.ShowOrder) -> Element | Problem:
        what = parse_what(query.what)
        if isinstance(what, Problem):
            return what
        state = self._port.state
        if query.chain not in state.chains:
            return unknown_object("Job_chain", query.chain)
        if query.order is not None:
            order = state.find_order(OrderKey(query.chain, query.order))
            if order is not None and query.history_id in {None, order.shown_history}:
                text = None
                if "log" in what:
                    about = order.shown_history or order.key
                    text = await self._port.order_log(about, LOG_BYTES_MAX)
                    order = state.find_order(order.key)  # it may have gone on, or gone, meanwhile
                if order is not None:
                    return order_element(self._view(what, log_text=text), order)
        return await self._past_order(query, what)

    async def _past_order(self, query: q.ShowOrder, what: frozenset[str]) -> Element | Problem:
        found = await self._port.order_history(
            HistoryQuery(
                chain=query.chain,
                order=query.order,
                ids=() if query.history_id is None else (query.history_id,),
                limit=1,
            )
        )
        if not found:
            return unknown_order(query.chain, query.order or str(query.history_id))
        text = None
        if "log" in what:
            text = await self._port.order_log(found[0].history, LOG_BYTES_MAX)
        result = past_order_element(_past_order(found[0]))
        result.set("job_chain", found[0].chain)
        result.append(log(self._view(what, log_text=text)))
        return result

    async def _source_files(
        self, what: frozenset[str], chains: Iterable[ChainState]
    ) -> SourceFiles:
        if "order_source_files" not in what:
            return {}
        definitions = [chain.definition for chain in chains]
        return await asyncio.to_thread(waiting_files, definitions)

    async def _past_orders(
        self, chains: Iterable[str], limit: int
    ) -> Mapping[str, tuple[PastOrder, ...]]:
        past = {}
        for chain in list(chains)[:HISTORIES_MAX]:
            found = await self._port.order_history(HistoryQuery(chain=chain, limit=limit))
            past[chain] = tuple(_past_order(entry) for entry in found)
        return past


def _objects_of_state(view: View) -> int:
    """Return about how many objects an answer about the whole state has."""
    state = view.state
    count = len(state.jobs) + len(state.chains) + len(state.tasks) + len(state.schedules)
    if not view.what.isdisjoint(_SHOW_ORDERS):
        count += sum(_orders_at(view, node) for node in list(state.queues))
    return count


def _orders_at(view: View, node: NodeKey) -> int:
    """Return how much work the orders of a node are: those not shown must be sorted at least."""
    queue = view.state.queues.get(node)
    if queue is None:
        return 0
    count = len(queue.all)
    shown = count if view.max_orders is None else min(count, view.max_orders)
    return shown + count // 20


def _subsystems(text: str) -> frozenset[str] | Problem | None:
    names = frozenset(text.split())
    unknown = sorted(names - SUBSYSTEMS)
    if unknown:
        return Problem(
            code="SCHEDULER-164",
            text=f"subsystems={unknown[0]!r} is not known; known: {', '.join(sorted(SUBSYSTEMS))}",
        )
    return names or None


def _history_query(query: q.ShowHistory) -> HistoryQuery:
    """Return which runs `show_history` means (6.5); a lone id means that run."""
    if query.following is not None:
        # Old clients ask with `next` and without an id for the newest ones.
        return HistoryQuery(job=query.job, above=query.id, limit=query.following)
    if query.previous is not None:
        return HistoryQuery(job=query.job, below=query.id, limit=query.previous)
    ids = () if query.id is None else (query.id,)
    return HistoryQuery(job=query.job, ids=ids, limit=q.HISTORY_LENGTH)


def _past_task(entry: TaskHistoryEntry, log_text: str | None = None) -> PastTask:
    return PastTask(
        id=entry.task,
        job=entry.job,
        cause=entry.cause,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        steps=entry.steps,
        exit_code=entry.exit_code,
        error_code=entry.error_code,
        error_text=entry.error_text,
        pid=entry.pid,
        agent=entry.agent,
        log=log_text,
    )


def _past_order(entry: OrderHistoryEntry) -> PastOrder:
    return PastOrder(
        history=entry.history,
        chain=entry.chain,
        order=entry.order,
        title=entry.title,
        state=entry.state,
        state_text=entry.state_text,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
    )
