"""What keys make the cockpit ask of the engine, and what it asks the person first."""

from pathlib import Path
from typing import Any

import pytest
from textual.events import Key

from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    KillTask,
    ModifyChain,
    ModifyNode,
    ModifyOrder,
    NodeAction,
    RemoveOrder,
)
from engine.kernel.events.orders import OrderResumed, OrderSuspended
from engine.kernel.ids import NodeState, chain_key
from engine.kernel.instants import seconds
from engine.kernel.problems import order_in_task
from tests.support.end_of_day import CHAIN, MAIN
from tui.widgets.question import Query, Question

pytestmark = pytest.mark.anyio


async def test_t_starts_the_only_order_of_a_chain_at_once(desk: Any) -> None:
    async with desk() as d:
        await d.shows("end_of_day")
        await d.keys("t")
        (request,) = await d.asked(1)
        assert request == ModifyOrder(order=MAIN, at=AfterDelay(), end_setback=True)
        await d.shows("run end_of_day now: done")


async def test_t_in_a_chain_without_orders_starts_a_new_one(desk: Any) -> None:
    async with desk() as d:
        await d.shows("archive")
        await d.keys("j", "t")
        (request,) = await d.asked(1)
        assert isinstance(request, AddOrder)
        assert request.order.key.chain == chain_key("/nightly/archive")
        assert request.order.key.id == ""


async def test_the_form_starts_an_order_with_changed_parameters(desk: Any) -> None:
    async with desk(f"chain {CHAIN}") as d:
        await d.shows("split")
        await d.keys("T")
        await d.shows("Start an order", "min_account", "100000", "nothing in the way")
        await d.keys("end", *["backspace"] * 6, *"150000", "enter")
        (request,) = await d.asked(1)
        assert isinstance(request, AddOrder)
        assert request.order.params == {"min_account": "150000", "max_account": "200000"}
        assert request.order.key.chain == chain_key(CHAIN)


async def test_the_form_refuses_what_it_cannot_understand_and_stays_open(desk: Any) -> None:
    async with desk(f"chain {CHAIN}") as d:
        await d.shows("split")
        await d.keys("T")
        await d.shows("Start at")
        await d.keys("shift+tab", "shift+tab", "shift+tab", "shift+tab", "shift+tab")
        await d.keys(*"noon", "enter")
        await d.shows("is no time")
        await d.keys("escape")
        await d.lacks("Start at")
        assert d.engine.asked == []


async def test_arrows_go_through_the_form_and_new_parameters_can_be_added(desk: Any) -> None:
    async with desk("chain /nightly/archive") as d:
        await d.shows("pack")
        await d.keys("T")
        await d.shows("name=value")
        await d.keys(*"o7", *["down"] * 6, *"region", "equals_sign", *"EU", "enter")
        (request,) = await d.asked(1)
        assert request.order.key.id == "o7"
        assert request.order.params == {"region": "EU"}


