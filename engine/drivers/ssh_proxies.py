"""Sockets through HTTP and SOCKS proxies, for SSH connections that may not go directly."""

import asyncio
import base64
import ipaddress
import socket
import struct

from engine.errors import SshError
from engine.kernel.sessions.parameters import Proxy

ANSWER_LENGTH_MAX = 16 * 1024


async def connect_through(
    proxy: Proxy, host: str, port: int, *, timeout_s: float = 30
) -> socket.socket:
    """Return a socket that leads to the host through its proxy.

    Raises SshError when the proxy refuses or does not answer; the caller owns the socket.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            places = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
            family, kind, number, _, address = places[0]
            connection = socket.socket(family, kind, number)
            connection.setblocking(False)
            try:
                await loop.sock_connect(connection, address)
                await _negotiate(connection, proxy, host, port)
            except BaseException:
                connection.close()
                raise
    except (OSError, TimeoutError) as error:
        text = f"proxy {proxy.host}:{proxy.port} cannot be used: {error or 'no answer'}"
        raise SshError(text, host=host) from error
    return connection


async def _negotiate(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    match proxy.protocol:
        case "socks4":
            await _socks4(connection, proxy, host, port)
        case "socks5":
            await _socks5(connection, proxy, host, port)
        case _:
            await _http(connection, proxy, host, port)


async def _http(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.user is not None:
        password = proxy.password.reveal() if proxy.password is not None else ""
        credentials = base64.b64encode(f"{proxy.user}:{password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    await _send(connection, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    # Byte by byte: what follows the empty line belongs to SSH already.
    while not answer.endswith(b"\r\n\r\n"):
        if len(answer) > ANSWER_LENGTH_MAX:
            raise OSError("its answer is too long")
        answer += await _receive(connection, 1)
    words = answer.split(b"\r\n", 1)[0].split(None, 2)
    if len(words) < 2 or not words[1].startswith(b"2"):
        reason = b" ".join(words[1:]).decode("ascii", "replace")
        raise OSError(f"it answered {reason or 'nothing sensible'}")


async def _socks4(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    user = (proxy.user or "").encode()
    try:
        address, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:  # 4a: the proxy resolves the name
        address, name = bytes((0, 0, 0, 1)), host.encode("idna") + b"\0"
    await _send(connection, struct.pack(">BBH", 4, 1, port) + address + user + b"\0" + name)
    answer = await _receive(connection, 8)
    if answer[1] != 90:
        raise OSError(f"it answered with code {answer[1]}")


async def _socks5(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    methods = b"\x00\x02" if proxy.user is not None else b"\x00"
    await _send(connection, bytes((5, len(methods))) + methods)
    chosen = (await _receive(connection, 2))[1]
    if chosen == 2 and proxy.user is not None:
        user = proxy.user.encode()[:255]
        password = (proxy.password.reveal() if proxy.password is not None else "").encode()[:255]
        await _send(connection, bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await _receive(connection, 2))[1] != 0:
            raise OSError("it refused the account")
    elif chosen != 0:
        raise OSError("it wants another way to log in")
    name = host.encode("idna")
    await _send(connection, bytes((5, 1, 0, 3, len(name))) + name + struct.pack(">H", port))
    answer = await _receive(connection, 4)
    if answer[1] != 0:
        raise OSError(f"it answered with code {answer[1]}")
    rest = {1: 4, 4: 16}.get(answer[3])
    if rest is None:
        rest = (await _receive(connection, 1))[0]
    await _receive(connection, rest + 2)


async def _send(connection: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, data)


async def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(connection, count - len(data))
        if not more:
            raise OSError("it closed the connection")
        data += more
    return data
