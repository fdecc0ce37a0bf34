"""The file system below a live folder: listing, reading, writing. Decides nothing."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.codec.xml.document import SIZE_BYTES_MAX
from engine.codec.xml.references import resolved

FOLDER_DEPTH_MAX = 100
"""Deeper folders are left alone."""
FILES_MAX = 200_000
"""More files than this are not a live folder."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Equal as long as a file was not written; older times count as a change too."""

    modified_ns: int
    size: int
    inode: int

    @property
    def modified_s(self) -> int:
        """The time of the last change in whole seconds since 1970."""
        return self.modified_ns // 1_000_000_000


@dataclass(slots=True)
class Listing:
    """What one look at the folder saw."""

    stamps: dict[str, Stamp] = field(default_factory=dict)
    """By path below the root, with slashes."""
    places: dict[str, str] = field(default_factory=dict)
    """Where a file is for the operating system, when its name is no proper text."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folders that could not be listed, and why; nothing can be said about their files."""

    def is_hidden(self, file: str) -> bool:
        """Tell whether a file may be there although it was not seen."""
        return any(not folder or file.startswith(f"{folder}/") for folder in self.unreadable)


def list_files(root: Path) -> Listing:
    """List all files below a folder except those whose name, or whose folder's, begins with `.`."""
    listing = Listing()
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [
        ("", os.fspath(root), frozenset())
    ]
    while pending:
        folder, place, above = pending.pop()
        try:
            status = Path(place).stat()
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            listing.unreadable[folder] = error.strerror or str(error)
            continue
        # A symbolic link to a folder that it lies in would go on for ever.
        here = above | {(status.st_dev, status.st_ino)}
        if here == above or len(here) > FOLDER_DEPTH_MAX:
            continue
        for entry in entries:
            if not entry.name.startswith("."):
                subfolder = _list(entry, folder, listing)
                if subfolder is not None:
                    pending.append((subfolder, entry.path, here))
    return listing


def with_central(listing: Listing, root: Path, central: Path) -> str:
    """Put the files of the central configuration beside those of the live folder (chapter 9).

    They are named by the way from the live folder to them, which is returned, so that a file is
    what its name says, whoever reads it. Without a central folder nothing changes.
    """
    try:
        way = Path(os.path.relpath(central.resolve(), root.resolve())).as_posix()
    except (OSError, ValueError):
        return ""
    if not central.is_dir():
        return ""
    found = list_files(central)
    listing.stamps.update({f"{way}/{file}": stamp for file, stamp in found.stamps.items()})
    listing.places.update({f"{way}/{file}": place for file, place in found.places.items()})
    unreadable = found.unreadable.items()
    listing.unreadable.update({f"{way}/{folder}".rstrip("/"): why for folder, why in unreadable})
    return f"{way}/"


def _list(entry: os.DirEntry[str], folder: str, listing: Listing) -> str | None:
    """Note a file; return the path of a folder."""
    name = _proper(entry.name)
    path = f"{folder}/{name}" if folder else name
    try:
        status = entry.stat()
    except OSError:
        return None  # gone again, or a link to nothing
    if stat.S_ISDIR(status.st_mode):
        return path
    if stat.S_ISREG(status.st_mode) and len(listing.stamps) < FILES_MAX:
        listing.stamps[path] = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
        if _proper(entry.path) != entry.path:
            listing.places[path] = entry.path
    return None


def read_file(root: Path, file: str, place: str | None = None) -> bytes:
    """Read a file below the root, at most one byte more than a document may have."""
    path = Path(place) if place is not None else root / file
    with path.open("rb") as opened:
        return opened.read(SIZE_BYTES_MAX + 1)


def write_file(root: Path, file: str, xml: str) -> Path:
    """Write a definition in one piece, so that nobody sees half of it; folders are created."""
    path = root / resolved(file).lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}~")
    with _removed_after(draft):
        draft.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}\n', encoding="utf-8")
        draft.replace(path)
    return path


@contextmanager
def _removed_after(draft: Path) -> Iterator[None]:
    try:
        yield
    finally:
        draft.unlink(missing_ok=True)


def _proper(name: str) -> str:
    """Return a file name as text; bytes that are no UTF-8 are taken for ISO-8859-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("latin-1")
    return name
