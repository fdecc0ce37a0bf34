"""Lines of a task's log, picked on the engine's side."""

from typing import Any

import pytest

from tests.support.http_engine import HttpEngine

pytestmark = pytest.mark.anyio

LOG = """2026-01-01T14:00:00.000Z [info] Task 7 begins
[stdout] connected
[stdout] Error: no such table
2026-01-01T14:10:00.000Z [warn] still there
[stdout] rows 0
[stderr] DEBUG error ignored
2026-01-01T14:20:00.000Z [info] mark
[stdout] rows 9
"""


async def lines(text: str = LOG, **query: Any) -> dict[str, Any]:
    http = HttpEngine()
    http.engine.logs[7] = text
    response = await http.get("/api/tasks/7/log/lines", params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_lines_with_one_of_the_words_are_found_in_the_whole_log() -> None:
    found = await lines(words="error|WARN")
    assert [line.split()[-1] for line in found["lines"]] == ["table", "there", "ignored"]
    assert (found["matched"], found["total"]) == (3, 8)
    assert found["at_end"]


async def test_words_are_no_expressions() -> None:
    found = await lines(text="a.c\nabc\n(a+)+b\n", words="a.c|(a+)+b")
    assert found["lines"] == ["a.c", "(a+)+b"]


async def test_lines_can_be_left_out() -> None:
    assert len((await lines(words="error", without="debug"))["lines"]) == 1


async def test_what_may_have_been_written_since_then_is_kept() -> None:
    found = await lines(since="2026-01-01T14:05:00Z")
    # Output without a time after the last line that is too old may be recent.
    assert found["lines"][0] == "[stdout] connected"
    assert (found["matched"], found["total"]) == (7, 8)
    assert (await lines(since="2026-01-01T14:15:00Z"))["matched"] == 4


async def test_the_last_lines_are_kept_and_all_are_counted() -> None:
    text = "".join(f"line {number}\n" for number in range(100_000))
    found = await lines(text=text, words="line", limit=3)
    assert found["lines"] == ["line 99997", "line 99998", "line 99999"]
    assert (found["matched"], found["total"]) == (100_000, 100_000)


async def test_an_answer_goes_on_where_the_one_before_ended() -> None:
    first = await lines(text="one\ntwo\n")
    http_text = "one\ntwo\nthree\n"
    more = await lines(text=http_text, offset=first["next_offset"])
    assert more["lines"] == ["three"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"offset": "-1"},
        {"since": "yesterday"},
        {"words": "|".join("abcdefghijklmnopqrstuvwxyz")},
        {"words": "x" * 201},
    ],
)
async def test_senseless_wishes_are_refused(query: dict[str, str]) -> None:
    http = HttpEngine()
    http.engine.logs[7] = LOG
    response = await http.get("/api/tasks/7/log/lines", params=query)
    assert response.status_code == 400


async def test_a_log_that_is_not_there_is_not_found() -> None:
    assert (await HttpEngine().get("/api/tasks/8/log/lines")).status_code == 404
