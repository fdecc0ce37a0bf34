"""Telling a person that something new needs them: one notice, the title, a bell.

Nothing is told of what was there when the cockpit opened, nor of what this person did.
"""

from collections import Counter
from collections.abc import Iterable

from engine.kernel.instants import Duration, Instant
from tui.views.needs import Need, NeedKind
from tui.views.scene import Scene

MINE_FOR = Duration(30_000)
"""So long what follows from a request counts as the person's own doing."""
_MANY = {
    NeedKind.ORDER: "orders failed",
    NeedKind.RUN: "runs failed",
    NeedKind.AGENT: "agents are late or lost",
    NeedKind.ORPHAN: "runs left processes behind",
    NeedKind.MISSED: "starts were missed",
    NeedKind.SUSPENDED: "orders are suspended",
    NeedKind.JOB: "jobs are stopped",
    NeedKind.NODE: "nodes hold orders",
    NeedKind.TASK: "tasks take long",
    NeedKind.FILE: "files were refused",
}


class BeingTold:
    """Remembers what has been told."""

    def __init__(self) -> None:
        self._known: set[object] | None = None
        self._mine: dict[object, Instant] = {}
        self.count = 0
        """How many entries need a person now."""

    def begin_anew(self) -> None:
        """Take what there is next as known: another engine is shown."""
        self._known = None
        self.count = 0

    def mine(self, subjects: Iterable[object], now: Instant) -> None:
        """Take note of what the person at this cockpit does something about."""
        self._mine = {one: at for one, at in self._mine.items() if now - at < MINE_FOR}
        self._mine.update(dict.fromkeys(subjects, now))

    def news(self, scene: Scene, found: Iterable[Need]) -> str:
        """Return what to tell of entries that are new; empty for nothing."""
        entries = {(need.kind, need.subject): need for need in found}
        self.count = len(entries)
        known, self._known = self._known, set(entries)
        if known is None:
            return ""
        new = [
            need
            for key, need in entries.items()
            if key not in known and not self._is_mine(need, scene.now)
        ]
        return _words(new)

    def _is_mine(self, need: Need, now: Instant) -> bool:
        subject = need.subject
        parts = {subject, *(subject if isinstance(subject, tuple) else ())}
        return any(now - self._mine[one] < MINE_FOR for one in parts if one in self._mine)


def _words(new: list[Need]) -> str:
    if not new:
        return ""
    if len(new) == 1:
        (need,) = new
        return f"{need.kind.value}: {need.name}: {need.said}"
    kinds = Counter(need.kind for need in new)
    return ", ".join(
        f"{count} {_MANY[kind]}"
        if count > 1
        else next(f"{kind.value}: {need.name}" for need in new if need.kind is kind)
        for kind, count in kinds.items()
    )
