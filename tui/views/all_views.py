"""All tables by their noun, for whoever chooses columns."""

from collections.abc import Mapping, Sequence

from tui.known_engines import SettingsProblem, nearest
from tui.views import (
    agents,
    chains,
    engines,
    events,
    history,
    hosts,
    jobs,
    needs,
    orders,
    plan,
    problems,
    processes,
    resources,
    tasks,
)
from tui.views.rows import Column
from tui.views.table_view import TableView

VIEWS: Mapping[str, TableView] = {
    "agents": agents.VIEW,
    "chains": chains.VIEW,
    "classes": resources.CLASSES,
    "engines": engines.VIEW,
    "events": events.VIEW,
    "history": history.VIEW,
    "hosts": hosts.VIEW,
    "jobs": jobs.VIEW,
    "locks": resources.LOCKS,
    "needs": needs.VIEW,
    "orders": orders.VIEW,
    "plan": plan.VIEW,
    "problems": problems.VIEW,
    "processes": processes.VIEW,
    "tasks": tasks.VIEW,
}


def check_columns(chosen: Mapping[str, Sequence[str]], file: str) -> None:
    """Refuse column sets of screens or columns that there are not. Raises SettingsProblem."""
    for noun, names in chosen.items():
        if noun not in VIEWS:
            hint = nearest(noun, frozenset(VIEWS))
            raise SettingsProblem(f"{file}: columns.{noun}: there is no such list{hint}")
        known = frozenset(column.name for column in VIEWS[noun].columns if column.name)
        for name in names:
            if name not in known:
                hint = nearest(name, known) or f"; there are {', '.join(sorted(known))}"
                raise SettingsProblem(f"{file}: columns.{noun}: there is no column {name!r}{hint}")


def column_indices(columns: Sequence[Column], names: Sequence[str]) -> tuple[int, ...]:
    """Return where the chosen columns stand, in the order in which they were chosen."""
    places = {column.name: index for index, column in enumerate(columns)}
    return tuple(places[name] for name in names if name in places)
