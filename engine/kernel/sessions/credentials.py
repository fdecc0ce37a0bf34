"""Parameters that stand in a KeePass database: `cs://GROUP/ENTRY@FIELD` (ssh-and-jitl.md 1.3).

Only the reference is ever kept, copied or shown. What it stands for is looked up by the driver at
each login, so that a database that has been changed counts at once.
"""

from dataclasses import dataclass, field, replace

from engine.kernel.sessions.secret import Secret

SCHEME = "cs://"
REFERENCE_FORMS = "write cs://GROUP/ENTRY@FIELD, or cs://@FIELD with credential_store_entry_path"
FROM_STORE = frozenset(
    {
        "host", "port", "url", "user", "password", "passphrase", "auth_file",
        "proxy_host", "proxy_port", "proxy_user", "proxy_password",
    }
)  # fmt: skip
"""What a reference may stand for; everything else has to be written out."""

_PLACE = {"host", "port", "url", "proxy_host", "proxy_port", "proxy_user", "proxy_password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccess:
    """A database and what opens it; files are on the engine's host."""

    file: str
    key_file: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One value in a database."""

    entry: str
    """Groups and title, with `/` between them."""
    field: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.entry}@{self.field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnection:
    """Parameters of a connection some of which are references."""

    access: StoreAccess
    references: tuple[tuple[str, Reference], ...]
    """By the names of their parameters."""
    others: tuple[tuple[str, str], ...] = field(repr=False)
    """What was written out, secrets perhaps among it."""

    def toward(self, host: str, port: int | None, user: str | None) -> "StoredConnection":
        """Return how a jump host is logged in to: as the target, but for where it is."""
        dropped = _PLACE if user is None else _PLACE | {"user"}
        own = {"host": host, "port": str(port) if port else "", "user": user or ""}
        return replace(
            self,
            references=tuple(each for each in self.references if each[0] not in dropped),
            others=(
                *(each for each in self.others if each[0] not in dropped),
                *((name, value) for name, value in own.items() if value),
            ),
        )


def is_reference(value: str) -> bool:
    """Tell whether a parameter's value stands in a database."""
    return value.startswith(SCHEME)


def parse_reference(value: str, default_entry: str | None) -> Reference:
    """Read `cs://GROUP/ENTRY@FIELD` or `cs://@FIELD`. Raises ValueError.

    `default_entry` is what the short form means. The last `@` counts: titles may hold some.
    """
    path, at, name = value.removeprefix(SCHEME).rpartition("@")
    if not at or not name.strip():
        raise ValueError(f"{value} is no reference: {REFERENCE_FORMS}")
    entry = path.strip("/") or (default_entry or "").removeprefix(SCHEME).strip("/")
    if not entry:
        raise ValueError(f"{value} names no entry; credential_store_entry_path is missing")
    return Reference(entry=entry, field=name.strip())
