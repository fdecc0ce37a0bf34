"""The engines this cockpit knows: whether each answers, as whom it takes us, how it is.

Asked only while the screen of engines is shown; each with a connection of its own that is closed
again at once, so a hanging engine disturbs nobody.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from engine.kernel.instants import Instant
from tui.client import EngineAway, EngineClient, NotAdmitted
from tui.known_engines import KnownEngine, SettingsProblem

EVERY_S = 10.0
PATIENCE_S = 5.0
AT_ONCE_MAX = 8


class EngineStatus(Enum):
    """How an engine stands, as far as this cockpit can tell."""

    UNKNOWN = "asking"
    ANSWERS = "answers"
    AWAY = "no answer"
    REFUSED = "not admitted"
    UNUSABLE = "unusable"
    """What the settings say about it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLook:
    """The last look at an engine."""

    engine: KnownEngine
    is_here: bool = False
    """The one that is shown."""
    status: EngineStatus = EngineStatus.UNKNOWN
    text: str = ""
    engine_id: str = ""
    """What it calls itself."""
    role: str = ""
    version: str = ""
    running: int = 0
    orders: int = 0
    is_paused: bool = False
    at: Instant | None = None


class EngineWatch:
    """Asks all known engines how they are."""

    def __init__(
        self,
        engines: tuple[KnownEngine, ...],
        here: KnownEngine,
        *,
        connect: Callable[[KnownEngine], EngineClient],
        now: Callable[[], Instant],
        told: Callable[[], None],
    ) -> None:
        known = engines if here in engines else (here, *engines)
        self._looks = {
            engine.name: EngineLook(engine=engine, is_here=engine == here) for engine in known
        }
        self._connect = connect
        self._now = now
        self._told = told

    @property
    def looks(self) -> tuple[EngineLook, ...]:
        """All known engines with the last look at each."""
        return tuple(self._looks.values())

    def named(self, name: str) -> KnownEngine | None:
        """Return the engine of this name."""
        look = self._looks.get(name)
        return None if look is None else look.engine

    def settle(self, here: KnownEngine) -> None:
        """Take note which one is shown now."""
        for name, look in self._looks.items():
            self._looks[name] = replace(look, is_here=look.engine == here)

    async def look(self) -> None:
        """Ask all engines once."""
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(name: str) -> None:
            async with slots:
                look = await self._ask(self._looks[name])
            self._looks[name] = replace(look, is_here=self._looks[name].is_here)
            self._told()

        await asyncio.gather(*(one(name) for name in list(self._looks)))

    async def _ask(self, look: EngineLook) -> EngineLook:
        try:
            client = self._connect(look.engine)
        except SettingsProblem as problem:
            return replace(look, status=EngineStatus.UNUSABLE, text=str(problem))
        try:
            async with asyncio.timeout(PATIENCE_S):
                overview = await client.overview()
                person = await client.me()
        except TimeoutError:
            return replace(look, status=EngineStatus.AWAY, text=f"silent for {PATIENCE_S:.0f} s")
        except EngineAway as away:
            return replace(look, status=EngineStatus.AWAY, text=str(away))
        except NotAdmitted as refused:
            return replace(look, status=EngineStatus.REFUSED, text=str(refused))
        finally:
            await client.close()
        return replace(
            look,
            status=EngineStatus.ANSWERS,
            text="",
            engine_id=overview.engine_id,
            version=overview.version,
            running=overview.running,
            orders=overview.orders,
            is_paused=overview.is_paused,
            role="" if person is None else person.role,
            at=self._now(),
        )
