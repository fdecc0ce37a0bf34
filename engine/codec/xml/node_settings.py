"""`*.config.xml`: parameters of orders and of their nodes (orders-and-jobs.md 9.2).

The engine itself does not read these files; the configuration monitor of a job does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.codec.xml.document import parse_document
from engine.codec.xml.findings import Element, Finding
from engine.kernel.ids import name_of
from engine.kernel.params import NO_PARAMS, Params, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What a file says for one order at one node."""

    order_params: Params = NO_PARAMS
    node_params: Params = NO_PARAMS


def read_node_settings(
    data: bytes, file: str, *, chain: str, order: str, state: str
) -> NodeSettings | Finding:
    """Return what the settings say for an order at a node, or why they cannot be read.

    `<order>` elements without an id are for all orders; one with the order's id comes after them.
    """
    document = parse_document(data, file)
    if isinstance(document, Finding):
        return document
    order_params: Params = {}
    node_params: Params = {}
    for element in _orders_of(document.root, chain, order):
        order_params = merge(order_params, _params(element))
        for process in element.iterfind("process"):
            if process.get("state") == state:
                node_params = merge(node_params, _params(process))
    return NodeSettings(order_params=order_params, node_params=node_params)


def _orders_of(root: Element, chain: str, order: str) -> Iterator[Element]:
    chains = [
        element
        for element in root.iter("job_chain")
        if name_of(element.get("name", "")).casefold() in {"", name_of(chain).casefold()}
    ]
    found = [element for one in chains for element in one.iterfind("order")]
    yield from (element for element in found if not element.get("id"))
    yield from (element for element in found if element.get("id") == order)


def _params(parent: Element) -> Params:
    return {
        param.get("name", ""): _value(param)
        for param in parent.iterfind("params/param")
        if param.get("name")
    }


def _value(param: Element) -> str:
    """Return the attribute, or the element's text (CDATA)."""
    value = param.get("value")
    return (param.text or "").strip() if value is None else value