async def test_s_suspends_and_the_same_key_resumes(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.on_ask = lambda request: [
            OrderSuspended(order=MAIN) if request.suspended else OrderResumed(order=MAIN)
        ]
        await d.shows("idle")
        await d.keys("s")
        await d.shows("susp")
        await d.keys("s")
        requests = await d.asked(2)
        assert [request.suspended for request in requests] == [True, False]
        await d.lacks("susp ")


async def test_remove_asks_first_and_enter_means_no(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        await d.keys("ctrl+d")
        await _open_question(d)
        await d.keys("enter")
        await d.lacks("Remove end_of_day?")
        assert d.engine.asked == []


async def test_remove_after_a_yes(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        await d.keys("ctrl+d")
        await _open_question(d)
        await d.keys("y")
        assert await d.asked(1) == [RemoveOrder(order=MAIN)]


async def test_a_question_ignores_hasty_fingers(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        question = Question(d.app.palette, Query(title="Remove?", consequences=[], yes="remove"))
        d.app.push_screen(question)
        await d.shows("Remove?")
        question._hears = False
        await d.keys("y")
        assert d.app.screen is question
        question._hears = True
        await d.keys("y")
        await d.until(lambda: d.app.screen is not question, "the question is answered")


async def test_kill_asks_and_names_the_consequence(desk: Any) -> None:
    async with desk("tasks") as d:
        task = d.story.begin()
        await d.shows("runs")
        await d.keys("x")
        await _open_question(d)
        await d.shows("(SIGTERM)", "end_of_day")
        await d.keys("y")
        (request,) = await d.asked(1)
        assert isinstance(request, KillTask)
        assert request.task == task
        assert request.immediately


async def test_a_refusal_is_shown_with_the_engines_words(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.on_ask = lambda _request: order_in_task("end_of_day", "this")
        await d.shows("idle")
        await d.keys("s")
        await d.shows("refused", "SCHEDULER-217")


async def test_marked_orders_are_asked_for_together_with_a_count(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.children()
        await d.shows("end_of_day_3")
        await d.keys("space", "space", "space")
        await d.shows("3 marked")
        await d.keys("s")
        await _open_question(d)
        await d.shows("Suspend 3 orders?")
        await d.keys("y")
        requests = await d.asked(3)
        assert len({request.order for request in requests}) == 3


async def test_stop_and_skip_a_node(desk: Any) -> None:
    async with desk(f"chain {CHAIN}") as d:
        await d.shows("split")
        await d.keys("j", "u")
        await _open_question(d)
        await d.shows("Stop node create?")
        await d.keys("y")
        await d.asked(1)
        await d.keys("i")
        await _open_question(d)
        await d.keys("y")
        requests = await d.asked(2)
        create = NodeState("create")
        assert requests == [
            ModifyNode(chain=chain_key(CHAIN), state=create, action=NodeAction.STOP),
            ModifyNode(chain=chain_key(CHAIN), state=create, action=NodeAction.NEXT_STATE),
        ]


async def test_stop_a_chain(desk: Any) -> None:
    async with desk() as d:
        await d.shows("end_of_day")
        await d.keys("u")
        await _open_question(d)
        await d.keys("y")
        assert await d.asked(1) == [
            ModifyChain(chain=chain_key("/end_of_day/end_of_day"), stopped=True)
        ]


async def test_read_only_sends_nothing_and_says_so(desk: Any) -> None:
    async with desk("orders", read_only=True) as d:
        await d.shows(" ro ", "idle")
        for key in ("t", "T", "s", "r", "ctrl+l", "ctrl+d", "x"):
            await d.keys(key)
            await d.shows("read-only")
        assert d.engine.asked == []
        assert "<s>suspend" not in d.text()


async def test_nothing_is_sent_while_the_engine_is_away(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        d.engine.go_away()
        await d.shows("ENGINE AWAY")
        await d.keys("s")
        await d.shows("nothing was sent")
        assert d.engine.asked == []


async def test_start_by_command_with_parameters_and_time(desk: Any) -> None:
    async with desk() as d:
        await d.shows("archive")
        await d.command("start archive region=EU at=now+60")
        (request,) = await d.asked(1)
        assert isinstance(request, AddOrder)
        assert request.order.params == {"region": "EU"}
        assert request.at == AfterDelay(delay=seconds(60))


async def test_an_order_is_moved_to_a_node_by_name(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        await d.keys("m", *"nowhere", "enter")
        await d.shows("has no node 'nowhere'")
        await d.keys("m", *"sync", "enter")
        await _open_question(d)
        await d.keys("y")
        assert await d.asked(1) == [ModifyOrder(order=MAIN, state=NodeState("sync"))]


async def test_on_a_production_engine_everything_is_asked_for(desk: Any) -> None:
    async with desk("orders", production=True) as d:
        await d.shows("idle")
        await d.keys("s")
        await _open_question(d)
        await d.shows("Suspend end_of_day?")
        assert d.engine.asked == []


@pytest.mark.parametrize("suffix", ["csv", "json", "txt"])
async def test_what_is_shown_is_saved_by_the_files_name(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with desk() as d:
        await d.shows("archive")
        await d.keys("ctrl+s", "ctrl+u", *"rows", "full_stop", *suffix, "enter")
        await d.shows("saved 2 rows")
    text = (tmp_path / f"rows.{suffix}").read_text()
    assert "archive" in text
    assert "CHAIN" in text


async def test_the_whole_log_is_saved(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with desk("log 1") as d:
        task = d.story.begin()
        d.engine.write(task, "x" * 200_000 + "\n", complete=True)
        await d.shows("complete")
        await d.keys("ctrl+s", "enter")
        await d.shows("saved 200,0")
    assert len((tmp_path / "log.txt").read_text()) > 200_000


async def _open_question(d: Any) -> None:
    await d.until(lambda: isinstance(d.app.screen, Question) and d.app.screen.hears, "a question")


async def test_what_follows_enter_in_one_piece_is_no_part_of_the_command(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        for key, letter in [(":", ":"), *((k, k) for k in "tasks"), ("enter", "\r"), ("T", "T")]:
            name = "colon" if key == ":" else key
            d.app.post_message(Key(name, letter))
        await d.shows("JOB", "SO FAR")
        await d.lacks("there is no")
        assert d.engine.asked == []
