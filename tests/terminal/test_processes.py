"""The remote-process browser: what is shown, what one key does, what asks, what is refused."""

from typing import Any

import pytest

from engine.kernel.sessions.marks import Mark
from tests.support.desk import Desk
from tests.support.remote_hosts import TOKEN
from tui.remote import Act, Identity, Subject

pytestmark = pytest.mark.anyio

HOST = "ops@hpc-02:22"


def orphan(d: Desk, *pids: int, token: str = TOKEN, order: str = "/c,inv-1") -> None:
    if HOST not in d.engine.hosts.hosts:
        d.engine.hosts.put_host(HOST)
    d.engine.hosts.put_run(HOST, token, "orphan", pids or (31877, 31902), order=order)


async def test_processes_are_shown_with_their_marks_in_trees(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        d.engine.hosts.put_run(HOST, "js-2", "step", (20417,), order="/c,inv-2")
        d.engine.hosts.put_stranger(HOST, 99)
        await d.shows("inv-1 · load", "inv-2 · load", "orphan 2", "step 1", "foreign 1")
        assert "vim" not in d.text()
        rows = [line.split()[:2] for line in d.lines() if "hpc-02" in line and "·" in line]
        assert rows[0][:2] == [">", "orphan"]
        assert "TERM to 2 processes of inv-1 on ops@hpc-02, KILL after 10 s" in d.text()


async def test_one_key_ends_an_orphan_and_tells_what_came_of_it(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("x")
        await d.shows("inv-1@hpc-02: gone")
        (sent,) = d.engine.hosts.signals
        assert sent.act is Act.END
        assert sent.subject == Subject(HOST, TOKEN)
        assert (sent.expected, sent.is_confirmed) == ("alive/ours", False)
        await d.lacks("inv-1 · load")
        await d.shows("ops1 ended ops@hpc-02 (inv-1): gone after 0.4 s")


async def test_ctrl_k_does_the_same_for_other_fingers(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("ctrl+k")
        await d.shows("gone")


async def test_a_list_that_moved_between_two_keys_ends_nothing_and_says_why(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d, 1)
        orphan(d, 2, token="js-8", order="/c,inv-8")
        await d.shows("inv-1 · load", "inv-8 · load")
        d.engine.hosts.end_run(HOST, TOKEN)
        await d.lacks("inv-1 · load")
        await d.keys("x")
        await d.shows("nothing was done", "the list moved")
        assert d.engine.hosts.signals == []
        await d.keys("x")
        await d.shows("inv-8@hpc-02: gone")


async def test_the_row_of_a_host_that_was_asked_counts_for_nothing(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST, state="waiting")
        await d.shows("asking")
        d.engine.hosts.hosts[HOST]["state"] = "shown"
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("x")
        await d.shows("inv-1@hpc-02: gone")


async def test_a_row_that_moves_in_the_list_stays_the_one_that_is_meant(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d, 50, token="js-b", order="/c,inv-b")
        await d.shows("inv-b · load")
        orphan(d, 40, token="js-a", order="/c,inv-a")
        await d.shows("inv-a · load")
        await d.keys("x")
        await d.until(lambda: len(d.engine.hosts.signals) == 1, "a signal")
        assert d.engine.hosts.signals[0].subject.token == "js-b"


@pytest.mark.parametrize("mark", ["step", "left behind", "lost", "other session"])
async def test_everything_but_an_orphan_asks_first(desk: Any, mark: str) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST)
        d.engine.hosts.put_run(HOST, TOKEN, mark, (7,))
        await d.shows("sh load.sh")
        await d.keys("x")
        await d.shows("leave them alone", HOST)
        assert d.engine.hosts.signals == []
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("enter")
        await d.lacks("leave them alone")
        assert d.engine.hosts.signals == []


async def test_a_yes_sends_what_was_shown(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST)
        d.engine.hosts.put_run(HOST, TOKEN, "step", (7,))
        await d.shows("sh load.sh")
        await d.keys("x")
        await d.shows("A running order is hit")
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("y")
        await d.until(lambda: len(d.engine.hosts.signals) == 1, "a signal")
        assert d.engine.hosts.signals[0].is_confirmed


async def test_kill_asks_even_for_an_orphan(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("X")
        await d.shows("Kill inv-1@hpc-02?", "no chance to tidy up")
        assert d.engine.hosts.signals == []


async def test_the_number_of_a_stranger_must_be_typed(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST)
        d.engine.hosts.put_stranger(HOST, 4711, "vim")
        await d.keys("a")
        await d.shows("vim", "own account")
        await d.keys("x")
        await d.shows("type 4711")
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("y", *"4711")
        await d.until(lambda: len(d.engine.hosts.signals) == 1, "a signal")
        assert d.engine.hosts.signals[0].subject == Subject(HOST, "", 4711, "t4711")


async def test_a_question_goes_away_when_what_it_is_about_has_changed(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST)
        d.engine.hosts.put_run(HOST, TOKEN, "step", (7,))
        await d.shows("sh load.sh")
        await d.keys("x")
        await d.shows("leave them alone")
        d.engine.hosts.end_run(HOST, TOKEN)
        await d.shows("is not what it was when you were asked", "nothing was done")
        assert d.engine.hosts.signals == []


async def test_marks_end_several_after_one_question_with_one_line_of_result(desk: Any) -> None:
    async with desk("processes") as d:
        for number in range(3):
            orphan(d, number + 1, token=f"js-{number}", order=f"/c,inv-{number}")
        await d.shows("inv-2 · load")
        d.engine.hosts.on_signal = lambda asked: (
            {"outcome": "changed", "text": "other boot"}
            if asked.subject.token == "js-1"
            else {"outcome": "done", "text": ""}
        )
        await d.keys("space", "space", "space", "x")
        await d.shows("End 3 runs and processes?", "inv-0", "inv-1", "inv-2")
        assert d.engine.hosts.signals == []
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("y")
        await d.shows("end: 2 of 3 done, 1 changed")
        assert len(d.engine.hosts.signals) == 3


async def test_the_engine_may_want_a_yes_where_the_screen_saw_none(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        d.engine.hosts.on_signal = lambda asked: (
            {"outcome": "done", "text": ""}
            if asked.is_confirmed
            else {"outcome": "needs confirmation", "text": "", "question": "It is root. End it?"}
        )
        await d.shows("inv-1 · load")
        await d.keys("x")
        await d.shows("It is root. End it?")
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("y")
        await d.shows("inv-1@hpc-02: gone")


async def test_a_production_engine_asks_for_orphans_too(desk: Any) -> None:
    async with desk("processes", production=True) as d:
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("x")
        await d.shows("End inv-1@hpc-02?")
        assert d.engine.hosts.signals == []


async def test_read_only_sees_everything_and_can_only_try(desk: Any) -> None:
    async with desk("processes", read_only=True) as d:
        orphan(d)
        await d.shows("inv-1 · load")
        assert "<x>" not in d.lines()[-1]
        await d.keys("x", "X", "s")
        await d.shows("read-only")
        assert d.engine.hosts.signals == []
        await d.keys("d")
        await d.shows("TERM would go to 2 processes", "carries the run's token")
        assert [sent.act for sent in d.engine.hosts.signals] == [Act.DRY_RUN]


async def test_details_show_the_run_its_tree_and_the_end_of_its_output(desk: Any) -> None:
    async with desk("processes", size=(100, 45)) as d:
        d.engine.write(7, "one\nrows 5/9\n")
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("enter")
        await d.shows("process 31877", TOKEN, "its processes", "31902", "rows 5/9")


async def test_o_goes_to_the_order_and_l_to_the_log(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d)
        await d.shows("inv-1 · load")
        await d.keys("o")
        await d.until(lambda: d.app.current().place.noun == "order", "the order")
        await d.keys("escape", "l")
        await d.until(lambda: d.app.current().place.argument == "7", "the log")


async def test_a_signal_is_chosen_by_name(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host(HOST)
        d.engine.hosts.put_run(HOST, TOKEN, "step", (7,))
        await d.shows("sh load.sh")
        await d.keys("s", *"bogus", "enter")
        await d.shows("is none of")
        await d.keys("s", *"usr1", "enter")
        await d.shows("USR1 to inv-1@hpc-02?")
        await d.until(lambda: d.app.screen.hears, "the question hears")
        await d.keys("y")
        await d.until(lambda: len(d.engine.hosts.signals) == 1, "a signal")
        assert d.engine.hosts.signals[0].signal == "USR1"


async def test_hosts_that_do_not_answer_say_so_with_the_reason(desk: Any) -> None:
    async with desk("processes") as d:
        d.engine.hosts.put_host("ops@down:22", state="unreachable", problem="connect timed out")
        orphan(d)
        await d.shows("no host", "connect timed out")
        await d.keys("h")
        await d.shows("no answer", "answers", "ORPHAN")
        await d.keys("G", "r")
        await d.keys("enter")
        await d.shows("‹account=")  # noqa: RUF001  # the sign of the screen


async def test_hosts_are_left_alone_when_no_screen_shows_them(desk: Any) -> None:
    async with desk("chains") as d:
        orphan(d)
        await d.pilot.pause(1.5)
        assert d.engine.hosts.looks == 0
        await d.command("ps")
        await d.shows("inv-1 · load")
        await d.command("chains")
        await d.shows("orphan 2")
        looks = d.engine.hosts.looks
        await d.pilot.pause(1.5)
        assert d.engine.hosts.looks <= looks + 1


async def test_orphans_need_a_person_and_enter_goes_to_them(desk: Any) -> None:
    async with desk("processes") as d:
        orphan(d, 1)
        await d.shows("inv-1 · load")
        await d.command("needs")
        await d.shows("orphan", "1 process left by inv-1")
        await d.keys("enter")
        await d.shows("inv-1 · load")
        assert d.app.current().table.cursor_key == Identity(HOST, TOKEN, 1, "t1")
        assert d.app.mirror.remote.count(Mark.ORPHAN) == 1
