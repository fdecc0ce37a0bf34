"""Answers about job chains and their nodes (xml-commands.md 7.5)."""

import re
from errno import EIO
from typing import assert_never

from engine.codec.xml.answers import (
    Requisite,
    View,
    element,
    error,
    file_based,
    given,
    moment,
    ref,
    source_element,
    yes,
    yes_no,
)
from engine.codec.xml.answers_jobs import job_element
from engine.codec.xml.answers_orders import (
    blacklist,
    chain_path,
    count_at,
    order_queue,
    past_order_element,
)
from engine.codec.xml.findings import Element
from engine.kernel.commands import NodeAction, ObjectKind
from engine.kernel.definitions import (
    Chain,
    EndNode,
    FileOrderSource,
    JobNode,
    NestedNode,
    Node,
    SinkNode,
    Visible,
)
from engine.kernel.ids import name_of
from engine.kernel.instants import FOREVER, Duration, utc_text
from engine.kernel.pending import source_key
from engine.kernel.state import ChainState, State


def broken_chain_element(view: View, path: str) -> Element:
    """Return `<job_chain>` of a file that never was readable: its name and the error only."""
    part = file_based(view, None, ref(ObjectKind.CHAIN, path), state="undefined")
    return element(
        "job_chain", part, path=path, name=name_of(path), orders=0, state="under_construction"
    )


def chain_element(
    view: View, chain: ChainState, *, with_jobs: bool = False, with_orders: bool = False
) -> Element:
    """Return `<job_chain>` with its nodes, queues, and history if that was read."""
    state, definition = view.state, chain.definition
    keys = state.orders_of_chain.get(chain.key, {})
    name = name_of(definition.path)
    blacklisted = blacklist(view, chain.key)
    waiting = len(keys) - len(state.blacklisted_in_chain.get(chain.key, ()))
    result = element(
        "job_chain",
        path=definition.path,
        name=name,
        title=given(definition.title),
        orders=waiting,
        running_orders=state.started_in_chain.get(chain.key, 0),
        max_orders=definition.max_orders,
        state="loaded" if is_incomplete(state, chain) else chain_state_name(chain),
        visible=None if chain.visible is Visible.YES else chain.visible.value,
        orders_recoverable=yes_no(definition.orders_recoverable),
        order_id_space=id_space_name(state, chain),
        process_class=given(definition.process_class),
    )
    result.append(_file_part(view, chain))
    if chain.replacement is not None:
        result.append(element("replacement", _replacement(view, chain.replacement)))
    if view.wants("source"):
        source = source_element(definition.source)
        if source is not None:
            result.append(source)
    result.extend(
        _file_order_source(view, each, definition) for each in definition.file_order_sources
    )
    for node in definition.nodes:
        result.append(_node(view, chain, node, with_jobs=with_jobs, with_orders=with_orders))
    past = view.past_orders.get(chain.key)
    if past is not None:
        result.append(element("order_history", *(past_order_element(each) for each in past)))
    if blacklisted is not None:
        result.append(blacklisted)
    return result


def id_space_name(state: State, chain: ChainState) -> str | None:
    """Return the name of the order ids that nested chains share: their first super chain."""
    if not chain.definition.is_nested and chain.key not in state.supers_of_chain:
        return None
    spaces = [state.chains[key] for key in state.id_space(chain.key) if key in state.chains]
    supers = [each.key for each in spaces if each.definition.is_nested]
    return chain_path(state, min(supers)) if supers else None


def chain_state_name(chain: ChainState) -> str:
    """Return the chain's state in the words of the original."""
    return "stopped" if chain.stopped else "running"


def is_incomplete(state: State, chain: ChainState) -> bool:
    """Tell whether a nested chain is missing: then the whole super chain cannot work (7.2)."""
    nodes = chain.definition.nodes
    return any(isinstance(node, NestedNode) and node.chain not in state.chains for node in nodes)


