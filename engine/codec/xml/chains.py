"""`<job_chain>` elements -> chains, completed by the implicit rules (orders-and-jobs.md 1)."""

import re
from collections.abc import Sequence
from dataclasses import replace

from engine.codec.xml.findings import Element, did_you_mean, tag_of
from engine.codec.xml.reading import Reading
from engine.codec.xml.values import duration, integer, python_regex, repeat_or_no, yes_no
from engine.kernel.definitions import (
    AddedOrder,
    Chain,
    CodeRange,
    EndNode,
    FileOrderSource,
    JobNode,
    NestedNode,
    Node,
    OnError,
    OnReturnCodes,
    SinkNode,
    Source,
    Visible,
)
from engine.kernel.ids import END_STATE, ClassPath, NodeState, chain_key, job_key
from engine.kernel.instants import Duration, seconds

NODE_ORDER = "{https://jobscheduler-plugins.sos-berlin.com/NodeOrderPlugin}"
"""Namespace of `<add_order>` inside `<on_return_code>`; the plug-in is always at hand here."""
NO_DELAY = Duration(0)
SOURCE_REPEAT = seconds(10)

_NODE_TAGS = frozenset(
    ["job_chain_node", "file_order_sink", "job_chain_node.end", "job_chain_node.job_chain"]
)
_CODE_RANGE = re.compile(r"(-?\d{1,9})(?:\.\.(-?\d{1,9}))?")


def read_chain(reading: Reading, element: Element, path: str, source: Source | None) -> Chain:
    """Return the chain that an element defines; findings say whether it can be used."""
    places = [one for one in element.iterchildren("*") if tag_of(one) in _NODE_TAGS]
    states = _states(reading, places)
    nodes = [
        _node(reading, one, state, following, path)
        for one, state, following in zip(places, states, [*states, None][1:], strict=True)
        if state is not None
    ]
    completed = _completed(nodes)
    _check_targets(reading, element, places, {node.state for node in completed})
    _check_mixture(reading, places)
    class_path = reading.path(element, "process_class")
    watching_path = reading.path(element, "file_watching_process_class")
    chain = Chain(
        path=path,
        nodes=completed,
        title=reading.text(element, "title"),
        visible=reading.read(element, "visible", Visible, Visible.YES),
        orders_recoverable=reading.flag(element, "orders_recoverable", True),
        distributed=reading.flag(element, "distributed", False),
        max_orders=reading.read(element, "max_orders", integer, None),
        process_class=None if class_path is None else ClassPath(class_path),
        file_watching_process_class=None if watching_path is None else ClassPath(watching_path),
        file_order_sources=tuple(
            _file_order_source(reading, one, nodes) for one in element.iterfind("file_order_source")
        ),
        source=source,
    )
    _check_chain(reading, element, chain)
    return chain


# --- nodes ---------------------------------------------------------------------------------------


def _states(reading: Reading, places: Sequence[Element]) -> list[NodeState | None]:
    """Return the names of the nodes; None for one that repeats a name or has none."""
    states: list[NodeState | None] = []
    for place in places:
        state = reading.optional(place, "state")
        if state is not None and state in states:
            reading.findings.error(
                place,
                f"The job chain has more than one node {state!r}",
                attribute="state",
                code="SCHEDULER-150",
                advice="Give each node a state of its own",
            )
            state = None
        states.append(None if state is None else NodeState(state))
    return states


def _node(
    reading: Reading, element: Element, state: NodeState, following: NodeState | None, chain: str
) -> Node:
    suspend = reading.flag(element, "suspend", False)
    delay = reading.duration(element, "delay", NO_DELAY)
    match tag_of(element):
        case "job_chain_node.job_chain":
            nested = reading.path(element, "job_chain") or "/"
            return NestedNode(
                state=state,
                chain=chain_key(nested),
                chain_path=nested,
                next_state=_state(reading, element, "next_state") or following,
                error_state=_state(reading, element, "error_state"),
                suspend=suspend,
                delay=delay,
            )
        case "file_order_sink":
            return _sink(reading, element, state, suspend=suspend, delay=delay)
        case "job_chain_node" if reading.optional(element, "job") is not None:
            job = reading.path(element, "job") or "/"
            return JobNode(
                state=state,
                job=job_key(job),
                job_path=job,
                next_state=_state(reading, element, "next_state") or following,
                error_state=_state(reading, element, "error_state"),
                on_error=reading.read(element, "on_error", OnError, None),
                suspend=suspend,
                delay=delay,
                on_return_codes=_on_return_codes(reading, element, chain),
            )
        case _:
            return EndNode(state=state)


