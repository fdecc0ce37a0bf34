"""`<order>` and `<add_order>` elements -> orders (orders-and-jobs.md 2.2)."""

from engine.codec.xml.document import to_xml
from engine.codec.xml.findings import Element
from engine.codec.xml.includes import read_param_set, read_params
from engine.codec.xml.reading import Reading
from engine.codec.xml.run_times import run_time_of
from engine.codec.xml.values import start_at
from engine.kernel.calendar import LocalTime, RunTime
from engine.kernel.commands import AtInstant
from engine.kernel.definitions import OrderDefinition, Source
from engine.kernel.ids import NodeState, OrderKey
from engine.kernel.instants import to_datetime
from engine.kernel.params import Params

ORDER_ID_LENGTH_MAX = 250
TITLE_LENGTH_MAX = 200
"""Longer titles are cut (orders-and-jobs.md 2.2)."""


def read_order(
    reading: Reading, element: Element, key: OrderKey, source: Source | None
) -> OrderDefinition:
    """Return the order that an element defines; its key comes from the file name or the command."""
    if len(key.id) > ORDER_ID_LENGTH_MAX:
        reading.findings.error(
            element,
            f"The order id has {len(key.id)} characters, {ORDER_ID_LENGTH_MAX} are allowed",
            code="SCHEDULER-344",
            advice="Take a shorter id",
        )
    state = reading.optional(element, "state")
    end_state = reading.optional(element, "end_state")
    return OrderDefinition(
        key=key,
        title=reading.text(element, "title")[:TITLE_LENGTH_MAX],
        priority=reading.number(element, "priority", 0),
        params=read_order_params(reading, element),
        state=None if state is None else NodeState(state),
        end_state=None if end_state is None else NodeState(end_state),
        run_time=run_time_of(reading, element)
        if source is None
        else _run_time_of_file(reading, element),
        suspended=reading.flag(element, "suspended", False),
        xml_payload=read_xml_payload(reading, element) or "",
        web_service=reading.text(element, "web_service"),
        source=source,
    )


def _run_time_of_file(reading: Reading, order: Element) -> RunTime | None:
    """Return the run time of an order file, where `at` has to become a part of it.

    A command's `at` is for one start; a file is read again and again.
    """
    run_time = run_time_of(reading, order)
    text = reading.optional(order, "at")
    if text is None or (text == "now" and run_time is None):
        return run_time
    try:
        at = start_at(text, reading.context.zone)
    except ValueError:
        return run_time  # the schema has noted it
    if isinstance(at, AtInstant) and run_time is None:
        local = to_datetime(at.at, reading.context.zone)
        return RunTime(at=(LocalTime(local.strftime("%Y-%m-%dT%H:%M:%S")),))
    reading.findings.warning(
        order,
        "The attribute 'at' has no effect here",
        attribute="at",
        advice='Write <run_time><at at="yyyy-mm-dd HH:MM"/></run_time>',
    )
    return run_time


def read_order_params(reading: Reading, order: Element, *, substitute: bool = True) -> Params:
    """Return the parameters of an order: its `<params>`, or those of its `<payload>`."""
    payload = order.find("payload/params")
    if payload is not None:
        return read_param_set(reading, payload, substitute=substitute)
    return read_params(reading, order, substitute=substitute)


def read_xml_payload(reading: Reading, order: Element) -> str | None:
    """Return the one element of an `<xml_payload>` as text; None without that."""
    payload = order.find("xml_payload")
    if payload is None:
        return None
    elements = list(payload.iterchildren("*"))
    if len(elements) > 1:
        reading.findings.error(
            payload,
            f"<xml_payload> has {len(elements)} elements",
            advice="Put them into one element",
        )
    return to_xml(elements[0]) if elements else ""
