"""Requests and reports -> events. All choices are made here and in `progress`."""

from typing import assert_never

from engine.kernel import commands as c
from engine.kernel import reports as r
from engine.kernel.decide import chains, control, jobs, orders, reload, reports
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.decide.directory_triggers import decide_directory_changed
from engine.kernel.decide.exit_commands import decide_confirm_exit_command
from engine.kernel.decide.file_orders import decide_directory_read, decide_file_checked
from engine.kernel.instants import Instant
from engine.kernel.state import State

__all__ = ["Answer", "Decision", "decide"]


def decide(state: State, asked: c.Request | r.Report, at: Instant) -> Decision:
    """Return the decision about one request or report."""
    match asked:
        case c.AddOrder():
            return orders.decide_add_order(state, asked, at)
        case c.ModifyOrder():
            return orders.decide_modify_order(state, asked, at)
        case c.RemoveOrder():
            return orders.decide_remove_order(state, asked, at)
        case c.StartJob():
            return jobs.decide_start_job(state, asked, at)
        case c.ModifyJob():
            return jobs.decide_modify_job(state, asked, at)
        case c.KillTask():
            return jobs.decide_kill_task(state, asked, at)
        case c.ModifyChain():
            return chains.decide_modify_chain(state, asked, at)
        case c.ModifyNode():
            return chains.decide_modify_node(state, asked, at)
        case c.RemoveChain():
            return chains.decide_remove_chain(state, asked, at)
        case c.PauseEngine():
            return control.decide_pause(state, asked, at)
        case c.BeginEpoch():
            return control.decide_begin_epoch(state, asked, at)
        case c.ConfirmExitCommand():
            return decide_confirm_exit_command(state, asked, at)
        case c.Tick():
            return control.decide_tick(state, asked, at)
        case c.ApplyDefinitions():
            return reload.decide_apply_definitions(state, asked, at)
        case r.TaskLaunched():
            return reports.decide_launched(state, asked, at)
        case r.TaskNotLaunched():
            return reports.decide_not_launched(state, asked, at)
        case r.TaskExited():
            return reports.decide_exited(state, asked, at)
        case r.TaskLost():
            return reports.decide_lost(state, asked, at)
        case r.TaskExitedLate():
            return reports.decide_ended_late(state, asked, at)
        case r.NativeEnded():
            return reports.decide_native_ended(state, asked, at)
        case r.NodeSettingsRead():
            return reports.decide_settings_read(state, asked, at)
        case r.AgentContact():
            return reports.decide_agent_contact(state, asked, at)
        case r.DirectoryRead():
            return decide_directory_read(state, asked, at)
        case r.FileChecked():
            return decide_file_checked(state, asked, at)
        case r.DirectoryChanged():
            return decide_directory_changed(state, asked, at)
        case _:
            assert_never(asked)
