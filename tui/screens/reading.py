"""Reads a task's log from the engine into a view.

As it is: the tail at first, then what arrives; older pieces when a person goes there. Or picked:
the lines with a text, or that were written lately, found in the whole log on the engine's side.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant
from tui.client import EngineAway, EngineClient, LogLines, LogPart, LogWish, NotAdmitted
from tui.widgets.log import LogView

TAIL_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024
HEAD_BYTES = 1024 * 1024
"""So much is shown of the beginning of a long log; more when a person goes on."""
POLL_S = 0.5
HURRY_S = 0.02
AWAY_POLL_S = 2.0
EXPRESSION = "-e "
"""Before a regular expression; anything else is looked for as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picking:
    """Which lines a person wants to see."""

    text: str = ""
    """As typed: `error|warn !debug`, or `-e` and a regular expression."""
    since: Instant | None = None
    is_highlight: bool = False
    """All lines, with what was typed shown in them."""

    @property
    def is_expression(self) -> bool:
        """Whether the text is a regular expression."""
        return self.text.startswith(EXPRESSION)

    @property
    def is_all(self) -> bool:
        """Whether no line is left out."""
        return self.since is None and (not self.text or self.is_highlight)

    def words(self) -> tuple[str, str]:
        """Return the texts of which a line has one, and those of which it has none."""
        wanted = [word for word in self.text.split(" ") if not _is_without(word)]
        without = [word[1:] for word in self.text.split(" ") if _is_without(word)]
        return " ".join(wanted).strip(), "|".join(without)

    def pattern(self) -> re.Pattern[str] | None:
        """Return what is highlighted. Raises re.error."""
        if self.is_expression:
            return re.compile(self.text.removeprefix(EXPRESSION), re.IGNORECASE)
        words = [word for word in self.words()[0].split("|") if word]
        return re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None


def _is_without(word: str) -> bool:
    return len(word) > 1 and word.startswith("!")


@dataclass(slots=True)
class Reading:
    """How far a log has been read, and what was found."""

    task: TaskId
    picking: Picking = field(default_factory=Picking)
    complete: bool = False
    first_offset: int = 0
    """Where what is shown begins; what came before is with the engine."""
    next_offset: int = 0
    is_head: bool = False
    """The beginning is shown, and does not follow the end."""
    has_more: bool = False
    """Of the beginning: something comes after it."""
    matched: int = 0
    total: int = 0
    """Of a picked log: lines that pass, and all."""
    problem: str = ""

    @property
    def begins_late(self) -> bool:
        """Whether something comes before what is shown."""
        return self.picking.is_all and self.first_offset > 0


async def read_log(
    client: EngineClient, reading: Reading, view: LogView, changed: Callable[[], None]
) -> None:
    """Feed the view until the task is over; goes on after the engine was away."""
    is_first = True
    while True:
        pause = AWAY_POLL_S
        try:
            pause = await _step(client, reading, view, is_first=is_first)
            is_first = is_first and bool(reading.problem)
        except (EngineAway, NotAdmitted) as away:
            reading.problem = str(away)
        changed()
        if reading.complete or reading.is_head:
            return
        await asyncio.sleep(pause)


async def _step(client: EngineClient, reading: Reading, view: LogView, *, is_first: bool) -> float:
    """Read what there is; return how long to wait for more."""
    if reading.is_head:
        await _read_head(client, reading, view)
        return 0
    if not reading.picking.is_all and not reading.picking.is_expression:
        return await _pick(client, reading, view)
    offset = -TAIL_BYTES if is_first and reading.picking.is_all else reading.next_offset
    part = await client.task_log(reading.task, offset, PIECE_BYTES)
    if part is None:
        return _missing(reading)
    reading.problem = ""
    if reading.picking.is_all:
        _take(reading, part, view, is_first=is_first)
    else:
        await _pick_here(reading, part, view)
    reading.next_offset = part.next_offset
    _settle(reading, view, is_over=part.complete and not part.text)
    return HURRY_S if part.complete or len(part.text) > PIECE_BYTES // 2 else POLL_S


def _missing(reading: Reading) -> float:
    reading.problem = f"there is no log of task {reading.task} (yet)"
    return AWAY_POLL_S


def _take(reading: Reading, part: LogPart, view: LogView, *, is_first: bool) -> None:
    text = part.text
    if is_first:
        reading.first_offset = part.offset
        if part.offset > 0:
            # The tail begins in the middle of a line.
            begun, _, text = text.partition("\n")
            reading.first_offset += len(begun.encode()) + 1
    view.feed(text)
    view.set_note(_before(reading))


def _before(reading: Reading) -> str:
    if not reading.begins_late:
        return ""
    return f"… {reading.first_offset:,} bytes before this, <1> the beginning, <ctrl-s> saves all"


def _settle(reading: Reading, view: LogView, *, is_over: bool) -> None:
    if is_over:
        view.finish()
        reading.complete = True


# --- picked lines --------------------------------------------------------------------------------


async def _pick(client: EngineClient, reading: Reading, view: LogView) -> float:
    """Have the engine look for lines in what it was not asked about yet."""
    words, without = reading.picking.words()
    found = await client.log_lines(
        reading.task,
        LogWish(
            words=words,
            without=without,
            since=reading.picking.since,
            offset=reading.next_offset,
        ),
    )
    if found is None:
        return _missing(reading)
    reading.problem = ""
    _count(reading, view, found)
    view.add(found.lines)
    reading.next_offset = found.next_offset
    _settle(reading, view, is_over=found.complete)
    return POLL_S if found.at_end else HURRY_S


def _count(reading: Reading, view: LogView, found: LogLines) -> None:
    reading.matched += found.matched
    reading.total += found.total
    hidden = reading.matched - view.total - len(found.lines)
    if hidden > 0:
        view.set_note(f"… {hidden:,} lines not shown, <ctrl-s> saves all")


async def _pick_here(reading: Reading, part: LogPart, view: LogView) -> None:
    """Look for an expression here: it might keep the engine busy."""
    pattern = reading.picking.pattern()
    lines = part.text.split("\n")
    if not lines[-1]:
        lines.pop()

    def work() -> list[str]:
        return [one for one in lines if pattern is None or pattern.search(one)]

    found = await asyncio.to_thread(work)
    reading.total += len(lines)
    reading.matched += len(found)
    view.add(found)


# --- going back and on ---------------------------------------------------------------------------


async def _read_head(client: EngineClient, reading: Reading, view: LogView) -> None:
    goal = reading.next_offset + HEAD_BYTES
    while reading.next_offset < goal:
        part = await client.task_log(reading.task, reading.next_offset, PIECE_BYTES)
        if part is None:
            _missing(reading)
            return
        reading.problem = ""
        view.feed(part.text)
        is_end = part.next_offset <= reading.next_offset or not part.text
        reading.next_offset = part.next_offset
        reading.has_more = not is_end
        if is_end:
            return
        if not view.total:
            # Show something at once.
            await asyncio.sleep(0)


async def read_older(client: EngineClient, reading: Reading, view: LogView) -> None:
    """Put a piece before what is shown."""
    start = max(0, reading.first_offset - PIECE_BYTES)
    size = reading.first_offset - start
    part = await client.task_log(reading.task, start, size)
    if part is None or not part.text:
        return
    text, begin = part.text, start
    if start > 0:
        begun, newline, text = text.partition("\n")
        begin += len(begun.encode()) + len(newline)
    reading.first_offset = begin
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    view.prepend(lines)
    view.set_note(_before(reading))
