"""What `check` says about starts that fall into a downtime of the engine."""

from pathlib import Path

from engine.drivers.check import inspect_folder
from engine.drivers.downtime_notes import DowntimeNote, DowntimeRule
from tests.support.timetable import moment

NOW = moment("2030-01-01 00:00")
CHAIN = (
    '<job_chain><job_chain_node state="1" job="work" next_state="end"/>'
    '<job_chain_node state="end"/></job_chain>'
)


def notes(folder: Path, **files: str) -> dict[DowntimeRule, tuple[str, ...]]:
    for name, xml in files.items():
        (folder / f"{name.replace('__', '.')}.xml").write_text(xml)
    found = inspect_folder(folder, environment={}, now=NOW).downtime
    return {note.rule: note.objects for note in found}


def job(run_time: str) -> str:
    return f'<job><script language="shell">true</script>{run_time}</job>'


def order_folder(folder: Path, run_time: str) -> dict[DowntimeRule, tuple[str, ...]]:
    work = '<job order="yes"><script language="shell">true</script></job>'
    (folder / "walk,x.order.xml").write_text(f"<order>{run_time}</order>")
    return notes(folder, work__job=work, walk__job_chain=CHAIN)


def test_fixed_starts_are_not_made_up(tmp_path: Path) -> None:
    daily = job('<run_time><period single_start="10:00"/></run_time>')
    grid = job('<run_time><period absolute_repeat="01:00"/></run_time>')
    assert notes(tmp_path, a__job=daily, b__job=grid) == {
        DowntimeRule.NOT_MADE_UP: ("job /a", "job /b")
    }


def test_a_repeat_starts_with_the_engine(tmp_path: Path) -> None:
    assert notes(tmp_path, a__job=job('<run_time repeat="60"/>')) == {
        DowntimeRule.AT_ONCE: ("job /a",)
    }


def test_a_repeat_with_single_starts_is_told_twice(tmp_path: Path) -> None:
    both = '<run_time><period begin="09:00" end="10:00" repeat="60"/><period single_start="12:00"/>'
    found = notes(tmp_path, a__job=job(f"{both}</run_time>"))
    assert set(found) == {DowntimeRule.AT_ONCE, DowntimeRule.NOT_MADE_UP}


def test_the_last_starts_can_be_lost_for_good(tmp_path: Path) -> None:
    found = order_folder(tmp_path, '<run_time><at at="2030-05-01 10:00"/></run_time>')
    assert found == {DowntimeRule.LOST_FOR_GOOD: ("order /walk,x (until 2030-05-01)",)}


def test_once_and_orders_without_a_run_time_start_with_the_engine(tmp_path: Path) -> None:
    found = order_folder(tmp_path, "")
    assert found == {DowntimeRule.WITH_THE_ENGINE: ("order /walk,x",)}
    found = notes(tmp_path, a__job=job('<run_time once="yes"/>'))
    assert found[DowntimeRule.WITH_THE_ENGINE] == ("job /a", "order /walk,x")


def test_nothing_is_said_where_a_downtime_does_not_matter(tmp_path: Path) -> None:
    assert order_folder(tmp_path, "<run_time/>") == {}
    plain = job('<run_time><period begin="09:00" end="10:00"/></run_time>')
    past = job('<run_time><at at="2029-05-01 10:00"/></run_time>')
    missing = job('<run_time schedule="nowhere"/>')
    assert notes(tmp_path, a__job=plain, b__job=past, c__job=missing) == {}


def test_users_of_a_schedule_are_looked_at_through_it(tmp_path: Path) -> None:
    (tmp_path / "plan.schedule.xml").write_text(
        '<schedule><period single_start="10:00"/></schedule>'
    )
    found = order_folder(tmp_path, '<run_time schedule="plan"/>')
    assert found == {DowntimeRule.NOT_MADE_UP: ("order /walk,x",)}


def test_a_long_list_is_cut_for_people() -> None:
    note = DowntimeNote(
        rule=DowntimeRule.AT_ONCE, objects=tuple(f"job /{number}" for number in range(13))
    )
    assert str(note).endswith("job /9 and 3 more")
    assert "job /10" not in str(note)
