"""Where the HTTP interface listens, and who is believed there without a token."""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAddress:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of the same host reach it."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificate chain and private key, both PEM."""

    certificate: Path
    """Certificate chain of the listener, PEM."""
    key: Path | None = None
    """Private key, PEM; None: in the same file as the certificate."""
    key_password: str | None = field(default=None, repr=False)
    """Opens the private key."""


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this host only."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def parse_tcp_address(text: str) -> TcpAddress:
    """Read `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`; a bare port means loopback.

    Raises ValueError with the accepted forms.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"{text!r} is not an address; write HOST:PORT, for instance 127.0.0.1:4444"
        )
    return TcpAddress(host=host or "127.0.0.1", port=int(port))
