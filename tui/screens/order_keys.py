"""The keys that change orders, for every screen on which a row or the page is about some."""

from collections.abc import Sequence

from engine.kernel.ids import NodeState, OrderKey, TaskId
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen
from tui.screens.starting import start_again
from tui.views.scene import Scene
from tui.views.text import clean, fit

NAMES_ROOM = 44
"""Cells for the names of nodes in a prompt; a narrow screen has room for an answer beside them."""


class OrderKeys(CockpitScreen):
    """Acts on the orders that the screen is about at the moment."""

    acting: Acting

    def subjects(self) -> Sequence[OrderKey]:
        """Return the orders an action is about; none on a screen that does not say."""
        return ()

    def do_again(self) -> None:
        """Repeat the last start."""
        start_again(self.shell)

    def do_suspend(self) -> None:
        """Suspend or resume."""
        self.acting.suspend(self.subjects())

    def do_run_now(self) -> None:
        """Run now."""
        self.acting.run_now(self.subjects())

    def do_move(self) -> None:
        """Ask for the node; the prompt names those of the chain."""
        subjects = self.subjects()
        chain = self.shell.scene().state.chains.get(subjects[0].chain) if subjects else None
        if chain is None:
            self.shell.say("no order is here")
            return
        names = " ".join(clean(node.state) for node in chain.definition.nodes)
        self.open_entry("move", f"move to node ({fit(names, NAMES_ROOM).rstrip()}): ")

    def entry_done(self, purpose: str, text: str) -> None:
        """Take the node."""
        if purpose == "move":
            self.acting.move(self.subjects(), NodeState(text))
        else:
            super().entry_done(purpose, text)

    def do_reset(self) -> None:
        """Reset."""
        self.acting.reset(self.subjects())

    def do_remove(self) -> None:
        """Remove."""
        self.acting.remove(self.subjects())

    def do_kill(self) -> None:
        """Kill the tasks of these orders."""
        self.acting.kill(tasks_of(self.shell.scene(), self.subjects()))


def tasks_of(scene: Scene, keys: Sequence[OrderKey]) -> list[TaskId]:
    """Return the tasks that these orders are in."""
    found = [scene.state.orders[key].task for key in keys if key in scene.state.orders]
    return [task for task in found if task is not None]
