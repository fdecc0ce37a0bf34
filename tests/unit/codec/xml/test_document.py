"""Parsing of XML text: places, encodings, and everything hostile."""

import resource
import time

import pytest

from engine.codec.xml.document import (
    DEPTH_MAX,
    MARKUP_MAX,
    NAMES_MAX,
    SIZE_BYTES_MAX,
    Document,
    parse_document,
    parse_text,
    to_xml,
)
from engine.codec.xml.findings import Finding


def document(data: bytes) -> Document:
    parsed = parse_document(data, "f.xml")
    assert isinstance(parsed, Document), str(parsed)
    return parsed


def refusal(data: bytes) -> Finding:
    parsed = parse_document(data, "f.xml")
    assert isinstance(parsed, Finding)
    return parsed


def test_elements_and_attributes_are_located_in_the_text() -> None:
    text = (
        b"<?xml version='1.0'?>\n"
        b"<!-- <hidden a='1'/> -->\n"
        b'<a x="1>2"\n'
        b"   y='\"'>\n"
        b"  <![CDATA[<no/>]]><b z = '1'/>\n"
        b"</a>"
    )
    parsed = document(text)
    child = parsed.root[0]
    assert parsed.locate(parsed.root) == (3, 1)
    assert parsed.locate(parsed.root, "x") == (3, 4)
    assert parsed.locate(parsed.root, "y") == (4, 4)
    assert parsed.locate(child) == (5, 20)
    assert parsed.locate(child, "z") == (5, 23)
    assert parsed.locate(child, "missing") == (5, 20)


def test_an_element_of_another_document_is_located_at_the_beginning() -> None:
    assert document(b"<a/>").locate(document(b"\n<b/>").root) == (1, 1)


@pytest.mark.parametrize(
    "data",
    [
        "<a>ä</a>".encode(),
        "<?xml version='1.0' encoding='UTF-8'?><a>ä</a>".encode(),
        "<?xml version='1.0' encoding='utf8'?><a>ä</a>".encode(),
        b"\xef\xbb\xbf" + "<a>ä</a>".encode(),
        b"\xef\xbb\xbf" + "<?xml version='1.0' encoding='ISO-8859-1'?><a>ä</a>".encode(),
        "<?xml version='1.0' encoding=\"ISO-8859-1\"?><a>ä</a>".encode("latin-1"),
        "<?xml version='1.0' encoding='windows-1252'?><a>ä</a>".encode("cp1252"),
        "<?xml version='1.0' encoding='UTF-16'?><a>ä</a>".encode("utf-16"),
        "\ufeff<a>ä</a>".encode("utf-16-be"),
    ],
)
def test_the_declared_encoding_and_the_byte_order_mark_are_honoured(data: bytes) -> None:
    assert document(data).root.text == "ä"


def test_an_encoding_from_outside_overrules_the_declaration() -> None:
    data = b"<?xml version='1.0' encoding='UTF-8'?><a>\xe4</a>"
    parsed = parse_document(data, "f", encoding="iso-8859-1")
    assert isinstance(parsed, Document)
    assert parsed.root.text == "ä"


def test_wrong_bytes_are_told_with_their_place() -> None:
    found = refusal(b"<a>\n  b\xe4</a>")
    assert (found.line, found.column) == (2, 4)
    assert "0xE4" in found.text
    assert "encoding" in found.advice


@pytest.mark.parametrize("name", ["klingon", "rot13", "zlib", "utf-7", "idna", "base64"])
def test_encodings_that_are_none_of_text_files_are_refused(name: str) -> None:
    assert "encoding" in refusal(f"<?xml version='1.0' encoding='{name}'?><a/>".encode()).text


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<?xml version="1.0"?>\n<!-- -->\n<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?x <!DOCTYPE ?><!DOCTYPE a PUBLIC "-//X" "http://127.0.0.1:1/x.dtd"><a/>',
        b"<!DOCTYPE a [" + b'<!ENTITY l "lol">' + b'<!ENTITY m "&l;&l;&l;">' + b"]><a>&m;</a>",
    ],
)
def test_a_document_type_is_refused_before_it_is_parsed(data: bytes) -> None:
    assert "DOCTYPE" in refusal(data).text


