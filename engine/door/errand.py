"""What a session's process is told by the door, on a socket that it inherits."""

import json
from dataclasses import dataclass, field
from typing import Self

from engine.server.auth import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a session's process is told: where the engine is, who asks, and what to do."""

    address: str
    token: str = field(repr=False)
    person: str
    role: Role
    words: tuple[str, ...]
    """Arguments of our command line; none: the cockpit."""

    def to_line(self) -> bytes:
        """Return the errand as one line of JSON."""
        content = {
            "address": self.address,
            "token": self.token,
            "person": self.person,
            "role": self.role.value,
            "words": self.words,
        }
        return json.dumps(content).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read the line again."""
        content = json.loads(line)
        return cls(
            address=str(content["address"]),
            token=str(content["token"]),
            person=str(content["person"]),
            role=Role(content["role"]),
            words=tuple(str(word) for word in content["words"]),
        )
