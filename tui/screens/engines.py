"""The engines this cockpit knows; Enter shows another one."""

import asyncio

from tui.engine_watch import EVERY_S
from tui.screens.shell import Shell
from tui.screens.table_screen import TableScreen
from tui.views import engines
from tui.views.rows import RowKey


class EnginesScreen(TableScreen):
    """All known engines, asked how they are as long as this is shown."""

    noun = "engines"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, engines.VIEW)

    def on_screen_resume(self) -> None:
        """Begin to ask."""
        super().on_screen_resume()
        self.run_worker(self._look(), exclusive=True, group="engines", exit_on_error=False)

    def on_screen_suspend(self) -> None:
        """Leave the engines alone."""
        self.workers.cancel_group(self, "engines")

    async def _look(self) -> None:
        while True:
            await self.shell.engines.look()
            await asyncio.sleep(self.shell.settings.refresh.get(self.noun, EVERY_S))

    def enter(self, key: RowKey) -> None:
        """Show the engine."""
        self.shell.use_engine(str(key))

    def do_look(self) -> None:
        """Ask all now."""
        self.run_worker(self._look(), exclusive=True, group="engines", exit_on_error=False)
