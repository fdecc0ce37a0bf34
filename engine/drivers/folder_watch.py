"""The live folder: what is there, what has changed, what the engine has to know about it.

`LiveFolder.scan` looks once and returns the difference to the look before as `ApplyDefinitions`;
`run` does so again and again. A changed file is read when it has looked the same for a while,
because a file that is being copied is seen incomplete; a missing one is given up after a shorter
while, because it may be moved back (live-folder.md 5). `check_now` reads at once. The folder is
polled, since network file systems send no notices; those of the local system only shorten the wait.

Beside it there may be a copy of the central configuration, which a supervisor has left in `cache`:
its files are read as well, come before those of the live folder, and need not settle
(live-folder.md 9).

Nothing is decided about objects in use: the kernel replaces and removes them (live-folder.md 6).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from time import monotonic

from watchfiles import awatch

from engine.codec.xml.definition_files import FileContent, FileName, file_name, read_definition
from engine.codec.xml.findings import Finding, Severity, in_order
from engine.codec.xml.includes import text_of
from engine.codec.xml.main_configuration import SchedulerXml
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.drivers.live_files import (
    Listing,
    Stamp,
    list_files,
    read_file,
    with_central,
    write_file,
)
from engine.errors import DefinitionError
from engine.kernel.commands import ApplyDefinitions, BrokenFile, ObjectKind, ObjectRef
from engine.kernel.definitions import Definition, Include, Text
from engine.kernel.ids import folder_of
from engine.kernel.instants import Instant

logger = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 2.0
"""Between two looks when nothing hints at a change."""
SETTLE_S = 3.0
"""A changed file must look the same for so long before it is read."""
MISSING_OF_SETTLE = 2 / 3
"""A file must be missing for this part of it."""
LOOK_AGAIN_S = 1.0
"""Between two looks while something has to settle."""

_ORDER_OF_KINDS = (
    ObjectKind.LOCK,
    ObjectKind.MONITOR,
    ObjectKind.SCHEDULE,
    ObjectKind.PROCESS_CLASS,
    ObjectKind.JOB,
    ObjectKind.CHAIN,
    ObjectKind.ORDER,
)
"""References then normally exist when they are needed (live-folder.md 5)."""

_ADDED = "SCHEDULER-891 The file %r is new"
_CHANGED = "SCHEDULER-892 The file %r has changed"
_REMOVED = "SCHEDULER-890 The file %r has been removed"

_HIDES = "SCHEDULER-460 The file %r gives way to that of the central configuration"

_Key = tuple[ObjectKind, str]
_Signature = tuple[str, Stamp, tuple[Stamp | None, ...]]
"""The file, its stamp, and those of the files it includes."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A difference that has to settle."""

    signature: _Signature | None
    """None: the file is missing."""
    since: float


@dataclass(frozen=True, slots=True)
class _Known:
    """What became of a file at its last reading."""

    name: FileName
    signature: _Signature
    live_files: tuple[str, ...]
    is_defined: bool
    """Whether the kernel has an object of it, maybe of an earlier content."""
    is_broken: bool