def test_a_script_may_speak_of_document_types() -> None:
    assert document(b"<a><![CDATA[<!DOCTYPE html>]]></a>").root.text == "<!DOCTYPE html>"


@pytest.mark.parametrize(
    ("data", "line", "advice"),
    [
        (b"", 1, "root element"),
        (b"   \n ", 1, "root element"),
        (b"show_state", 1, "Correct"),
        (b"<a>\n<b></a>", 2, "Close each element"),
        (b"<a>\n<b", 2, ""),
        (b"<a>", 1, "still being written"),
        (b"<a x=1/>", 1, "quotes"),
        (b"<a x='1' x='2'/>", 1, "Remove one"),
        (b"<a>&nbsp;</a>", 1, "&amp;"),
        (b"<a>a & b</a>", 1, "&amp;"),
        (b"<a><</a>", 1, "&lt;"),
        (b"<a b='<'/>", 1, "&lt;"),
        (b"<a/><b/>", 1, "one root"),
        (b"<a>\x01</a>", 1, "control character"),
        (b"<a>\x00</a>", 1, ""),
        (b"<a><![CDATA[x</a>", 1, "]]>"),
        (b"<a><!-- x</a>", 1, "-->"),
        (b"<x:a/>", 1, "prefix"),
    ],
)
def test_broken_xml_is_told_with_place_and_advice(data: bytes, line: int, advice: str) -> None:
    found = refusal(data)
    assert found.line == line
    assert found.column >= 1
    assert advice in found.advice
    assert "\n" not in found.text


def test_too_deep_nesting_is_told() -> None:
    deep = DEPTH_MAX + 1
    assert "deeper" in refusal(b"<a>" * deep + b"</a>" * deep).text
    document(b"<a>" * DEPTH_MAX + b"</a>" * DEPTH_MAX)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (50 * 1024 * 1024),
        b"<a/>" * (SIZE_BYTES_MAX // 4),
        b"<a>" + b"<b/>" * MARKUP_MAX + b"</a>",
        b"<a>" * 100_000,
        b"<a" + b" x='1'" * 150_000 + b"/>",
        b"<a" + b"".join(b" x%d='1'" % number for number in range(NAMES_MAX + 1)) + b"/>",
        b"<a>" + b"".join(b"<x%d/>" % number for number in range(NAMES_MAX + 1)) + b"</a>",
        b"<a b='" + b"<" * 1_000_000,
        b"<" * 150_000,
        b"<!--" * 100_000,
        b"<?x " * 100_000,
        b"&" * 1_000_000,
        b"<a>&#x110000;</a>",
        b"<a>&#0;</a>",
        b"\xff\xfe" + b"<" * 11,
        bytes(range(256)) * 50,
    ],
)
def test_hostile_documents_are_refused_quickly_and_in_bounded_memory(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    refusal(data)
    assert time.perf_counter() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_a_big_script_is_no_hostile_document() -> None:
    script = "".join(f'NAME_{number}="value"; echo $((1 < 2))\n' for number in range(20_000))
    assert document(f"<a><![CDATA[{script}]]></a>".encode()).root.text == script


def test_text_is_parsed_whatever_its_declaration_says() -> None:
    parsed = parse_text("<?xml version='1.0' encoding='ISO-8859-1'?><a>ä€</a>", "f")
    assert isinstance(parsed, Document)
    assert parsed.root.text == "ä€"


def test_lone_surrogates_are_a_finding() -> None:
    assert isinstance(parse_text("<a>\udc80</a>", "f"), Finding)


def test_an_element_is_written_without_what_follows_it() -> None:
    assert to_xml(document(b"<a><b>1</b>tail</a>").root[0]) == "<b>1</b>"


def test_a_finding_reads_like_a_compiler_message() -> None:
    found = Finding(file="f.xml", line=3, column=7, text="Bad", advice="Good", code="SCHEDULER-1")
    assert str(found) == "f.xml:3:7: error: SCHEDULER-1 Bad. Good"
    assert found.sentence == "SCHEDULER-1 line 3, column 7: Bad. Good"
