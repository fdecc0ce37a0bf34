"""Documents keep up with the code."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import CHECKOUT

_FOLDERS = ("", "engine", "tui", "themes", "examples", "tests", "bench", "docs")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def _documents() -> Iterator[Path]:
    for folder in _FOLDERS:
        pattern = "*.md" if not folder else "**/*.md"
        yield from sorted((CHECKOUT / folder).glob(pattern))


@pytest.mark.parametrize(
    "file", list(_documents()), ids=lambda file: str(file.relative_to(CHECKOUT))
)
def test_the_links_of_a_document_lead_somewhere(file: Path) -> None:
    links = set(_LINK.findall(file.read_text(encoding="utf-8")))
    missing = [link for link in sorted(links) if not list(file.parent.glob(link))]
    assert missing == []


def test_the_readme_has_one_command_each_for_demo_tests_and_packages() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    for name in ("command: demo", "command: tests", "packages"):
        (block,) = re.findall(
            rf"^<!-- {name} -->\n```sh\n(.*?)```$", text, re.MULTILINE | re.DOTALL
        )
        assert len(block.splitlines()) == 1


def test_the_reference_is_up_to_date() -> None:
    file = CHECKOUT / "docs" / "write_reference.py"
    spec = importlib.util.spec_from_file_location("write_reference", file)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    written = (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == writer.reference(), "run: PYTHONPATH=. python docs/write_reference.py"
