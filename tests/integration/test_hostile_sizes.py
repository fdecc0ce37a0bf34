"""50 MB of XML at a real engine: an answer that can be read, bounded memory, an engine that lives."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from lxml import etree

from tests.support.programs import World, free_port, wait_for

SIZE = 50_000_000
GROWTH_BYTES_MAX = 64 * 1024 * 1024
"""Eight times what is read of one request: far less than the 50 MB in any form."""
PIECE = 256 * 1024
HOSTILE = {
    "one long value": (b"<show_job job='", b"x", b"'/>"),
    "many commands": (b"<commands>", b"<s/>", b"</commands>"),
    "deep nesting": (b"", b"<commands>", b""),
    "no markup at all": (b"", b"y", b"\n"),
}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        world.start_engine("--raw-xml-listen", f"127.0.0.1:{port}", "--trust-loopback")
        yield world


def pieces(form: str) -> Iterator[bytes]:
    """Yield 50 MB without having them at once."""
    head, repeated, tail = HOSTILE[form]
    yield head
    piece = repeated * (PIECE // len(repeated))
    for _ in range(SIZE // len(piece)):
        yield piece
    yield tail


def error_of(answer: bytes) -> str:
    """Return the code of the error that is answered."""
    error = etree.fromstring(answer).find("answer/ERROR")
    assert error is not None, answer[:200]
    return str(error.get("code"))


def memory(world: World) -> int:
    """Return the most memory that the engine has had so far."""
    assert world.engine is not None
    status = Path(f"/proc/{world.engine.process.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


def still_lives(world: World) -> None:
    assert world.engine is not None
    assert psutil.pid_exists(world.engine.process.pid)
    assert wait_for("an answer", lambda: world.get("/api/overview"))


@pytest.mark.parametrize("form", list(HOSTILE))
def test_fifty_megabytes_over_http_are_answered(world: World, port: int, form: str) -> None:
    before = memory(world)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        length = sum(map(len, pieces(form)))
        connection.request("POST", "/", pieces(form), {"Content-Length": str(length)})
        answer = connection.getresponse().read()
    finally:
        connection.close()
    assert error_of(answer) == "Z-JAVA-105"
    assert memory(world) - before < GROWTH_BYTES_MAX
    still_lives(world)


@pytest.mark.parametrize("form", list(HOSTILE))
def test_fifty_megabytes_over_the_raw_port_are_answered(world: World, port: int, form: str) -> None:
    before = memory(world)
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for piece in pieces(form):
            connection.sendall(piece)
        while b"\0" not in answer:
            received = connection.recv(65_536)
            assert received, "the engine closes only after its answer"
            answer += received
    assert error_of(answer.partition(b"\0")[0]) == "Z-JAVA-105"
    assert memory(world) - before < GROWTH_BYTES_MAX
    still_lives(world)
