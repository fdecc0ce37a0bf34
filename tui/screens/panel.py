"""One view on one table: a screen's only list, or one of several panels."""

from collections.abc import Callable
from functools import partial

from tui.mirror import Changes
from tui.views.lineup import Lineup, Query
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.widgets.table import Table


class Panel:
    """Brings the rows of a view onto a table and keeps them up to date by what changed."""

    def __init__(self, view: TableView, empty_text: Callable[[Scene], str] | None = None) -> None:
        self.view = view
        self.lineup = Lineup(view.columns)
        self._empty_text = empty_text or (lambda scene: why_empty(scene, view))
        self._is_behind = True

    def draw(
        self,
        table: Table,
        scene: Scene,
        query: Query,
        changes: Changes,
        *,
        hold: bool = False,
    ) -> None:
        """Make the rows that changed, filter, sort, show; with `hold` they stay where they are.

        A long list may not be through then (`Lineup.is_complete`): drawn again, without any
        changes, it goes on.
        """
        if self._is_behind:
            changes = Changes(everything=True)
            self._is_behind = False
        view = self.view
        source = view.source(scene, query.subject)
        table.fresh = partial(self.lineup.fresh, source) if view.ticks else None
        goes_on = not changes and not self.lineup.is_complete
        if not changes and not goes_on and not view.comes_and_goes:
            # Only the clock went on: what is in sight shows it.
            if view.ticks:
                table.refresh_in_sight()
            return
        touched = () if goes_on else view.touched(changes)
        rows = self.lineup.update(source, query, touched, hold=hold)
        table.empty_text = self._empty_text(scene)
        table.show(view.columns, rows)

    def pass_over(self) -> None:
        """Leave it as it is: nobody sees it now."""
        self._is_behind = True


def why_empty(scene: Scene, view: TableView) -> str:
    """Return what stands in the place of rows."""
    if not scene.mirror.is_filled:
        return "nothing is known yet: the engine has not answered"
    return view.empty_text
