"""What is asked before something is done, what is tried, and what is told afterwards."""

from pathlib import Path
from typing import Any

import pytest

from engine.kernel.commands import AddOrder, ModifyOrder, RemoveOrder
from engine.kernel.events.orders import OrderRemoved, OrderSuspended
from engine.kernel.ids import NodeState
from engine.kernel.problems import order_in_task
from tests.support.end_of_day import CHAIN, MAIN
from tui.answers import Person, Trial
from tui.widgets.form import StartForm
from tui.widgets.question import Question

pytestmark = pytest.mark.anyio


async def question(d: Any) -> Question:
    await d.until(lambda: isinstance(d.app.screen, Question) and d.app.screen.hears, "a question")
    found: Question = d.app.screen
    return found


def copies(d: Any) -> list[str]:
    """Return the list into which everything goes that is copied from now on."""
    found: list[str] = []

    def copy(text: str, what: str) -> None:
        assert what
        found.append(text)

    d.app.copy = copy
    return found


async def test_a_question_names_engine_and_consequence_and_takes_a_reason(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        await d.keys("ctrl+d")
        await question(d)
        await d.shows("Remove end_of_day?", "1 idle: removed at once", "on demo", "Reason")
        await d.keys("tab", *"done", "space", *"with", "enter")
        await d.shows("done with")
        await d.keys("y")
        assert await d.asked(1) == [RemoveOrder(order=MAIN)]
        assert d.engine.reasons == ["done with"]


async def test_a_try_asks_the_engine_and_changes_nothing(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.on_try = lambda _request: Trial(refusal="SCHEDULER-217 in a task")
        await d.shows("idle")
        await d.keys("ctrl+l")
        await question(d)
        await d.keys("ctrl+t")
        await d.shows("the engine would refuse", "SCHEDULER-217 in a task")
        assert d.engine.tried == [ModifyOrder(order=MAIN, reset=True)]
        assert d.engine.asked == []


async def test_a_question_goes_away_when_its_subject_has_changed(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("idle")
        await d.keys("ctrl+d")
        await question(d)
        d.story.begin()
        await d.shows("end_of_day changed meanwhile: nothing was done")
        await d.keys("y")
        assert d.engine.asked == []


async def test_from_a_hundred_rows_on_the_count_is_typed(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.children(120)
        await d.shows("end_of_day_100")
        await d.keys("g", "space", "G", "ctrl+space")
        await d.shows("121 marked")
        await d.keys("s")
        await question(d)
        await d.shows("Suspend 121 orders?", "type 121 to suspend", "show all")
        await d.keys("y")
        assert isinstance(d.app.screen, Question)
        await d.keys("v")
        await d.shows("<v>fewer")
        await d.keys("1", "2", "1")
        assert len(await d.asked(121)) == 121


async def test_marks_on_rows_that_vanished_are_named_and_never_passed_on(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        first, second, _ = d.story.children()
        await d.shows("end_of_day_3")
        await d.keys("j", "space", "space")
        await d.shows("2 marked")
        d.engine.play(OrderRemoved(order=first))
        await d.shows("1 marked, 1 gone")
        await d.keys("s")
        (request,) = await d.asked(1)
        assert request.order == second
        await d.shows("1 of 2 done", "not there any more: end_of_day_1")


async def test_when_all_marked_rows_have_vanished_nothing_is_done(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        first, *_ = d.story.children()
        await d.shows("end_of_day_3")
        await d.keys("j", "space")
        d.engine.play(OrderRemoved(order=first))
        await d.shows("0 marked, 1 gone")
        await d.keys("s")
        await d.shows("nothing was done: not there any more: end_of_day_1")
        assert d.engine.asked == []


async def test_a_filter_takes_the_marks_from_what_it_hides(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.children()
        await d.shows("end_of_day_3")
        await d.keys("space", "space", "space")
        await d.shows("3 marked")
        await d.keys("/", *"id", "equals_sign", *"end", "asterisk", "1", "enter")
        await d.shows("1 marked")
        await d.keys("s")
        (request,) = await d.asked(1)
        assert request.order.id == "end_of_day_1"


async def test_what_became_of_many_is_told_in_one_line(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.children()
        d.engine.on_ask = lambda request: (
            order_in_task("end_of_day", "this")
            if request.order == MAIN
            else [OrderSuspended(order=request.order)]
        )
        await d.shows("end_of_day_3")
        await d.keys("space", "space", "space", "s")
        await question(d)
        await d.keys("y")
        await d.shows("2 of 3 done, 1 refused: suspend end_of_day: SCHEDULER-217")


async def test_a_request_is_in_sight_until_its_event_and_says_when_nobody_answers(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk("orders") as d:
        clock = [1_000.0]
        monkeypatch.setattr(d.app, "_clock", lambda: clock[0])
        d.engine.may_answer.clear()
        await d.shows("idle")
        await d.keys("s")
        await d.asked(1)
        await d.shows("… idle")
        clock[0] += 6
        d.engine.wait(6)
        await d.shows("asked, no answer yet: s")
        await d.keys("s")
        await d.shows("it is not asked twice")
        d.engine.on_ask = lambda request: [OrderSuspended(order=request.order)]
        d.engine.may_answer.set()
        await d.shows("‖ susp")
        assert len(d.engine.asked) == 1


async def test_who_may_only_look_by_the_engines_word_has_no_keys_that_change(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.person = Person(name="auditor", role="read-only")
        d.engine.go_away()
        await d.shows("ENGINE AWAY")
        d.engine.come_back()
        await d.shows("auditor ro")
        assert "<s>suspend" not in d.lines()[-1]
        await d.keys("s")
        await d.shows("the token 'auditor' may only look")
        assert d.engine.asked == []


async def test_an_order_is_changed_through_the_form(desk: Any) -> None:
    async with desk("orders") as d:
        copied = copies(d)
        await d.shows("idle")
        await d.keys("e")
        await d.until(lambda: isinstance(d.app.screen, StartForm), "the form")
        await d.shows("Change end_of_day", "100000", "nothing is changed yet")
        await d.keys("end", "backspace", "7")
        await d.shows("changes 1 field")
        await d.keys("ctrl+y")
        assert copied[-1].startswith("pointsman command '<modify_order")
        await d.keys("enter")
        await question(d)
        await d.shows("min_account = 100007", "was 100000")
        await d.keys("y")
        assert await d.asked(1) == [ModifyOrder(order=MAIN, params={"min_account": "100007"})]


async def test_the_form_tries_on_the_engine_and_copies_a_command_line(desk: Any) -> None:
    async with desk("chain /nightly/archive") as d:
        copied = copies(d)
        d.engine.on_try = lambda _request: Trial(met=("at ship: waits for the lock /db",))
        await d.shows("pack")
        await d.keys("j", "T")
        await d.shows("Start an order", "ship")
        await d.keys("ctrl+t")
        await d.shows("it would be done", "at ship: waits for the lock /db")
        (tried,) = d.engine.tried
        assert tried.order.state == NodeState("ship")
        await d.keys("ctrl+y")
        assert copied == ["pointsman order add /nightly/archive --state ship"]
        assert d.engine.asked == []


async def test_the_last_start_is_repeated(desk: Any) -> None:
    async with desk() as d:
        await d.shows("archive")
        await d.keys("=")
        await d.shows("nothing was started from this cockpit yet")
        await d.command("start archive region=EU")
        await d.asked(1)
        await d.shows("done")
        await d.keys("=")
        requests = await d.asked(2)
        assert all(isinstance(each, AddOrder) for each in requests)
        assert requests[0] == requests[1]


async def test_the_graph_follows_an_order_and_shows_its_trail(desk: Any) -> None:
    async with desk(f"chain {CHAIN}") as d:
        d.story.begin()
        await d.shows("1 runs")
        await d.keys(".")
        await d.shows("follows end_of_day")
        d.story.end()
        d.story.begin()
        await d.until(lambda: any(row.startswith(">") and "create" in row for row in d.lines()), "")
        await d.shows("end_of_day  split ── ► create")
        await d.keys(".")
        await d.shows("no order is followed")


async def test_the_tour_ticks_what_was_tried_and_goes_on(desk: Any) -> None:
    async with desk("chains") as d:
        await d.command("tour")
        await d.shows("tour 1 of", "Everything at a glance", "· <tab>panel")
        await d.keys("tab")
        await d.shows("✓ <tab>panel")
        await d.keys("shift+tab", "z")
        await d.shows("tour 2 of", "In and out")
        await d.keys("ctrl+n")
        await d.shows("tour 3 of")
        await d.command("tour end")
        await d.lacks("tour 3 of")


async def test_the_definition_is_shown_and_copied(desk: Any) -> None:
    async with desk("orders") as d:
        copied = copies(d)
        d.story.plan()
        await d.shows("later")
        await d.keys("G", "y")
        await d.shows('<add_order job_chain="/nightly/archive" id="later">', 'name="region"')
        await d.keys("c")
        assert "<params>" in copied[-1]


async def test_the_palette_offers_commands_and_opens_the_line_for_their_words(desk: Any) -> None:
    async with desk("chains") as d:
        await d.shows("archive")
        await d.keys("ctrl+p", *"suspend")
        await d.shows(":suspend ORDER")
        await d.keys("enter")
        await d.shows(":suspend")
        await d.keys(*"end_of_day", "enter")
        (request,) = await d.asked(1)
        assert request == ModifyOrder(order=MAIN, suspended=True)


async def test_a_picture_of_the_screen_is_saved_by_the_name(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with desk("chains") as d:
        await d.shows("archive")
        await d.keys("ctrl+s", "ctrl+u", *"look", "full_stop", *"svg", "enter")
        await d.shows("saved a picture")
    assert "archive" in (tmp_path / "look.svg").read_text()


async def test_lists_are_sorted_by_name_and_status_with_one_key(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.plan("a-later")
        await d.shows("a-later")
        await d.keys("N")
        await d.shows("sort ORDER")
        await d.until(lambda: "a-later" in d.lines()[3], "by name")
        await d.keys("N")
        await d.until(lambda: "end_of_day" in d.lines()[3], "the other way round")
        await d.keys("S")
        await d.shows("sort STATUS")
        await d.until(lambda: "end_of_day" in d.lines()[3], "what runs before what is planned")
