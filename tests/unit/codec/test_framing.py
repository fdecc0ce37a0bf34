"""Requests in the byte stream of a raw XML connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.xml.framing import Command, Frame, Framer, Signal

REQUESTS = [
    b"<show_state/>",
    b"<show_job job=\"a>b\" what='/>'/>",
    b'<?xml version="1.0"?>\n<!-- <x> --><commands><s/><show_job job="x"></show_job></commands>',
    b"<a><![CDATA[</a> ]] >]]><b/></a>",
    b"<a>text &gt; <!-- </a> --></a>",
    b"<a><?pi </a>?></a >",
]


def frames(data: bytes, size: int | None = None) -> list[Frame]:
    framer = Framer()
    if size is None:
        return framer.feed(data)
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [frame for piece in pieces for frame in framer.feed(piece)]


@pytest.mark.parametrize("request_bytes", REQUESTS)
def test_a_request_ends_with_its_root_element(request_bytes: bytes) -> None:
    assert frames(request_bytes) == [Command(xml=request_bytes)]
    assert frames(request_bytes[:-1]) == []


@given(
    chosen=st.lists(st.sampled_from(REQUESTS), max_size=4),
    blanks=st.sampled_from([b"", b" ", b"\t "]),
    size=st.integers(min_value=1, max_value=40),
)
def test_how_bytes_arrive_does_not_matter(chosen: list[bytes], blanks: bytes, size: int) -> None:
    stream = blanks.join(chosen)
    assert frames(stream, size) == [Command(xml=each) for each in chosen]


def test_a_bare_name_ends_with_its_line() -> None:
    assert frames(b"show_state\nshow_jobs\r\n") == [
        Command(xml=b"show_state"),
        Command(xml=b"show_jobs", wants_lines=True),
    ]


def test_a_line_of_a_person_gets_lines_back() -> None:
    assert frames(b"<s/>\r\n<s/>\n<s/>") == [
        Command(xml=b"<s/>", wants_lines=True),
        Command(xml=b"<s/>"),
        Command(xml=b"<s/>"),
    ]


def test_a_lone_line_feed_means_look() -> None:
    assert frames(b"\n\r\n<s/>") == [Signal.LOOK, Command(xml=b"<s/>")]


def test_ctrl_d_closes() -> None:
    assert frames(b"<s/>\x04<s/>") == [Command(xml=b"<s/>"), Signal.CLOSE]


@pytest.mark.parametrize("data", [b"<a>" + b"x" * 200, b"<a b='" + b"x" * 200, b"<" + b"!-- " * 60])
def test_an_endless_request_is_given_up(data: bytes) -> None:
    framer = Framer(size_max=100)
    assert framer.feed(data) == [Signal.TOO_LARGE]


def test_an_endless_line_is_given_up() -> None:
    assert frames(b"x" * 2_000) == [Signal.TOO_LARGE]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_framer(data: bytes) -> None:
    frames(data)
    assert frames(data, 7) is not None
