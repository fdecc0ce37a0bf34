"""What is wrong with a definition file: one finding a fault, with place and advice.

Findings are values. The live folder turns the errors of a file into a `BrokenFile`, `pointsman
check` prints them, XML commands answer with the first one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml has no public name for its element type

FINDINGS_OF_A_FILE_MAX = 100
"""More findings than this help nobody and would cost memory in a hostile file."""
KNOWN_SHOWN_MAX = 45
"""A longer list of what is known is no advice."""


class Severity(Enum):
    """Whether the file can be used in spite of the finding."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of a file."""

    file: str
    """Path as the reader was given it, mostly below the live folder."""
    line: int = 1
    column: int = 1
    """Both counted from 1."""
    element: str = ""
    severity: Severity = Severity.ERROR
    text: str
    """What is wrong, a sentence without full stop."""
    advice: str = ""
    """What to do about it, a sentence without full stop."""
    code: str = ""
    """The original's `SCHEDULER-nnn`, where it had one for this fault."""

    @property
    def sentence(self) -> str:
        """The finding without its file: code, place, fault and advice."""
        code = f"{self.code} " if self.code else ""
        advice = f". {self.advice}" if self.advice else ""
        return f"{code}line {self.line}, column {self.column}: {self.text}{advice}"

    def __str__(self) -> str:
        """Return the form that editors and terminals can jump to."""
        place = f"{self.file}:{self.line}:{self.column}: {self.severity.value}: "
        code = f"{self.code} " if self.code else ""
        advice = f". {self.advice}" if self.advice else ""
        return f"{place}{code}{self.text}{advice}"


Locate: TypeAlias = Callable[[Element, str | None], tuple[int, int]]
"""Line and column of an element, or of one of its attributes."""


class Findings:
    """Collects the findings of one file."""

    def __init__(self, file: str, locate: Locate) -> None:
        self.file = file
        self._locate = locate
        self._found: list[Finding] = []

    def error(
        self,
        element: Element,
        text: str,
        *,
        advice: str = "",
        attribute: str | None = None,
        code: str = "",
    ) -> None:
        """Note something that makes the object unusable."""
        self._note(Severity.ERROR, element, text, advice, attribute, code)

    def warning(
        self,
        element: Element,
        text: str,
        *,
        advice: str = "",
        attribute: str | None = None,
        code: str = "",
    ) -> None:
        """Note something that is bent but understood."""
        self._note(Severity.WARNING, element, text, advice, attribute, code)

    def place(self, element: Element, attribute: str) -> str:
        """Return file and line of an attribute, for messages that come later."""
        return f"{self.file}:{self._locate(element, attribute)[0]}"

    def add(self, findings: Iterable[Finding]) -> None:
        """Take over findings that were made elsewhere, in an included file for instance."""
        for finding in findings:
            if len(self._found) < FINDINGS_OF_A_FILE_MAX:
                self._found.append(finding)

    @property
    def all(self) -> tuple[Finding, ...]:
        """Everything found so far, by line."""
        return in_order(self._found)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the object unusable."""
        return tuple(one for one in self.all if one.severity is Severity.ERROR)

    @property
    def has_errors(self) -> bool:
        """Whether the object cannot be used."""
        return any(one.severity is Severity.ERROR for one in self._found)

    def _note(
        self,
        severity: Severity,
        element: Element,
        text: str,
        advice: str,
        attribute: str | None,
        code: str,
    ) -> None:
        if len(self._found) >= FINDINGS_OF_A_FILE_MAX:
            return
        line, column = self._locate(element, attribute)
        self._found.append(
            Finding(
                file=self.file,
                line=line,
                column=column,
                element=tag_of(element),
                severity=severity,
                text=text,
                advice=advice,
                code=code,
            )
        )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by file, line and column."""
    return tuple(sorted(findings, key=lambda one: (one.file, one.line, one.column)))


def tag_of(element: Element) -> str:
    """Return an element's name; with its namespace in Clark notation when it has one."""
    return str(element.tag)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    candidates = list(known)
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return advice for an unknown word: the nearest known one, or all of them."""
    candidates = sorted(known)
    close = nearest(word, candidates)
    if close is not None:
        return f"Did you mean {close!r}?"
    if not candidates or len(candidates) > KNOWN_SHOWN_MAX:
        return ""
    return f"Known here: {', '.join(candidates)}"


def attributes_of(element: Element) -> list[tuple[str, str]]:
    """Return names and values of an element's attributes."""
    return [(str(name), str(value)) for name, value in element.attrib.items()]
