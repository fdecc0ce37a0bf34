"""Custom events of `<publish_event>`, on their way to the JSON event stream (6.19)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from engine.codec.records import parse_json
from engine.errors import CodecError
from engine.kernel.instants import Instant

TYPE: Final = "VariablesCustomEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEvent:
    """One published event."""

    at: Instant
    key: str
    variables: dict[str, Any]


class CustomEvents:
    """Checks custom events and hands them on."""

    def __init__(self) -> None:
        self.listener: Callable[[CustomEvent], None] = _ignored

    def publish(self, text: str, at: Instant) -> None:
        """Hand on an event. Raises ValueError with a sentence when the JSON is none of ours."""
        try:
            content = parse_json(text.strip().encode())
        except CodecError as error:
            raise ValueError(f"publish_event holds {error.text}") from error
        if not isinstance(content, dict) or content.get("TYPE") != TYPE:
            raise ValueError(f'publish_event needs {{"TYPE":"{TYPE}","key":"…","variables":{{…}}}}')
        key: Any = content.get("key")
        variables: Any = content.get("variables", {})
        has_shape = isinstance(key, str) and isinstance(variables, dict)
        if not has_shape:
            raise ValueError("publish_event needs a text as key and an object of variables")
        self.listener(CustomEvent(at=at, key=key, variables=variables))


def _ignored(_event: CustomEvent) -> None:
    """Stand in while nobody listens."""
