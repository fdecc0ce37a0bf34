"""What the engine answers beside its state: who we are to it, and what would come of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READ_ONLY = "read-only"
LOCAL_NAMES = frozenset({"local", "loopback"})
"""How the engine calls those whom it lets in without a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who we are to the engine."""

    name: str
    role: str
    """`read-only`, `operator` or `admin`."""

    @property
    def may_act(self) -> bool:
        """Whether this role may change anything."""
        return self.role != READ_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What would come of one request."""

    refusal: str = ""
    """Why it would be refused, in the engine's words; empty: it would not."""
    met: tuple[str, ...] = ()
    """What the order would wait for on its way, a sentence each."""


def person_of_row(row: Mapping[str, Any]) -> Person:
    """Return who we are, from `GET /api/me`."""
    return Person(name=str(row.get("name", "")), role=str(row.get("role", "")))


def trial_of_row(row: Mapping[str, Any]) -> Trial:
    """Return what would come of a request, from `POST /api/try`."""
    refused = row.get("refused")
    if isinstance(refused, dict):
        code, text = refused.get("code", ""), refused.get("text", "")
        return Trial(refusal=f"{code} {text}".strip())
    return Trial(met=tuple(_met(each) for each in row.get("met") or ()))


def _met(row: Mapping[str, Any]) -> str:
    node = row.get("node") or ""
    sentence = row["reason"]["sentence"]
    return f"at {node}: waits for {sentence}" if node else f"waits for {sentence}"