def _file_part(view: View, chain: ChainState) -> Element:
    definition, state = chain.definition, view.state
    needs: dict[tuple[str, str], bool] = {}
    for node in definition.nodes:
        match node:
            case JobNode():
                needs["Job", node.job_path] = node.job not in state.jobs
            case NestedNode():
                needs["Job_chain", node.chain_path] = node.chain not in state.chains
            case SinkNode() | EndNode():
                pass
            case _:
                assert_never(node)
    for path in (definition.process_class, definition.file_watching_process_class):
        if path:
            needs["Process_class", path] = path not in state.process_classes
    return file_based(
        view,
        definition.source,
        ref(ObjectKind.CHAIN, definition.path),
        state="incomplete" if is_incomplete(state, chain) else "active",
        requisites=[
            Requisite(kind=kind, path=path, is_missing=missing)
            for (kind, path), missing in needs.items()
        ],
        removed=chain.removal_held,
    )


def _replacement(view: View, chain: Chain) -> Element:
    part = file_based(view, chain.source, None, state="initialized")
    return element(
        "job_chain", part, path=chain.path, name=name_of(chain.path), state="initialized"
    )


def _node(
    view: View, chain: ChainState, node: Node, *, with_jobs: bool, with_orders: bool
) -> Element:
    action = chain.action(node.state)
    result = element(
        "job_chain_node",
        state=node.state,
        next_state=getattr(node, "next_state", None),
        error_state=getattr(node, "error_state", None),
        action=None if action is NodeAction.PROCESS else action.value,
    )
    queue_key = (chain.key, node.state)
    match node:
        case JobNode():
            result.set("job", node.job_path)
            result.append(order_queue(view, [queue_key], with_orders=with_orders))
            job = view.state.jobs.get(node.job)
            if with_jobs and job is not None:
                result.append(job_element(view, job))
        case SinkNode():
            result.set("job", "/scheduler_file_order_sink")
            result.append(order_queue(view, [queue_key], with_orders=with_orders))
            sink = element("file_order_sink", remove=yes(node.remove), move_to=given(node.move_to))
            result.append(sink)
        case NestedNode():
            result.set("job_chain", node.chain_path)
        case EndNode():
            # Orders at end nodes are finished or on the blacklist; others have lost their node.
            if with_orders and count_at(view.state, queue_key):
                result.append(order_queue(view, [queue_key], with_orders=True))
        case _:
            assert_never(node)
    return result


_ERRNO = re.compile(r"\(errno (\d+)\)")


def _file_order_source(view: View, source: FileOrderSource, chain: Chain) -> Element:
    result = element(
        "file_order_source",
        directory=source.directory,
        regex=given(source.regex),
        next_state=source.next_state,
        delay_after_error=_seconds(source.delay_after_error),
        repeat="no" if source.repeat is None else _seconds(source.repeat),
        alert_when_directory_missing=yes_no(source.alert_when_directory_missing),
        remote_scheduler=given(chain.file_watching_process_class),
    )
    known = view.state.sources.get(source_key(chain.key, source.directory))
    if known is not None and known.error:
        found = _ERRNO.search(known.error)
        result.append(error(f"ERRNO-{found[1] if found else EIO}", known.error))
    waiting = view.source_files.get(source_key(chain.key, source.directory))
    if waiting is not None:
        shown = [
            element("file", path=path, last_write_time=utc_text(changed))
            for path, changed in waiting
        ]
        result.append(element("files", *shown, snapshot_time=moment(view.now), count=len(shown)))
    if known is not None and known.ignored:
        files = [
            element("file", error("SCHEDULER-346", "The path is too long for an order"), path=path)
            for path in known.ignored
        ]
        result.append(element("bad_files", *files, count=len(files)))
    return result


def _seconds(duration: Duration | None) -> str | None:
    if duration is None:
        return None
    return "never" if duration >= FOREVER else str(duration // 1000)
