"""All screens by their noun."""

from collections.abc import Callable

from tui.screens.base import CockpitScreen
from tui.screens.engines import EnginesScreen
from tui.screens.graph import GraphScreen
from tui.screens.lists import AgentsScreen, ChainsScreen, OrdersScreen, TasksScreen
from tui.screens.log import LogScreen
from tui.screens.more_lists import (
    ClassesScreen,
    EventsScreen,
    HistoryScreen,
    JobsScreen,
    LocksScreen,
    NeedsScreen,
    PlanScreen,
    ProblemsScreen,
)
from tui.screens.order import OrderScreen
from tui.screens.processes import HostsScreen, ProcessesScreen
from tui.screens.pulses import PulsesScreen
from tui.screens.shell import Shell

SCREENS: dict[str, Callable[[Shell], CockpitScreen]] = {
    "pulses": PulsesScreen,
    "chains": ChainsScreen,
    "chain": GraphScreen,
    "orders": OrdersScreen,
    "order": OrderScreen,
    "tasks": TasksScreen,
    "agents": AgentsScreen,
    "log": LogScreen,
    "jobs": JobsScreen,
    "locks": LocksScreen,
    "classes": ClassesScreen,
    "problems": ProblemsScreen,
    "events": EventsScreen,
    "history": HistoryScreen,
    "plan": PlanScreen,
    "needs": NeedsScreen,
    "processes": ProcessesScreen,
    "hosts": HostsScreen,
    "engines": EnginesScreen,
}
