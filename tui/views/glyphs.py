"""The signs of the screens, in Unicode and in ASCII.

Only characters without an emoji form, which common fonts carry and terminals draw one cell wide.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One character for each thing that is drawn."""

    name: str
    run: str
    wait: str
    plan: str
    idle: str
    retry: str
    held: str
    fail: str
    black: str
    ok: str
    late: str
    lost: str
    live: str
    asked: str
    mark: str
    node: str
    end: str
    nested: str
    back: str
    full: str
    empty: str
    limit: str
    child: str
    crumb: str
    left: str
    right: str
    rule: str
    ascending: str
    descending: str
    arrow: str
    curve: str
    """Nine heights for small curves, the first is nothing."""
    box: tuple[str, ...]
    """Sixteen joints, indexed by the sum of up 1, right 2, down 4, left 8."""


UNICODE = Glyphs(
    name="unicode",
    run="►",
    wait="◇",
    plan="◷",
    idle="·",
    retry="↻",
    held="‖",
    fail="✗",
    black="⊘",
    ok="✓",
    late="◐",
    lost="○",
    live="●",
    asked="…",
    mark="■",
    node="●",
    end="○",
    nested="▸",
    back="↺",
    full="█",
    empty="░",
    limit="│",
    child="└",
    crumb="›",  # noqa: RUF001  # meant
    left="‹",  # noqa: RUF001  # meant
    right="›",  # noqa: RUF001  # meant
    rule="─",
    ascending="↑",
    descending="↓",
    arrow="▸",
    curve="·▁▂▃▄▅▆▇█",
    box=tuple(" ╵╶╰╷│╭├╴╯─┴╮┤┬┼"),
)

ASCII = Glyphs(
    name="ascii",
    run=">",
    wait="w",
    plan="@",
    idle=".",
    retry="r",
    held="=",
    fail="x",
    black="b",
    ok="v",
    late="?",
    lost="o",
    live="*",
    asked="~",
    mark="#",
    node="*",
    end="o",
    nested=">",
    back="^",
    full="#",
    empty=".",
    limit="|",
    child="`",
    crumb=">",
    left="<",
    right=">",
    rule="-",
    ascending="^",
    descending="v",
    arrow=">",
    curve=" .:-=+*#@",
    box=tuple(" |-`||.+-'-+.+++"),
)
