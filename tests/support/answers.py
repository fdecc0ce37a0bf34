"""Views of a world, and answers read as clients read them."""

from dataclasses import replace

from lxml import etree

from engine.codec.xml.answers import WHAT_DEFAULT, View
from engine.codec.xml.findings import Element
from tests.support.fake_engine import FACTS
from tests.support.world import World, chain, node, shell_job


def view(world: World, *what: str, **changes: object) -> View:
    wanted = WHAT_DEFAULT | set(what)
    shown = View(state=world.state, now=world.now, facts=FACTS, what=wanted)
    return replace(shown, **changes)  # type: ignore[arg-type]  # by name


def texts(element: Element, path: str) -> list[str]:
    """Evaluate an XPath as a client does, on the element's text form."""
    found = etree.fromstring(etree.tostring(element)).xpath(path)
    assert isinstance(found, list)
    return [str(each) for each in found]


def walking() -> World:
    return World(
        shell_job("first"),
        shell_job("second"),
        chain("walk", node("100", "first"), node("200", "second")),
    )
