"""Custom events of `<publish_event>`: kept in memory for the JSON event stream (6.19)."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from engine.codec.records import parse_json
from engine.errors import CodecError
from engine.kernel.instants import Instant

TYPE: Final = "VariablesCustomEvent"
KEPT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEvent:
    """One published event."""

    at: Instant
    key: str
    variables: dict[str, Any]


class CustomEvents:
    """The newest custom events."""

    def __init__(self) -> None:
        self._events: deque[CustomEvent] = deque(maxlen=KEPT_MAX)

    def publish(self, text: str, at: Instant) -> None:
        """Add an event. Raises ValueError with a sentence when the JSON is none of ours."""
        try:
            content = parse_json(text.strip().encode())
        except CodecError as error:
            raise ValueError(f"publish_event holds {error.text}") from error
        if not isinstance(content, dict) or content.get("TYPE") != TYPE:
            raise ValueError(f'publish_event needs {{"TYPE":"{TYPE}","key":"…","variables":{{…}}}}')
        key: Any
        variables: Any
        key, variables = content.get("key"), content.get("variables", {})
        has_shape = isinstance(key, str) and isinstance(variables, dict)
        if not has_shape:
            raise ValueError("publish_event needs a text as key and an object of variables")
        self._events.append(CustomEvent(at=at, key=key, variables=variables))

    def after(self, at: Instant) -> list[CustomEvent]:
        """Return events that are newer than an instant."""
        return [event for event in self._events if event.at > at]
