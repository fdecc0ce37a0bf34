"""Random commands, valid, half-valid and hostile: always an answer, never an exception."""

import random
import resource
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec.xml.command_schema import COMMAND_NAMES, COMMANDS
from engine.codec.xml.commands import ParsedCommand, parse_commands
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.kernel.problems import Problem

CONTEXT = Context(zone=UTC, environment=Variables({"G": "g"}, {"E": "e"}))
VALUES = [
    "",
    " ",
    "yes",
    "no",
    "1",
    "0",
    "-1",
    "now",
    "now+60",
    "period",
    "2030-01-01 10:00",
    "never",
    "/a",
    "a",
    "../..",
    "a/b",
    "x" * 300,
    "ä",
    "€",
    "&amp;",
    "&lt;",
    "$HOME ${G} \\$ ${",
    "99999999999999999999",
    "1.5",
    "10%",
    "stop",
    "reset",
    "success",
    "//[",
    "[[:x:]]",
    "all",
]
NAMES = sorted(COMMANDS)


def answered(data: bytes) -> tuple[ParsedCommand, ...] | Problem:
    """Parse and check what every answer must be."""
    found = parse_commands(data, CONTEXT)
    if isinstance(found, Problem):
        assert found.code == "Z-JAVA-105"
        assert found.text
    else:
        for command in found:
            assert command.name in COMMAND_NAMES
            assert command.xml.startswith(f"<{command.name}")
            if isinstance(command.action, Problem):
                assert command.action.code
                assert command.action.text
    return found


def random_element(source: random.Random, name: str, depth: int = 0) -> str:
    """Write an element that mostly follows the table of its name."""
    rule = COMMANDS.get(name)
    known = list(rule.attributes) if rule is not None else []
    chosen = [one for one in known if rule is not None and rule.attributes[one].required]
    chosen += [one for one in known if source.random() < 0.4]
    if source.random() < 0.1:
        chosen.append(source.choice(["tytle", "x", "xml:space", "job"]))
    attributes = " ".join(f"{one}='{_value(source, name, one)}'" for one in dict.fromkeys(chosen))
    tags = list(rule.children) if rule is not None else []
    children = ""
    if depth < 4:
        picked = [source.choice(tags) for _ in range(source.randrange(4))] if tags else []
        if source.random() < 0.05:
            picked.append(source.choice(NAMES))
        for tag in picked:
            child_rule = (
                rule.children[tag].rule if rule is not None and tag in rule.children else tag
            )
            child = random_element(source, child_rule, depth + 1)
            children += child.replace(child_rule, tag) if child_rule != tag else child
    text = "exit 0" if source.random() < 0.3 else ""
    return f"<{name} {attributes}>{children}{text}</{name}>"


def _value(source: random.Random, element: str, attribute: str) -> str:
    kind = COMMANDS[element].attributes.get(attribute) if element in COMMANDS else None
    if kind is not None and source.random() < 0.8:
        fitting = [one for one in VALUES if kind.kind.accepts(one) and "&" not in one]
        if fitting:
            return source.choice(fitting)
    return source.choice(VALUES)


def damaged(source: random.Random, xml: str) -> bytes:
    """Damage a document as people and attackers do."""
    data = xml.encode()
    match source.randrange(9):
        case 0:
            return data[: source.randrange(len(data) + 1)]
        case 1:
            place = source.randrange(len(data))
            return data[:place] + bytes([source.randrange(256)]) + data[place + 1 :]
        case 2:
            return b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + data
        case 3:
            return xml.encode("utf-16")
        case 4:
            return b"<?xml version='1.0' encoding='EBCDIC-CP-US'?>" + data
        case 5:
            return b"<commands>" * 150 + data + b"</commands>" * 150
        case 6:
            return data * 3
        case 7:
            return data.replace(b"'", b'"')
        case _:
            return b"\xef\xbb\xbf" + data + b"\x00"


def test_ten_thousand_random_commands_are_all_answered_in_bounded_memory() -> None:
    source = random.Random(20_300_101)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted = 0
    for number in range(10_000):
        name = source.choice(sorted(COMMAND_NAMES)) if number % 4 else source.choice(NAMES)
        xml = random_element(source, name)
        if number % 3 == 0:
            xml = f"<commands>{xml}{random_element(source, 'check_folders')}</commands>"
        data = damaged(source, xml) if number % 5 == 0 else xml.encode()
        accepted += isinstance(answered(data), tuple)
    assert accepted > 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    answered(data)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_in_an_attribute_is_answered(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    answered(f'<order job_chain="c" id="{escaped}" title="{escaped}"/>'.encode(errors="replace"))


def test_big_hostile_commands_are_answered_in_bounded_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    entities = b"".join(b'<!ENTITY l%d "&l%d;&l%d;">' % (n + 1, n, n) for n in range(64))
    lol = b'<!DOCTYPE l [<!ENTITY l0 "lol">' + entities + b"]><s>&l64;</s>"
    for data in (
        lol,
        b"<order job_chain='c' id='1'><params>" + b"<param name='a' value='b'/>" * 90_000,
        b"<show_state what='" + b"x" * (50 * 1024 * 1024) + b"'/>",
        b"<commands>" + b"<s/>" * 150_000 + b"</commands>",
        b"<s>" * 1_000_000,
        b"<publish_event>" + b"{" * 5_000_000 + b"</publish_event>",
    ):
        answered(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024