def _state(reading: Reading, element: Element, name: str) -> NodeState | None:
    state = reading.optional(element, name)
    return None if state is None else NodeState(state)


def _sink(
    reading: Reading, element: Element, state: NodeState, *, suspend: bool, delay: Duration
) -> SinkNode:
    remove = reading.flag(element, "remove", False)
    move_to = reading.substituted(element, "move_to").strip() or None
    if remove == (move_to is not None):
        reading.findings.error(
            element,
            "<file_order_sink> needs either remove or move_to"
            if not remove
            else "<file_order_sink> has both remove and move_to",
            advice='Write remove="yes" or move_to="DIRECTORY"',
        )
    return SinkNode(state=state, remove=remove, move_to=move_to, suspend=suspend, delay=delay)


def _completed(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Append the implicit end node when the last node leads nowhere (1.4.1)."""
    if not nodes:
        return ()
    last = nodes[-1]
    if not isinstance(last, JobNode | NestedNode) or last.next_state is not None:
        return tuple(nodes)
    completed = (*nodes[:-1], replace(last, next_state=END_STATE))
    if any(node.state == END_STATE for node in nodes):
        return completed
    return (*completed, EndNode(state=END_STATE))


# --- return codes --------------------------------------------------------------------------------


def _on_return_codes(reading: Reading, node: Element, chain: str) -> tuple[OnReturnCodes, ...]:
    result: list[OnReturnCodes] = []
    taken: list[CodeRange] = []
    for element in node.iterfind("on_return_codes/on_return_code"):
        codes = _codes(reading, element)
        overlap = next((one for one in codes if any(_overlap(one, other) for other in taken)), None)
        if overlap is not None:
            reading.findings.error(
                element,
                f"The return codes {overlap.first}..{overlap.last} are listed more than once",
                attribute="return_code",
                advice="List each return code of a node once",
            )
        taken.extend(codes)
        target = element.find("to_state")
        result.append(
            OnReturnCodes(
                codes=codes,
                to_state=None if target is None else _state(reading, target, "state"),
                added_orders=tuple(
                    _added_order(reading, one, chain)
                    for one in element.iterfind(f"{NODE_ORDER}add_order")
                ),
            )
        )
    return tuple(result)


def _codes(reading: Reading, element: Element) -> tuple[CodeRange, ...]:
    ranges = []
    for word in reading.text(element, "return_code").split():
        found = _CODE_RANGE.fullmatch(word)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            reading.refuse(element, "return_code", "numbers and ranges, such as 1..3 7")
            return ()
        ranges.append(CodeRange(first=int(found[1]), last=int(found[2] or found[1])))
    return tuple(ranges)


def _overlap(one: CodeRange, other: CodeRange) -> bool:
    return one.first <= other.last and other.first <= one.last


def _added_order(reading: Reading, element: Element, chain: str) -> AddedOrder:
    for name in element.attrib:
        if name not in ("job_chain", "id"):
            reading.findings.error(
                element,
                f"<add_order> has no attribute {str(name)!r} here",
                attribute=str(name),
                advice=did_you_mean(str(name), ("job_chain", "id")),
            )
    target = reading.path(element, "job_chain")
    order_id = reading.optional(element, "id")
    if target is None:
        reading.findings.error(
            element, "<add_order> names no job chain", advice='Add job_chain="…"'
        )
    elif order_id is None and chain_key(target) == chain_key(chain):
        reading.findings.error(
            element,
            "<add_order> would add the order to the job chain where it is already",
            attribute="job_chain",
            advice="Give it another id or another job chain",
        )
    return AddedOrder(
        chain=chain_key(target or "/"),
        id=order_id,
        params={
            reading.text(param, "name"): reading.text(param, "value")
            for param in element.iterfind(f"{NODE_ORDER}params/{NODE_ORDER}param")
        },
    )


# --- file orders ---------------------------------------------------------------------------------


def _file_order_source(
    reading: Reading, element: Element, nodes: Sequence[Node]
) -> FileOrderSource:
    next_state = _state(reading, element, "next_state")
    target = next((node for node in nodes if node.state == next_state), None)
    if target is None and next_state is None and nodes:
        target = nodes[0]
    if isinstance(target, EndNode | SinkNode):
        reading.findings.error(
            element,
            f"The files would begin at the node {target.state!r}, which has no job",
            attribute="next_state",
            code="SCHEDULER-342",
            advice="Put a <job_chain_node> with a job between source and sink",
        )
    return FileOrderSource(
        directory=reading.substituted(element, "directory"),
        regex=reading.read(element, "regex", python_regex, None),
        next_state=next_state,
        repeat=_repeat(reading, element),
        delay_after_error=reading.read(element, "delay_after_error", duration, None),
        alert_when_directory_missing=reading.read(
            element, "alert_when_directory_missing", yes_no, True
        ),
    )


def _repeat(reading: Reading, element: Element) -> Duration | None:
    ten_seconds: Duration | None = SOURCE_REPEAT
    return reading.read(element, "repeat", repeat_or_no, ten_seconds)


# --- what can only be judged with all nodes ------------------------------------------------------


def _check_targets(
    reading: Reading, chain: Element, places: Sequence[Element], states: set[NodeState]
) -> None:
    """Note successors that do not exist."""
    pairs = [
        (element, name)
        for element in places
        if tag_of(element) in ("job_chain_node", "job_chain_node.job_chain")
        for name in ("next_state", "error_state")
    ]
    pairs += [(element, "next_state") for element in chain.iterfind("file_order_source")]
    pairs += [
        (element, "state")
        for element in chain.iterfind("job_chain_node/on_return_codes/on_return_code/to_state")
    ]
    for element, name in pairs:
        target = reading.optional(element, name)
        if target is not None and target not in states:
            reading.findings.error(
                element,
                f"The job chain has no node {target!r}",
                attribute=name,
                code="SCHEDULER-149",
                advice=did_you_mean(target, states),
            )


def _check_mixture(reading: Reading, places: Sequence[Element]) -> None:
    nested = [one for one in places if tag_of(one) == "job_chain_node.job_chain"]
    others = [
        one
        for one in places
        if tag_of(one) == "file_order_sink"
        or (tag_of(one) == "job_chain_node" and reading.optional(one, "job") is not None)
    ]
    if nested and others:
        reading.findings.error(
            others[0],
            "The job chain mixes nodes of jobs with nodes of job chains",
            advice="Put the jobs into a job chain of their own and nest that",
        )


def _check_chain(reading: Reading, element: Element, chain: Chain) -> None:
    if chain.distributed and not chain.orders_recoverable:
        reading.findings.error(
            element,
            "A distributed job chain must be recoverable",
            attribute="orders_recoverable",
            code="SCHEDULER-380",
            advice='Remove orders_recoverable="no" or distributed="yes"',
        )
    elif chain.distributed and chain.is_nested:
        reading.findings.error(
            element,
            "A job chain of job chains cannot be distributed",
            attribute="distributed",
            code="SCHEDULER-413",
            advice='Remove distributed="yes"',
        )
    elif chain.distributed:
        reading.findings.warning(
            element,
            "distributed has no effect: one engine works on the orders at a time",
            attribute="distributed",
            advice="It may stay",
        )
    if chain.max_orders == 0:
        reading.findings.warning(
            element,
            'max_orders="0" lets no order start',
            attribute="max_orders",
            code="SCHEDULER-720",
            advice="Raise it, or stop the job chain instead",
        )
    for place in element.iterfind("job_chain_node.job_chain"):
        nested = reading.optional(place, "job_chain")
        if nested is not None and chain_key(reading.path(place, "job_chain") or "/") == chain.key:
            reading.findings.error(
                place,
                "The job chain contains itself",
                attribute="job_chain",
                code="SCHEDULER-414",
                advice="Name another job chain",
            )
