"""What all readers share: the context of a file, and typed access to attributes.

A reader never stops at a fault: a value that the schema has refused reads as its default, so that
the findings of a file come all at once and only once each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol, TypeVar

from engine.codec.xml.document import Document
from engine.codec.xml.findings import Element, Findings
from engine.codec.xml.references import PathError, resolved
from engine.codec.xml.schema import shortened
from engine.codec.xml.substitution import Variables
from engine.codec.xml.values import duration, integer, yes_no
from engine.kernel.definitions import Include
from engine.kernel.instants import Duration
from engine.kernel.params import Params

Value = TypeVar("Value")


class IncludeReader(Protocol):
    """Reads an included file; raises OSError."""

    def __call__(self, include: Include, *, beside_configuration: bool = False) -> bytes:
        """Return the file's bytes; `file` is below the include path, or beside `scheduler.xml`."""
        ...


def no_includes(include: Include, *, beside_configuration: bool = False) -> bytes:
    """Stand in where no files are at hand."""
    name = include.file or include.live_file
    raise FileNotFoundError(
        f"{name}: there are no files {'there' if beside_configuration else 'here'}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a reader knows beside the text it reads."""

    zone: tzinfo
    """Zone of local times in `at` attributes: the engine's."""
    folder: str = "/"
    """The folder that relative paths begin in; `/` in commands and `scheduler.xml`."""
    environment: Variables = field(default_factory=Variables)
    """The engine's environment variables; in commands the scheduler's variables come before."""
    read_include: IncludeReader = no_includes
    live_root: str = ""
    """What `live_file`s begin with: nothing, or the way from the live folder to another one."""
    engine_id: str = ""
    copied: Mapping[str, Params] | None = None
    """What `<copy_params from=…>` copies, by `task` and `order`; None: not allowed here."""


class Reading:
    """One document on its way to become a definition or a command."""

    def __init__(self, document: Document, context: Context, findings: Findings) -> None:
        self.document = document
        self.context = context
        self.findings = findings
        self.live_files: list[str] = []
        """`live_file`s whose change changes the object: those in params and holidays."""

    def text(self, element: Element, name: str, default: str = "") -> str:
        """Return an attribute's value."""
        return str(element.get(name, default))

    def optional(self, element: Element, name: str) -> str | None:
        """Return an attribute's value; None when it is missing or empty."""
        return self.text(element, name).strip() or None

    def substituted(self, element: Element, name: str) -> str:
        """Return an attribute's value with environment variables replaced."""
        return self.context.environment.substituted(self.text(element, name))

    def flag(self, element: Element, name: str, default: bool) -> bool:
        """Return a yes/no attribute."""
        return self.read(element, name, yes_no, default)

    def number(self, element: Element, name: str, default: int) -> int:
        """Return a whole number."""
        return self.read(element, name, integer, default)

    def duration(self, element: Element, name: str, default: Duration) -> Duration:
        """Return a duration."""
        return self.read(element, name, duration, default)

    def read(
        self, element: Element, name: str, reader: Callable[[str], Value], default: Value
    ) -> Value:
        """Return an attribute as `reader` reads it; the schema has noted what it refuses."""
        value = element.get(name)
        if value is None or not str(value).strip():
            return default
        try:
            return reader(str(value))
        except ValueError:
            return default

    def path(self, element: Element, name: str) -> str | None:
        """Return a reference as absolute path; None when it is missing or empty."""
        value = self.optional(element, name)
        if value is None:
            return None
        try:
            return resolved(value, self.context.folder)
        except PathError as error:
            self.findings.error(
                element,
                str(error),
                attribute=name,
                code="SCHEDULER-461",
                advice="A path begins in the folder of its file, or with / in the root folder",
            )
            return None

    def refuse(self, element: Element, name: str, allowed: str, *, code: str = "") -> None:
        """Note that an attribute's value is not possible."""
        self.findings.error(
            element,
            f"{name}={shortened(self.text(element, name))} is not possible",
            attribute=name,
            advice=f"Allowed: {allowed}",
            code=code,
        )
