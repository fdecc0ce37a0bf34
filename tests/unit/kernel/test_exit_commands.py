"""On-exit commands: which, when, with which parameters (orders-and-jobs.md 3.12)."""

import pytest

from engine.kernel.commands import BeginEpoch, ConfirmExitCommand, KillTask, StartJob
from engine.kernel.definitions import ExitCommands, Job, MonitorUse
from engine.kernel.events.files import ExitCommandCarriedOut, ExitCommandsChosen
from engine.kernel.events.orders import OrderNodeChanged, OrderStepEnded
from engine.kernel.events.tasks import TaskClosed
from engine.kernel.ids import Epoch, JobKey
from engine.kernel.progress.exit_commands import commands_for
from engine.kernel.state import TaskStatus
from tests.support.world import SCRIPT, World, chain, node, shell_job


def on(codes: str, *commands: str) -> ExitCommands:
    return ExitCommands(codes=tuple(codes.split()), xml=commands or (f"<{codes}/>",))


def job_with(*commands: ExitCommands, **changes: object) -> Job:
    return shell_job("a", exit_commands=commands, **changes)


CHOICES = job_with(
    on("success", "s"), on("error", "e"), on("signal", "any"), on("SIGTERM 4 5", "x"), on("-9", "k")
)


@pytest.mark.parametrize(
    ("code", "chosen"),
    [(0, "s"), (1, "e"), (4, "x"), (5, "x"), (-15, "x"), (-9, "k"), (-1, "any"), (255, "e")],
)
def test_the_exact_code_comes_before_signal_and_that_before_error(code: int, chosen: str) -> None:
    assert commands_for(CHOICES, code) == (chosen,)


def test_zero_is_as_good_as_success() -> None:
    assert commands_for(job_with(on("0", "s")), 0) == ("s",)


def test_a_signal_is_an_error_when_nothing_names_signals() -> None:
    assert commands_for(job_with(on("error", "e")), -15) == ("e",)
    assert commands_for(job_with(on("signal", "e")), 1) == ()
    assert commands_for(job_with(on("error", "e")), 0) == ()


def standalone(*commands: ExitCommands) -> World:
    world = World(job_with(*commands, is_order_job=False, params={"p": "job"}))
    world.does(StartJob(job=JobKey("/a"), params={"q": "start"}))
    return world


def test_a_task_chooses_its_commands_at_its_end() -> None:
    world = standalone(on("success", "<one/>", "<two/>"))
    world.ends()
    (chosen,) = world.happened(ExitCommandsChosen)
    assert chosen.commands == ("<one/>", "<two/>")
    assert chosen.task_params == {"p": "job", "q": "start"}
    assert world.happened(TaskClosed), "nothing waits for them"
    assert world.state.exit_commands


def test_a_signal_on_an_agent_counts_as_the_signal() -> None:
    world = standalone(on("SIGTERM", "<x/>"))
    world.ends(code=143, signal=15)
    assert world.happened(ExitCommandsChosen)[0].exit_code == -15


def test_a_task_without_fitting_commands_chooses_none() -> None:
    world = standalone(on("error", "<x/>"))
    world.ends()
    assert not world.happened(ExitCommandsChosen)


def test_commands_are_carried_out_one_after_the_other_each_once() -> None:
    world = standalone(on("success", "<one/>", "<two/>"))
    world.ends()
    task = next(iter(world.state.exit_commands))
    world.does(ConfirmExitCommand(task=task, index=1))
    assert not world.last
    world.does(ConfirmExitCommand(task=task, index=0, problem="SCHEDULER-161 no"))
    assert [event.problem for event in world.happened(ExitCommandCarriedOut)]
    world.does(ConfirmExitCommand(task=task, index=0))
    assert not world.last
    world.does(ConfirmExitCommand(task=task, index=1))
    assert not world.state.exit_commands
    world.does(ConfirmExitCommand(task=task, index=1))
    assert not world.last


def test_commands_that_wait_survive_a_restart() -> None:
    world = standalone(on("success", "<one/>", "<two/>"))
    world.ends()
    task = next(iter(world.state.exit_commands))
    world.does(ConfirmExitCommand(task=task, index=0))
    world.does(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    assert world.replayed().exit_commands == world.state.exit_commands
    assert world.state.exit_commands[task].done == 1


def ordered(**changes: object) -> World:
    commands = (on("success", "<s/>"), on("error", "<e/>"))
    return World(
        job_with(*commands, **changes),
        shell_job("b"),
        chain("walk", node("100", "a", error_state="200"), node("200", "b")),
    )


def test_after_a_success_the_order_has_moved_on_already() -> None:
    world = ordered()
    key = world.adds("1", params={"p": "1"})
    world.ends(returned={"q": "2"})
    assert world.order(key).state == "200"
    (chosen,) = world.happened(ExitCommandsChosen)
    assert not chosen.holds_task
    assert chosen.order_params == {"p": "1", "q": "2"}
    assert world.task().job == "/b"


def test_after_an_error_the_order_waits_for_the_commands() -> None:
    world = ordered()
    key = world.adds("1", params={"p": "1"})
    world.ends(code=1, returned={"q": "2"})
    (chosen,) = world.happened(ExitCommandsChosen)
    assert chosen.holds_task
    assert chosen.order_params == {"p": "1", "q": "2"}
    assert world.order(key).state == "100"
    assert world.task().status is TaskStatus.ENDED
    world.does(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    assert world.order(key).state == "100"
    world.does(ConfirmExitCommand(task=chosen.task, index=0))
    assert world.happened(OrderStepEnded)
    assert world.happened(OrderNodeChanged)[0].state == "200"
    assert not world.ever(ExitCommandsChosen)[1:]


def test_an_order_of_a_job_that_stops_is_kept_after_the_commands() -> None:
    world = ordered(stop_on_error=True)
    key = world.adds("1")
    world.ends(code=1)
    task = next(iter(world.state.exit_commands))
    assert not world.state.jobs[JobKey("/a")].stopped
    world.does(ConfirmExitCommand(task=task, index=0))
    assert world.state.jobs[JobKey("/a")].stopped
    assert world.order(key).state == "100"


def test_with_monitors_the_order_has_moved_on_after_an_error_too() -> None:
    world = ordered(monitors=(MonitorUse(script=SCRIPT),))
    key = world.adds("1")
    world.ends(code=1)
    assert not world.happened(ExitCommandsChosen)[0].holds_task
    assert world.order(key).state == "200"


def test_killing_a_task_that_waits_for_its_commands_changes_nothing() -> None:
    world = ordered()
    world.adds("1")
    world.ends(code=1)
    world.does(KillTask(task=world.task().id, immediately=True))
    assert not world.last


def test_a_task_that_found_nothing_to_do_has_no_commands() -> None:
    world = ordered()
    world.does(StartJob(job=JobKey("/a")))
    assert not world.ever(ExitCommandsChosen)
