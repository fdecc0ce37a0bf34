"""`<params>`, `<include>` and texts that are put together from parts (live-folder.md 12, 13)."""

import re

from lxml import etree

from engine.codec.xml.document import Document, parse_document, to_xml
from engine.codec.xml.findings import Element, Finding, tag_of
from engine.codec.xml.reading import Reading
from engine.codec.xml.references import PathError, resolved
from engine.kernel.definitions import Include, Text
from engine.kernel.params import Params, merge

TEXT_BYTES_MAX = 1024 * 1024
"""An included description or script; more is a mistake."""
_XML_ENCODING = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_SCRIPT_PART = re.compile(
    r"<!\[CDATA\[(?P<cdata>.*?)\]\]>|<!--.*?-->|<(?P<include>include)\b[^>]*?>|</[^>]*>"
    r"|(?P<text>[^<]+)",
    re.DOTALL,
)


def read_params(reading: Reading, parent: Element, *, substitute: bool = True) -> Params:
    """Return the parameters of an element's `<params>` child."""
    params = parent.find("params")
    return {} if params is None else read_param_set(reading, params, substitute=substitute)


def read_param_set(reading: Reading, params: Element, *, substitute: bool = True) -> Params:
    """Return the parameters that a `<params>` element lists, in document order, later wins."""
    result: dict[str, str] = {}
    for child in params.iterchildren("*"):
        match tag_of(child):
            case "param":
                result = merge(result, _param(reading, child, substitute=substitute))
            case "include":
                result = merge(result, _included_params(reading, child, substitute=substitute))
            case "copy_params":
                result = merge(result, _copied_params(reading, child))
            case _:
                pass  # the schema has noted it
    return result


def read_include(reading: Reading, element: Element) -> Include | None:
    """Return what an `<include>` names; None when it names nothing usable."""
    file = reading.substituted(element, "file").strip()
    live_file = reading.substituted(element, "live_file").strip()
    if file and live_file:
        reading.findings.error(
            element,
            "<include> has both file and live_file",
            code="SCHEDULER-442",
            advice="Keep file (below the include path) or live_file (below the live folder)",
        )
        return None
    if not file and not live_file:
        reading.findings.error(
            element,
            "<include> names no file",
            code="SCHEDULER-231",
            advice='Add file="…" or live_file="…"',
        )
        return None
    if file:
        return Include(file=file)
    try:
        path = resolved(live_file, reading.context.folder)
        return Include(live_file=f"{reading.context.live_root}{path}")
    except PathError as error:
        reading.findings.error(element, str(error), attribute="live_file", code="SCHEDULER-461")
        return None


def read_parts(reading: Reading, element: Element) -> tuple[Text | Include, ...]:
    """Return texts and includes of a script in document order.

    Comments are dropped, and so are texts of white space only between CDATA sections and includes
    (live-folder.md 12).
    """
    if "<" not in (xml := to_xml(element))[1:].rpartition("</")[0]:
        text = element.text or ""
        return (Text(text=text),) if text.strip() else ()
    parts: list[Text | Include] = []
    includes = iter(element.findall("include"))
    inner = xml[xml.index(">") + 1 :]
    for found in _SCRIPT_PART.finditer(inner):
        if found["include"]:
            include = read_include(reading, next(includes))
            if include is not None:
                parts.append(include)
            continue
        text = found["cdata"] if found["cdata"] is not None else _unescaped(found["text"] or "")
        if text.strip():
            parts.append(Text(text=text))
    return tuple(parts)


def read_description(reading: Reading, parent: Element) -> str:
    """Return the text of a `<description>`; a missing include is told in the text.

    Documentation of the original's job library is normally not installed here, so a missing file
    is no fault of the job.
    """
    description = parent.find("description")
    if description is None:
        return ""
    texts = []
    for part in read_parts(reading, description):
        match part:
            case Text(text=text):
                texts.append(text)
            case Include():
                try:
                    texts.append(text_of(reading.context.read_include(part)))
                except OSError as error:
                    texts.append(f"SCHEDULER-399 The included file cannot be read: {error}")
    return "".join(texts).strip()


def text_of(data: bytes) -> str:
    """Decode an included text: XML by its declaration, UTF-8 if it is, else ISO-8859-1."""
    declared = _XML_ENCODING.match(data[:400])
    data = data[:TEXT_BYTES_MAX].removeprefix(b"\xef\xbb\xbf")
    for encoding in (declared[1].decode("ascii") if declared else "utf-8", "latin-1"):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise AssertionError("every byte is a character in ISO-8859-1")


def _param(reading: Reading, param: Element, *, substitute: bool) -> Params:
    name = reading.text(param, "name")
    value = reading.text(param, "value")
    if not name:
        return {}
    return {name: reading.context.environment.substituted(value) if substitute else value}


def _copied_params(reading: Reading, element: Element) -> Params:
    copied = reading.context.copied
    if copied is None:
        reading.findings.error(
            element,
            "<copy_params> is possible only in the on-exit commands of a job",
            code="SCHEDULER-329",
            advice="List the parameters with <param>",
        )
        return {}
    return copied.get(reading.text(element, "from"), {})


def included_document(
    reading: Reading, element: Element, *, beside_configuration: bool = False
) -> Document | None:
    """Return the XML document that an `<include>` names; None when it is noted as a fault.

    A change of a `live_file` is from now on a change of the including object.
    """
    include = read_include(reading, element)
    if include is None:
        return None
    if include.live_file is not None:
        reading.live_files.append(include.live_file)
    name = include.live_file or include.file or ""
    try:
        data = reading.context.read_include(include, beside_configuration=beside_configuration)
    except OSError as error:
        reading.findings.error(
            element,
            f"The included file {name!r} cannot be read: {error.strerror or error}",
            code="SCHEDULER-399",
            advice="Create the file or correct its name",
        )
        return None
    document = parse_document(data, name)
    if isinstance(document, Finding):
        reading.findings.error(
            element,
            f"The included file {name!r} is broken: {document.sentence}",
            code="SCHEDULER-399",
            advice=f"Correct {name!r}",
        )
        return None
    return document


def _included_params(reading: Reading, element: Element, *, substitute: bool) -> Params:
    document = included_document(reading, element)
    result: dict[str, str] = {}
    if document is not None:
        for param in _selected(reading, element, document.root):
            result = merge(result, _param(reading, param, substitute=substitute))
    return result


def _selected(reading: Reading, element: Element, root: Element) -> list[Element]:
    """Return the `<param>` elements that the XPath of the include selects."""
    xpath = reading.text(element, "node") or "/params/*"
    try:
        found = root.getroottree().xpath(xpath)
    except etree.XPathError as error:
        reading.findings.error(
            element,
            f"node={xpath!r} is no XPath expression: {error}",
            attribute="node",
            advice="Select <param> elements, for instance /params/param",
        )
        return []
    chosen = found if isinstance(found, list) else []
    params = [one for one in chosen if isinstance(one, type(root))]
    wrong = next((one for one in params if tag_of(one) != "param"), None)
    if wrong is not None or len(params) != len(chosen):
        what = f"<{tag_of(wrong)}>" if wrong is not None else "something that is no element"
        reading.findings.error(
            element,
            f"node={xpath!r} selects {what} in the included file",
            attribute="node",
            code="SCHEDULER-409",
            advice="Select <param> elements, for instance /params/param",
        )
        return []
    return params


def _unescaped(text: str) -> str:
    """Undo the escapes that the serializer writes."""
    return (
        re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), text)
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
