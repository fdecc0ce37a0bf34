"""`configuration_directory` of `scheduler.xml`: where the live folder lies (live-folder.md 1)."""

from pathlib import Path

import pytest

from tests.support.programs import World, wait_for

JOB = '<job><script language="shell">true</script></job>'


def world_with(folder: Path, directory: str) -> World:
    world = World(folder)
    main = f'<spooler><config configuration_directory="{directory}"/></spooler>'
    (folder / "config" / "scheduler.xml").write_text(main, encoding="utf-8")
    return world


@pytest.mark.parametrize("is_absolute", [False, True])
def test_the_live_folder_lies_where_the_main_configuration_says(
    tmp_path: Path, is_absolute: bool
) -> None:
    elsewhere = tmp_path / "config" / "elsewhere"
    with world_with(tmp_path, str(elsewhere) if is_absolute else "elsewhere") as world:
        elsewhere.mkdir()
        (elsewhere / "there.job.xml").write_text(JOB, encoding="utf-8")
        world.write("not_here.job.xml", JOB)
        world.start_engine()
        shown = world.ask("command", "<show_jobs/>").stdout
        assert 'path="/there"' in shown
        assert "not_here" not in shown


def test_a_folder_that_is_named_and_missing_keeps_the_engine_from_starting(tmp_path: Path) -> None:
    with world_with(tmp_path, "missing") as world:
        engine = world.start_engine(is_awaited=False)
        wait_for("the engine ends", lambda: engine.process.poll() is not None)
        assert engine.process.returncode != 0
        assert "SCHEDULER-715" in engine.text


def test_local_times_of_commands_are_those_of_the_configured_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment names another one (schedules.md 11)."""
    monkeypatch.setenv("TZ", "UTC")
    with World(tmp_path) as world:
        main = '<spooler><config time_zone="Europe/Helsinki"/></spooler>'
        (tmp_path / "config" / "scheduler.xml").write_text(main, encoding="utf-8")
        world.write("quiet.job.xml", JOB)
        world.start_engine()
        shown = world.ask("command", '<start_job job="/quiet" at="2030-01-02 12:00"/>').stdout
        assert 'start_at="2030-01-02T10:00:00.000Z"' in shown
