"""Bytes -> XML tree, safely: the only place where XML text is parsed.

No document type, so no entities, no external files, no network. The size, the amount of markup and
the depth are bounded before memory is spent. The encoding of the XML declaration is honoured; the
tree is always built from UTF-8, so that places and messages are counted in characters.
"""

import codecs
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lxml import etree

from engine.codec.xml.findings import Element, Finding, Findings, tag_of

SIZE_BYTES_MAX = 8 * 1024 * 1024
"""Far above any definition or command that was ever written; a parsed megabyte costs about ten."""
MARKUP_MAX = 200_000
"""Bound of `<` and of `=` in one document: elements and attributes cost memory, text does not."""
NAMES_MAX = 500
"""Different names of elements and attributes; lxml keeps each name as long as the thread lives."""
DEPTH_MAX = 100
"""Nested elements; definitions need about ten."""

_DECLARATION = re.compile(
    r"""\s*<\?xml\s[^>]*?encoding\s*=\s*(["'])([A-Za-z][A-Za-z0-9._-]*)\1[^>]*?\?>"""
)
_NAME = re.compile(r"""<[^\s/>!?]+|\s[^\s=<>"'/]+(?=\s*=\s*["'])""")
"""What may be a name; also found in scripts, so only a first look."""
_TOO_DEEP = etree.XPath(f"({'/*' * (DEPTH_MAX + 1)})[1]")
"""Goes down level by level, so its cost is linear in the number of elements."""
_ENCODINGS = frozenset(
    ["utf-8", "ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1252", "utf-16"]
)
_MARKUP = re.compile(
    r"""<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|</[^>]*>|<(?P<tag>[^\s/>]+)(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([^\s=<>"'/]+)\s*=\s*(?:"[^"]*+"|'[^']*+')""", re.DOTALL)


class Document:
    """A parsed file: its root element, and where everything stands in the text."""

    def __init__(self, file: str, text: str, root: Element) -> None:
        self.file = file
        self.text = text
        """The decoded text, with its XML declaration."""
        self.root = root
        self._starts: dict[Element, int] | None = None

    def findings(self) -> Findings:
        """Return a collector for this document."""
        return Findings(self.file, self.locate)

    def locate(self, element: Element, attribute: str | None = None) -> tuple[int, int]:
        """Return line and column of an element's start tag, or of one of its attributes."""
        if self._starts is None:
            self._starts = self._find_starts()
        start = self._starts.get(element)
        if start is None:
            return 1, 1
        if attribute is not None:
            tag = _MARKUP.match(self.text, start)
            assert tag is not None, "a start tag was found here before"
            for found in _ATTRIBUTE.finditer(self.text, tag.end("tag"), tag.end()):
                if found[1] == attribute:
                    return line_and_column(self.text, found.start())
        return line_and_column(self.text, start)

    def _find_starts(self) -> dict[Element, int]:
        """Match start tags of the text with elements of the tree, both in document order."""
        tags = (found.start() for found in _MARKUP.finditer(self.text) if found["tag"])
        return dict(zip(self.root.iter("*"), tags, strict=False))


def parse_document(data: bytes, file: str, *, encoding: str | None = None) -> Document | Finding:
    """Parse the bytes of a file or command; a finding says why they are not usable XML.

    `encoding` overrules the XML declaration, as the charset of an HTTP request does.
    """
    if len(data) > SIZE_BYTES_MAX:
        return Finding(
            file=file,
            text=f"The document has {len(data)} bytes, {SIZE_BYTES_MAX} are allowed",
            advice="Split it, or keep big scripts in files of their own",
        )
    text = _decoded(data, file, encoding)
    if isinstance(text, Finding):
        return text
    refusal = _refusal(text, file)
    if refusal is not None:
        return refusal
    return _parsed(text, file)


