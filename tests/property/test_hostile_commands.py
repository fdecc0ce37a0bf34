"""Whatever is sent as an XML command, the answer is well-formed and the engine goes on."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from engine.codec.xml.answers import answer_bytes
from engine.codec.xml.command_schema import COMMAND_NAMES, COMMANDS
from engine.codec.xml.queries import Permission
from engine.kernel.invariants import check
from engine.server.xml_execution import Aborted, Client, XmlCommands, encoding_of
from tests.support.fake_engine import FACTS, FakeEngine
from tests.support.world import chain, node, shell_job

WALK = (
    shell_job("work"),
    shell_job("alone", is_order_job=False),
    chain("walk", node("100", "work"), node("200", "work")),
)
CLIENT = Client(name="anybody", permission=Permission.ALL)

_VALUES = st.one_of(
    st.sampled_from(
        [
            *("/work", "/alone", "walk", "/walk", "100", "200", "end", "", "1", "o1", "yes", "no"),
            *("now", "now+1", "period", "2030-01-01 00:00:00", "-1", "999999999999999999999"),
            *("all", "folders jobs", "log", "stop", "next_state", "reset", "unstop", "${HOME}"),
        ]
    ),
    st.text(max_size=8),
)


def _escaped(text: str) -> str:
    kept = "".join(one for one in text if one in "\t\n" or one.isprintable())
    return kept.translate({38: "&amp;", 60: "&lt;", 34: "&quot;"})


@st.composite
def _commands(draw: st.DrawFn) -> str:
    """A command of the schema with some of its attributes, mostly possible values."""
    name = draw(st.sampled_from(sorted(COMMAND_NAMES)))
    known = sorted(COMMANDS[name].attributes)
    needed = [one for one in known if COMMANDS[name].attributes[one].required]
    chosen = set(needed) if draw(st.booleans()) else set()
    chosen |= draw(st.sets(st.sampled_from(known))) if known else set()
    attributes = "".join(f' {one}="{_escaped(draw(_VALUES))}"' for one in sorted(chosen))
    children = sorted(COMMANDS[name].children)
    inner = draw(st.sampled_from(["", *(f"<{child}/>" for child in children)]))
    return f"<{name}{attributes}>{inner}</{name}>"


async def _answers(texts: list[bytes]) -> None:
    engine = FakeEngine(*WALK)
    commands = XmlCommands(engine, FACTS)
    for text in texts:
        try:
            document = await commands.execute(text, CLIENT, encoding=encoding_of(text))
        except Aborted:
            continue
        answer = etree.fromstring(answer_bytes(document)).find("answer")
        assert answer is not None
        for error in answer.iterfind("ERROR"):
            assert str(error.get("text")).startswith(f"{error.get('code')}  ")
        check(engine.state)


@settings(max_examples=300, deadline=None)
@given(st.lists(_commands(), min_size=1, max_size=6))
def test_random_commands_are_answered(texts: list[str]) -> None:
    asyncio.run(_answers([text.encode() for text in texts]))


@settings(max_examples=200, deadline=None)
@given(_commands(), st.data())
def test_damaged_commands_are_answered(text: str, data: st.DataObject) -> None:
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    asyncio.run(_answers([bytes(content)]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    asyncio.run(_answers([data]))


_LAUGHS = "".join(
    f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' if level else '<!ENTITY l0 "ha">'
    for level in range(10)
)


@pytest.mark.parametrize(
    "text",
    [
        f"<?xml version='1.0'?><!DOCTYPE s [{_LAUGHS}]><show_job job='&l9;'/>".encode(),
        b"<commands>" * 100_000,
        b"<s/>" * 200_000,
        b"<s " + b" ".join(b"a%d='x'" % number for number in range(100_000)) + b"/>",
        b"<show_job job='" + b"x" * 9_000_000 + b"'/>",
        b"<?xml version='1.0' encoding='utf-7'?><s/>",
        b"<?xml version='1.0' encoding='utf-16'?><s/>",
        "<?xml version='1.0' encoding='utf-16'?><s/>".encode("utf-16"),
        b"\xef\xbb\xbf<s/>",
        b"<s>" + b"<!-- x -->" * 100_000 + b"</s>",
        b"<publish_event>" + b"[" * 100_000 + b"</publish_event>",
        b'<add_order job_chain="walk" id="' + b"i" * 100_000 + b'"/>',
    ],
    ids=range(12),
)
def test_hostile_texts_are_answered(text: bytes) -> None:
    asyncio.run(_answers([text]))
