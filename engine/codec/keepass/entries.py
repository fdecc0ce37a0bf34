"""The document inside a database: groups, entries, their fields and attachments."""

import base64
import binascii
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lxml import etree

from engine.codec.keepass.container import Content, expanded
from engine.codec.keepass.faults import StoreDamaged, StoreFault
from engine.codec.keepass.streams import InnerStream
from engine.kernel.sessions.secret import Secret

ENTRIES_MAX: Final = 100_000
STANDARD_FIELDS: Final = {
    "title": "Title",
    "user": "UserName",
    "username": "UserName",
    "password": "Password",
    "url": "URL",
    "notes": "Notes",
}
"""How references call what every entry has, in any case."""
ATTACHMENT: Final = "attachment"
"""How references call an entry's only attachment; several are told apart by their names."""

_ELEMENTS_MAX: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class _Value:
    """A text or the bytes of an attachment, perhaps still enciphered."""

    data: bytes = field(repr=False)
    offset: int | None = None
    """Place in the key stream; None: it is not protected."""
    is_packed: bool = False

    def clear(self, stream: InnerStream) -> bytes:
        plain = self.data if self.offset is None else stream.clear(self.offset, self.data)
        return expanded(plain) if self.is_packed else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: where it is, and what it holds."""

    groups: tuple[str, ...]
    """Without the outermost group."""
    title: str
    fields: Mapping[str, _Value] = field(repr=False)
    attachments: Mapping[str, _Value] = field(repr=False)

    @property
    def path(self) -> str:
        """Groups and title, as references write them."""
        return "/".join((*self.groups, self.title))


class Store:
    """An opened database; values stay enciphered until they are asked for."""

    def __init__(self, root: str, entries: tuple[Entry, ...], stream: InnerStream) -> None:
        """`root` is the name of the outermost group."""
        self.root = root
        self.entries = entries
        self._stream = stream

    def __repr__(self) -> str:
        return f"Store({len(self.entries)} entries)"

    def value(self, path: str, name: str) -> Secret:
        """Return a field, or an attachment that is text. Raises StoreFault.

        `path` is groups and title with `/` between them, with or without the outermost group.
        """
        entry = self._entry(path.strip("/"))
        found = self._field(entry, name)
        try:
            text = found.clear(self._stream).decode()
        except UnicodeDecodeError as error:
            raise StoreFault(f"{name} of its entry {entry.path} is no text") from error
        if not text.strip():
            raise StoreFault(f"{name} of its entry {entry.path} is empty")
        if text.startswith("{REF:"):
            raise StoreFault(
                f"{name} of its entry {entry.path} refers to another entry; name that one instead"
            )
        return Secret(text)

    @cached_property
    def _paths(self) -> Mapping[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.path, []).append(entry)
        return found

    def _entry(self, path: str) -> Entry:
        found = self._paths.get(path) or self._paths.get(path.removeprefix(f"{self.root}/")) or []
        if len(found) > 1:
            raise StoreFault(f"it has {len(found)} entries {path}; give them different titles")
        if found:
            return found[0]
        near = difflib.get_close_matches(path, self._paths, n=3)
        hint = f"; there is {' and '.join(near)}" if near else ""
        raise StoreFault(f"it has no entry {path}{hint}")

    def _field(self, entry: Entry, name: str) -> _Value:
        folded = name.casefold()
        if folded == ATTACHMENT and ATTACHMENT not in entry.attachments:
            if len(entry.attachments) == 1:
                return next(iter(entry.attachments.values()))
            names = ", ".join(sorted(entry.attachments)) or "none"
            raise StoreFault(f"its entry {entry.path} has these attachments: {names}; name one")
        standard = STANDARD_FIELDS.get(folded)
        if standard is not None:
            return entry.fields.get(standard, _Value(b""))
        for values in (entry.fields, entry.attachments):
            if name in values:
                return values[name]
            alike = [each for key, each in values.items() if key.casefold() == folded]
            if len(alike) == 1:
                return alike[0]
        own = set(entry.fields) - set(STANDARD_FIELDS.values()) | set(entry.attachments)
        known = ", ".join(("title", "user", "password", "url", "notes", ATTACHMENT, *sorted(own)))
        raise StoreFault(f"its entry {entry.path} has no {name}; there are {known}")


def store_of(content: Content) -> Store:
    """Read the document of an opened database. Raises StoreFault."""
    return _Document(content).store()


class _Document:
    """Goes through the document once, in its order: protected values share one key stream."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._root = _parsed(content.document)
        self._values: dict[etree._Element, _Value] = {}
        self._binaries: dict[str, _Value] = {
            str(number): _Value(each) for number, each in enumerate(content.binaries)
        }

    def store(self) -> Store:
        self._check_header()
        self._place_protected()
        for binary in self._root.iterfind("Meta/Binaries/Binary"):
            is_packed = (binary.get("Compressed") or "").casefold() == "true"
            value = self._value_of(binary, is_binary=True)
            self._binaries[binary.get("ID") or ""] = _Value(value.data, value.offset, is_packed)
        outermost = self._root.find("Root/Group")
        if outermost is None:
            raise StoreDamaged("it has no group of entries")
        name = outermost.findtext("Name") or ""
        return Store(name, tuple(self._entries(outermost)), self._content.stream)

    def _check_header(self) -> None:
        digest = (self._root.findtext("Meta/HeaderHash") or "").strip()
        expected = self._content.header_digest
        if expected is not None and digest and _decoded(digest) != expected:
            raise StoreDamaged("its header does not fit its digest")

    def _place_protected(self) -> None:
        offset = 0
        for count, element in enumerate(self._root.iter("Value", "Binary")):
            if count > _ELEMENTS_MAX:
                raise StoreFault(f"it has more than {_ELEMENTS_MAX} values")
            if (element.get("Protected") or "").casefold() == "true":
                data = _decoded(element.text or "")
                self._values[element] = _Value(data, offset)
                offset += len(data)

    def _value_of(self, element: etree._Element, *, is_binary: bool = False) -> _Value:
        protected = self._values.get(element)
        if protected is not None:
            return protected
        text = element.text or ""
        return _Value(_decoded(text) if is_binary else text.encode())

    def _entries(self, outermost: etree._Element) -> Iterator[Entry]:
        waiting: list[tuple[etree._Element, tuple[str, ...]]] = [(outermost, ())]
        count = 0
        while waiting:
            group, names = waiting.pop()
            for element in group.iterfind("Entry"):
                count += 1
                if count > ENTRIES_MAX:
                    raise StoreFault(f"it has more than {ENTRIES_MAX} entries")
                yield self._entry(element, names)
            waiting.extend(
                (each, (*names, (each.findtext("Name") or "").strip("/")))
                for each in group.iterfind("Group")
            )

    def _entry(self, element: etree._Element, groups: tuple[str, ...]) -> Entry:
        fields: dict[str, _Value] = {}
        for each in element.iterfind("String"):
            value = each.find("Value")
            if value is not None:
                fields[each.findtext("Key") or ""] = self._value_of(value)
        attachments: dict[str, _Value] = {}
        for each in element.iterfind("Binary"):
            value = each.find("Value")
            if value is not None:
                attachments[each.findtext("Key") or ""] = self._attachment(value)
        title = fields.get("Title", _Value(b"")).clear(self._content.stream)
        return Entry(
            groups=groups,
            title=title.decode(errors="replace").strip("/"),
            fields=fields,
            attachments=attachments,
        )

    def _attachment(self, value: etree._Element) -> _Value:
        reference = value.get("Ref")
        if reference is None:
            return self._value_of(value, is_binary=True)
        if reference not in self._binaries:
            raise StoreDamaged(f"its attachment {reference} is missing")
        return self._binaries[reference]


def _parsed(document: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise StoreDamaged("its content is no XML document") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise StoreDamaged("its content has a document type, which no KeePass program writes")
    return root


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise StoreDamaged("one of its values is not encoded as it should be") from error
