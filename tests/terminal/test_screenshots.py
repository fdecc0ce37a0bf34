"""The screens in the documents are those of the program."""

from pathlib import Path

import pytest

from tests.support.screenshots import DOCUMENT, README, SHOTS, Shot, document, taken, with_screens

pytestmark = pytest.mark.anyio

REMAKE = "run: python -m tests.support.screenshots"


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_screen_in_the_documents_is_the_programs(shot: Shot, tmp_path: Path) -> None:
    screen = await taken(shot, tmp_path)
    width, height = shot.size
    assert len(screen.split("\n")) == height
    assert all(len(row) <= width for row in screen.split("\n"))
    assert f"## {shot.title}\n\n```text\n{screen}\n```\n" in DOCUMENT.read_text("utf-8"), REMAKE
    readme = README.read_text("utf-8")
    assert with_screens(readme, shot.name, screen) == readme, REMAKE
    if shot.ascii_only:
        assert screen.isascii()


def test_the_document_holds_these_screens_and_no_others() -> None:
    text = DOCUMENT.read_text("utf-8")
    parts = text.split("```text\n")[1:]
    screens = {shot.name: part.split("\n```")[0] for shot, part in zip(SHOTS, parts, strict=True)}
    assert document(screens) == text, REMAKE
