"""Who a run on a remote host is: its token and the record it writes about itself.

A process id alone proves nothing, because numbers are reused. A record holds what together cannot
be taken over by a stranger: the id, its start mark and the boot of the host (ssh-and-jitl.md
2.10.1). Whatever does not look exactly like such a record is never signalled.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NewType

from engine.kernel.ids import ExecutionKey

RunToken = NewType("RunToken", str)
"""Name of one run on its host: `js-` and 20 characters, in the environment of all its processes."""

TOKEN_VARIABLE: Final = "JS_TOKEN"  # noqa: S105  # a name, no secret
"""The variable that all processes of a run have from it."""

_TOKEN = re.compile(r"js-[a-z2-7]{20}\Z")
_START = re.compile(r"t[0-9]{1,20}\Z|l[A-Za-z0-9_:.]{1,40}\Z")
_BOOT = re.compile(r"-\Z|[A-Za-z0-9-]{8,64}\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")


def token_of(key: ExecutionKey) -> RunToken:
    """Return the token of an execution, always the same for the same key.

    Because it can be computed again, nothing has to be stored before the first byte is sent, and an
    engine that was restarted finds its runs. All tokens have one length: none begins another.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return RunToken("js-" + base64.b32encode(digest).decode().lower()[:20])


def is_token(text: str) -> bool:
    """Tell whether this could be a token of ours."""
    return _TOKEN.match(text) is not None


def is_start_mark(text: str) -> bool:
    """Tell whether this is a start mark: `t` and ticks, or `l` and words of `ps`."""
    return _START.match(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRecord:
    """What a run wrote about itself before its job started."""

    pid: int
    group: int
    session: int | None
    """None: the run shares its session with others, so the session proves nothing."""
    start: str
    """`t` and ticks since boot, or `l` and the start time as `ps` prints it; for equality only."""
    boot: str
    """Boot id of the host, `-` where there is none."""
    uid: int
    began: int
    """Seconds since 1970 by the engine's clock."""
    extra_pid: int | None = None
    """Printed by a custom pid command; counts only together with its start mark."""
    extra_start: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    """A record nobody may act on."""

    why: str


def fields_of(text: str) -> dict[str, str]:
    """Split `name=value` words or lines; later ones win."""
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def identity_of(fields: Mapping[str, str], *, uid: int) -> IdentityRecord | BadRecord:
    """Read a record's fields as account `uid`, trusting none of them.

    Whoever can write the file chooses what it says; so only plain numbers above 1 are processes,
    and only the own account's record counts (2.10.4).
    """
    for name in ("pid", "pgid", "uid"):
        if _NUMBER.match(fields.get(name, "")) is None:
            return BadRecord(why=f"{name} is not a plain number")
    pid, group, owner = (int(fields[name]) for name in ("pid", "pgid", "uid"))
    if pid <= 1 or group <= 1:
        return BadRecord(why="a process id of 1 or less")
    if owner != uid:
        return BadRecord(why=f"written for uid {owner}, not for {uid}")
    if not is_start_mark(fields.get("start", "")) or _BOOT.match(fields.get("boot", "")) is None:
        return BadRecord(why="no start mark or boot id")
    session = fields.get("sid", "-")
    extra = fields.get("xpid", "")
    extra_start = fields.get("xstart", "")
    has_extra = _NUMBER.match(extra) is not None and int(extra) > 1 and is_start_mark(extra_start)
    began = fields.get("began", "")
    return IdentityRecord(
        pid=pid,
        group=group,
        session=pid if session == str(pid) else None,
        start=fields["start"],
        boot=fields["boot"],
        uid=owner,
        began=int(began) if _NUMBER.match(began) else 0,
        extra_pid=int(extra) if has_extra else None,
        extra_start=extra_start if has_extra else "",
    )
