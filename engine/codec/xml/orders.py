"""`<order>` and `<add_order>` elements -> orders (orders-and-jobs.md 2.2)."""

from engine.codec.xml.document import to_xml
from engine.codec.xml.findings import Element
from engine.codec.xml.includes import read_param_set, read_params
from engine.codec.xml.reading import Reading
from engine.codec.xml.run_times import run_time_of
from engine.codec.xml.values import start_at
from engine.kernel.commands import AfterDelay, AtInstant
from engine.kernel.definitions import OrderDefinition, Source
from engine.kernel.ids import NodeState, OrderKey
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
    check_web_service(reading, element, is_file=source is not None)
    state = reading.optional(element, "state")
    end_state = reading.optional(element, "end_state")
    start = None if source is None else _first_start(reading, element)
    return OrderDefinition(
        key=key,
        title=reading.text(element, "title")[:TITLE_LENGTH_MAX],
        priority=reading.number(element, "priority", 0),
        params=read_order_params(reading, element),
        state=None if state is None else NodeState(state),
        end_state=None if end_state is None else NodeState(end_state),
        run_time=run_time_of(reading, element, source),
        first_start=start.at if isinstance(start, AtInstant) else None,
        first_delay=start.delay if isinstance(start, AfterDelay) else None,
        suspended=reading.flag(element, "suspended", False),
        xml_payload=read_xml_payload(reading, element) or "",
        web_service=reading.text(element, "web_service"),
        source=source,
    )


def check_web_service(reading: Reading, element: Element, *, is_file: bool) -> None:
    """Tell that what is finished is not forwarded to a web service: there is none here."""
    name = reading.text(element, "web_service")
    if not name:
        return
    note = reading.findings.warning if is_file else reading.findings.error
    note(
        element,
        f"There is no Web_service {name!r}: this engine has none of its own",
        attribute="web_service",
        code="SCHEDULER-161",
        advice="Leave web_service out",
    )


def _first_start(reading: Reading, order: Element) -> AtInstant | AfterDelay | None:
    """Return the start that an order file names; that of a command is a matter of the command."""
    text = reading.optional(order, "at")
    if text is None:
        return None
    try:
        return start_at(text, reading.context.zone)
    except ValueError:
        return None  # the schema has noted it


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
