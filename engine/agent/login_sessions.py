"""Session tokens: what clients show after Login instead of credentials (agents.md 2.2, 6)."""

import secrets
from collections import OrderedDict
from typing import Final

SESSIONS_MAX: Final = 1_000
"""The oldest one gives way."""
HEADER: Final = b"x-jobscheduler-session"


class LoginSessions:
    """The sessions of one agent's life; a token is 256 random bits."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, None] = OrderedDict()

    def login(self, former: str | None) -> str:
        """Return the token of a new session; a second login ends the session it is sent in."""
        self.logout(former)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = None
        while len(self._tokens) > SESSIONS_MAX:
            self._tokens.popitem(last=False)
        return token

    def logout(self, token: str | None) -> None:
        """End a session; an unknown one has ended already."""
        if token is not None:
            self._tokens.pop(token, None)

    def knows(self, token: str) -> bool:
        """Return whether a session of this token goes on."""
        return token in self._tokens
