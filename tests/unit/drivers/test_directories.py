"""Files and directories of a host, as file orders see them."""

import os
from pathlib import Path

import pytest

from engine.agent.directories import (
    matching_names,
    move_file,
    oldest_first,
    path_in,
    present,
    remove_file,
)


def file_in(folder: Path, name: str, age: int = 0) -> Path:
    file = folder / name
    file.write_text(name)
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return file


def test_entries_come_oldest_first_and_directories_count(tmp_path: Path) -> None:
    file_in(tmp_path, "b", age=1)
    file_in(tmp_path, "a", age=2)
    (tmp_path / "sub").mkdir()
    os.utime(tmp_path / "sub", (999_000, 999_000))
    file_in(tmp_path, ".hidden", age=5)
    names = [Path(path).name for path in oldest_first(str(tmp_path), None)]
    assert names == ["sub", ".hidden", "a", "b"]


def test_the_expression_is_searched_in_the_bare_name(tmp_path: Path) -> None:
    for name in ("X-MATCHING-1", "matching", "MATCH"):
        file_in(tmp_path, name)
    assert matching_names(str(tmp_path), "MATCHING-") == ["X-MATCHING-1"]
    assert matching_names(str(tmp_path), tmp_path.name) == []


def test_a_path_is_the_directory_as_configured_and_the_name() -> None:
    assert path_in("/in", "a") == "/in/a"
    assert path_in("/in/", "a") == "/in/a"
    assert path_in("/", "a") == "/a"


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))).touch()
    file_in(tmp_path, "grün")
    assert oldest_first(str(tmp_path), None) == [str(tmp_path / "grün")]


def test_a_link_that_leads_nowhere_is_there(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    assert present([str(link), str(tmp_path / "nothing")]) == [str(link)]
    assert oldest_first(str(tmp_path), None) == [str(link)]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        oldest_first(str(tmp_path / "nothing"), None)


def test_removing_twice_is_no_error_but_a_directory_stays(tmp_path: Path) -> None:
    file = file_in(tmp_path, "a")
    assert remove_file(str(file))
    assert not remove_file(str(file))
    (tmp_path / "sub").mkdir()
    with pytest.raises(OSError, match="irectory"):
        remove_file(str(tmp_path / "sub"))


def test_moving_replaces_a_file_of_this_name(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    file_in(tmp_path / "to", "a").write_text("old")
    file = file_in(tmp_path, "a")
    assert move_file(str(file), str(tmp_path / "to"))
    assert (tmp_path / "to" / "a").read_text() == "a"
    assert not move_file(str(file), str(tmp_path / "to"))


def test_moving_needs_an_existing_directory(tmp_path: Path) -> None:
    file = file_in(tmp_path, "a")
    with pytest.raises(NotADirectoryError):
        move_file(str(file), str(tmp_path / "nothing"))
    assert file.exists()


def test_moving_between_file_systems_copies_under_another_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "to").mkdir()
    file = file_in(tmp_path, "a")
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self == file:
            raise OSError(18, "Invalid cross-device link")
        assert self.name == ".a.part"
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    assert move_file(str(file), str(tmp_path / "to"))
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["a"]
    assert not file.exists()