def parse_text(text: str, file: str) -> Document | Finding:
    """Parse XML that is text already; the encoding of a declaration is without meaning."""
    return parse_document(text.encode(errors="surrogatepass"), file, encoding="utf-8")


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the place of a character, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def to_xml(element: Element) -> str:
    """Return an element as XML text, without what follows it."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _decoded(data: bytes, file: str, encoding: str | None) -> str | Finding:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return _decoded_as(data[len(mark) :], file, name)
    if encoding is None:
        declared = _DECLARATION.match(data[:400].decode("latin-1"))
        encoding = declared[2] if declared else "utf-8"
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        name = ""
    if name not in _ENCODINGS:
        return Finding(
            file=file,
            text=f"The encoding {encoding!r} is not known",
            advice="Save the file as UTF-8 or ISO-8859-1 and name that in the XML declaration",
        )
    return _decoded_as(data, file, name)


def _decoded_as(data: bytes, file: str, encoding: str) -> str | Finding:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, errors="replace")
        line, column = line_and_column(before, len(before))
        return Finding(
            file=file,
            line=line,
            column=column,
            text=f"The byte 0x{data[error.start]:02X} is not valid {encoding.upper()}",
            advice="Name the encoding in which the file was saved in its first line: "
            '<?xml version="1.0" encoding="ISO-8859-1"?>',
        )


def _refusal(text: str, file: str) -> Finding | None:
    """Look for what must not even reach the parser."""
    for mark, thing in (("<", "elements"), ("=", "attributes")):
        if text.count(mark) > MARKUP_MAX:
            return Finding(
                file=file,
                text=f"The document has too many {thing}, about {MARKUP_MAX} are allowed",
                advice="Split it",
            )
    if _has_too_many_names(text):
        return Finding(
            file=file,
            text=f"The document has more than {NAMES_MAX} different names",
            advice="Definitions and commands know about 300 elements and attributes",
        )
    place = _document_type(text)
    if place is not None:
        line, column = line_and_column(text, place)
        return Finding(
            file=file,
            line=line,
            column=column,
            text="A document type (<!DOCTYPE>) is not allowed",
            advice="Remove it; write &amp; &lt; &gt; &quot; &apos; or &#233; instead of entities",
        )
    return None


def _has_too_many_names(text: str) -> bool:
    """Count the names of elements and attributes; exactly only when there may be too many."""
    names: set[str] = set()
    for found in _NAME.finditer(text):
        names.add(found[0])
        if len(names) > NAMES_MAX:
            break
    else:
        return False
    names.clear()
    for tag in _MARKUP.finditer(text):
        if not tag["tag"]:
            continue
        names.add(tag["tag"])
        for attribute in _ATTRIBUTE.finditer(text, tag.end("tag"), tag.end()):
            names.add(attribute[1])
            if len(names) > NAMES_MAX:
                return True
    return len(names) > NAMES_MAX


def _document_type(text: str) -> int | None:
    """Return where `<!DOCTYPE` stands; it can only stand before the root element."""
    for found in re.finditer(r"<!--.*?-->|<\?.*?\?>|<", text, re.DOTALL):
        if found[0] == "<":
            return found.start() if text.startswith("<!DOCTYPE", found.start()) else None
    return None


def _parsed(text: str, file: str) -> Document | Finding:
    if not text.strip():
        advice = "Write the root element; is the file still being written?"
        return Finding(file=file, text="The document is empty", advice=advice)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_pis=True,
        strip_cdata=False,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        return _syntax_finding(error, parser.error_log, text, file)
    except (UnicodeEncodeError, ValueError):
        # Lone surrogates: XML has no such characters.
        return Finding(file=file, text="The document has characters that XML does not know")
    document = Document(file, text, root)
    too_deep: Any = _TOO_DEEP(root)
    for element in too_deep:
        line, column = document.locate(element)
        return Finding(
            file=file,
            line=line,
            column=column,
            element=tag_of(element),
            text=f"Elements are nested deeper than {DEPTH_MAX} levels",
            advice="Definitions need about ten levels: remove the others",
        )
    return document


_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "ERR_TAG_NAME_MISMATCH": "Close each element where it was opened",
        "ERR_TAG_NOT_FINISHED": "The end of the file is missing; is it still being written?",
        "ERR_DOCUMENT_END": "A file has exactly one root element: remove what follows it",
        "ERR_UNDECLARED_ENTITY": "Only &amp; &lt; &gt; &quot; &apos; and &#NUMBER; are known",
        "ERR_NAME_REQUIRED": "Write &amp; for & and &lt; for <, or use a CDATA section",
        "ERR_ENTITYREF_SEMICOL_MISSING": "Write &amp; for &, or use a CDATA section",
        "ERR_LT_IN_ATTRIBUTE": "Write &lt; for < in attribute values",
        "ERR_ATTRIBUTE_NOT_STARTED": 'Put the value in quotes: NAME="VALUE"',
        "ERR_ATTRIBUTE_WITHOUT_VALUE": 'Give the attribute a value: NAME="VALUE"',
        "ERR_ATTRIBUTE_NOT_FINISHED": "Close the quotes of the attribute value",
        "ERR_ATTRIBUTE_REDEFINED": "Remove one of the two attributes",
        "ERR_SPACE_REQUIRED": "Put a blank between attributes",
        "ERR_GT_REQUIRED": "Close the tag with >",
        "ERR_INVALID_CHAR": "Remove the control character",
        "ERR_CDATA_NOT_FINISHED": "Close the CDATA section with ]]>",
        "ERR_COMMENT_NOT_FINISHED": "Close the comment with -->",
        "ERR_HYPHEN_IN_COMMENT": "Do not write -- inside a comment",
        "NS_ERR_UNDEFINED_NAMESPACE": "Declare the prefix: xmlns:PREFIX=..., or leave it out",
    }
)


def _syntax_finding(error: etree.XMLSyntaxError, log: Any, text: str, file: str) -> Finding:
    # The parser's log, not the exception's: that one has the errors of other documents too.
    entries = list(log)
    kind = entries[0].type_name if entries else ""
    message = entries[0].message if entries else str(error.msg)
    line, column = (entries[0].line, entries[0].column) if entries else error.position
    if not text.lstrip().startswith("<"):
        kind, message = "", "The text does not begin with an XML element"
    # The parser counts a truncated file to one line beyond its end.
    line = min(max(line, 1), text.count("\n") + 1)
    return Finding(
        file=file,
        line=line,
        column=max(column, 1),
        text=f"Not well-formed XML: {' '.join(message.split())}",
        advice=_ADVICE.get(kind, "Correct the XML at this place"),
    )
