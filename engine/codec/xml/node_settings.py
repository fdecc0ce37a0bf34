"""`*.config.xml`: parameters of orders and of their nodes (orders-and-jobs.md 9.2).

The engine itself does not read these files; the configuration monitor of a job does.
"""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _OrderSettings:
    """One `<order>` element: for one order, or without an id for all."""

    id: str
    params: Params
    nodes: Mapping[str, Params]
    """By state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """A file, parsed: it can be asked for any order at any node."""

    chains: tuple[tuple[str, tuple[_OrderSettings, ...]], ...]
    """Folded names of chains, empty for all of them, with their orders."""

    def at(self, *, chain: str, order: str, state: str) -> NodeSettings:
        """Return what the settings say for an order at a node.

        `<order>` elements without an id are for all orders; those with the order's id come after.
        """
        name = name_of(chain).casefold()
        found = [one for known, orders in self.chains if known in {"", name} for one in orders]
        chosen = [one for one in found if not one.id] + [one for one in found if one.id == order]
        return NodeSettings(
            order_params=merge(*(one.params for one in chosen)),
            node_params=merge(*(one.nodes[state] for one in chosen if state in one.nodes)),
        )


def parse_node_settings(data: bytes, file: str) -> SettingsFile | Finding:
    """Return what a file says, or why it cannot be read."""
    document = parse_document(data, file)
    if isinstance(document, Finding):
        return document
    return SettingsFile(
        chains=tuple(
            (
                name_of(chain.get("name", "")).casefold(),
                tuple(_order(element) for element in chain.iterfind("order")),
            )
            for chain in document.root.iter("job_chain")
        )
    )


def _order(element: Element) -> _OrderSettings:
    nodes: dict[str, Params] = {}
    for process in element.iterfind("process"):
        state = process.get("state")
        if state is not None:
            nodes[state] = merge(nodes.get(state, NO_PARAMS), _params(process))
    return _OrderSettings(id=element.get("id") or "", params=_params(element), nodes=nodes)


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
