"""An asyncio event loop whose time is the world's: no sleeping, no sockets, no threads.

One life of a program has one. It may: stand still while its host is suspended (the loop's clock, as
`CLOCK_MONOTONIC`, stands still as well); disappear at any moment, with everything under way.

It may never: run something of a program that is dead, or anything earlier than its time.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from engine.errors import EngineError

ROUNDS_MAX = 5
"""Times that what is left of a dead program is told to end."""
HANDLES_MAX = 10_000
TASKS_BETWEEN_LOOKS = 256


class Host(Protocol):
    """What a loop stands on."""

    def uptime(self) -> int:
        """Return the milliseconds the host has been up, time asleep left out."""
        ...

    def wait(self, delay_ms: int, work: Callable[[], None]) -> None:
        """Do this after so much time of the host's clock, and not while it is asleep."""


def host_loop(host: Host, failed: Callable[[str], None]) -> "HostLoop":
    """Return a new loop; `failed` is told of exceptions that nobody has caught."""
    return HostLoop(host, failed)  # type: ignore[abstract]  # the rest is never asked for


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run, so that a seed plays the same twice."""

    def __init__(self, number: int, *arguments: Any, **options: Any) -> None:
        self.number = number
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class HostLoop(asyncio.AbstractEventLoop):
    """The event loop of one life of one program."""

    def __init__(self, host: Host, failed: Callable[[str], None]) -> None:
        """`failed` is told of exceptions that nobody has caught."""
        self._host = host
        self._failed = failed
        self._ready: deque[asyncio.Handle] = deque()
        self._is_pump_due = False
        self._tasks: list[NumberedTask] = []
        self._task_count = 0
        self.is_dead = False

    # --- from outside ----------------------------------------------------------------------------

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> NumberedTask:
        """Begin a task from outside of the loop."""
        return self.create_task(coroutine, name=name)

    def kill(self) -> None:
        """End the program at once. What it has under way is taken apart without any effect."""
        self.is_dead = True
        for _ in range(ROUNDS_MAX):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self._run_ready()
        self._tasks.clear()

    # --- callbacks -------------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]  # typeshed wants variadic generics
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._is_pump_due and not self.is_dead:
            self._is_pump_due = True
            self._host.wait(0, self._pump)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._wait_for(timer)
        return timer

    def _wait_for(self, timer: asyncio.TimerHandle) -> None:
        if self.is_dead:
            return
        delay_ms = round(timer.when() * 1000) - self._host.uptime()
        self._host.wait(max(0, delay_ms), lambda: self._due(timer))

    def _due(self, timer: asyncio.TimerHandle) -> None:
        if self.is_dead or timer.cancelled():
            return
        if self._host.uptime() < round(timer.when() * 1000):
            self._wait_for(timer)  # the host has slept meanwhile
            return
        self._ready.append(timer)
        self._pump()

    def _pump(self) -> None:
        self._is_pump_due = False
        if not self.is_dead:
            self._run_ready()

    def _run_ready(self) -> None:
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            for _ in range(HANDLES_MAX):
                if not self._ready:
                    return
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
            self._failed("a program does not come to rest")
        finally:
            asyncio._set_running_loop(previous)

    # --- what asyncio asks a loop for ------------------------------------------------------------

    def time(self) -> float:
        return self._host.uptime() / 1000

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> NumberedTask:
        self._task_count += 1
        task = NumberedTask(self._task_count, coro, loop=self, name=name or "", context=context)
        self._tasks.append(task)
        if self._task_count % TASKS_BETWEEN_LOOKS == 0:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Do it a moment later: a thread would take its time as well."""
        future = self.create_future()

        def work() -> None:
            if self.is_dead or future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001  # whoever waits gets it
                future.set_exception(error)

        self._host.wait(1, work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self.is_dead and not isinstance(error, EngineError):
            self._failed(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: what is cancelled does nothing when it is due."""
