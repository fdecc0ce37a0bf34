"""Facts. Past tense, frozen, one file per subject; the journal is a sequence of them."""

from typing import TypeAlias

from engine.kernel.events.control import ControlEvent
from engine.kernel.events.definitions import DefinitionEvent
from engine.kernel.events.files import FileEvent
from engine.kernel.events.orders import OrderEvent
from engine.kernel.events.sessions import SessionEvent
from engine.kernel.events.tasks import JobEvent, TaskEvent

Event: TypeAlias = (
    OrderEvent | TaskEvent | JobEvent | FileEvent | SessionEvent | DefinitionEvent | ControlEvent
)
