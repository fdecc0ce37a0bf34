"""Questions about this host's processes: short shell programs of an engine, run beside the tasks.

An engine that may start tasks here may run anything as the agent's user; this gives it no right it
had not before. It is a way of its own because a question must be answered while every task slot is
taken, leaves no task behind, and is over within seconds.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from engine.agent.surroundings import without_ours
from engine.errors import CodecError

SHELL: Final = "/bin/sh"
OUTPUT_BYTES_MAX: Final = 8 * 1024 * 1024
TIMEOUT_S_MAX: Final = 60.0
AT_ONCE: Final = 4
LEFTOVER_S: Final = 1.0
"""For what a killed program has still in the pipe."""

_turns = asyncio.Semaphore(AT_ONCE)


async def ask_host(home: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    """Run the question's `program` for at most `timeout` seconds and return what it prints.

    `home` is its home folder, below which the records of tasks are. Raises CodecError for a
    question that is none.
    """
    program, timeout_s = question.get("program"), question.get("timeout", TIMEOUT_S_MAX)
    if not isinstance(program, str) or isinstance(timeout_s, bool):
        raise CodecError("a question is a program and a timeout")
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= TIMEOUT_S_MAX:
        raise CodecError(f"the timeout of a question is a number up to {TIMEOUT_S_MAX:g}")
    async with _turns:
        return await _answer(home, program.encode(errors="surrogateescape"), timeout_s)


async def _answer(home: Path, program: bytes, timeout_s: float) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        SHELL,
        "-s",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**without_ours(os.environ), "HOME": str(home)},
        start_new_session=True,
    )
    assert process.stdin is not None, "asked for"
    assert process.stdout is not None, "asked for"
    try:
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionError):
                process.stdin.write(program)
                await process.stdin.drain()
            process.stdin.close()
            output = await _read(process.stdout)
            if len(output) <= OUTPUT_BYTES_MAX:
                await process.wait()
    except TimeoutError:
        return {"status": None, "output": ""}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEFTOVER_S):
                    while await process.stdout.read(65_536):
                        pass  # the pipe is closed at its end only
            await process.wait()
    kept = output[:OUTPUT_BYTES_MAX].decode(errors="replace")
    return {"status": process.returncode, "output": kept}


async def _read(stream: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= OUTPUT_BYTES_MAX and (part := await stream.read(65_536)):
        size += len(part)
        parts.append(part)
    return b"".join(parts)