class LiveFolder:
    """A folder of definition files, and what the engine has been told about it."""

    def __init__(  # noqa: PLR0913  # what it looks at, and how often
        self,
        folder: Path,
        environment: Mapping[str, str],
        zone: tzinfo,
        *,
        engine_id: str = "",
        include_path: Path | None = None,
        main: SchedulerXml | None = None,
        central: Path | None = None,
        sweep_interval_s: float = SWEEP_INTERVAL_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.folder = folder
        self._context = Context(
            zone=zone,
            environment=Variables(environment),
            read_include=self.read_include,
            engine_id=engine_id,
        )
        self._include_path = include_path if include_path is not None else folder.parent
        self._main = main
        self._central = central
        self._way = ""
        """How the names of central files begin; empty: there are none."""
        self._sweep_interval_s = sweep_interval_s
        self._settle_s = settle_s
        self._look_again_s = min(max(settle_s / 3, 0.01), LOOK_AGAIN_S)
        self._known: dict[_Key, _Known] = {}
        self._unsettled: dict[_Key, _Seen] = {}
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._has_looked = False
        self._looking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._looks: set[asyncio.Task[None]] = set()
        self._submit: Callable[[ApplyDefinitions], Awaitable[None]] | None = None

    # --- looking ---------------------------------------------------------------------------------

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong in the folder now, warnings included, by file and line."""
        return in_order(one for several in self._findings.values() for one in several)

    @property
    def is_settled(self) -> bool:
        """Whether the last look saw nothing that the next one has to confirm."""
        return not self._unsettled

    def scan(self, *, at_once: bool = False, file: str | None = None) -> ApplyDefinitions | None:
        """Look once; return what has changed, or None.

        The first look takes everything as it is, and its result is complete. Later ones let a
        change settle, except with `at_once`, or that of the one `file` (path below the folder).
        Must not run twice at the same time.
        """
        listing = list_files(self.folder)
        if self._central is not None:
            self._way = with_central(listing, self.folder, self._central)
        self._note_folders(listing)
        at_once = at_once or not self._has_looked
        names = self._names(listing)
        confirmed = self._confirmed(names, listing, at_once=at_once, file=file)
        defined: list[Definition] = []
        removed: list[ObjectRef] = []
        broken: list[BrokenFile] = []
        for key in confirmed:
            name = names.get(key)
            if name is None:
                known = self._known.pop(key)
                logger.info(_REMOVED, known.name.file)
                removed.append(known.name.ref)
                continue
            self._read(key, name, listing, defined, removed, broken)
        self._tell_of_gone_folders(removed)
        return self._difference(defined, removed, broken)

    def _tell_of_gone_folders(self, removed: Iterable[ObjectRef]) -> None:
        for folder in sorted({folder_of(one.path) for one in removed} - {"/"}):
            if not (self.folder / folder.lstrip("/")).is_dir():
                logger.info("SCHEDULER-898 The folder %r has been removed", folder)

    def read_script(self, parts: Sequence[Text | Include]) -> str:
        """Return a script's text with its includes, for the start of a task.

        Raises DefinitionError when an include cannot be read (SCHEDULER-399).
        """
        texts = []
        for part in parts:
            match part:
                case Text(text=text):
                    texts.append(text)
                case Include():
                    texts.append(self._included_text(part))
        return "".join(texts)

    def read_include(self, include: Include, *, beside_configuration: bool = False) -> bytes:
        """Read an included file; raises OSError."""
        if include.live_file is not None:
            return read_file(self.folder, include.live_file.lstrip("/"))
        base = self.folder.parent if beside_configuration else self._include_path
        return read_file(base, include.file or "")

    # --- changing files on behalf of commands ----------------------------------------------------

    def write(self, file: str, xml: str) -> None:
        """Write a definition file, path below the folder; call `check_now` afterwards."""
        write_file(self.folder, file, xml)
        logger.info("SCHEDULER-707 The file %r has been written by a command", file)

    def file_of(self, ref: ObjectRef) -> Path | None:
        """Return the file that defines an object, or None when no file does."""
        key = FileName(file="", kind=ref.kind, folder="", name=ref.path.lstrip("/")).key
        known = self._known.get(key)
        if known is None or self._is_central(known.name.file):
            return None  # central files are the supervisor's business
        return self.folder / known.name.file

    def remove(self, ref: ObjectRef) -> str | None:
        """Delete the file of an object; return it (path below the folder), None without one.

        `check_now` does the rest.
        """
        path = self.file_of(ref)
        if path is None:
            return None
        path.unlink(missing_ok=True)
        return path.relative_to(self.folder).as_posix()

    # --- the loop --------------------------------------------------------------------------------

    async def run(
        self, submit: Callable[[ApplyDefinitions], Awaitable[None]], *, with_notices: bool = True
    ) -> None:
        """Look for changes until cancelled, and hand them to `submit`.

        The first look belongs to the caller (`scan` or `check_now`) if the start has to wait for
        it. `with_notices` lets the operating system's notices shorten the wait.
        """
        self._submit = submit
        notices = asyncio.create_task(self._notices()) if with_notices else None
        try:
            while True:
                await self._look(at_once=False)
                await asyncio.sleep(self._look_again_s)
                if self.is_settled:
                    # Not wait_for: before Python 3.12 it loses a cancellation that comes with
                    # the notice, and whoever ends this would wait for ever.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._sweep_interval_s):
                            await self._wake.wait()
                self._wake.clear()
        finally:
            if notices is not None:
                notices.cancel()
                await asyncio.gather(notices, return_exceptions=True)

    async def check_now(self, file: str | None = None) -> None:
        """Look and read every change at once, or that of one file only.

        Returns when the changes have been submitted. Before `run` has begun there is nobody to
        submit to: its first look will see everything.
        """
        await self._ask(at_once=file is None, file=file)

    async def look(self) -> None:
        """Look now; what has changed has to settle all the same (live-folder.md 5)."""
        await self._ask(at_once=False, file=None)
        self._wake.set()

    async def _ask(self, *, at_once: bool, file: str | None) -> None:
        # A look of its own, because a caller that gives up must not interrupt it half-way.
        look = asyncio.create_task(self._look(at_once=at_once, file=file))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        await asyncio.shield(look)

    async def _look(self, *, at_once: bool, file: str | None = None) -> None:
        async with self._looking:
            if self._submit is None:
                return
            # In a thread: reading thousands of files must not hold up the event loop.
            difference = await asyncio.to_thread(self.scan, at_once=at_once, file=file)
            if difference is not None:
                await self._submit(difference)

    async def _notices(self) -> None:
        try:
            folders = [self.folder]
            if self._central is not None and self._central.is_dir():
                folders.append(self._central)
            async for _ in awatch(*folders, debounce=200, step=50):
                self._wake.set()
        except (OSError, RuntimeError) as error:
            logger.warning("No notices of changes in %s, only polling: %s", self.folder, error)

    # --- parts of a look -------------------------------------------------------------------------

    def _note_folders(self, listing: Listing) -> None:
        """Keep findings of files that are still there; note folders that cannot be listed."""
        gone = [
            file
            for file in self._findings
            if file not in listing.stamps and not listing.is_hidden(file)
        ]
        for file in gone:
            del self._findings[file]
        for folder, reason in listing.unreadable.items():
            self._note(folder or ".", (_unreadable(folder, reason),))

    def _note(self, file: str, findings: tuple[Finding, ...]) -> None:
        """Remember what is wrong with a file, and log it once."""
        if findings != self._findings.get(file, ()):
            for finding in findings:
                is_error = finding.severity is Severity.ERROR
                logger.log(logging.ERROR if is_error else logging.WARNING, "%s", finding)
        if findings:
            self._findings[file] = findings
        else:
            self._findings.pop(file, None)

    def _names(self, listing: Listing) -> dict[_Key, FileName]:
        """Return the file of each object; of two for one object the first in the alphabet."""
        names: dict[_Key, FileName] = {}
        for file in sorted(listing.stamps, key=lambda each: (not self._is_central(each), each)):
            name = self._name_of(file)
            if name is None:
                continue
            first = names.setdefault(name.key, name)
            if first is not name:
                is_hidden = self._is_central(first.file) and not self._is_central(file)
                finding = _hidden(file) if is_hidden else _duplicate(file, first.file)
                self._note(file, (finding,))
        for key, known in self._known.items():
            if listing.is_hidden(known.name.file):
                names.setdefault(key, known.name)
        return names

    def _is_central(self, file: str) -> bool:
        return bool(self._way) and file.startswith(self._way)

    def _name_of(self, file: str) -> FileName | None:
        """Return what a file defines; a central one stands for the live file of the same name."""
        if not self._is_central(file):
            return file_name(file)
        name = file_name(file.removeprefix(self._way))
        return None if name is None else replace(name, file=file)

    def _confirmed(
        self,
        names: Mapping[_Key, FileName],
        listing: Listing,
        *,
        at_once: bool,
        file: str | None,
    ) -> list[_Key]:
        """Return the objects whose change has settled; remember the others."""
        seen: dict[_Key, _Signature | None] = {}
        for key, name in names.items():
            known = self._known.get(key)
            signature = self._signature(name, known, listing)
            if signature is not None and (known is None or known.signature != signature):
                seen[key] = signature
        for key in self._known.keys() - names.keys():
            seen[key] = None
        now, confirmed = monotonic(), []
        unsettled: dict[_Key, _Seen] = {}
        for key, signature in seen.items():
            former = self._unsettled.get(key)
            settling = _Seen(signature, now)
            if former is not None and former.signature == signature:
                settling = former
            is_meant = (
                at_once
                or (signature is not None and self._is_central(signature[0]))
                or (file is not None and file == self._file_of(key, names))
            )
            if is_meant or (settling is former and self._has_settled(settling, now)):
                confirmed.append(key)
            else:
                unsettled[key] = settling
        self._unsettled = unsettled
        return confirmed

    def _has_settled(self, seen: _Seen, now: float) -> bool:
        part = MISSING_OF_SETTLE if seen.signature is None else 1.0
        return now - seen.since >= self._settle_s * part

    def _file_of(self, key: _Key, names: Mapping[_Key, FileName]) -> str:
        name = names.get(key)
        return self._known[key].name.file if name is None else name.file

    def _signature(
        self, name: FileName, known: _Known | None, listing: Listing
    ) -> _Signature | None:
        stamp = listing.stamps.get(name.file)
        if stamp is None:
            return None  # in a folder that cannot be read just now
        included = known.live_files if known is not None else ()
        return name.file, stamp, _stamps(included, listing)

    def _read(
        self,
        key: _Key,
        name: FileName,
        listing: Listing,
        defined: list[Definition],
        removed: list[ObjectRef],
        broken: list[BrokenFile],
    ) -> None:
        """Read one file and note what became of it."""
        before = self._known.get(key)
        content = self._content(key, name, listing)
        errors = [one for one in content.findings if one.severity is Severity.ERROR]
        was_defined = before is not None and before.is_defined
        if errors:
            broken.append(
                BrokenFile(
                    object=name.ref,
                    file=name.file,
                    findings=tuple(one.sentence for one in errors),
                )
            )
        elif content.definition is not None:
            defined.append(content.definition)
        elif before is not None and (was_defined or before.is_broken):
            removed.append(before.name.ref)
        self._known[key] = _Known(
            name=name,
            signature=(name.file, listing.stamps[name.file], _stamps(content.live_files, listing)),
            live_files=content.live_files,
            is_defined=content.definition is not None or (bool(errors) and was_defined),
            is_broken=bool(errors),
        )
        self._note(name.file, content.findings)
        if self._has_looked:
            what = _CHANGED if before else _ADDED
            logger.info(what, name.file)
        if before is not None and self._is_central(name.file):
            if not self._is_central(before.name.file):
                logger.warning(_HIDES, before.name.file)

    def _content(self, key: _Key, name: FileName, listing: Listing) -> FileContent:
        if self._main is not None and key in self._main.keys:
            return _unusable(
                name.file,
                "The object is defined in scheduler.xml already",
                "Remove one of the two definitions",
                "SCHEDULER-148" if name.kind is ObjectKind.JOB else "",
            )
        try:
            data = read_file(self.folder, name.file, listing.places.get(name.file))
        except OSError as error:
            return _unusable(
                name.file,
                f"The file cannot be read: {error.strerror or error}",
                "Check its permissions",
            )
        live_root = f"/{self._way.rstrip('/')}" if self._is_central(name.file) else ""
        context = replace(self._context, folder=name.folder, live_root=live_root)
        modified_at = Instant(listing.stamps[name.file].modified_s * 1000)
        return read_definition(data, name, context, modified_at)

    def _difference(
        self,
        defined: list[Definition],
        removed: list[ObjectRef],
        broken: list[BrokenFile],
    ) -> ApplyDefinitions | None:
        is_first = not self._has_looked
        self._has_looked = True
        if not is_first and not (defined or removed or broken):
            return None
        main = self._main if is_first else None
        return ApplyDefinitions(
            defined=(*(main.definitions if main is not None else ()), *defined),
            removed=tuple(removed),
            broken=tuple(broken),
            main=main.main if main is not None else None,
            complete=is_first,
        )

    def _included_text(self, include: Include) -> str:
        name = include.live_file or include.file or ""
        try:
            return text_of(self.read_include(include))
        except OSError as error:
            raise DefinitionError(
                f"SCHEDULER-399 The included file {name!r} cannot be read: "
                f"{error.strerror or error}",
                path=name,
                element="include",
            ) from error


def _stamps(files: Iterable[str], listing: Listing) -> tuple[Stamp | None, ...]:
    return tuple(listing.stamps.get(file.lstrip("/")) for file in files)


def _unreadable(folder: str, reason: str) -> Finding:
    return Finding(
        file=folder or ".",
        severity=Severity.WARNING,
        text=f"The folder cannot be read: {reason}",
        advice="Its objects stay as they are until it can be read again",
        code="" if folder else "SCHEDULER-895",
    )


def _duplicate(file: str, first: str) -> Finding:
    return Finding(
        file=file,
        severity=Severity.WARNING,
        text=f"The file is ignored, because {first!r} defines an object of the same name",
        advice="Remove or rename one of the two; names of jobs and job chains have no case",
        code="SCHEDULER-889",
    )


def _hidden(file: str) -> Finding:
    return Finding(
        file=file,
        severity=Severity.WARNING,
        text="The file is ignored, because the central configuration defines the same object",
        advice="Remove one of the two",
        code="SCHEDULER-703",
    )


def _unusable(file: str, text: str, advice: str, code: str = "") -> FileContent:
    return FileContent(
        definition=None, findings=(Finding(file=file, text=text, advice=advice, code=code),)
    )
