"""The gate where secrets are sealed: nothing unsealed comes into the state, so nothing leaves it.

Requests, definitions and reports pass here before they are decided upon. Parameters and variables
whose names say that they are secrets (`password`, `passphrase`, `secret`, `token`) are sealed;
journal, snapshots, histories, answers and the event stream hold the sealed text. The dispatcher
opens them when it hands a task to its driver.

What this cannot know stays as it is: a secret under another name, in the text of a script, or in
what a job prints. A value that is a placeholder alone (`${name}`, `%name%`) is no secret itself.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from engine.codec.xml.secrets import with_secrets_replaced
from engine.kernel.commands import AddOrder, ApplyDefinitions, ModifyOrder, Request, StartJob
from engine.kernel.definitions import (
    Chain,
    Definition,
    Job,
    JobNode,
    MainConfiguration,
    Node,
    OrderDefinition,
    Source,
)
from engine.kernel.reports import NativeEnded, NodeSettingsRead, Report, TaskExited
from engine.kernel.sessions.parameters import is_secret_name
from engine.store.secret_box import SecretBox

_PLACEHOLDER: Final = re.compile(r"\\*\$\{[^}]*\}|%[A-Za-z_][\w.]*%")
_NAMES_REMEMBERED: Final = 10_000

_is_secret = lru_cache(_NAMES_REMEMBERED)(is_secret_name)


class Sealer:
    """Seals what comes in, opens what goes to drivers."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def incoming(self, content: Request | Report) -> Request | Report:
        """Return an input with its secrets sealed."""
        match content:
            case AddOrder():
                return replace(content, order=self._order(content.order))
            case ModifyOrder():
                return replace(
                    content,
                    params=self._params(content.params),
                    xml_payload=self._optional_xml(content.xml_payload),
                )
            case StartJob():
                return replace(
                    content,
                    params=self._params(content.params),
                    environment=self._params(content.environment),
                )
            case ApplyDefinitions():
                main = content.main
                return replace(
                    content,
                    defined=tuple(self._definition(each) for each in content.defined),
                    main=None if main is None else self._main(main),
                )
            case TaskExited() | NativeEnded() if content.returned is not None:
                return replace(content, returned=self._params(content.returned))
            case NodeSettingsRead():
                return replace(
                    content,
                    order_params=self._params(content.order_params),
                    task_params=self._params(content.task_params),
                    xml_payload=self._xml(content.xml_payload),
                )
            case _:
                return content

    def opened(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return values with everything sealed in them opened. Raises SealBroken."""
        return {name: self._box.open(value) for name, value in values.items()}

    # --- definitions -------------------------------------------------------------------------

    def _definition(self, definition: Definition) -> Definition:
        match definition:
            case Job():
                return self._job(definition)
            case Chain():
                return replace(
                    definition,
                    nodes=tuple(self._node(node) for node in definition.nodes),
                    source=self._source(definition.source),
                )
            case OrderDefinition():
                return self._order(definition)
            case _:
                return definition

    def _job(self, job: Job) -> Job:
        commands = tuple(
            replace(each, xml=tuple(self._xml(text) for text in each.xml))
            for each in job.exit_commands
        )
        return replace(
            job,
            params=self._params(job.params),
            environment=self._params(job.environment),
            exit_commands=commands,
            source=self._source(job.source),
        )

    def _node(self, node: Node) -> Node:
        if not isinstance(node, JobNode) or not node.on_return_codes:
            return node
        rules = tuple(
            replace(
                rule,
                added_orders=tuple(
                    replace(order, params=self._params(order.params)) for order in rule.added_orders
                ),
            )
            for rule in node.on_return_codes
        )
        return replace(node, on_return_codes=rules)

    def _order(self, order: OrderDefinition) -> OrderDefinition:
        params, source = self._params(order.params), self._source(order.source)
        payload = self._xml(order.xml_payload)
        if params is order.params and source is order.source and payload == order.xml_payload:
            return order
        return replace(order, params=params, xml_payload=payload, source=source)

    def _main(self, main: MainConfiguration) -> MainConfiguration:
        return replace(main, params=self._params(main.params))

    def _source(self, source: Source | None) -> Source | None:
        if source is None:
            return None
        xml = self._xml(source.xml)
        return source if xml == source.xml else replace(source, xml=xml)

    # --- values ------------------------------------------------------------------------------

    def _params(self, params: Mapping[str, str]) -> Mapping[str, str]:
        if not any(_is_secret(name) for name in params):
            return params
        return {
            name: self._sealed(value) if _is_secret(name) else value
            for name, value in params.items()
        }

    def _sealed(self, value: str) -> str:
        return value if _PLACEHOLDER.fullmatch(value) else self._box.seal(value)

    def _xml(self, xml: str) -> str:
        return with_secrets_replaced(xml, self._sealed) if xml else xml

    def _optional_xml(self, xml: str | None) -> str | None:
        return None if xml is None else self._xml(xml)


Incoming = Callable[[Request | Report], Request | Report]
