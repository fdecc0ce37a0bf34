"""The command line as a client: finds the engine, talks HTTP over its socket or TCP.

The one place in the command line that imports httpx, and only when a request is made.
"""

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from engine.errors import EngineError

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 60.0
STREAM_SILENCE_S: Final = 40.0
"""The engine sends a comment every 15 s; a line that is silent for longer is dead."""


class EngineNotReachable(EngineError):
    """Nobody answers where the engine should be."""


class RequestRefused(EngineError):
    """The engine said no."""

    def __init__(self, text: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(f"{code} {text}".strip())
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where an engine is: a socket, or a URL with a token."""

    socket: Path | None = None
    url: str = "http://localhost"
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        return str(self.socket) if self.socket is not None else self.url


def find_engine(
    *,
    engine: str | None,
    data: Path | None,
    token_file: Path | None,
    ca_file: Path | None,
    environment: Mapping[str, str],
) -> EngineAddress:
    """Return where the engine is: `--engine`, `--data`, `POINTSMAN_ENGINE`, or the only local one.

    Raises EngineError when that cannot be told.
    """
    token = _token(token_file, environment)
    given = engine or (None if data else environment.get("POINTSMAN_ENGINE"))
    if given:
        return _address(given, token, ca_file)
    if data is None and "POINTSMAN_DATA" in environment:
        data = Path(environment["POINTSMAN_DATA"])
    if data is not None:
        from engine.service.paths import EnginePaths  # noqa: PLC0415  # only when needed

        return EngineAddress(socket=EnginePaths(data).socket)
    return EngineAddress(socket=_only_local_socket())


def _address(text: str, token: str | None, ca_file: Path | None) -> EngineAddress:
    if text.startswith(("http://", "https://")):
        parts = urlsplit(text)
        if parts.password and token is None:
            token = parts.password
        host = parts.netloc.rpartition("@")[2]
        return EngineAddress(
            url=f"{parts.scheme}://{host}{parts.path.rstrip('/')}", token=token, ca_file=ca_file
        )
    path = Path(text.removeprefix("unix://").removeprefix("unix:")).expanduser()
    if path.is_dir():
        from engine.service.paths import EnginePaths  # noqa: PLC0415  # only when needed

        return EngineAddress(socket=EnginePaths(path).socket)
    if "/" not in text and ":" in text:
        return EngineAddress(url=f"http://{text}", token=token)
    return EngineAddress(socket=path, token=token)


def _only_local_socket() -> Path:
    from platformdirs import user_data_path  # noqa: PLC0415  # only when needed

    from engine.service.paths import EnginePaths  # noqa: PLC0415  # only when needed

    folder = user_data_path("pointsman") / "engines"
    # By the rule of the paths: the socket of a folder with a long name lies elsewhere.
    sockets = (EnginePaths(data.resolve()).socket for data in folder.glob("*"))
    found = sorted(socket for socket in sockets if socket.exists())
    if len(found) == 1:
        return found[0]
    if not found:
        raise EngineNotReachable(
            "no running engine was found; say where it is: --engine URL, or --data FOLDER"
        )
    names = ", ".join(str(socket.parent) for socket in found)
    raise EngineNotReachable(f"there are several engines; choose one with --data: {names}")


def _token(token_file: Path | None, environment: Mapping[str, str]) -> str | None:
    if token_file is None and "POINTSMAN_TOKEN_FILE" in environment:
        token_file = Path(environment["POINTSMAN_TOKEN_FILE"])
    if token_file is None:
        return environment.get("POINTSMAN_TOKEN") or None
    try:
        words = token_file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{token_file}: {error}") from error
    if not words:
        raise EngineError(f"{token_file}: there is no token in it")
    return words[-1]


# --- requests ------------------------------------------------------------------------------------


class EngineClient:
    """One connection to an engine."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def get(self, path: str, **query: object) -> Any:
        """Return the JSON answer of a resource."""
        chosen = {name: str(value) for name, value in query.items() if value is not None}
        return self._json("GET", path, params=chosen)

    def post(self, path: str, content: object) -> Any:
        """Send JSON and return the JSON answer."""
        body = json.dumps(content).encode()
        return self._json("POST", path, content=body, headers={"Content-Type": "application/json"})

    def submit(self, request: object) -> Mapping[str, Any]:
        """Send a kernel request; return what it was accepted with."""
        from engine.codec.json_api import REQUESTS  # noqa: PLC0415  # only when needed

        answer = self.post("/api/command", REQUESTS.to_builtins(request))  # type: ignore[arg-type]  # the codec checks
        accepted: Mapping[str, Any] = answer["accepted"]
        return accepted

    def xml(self, command: bytes) -> bytes:
        """Send an XML command and return the XML answer."""
        with self._translated():
            response = self._open().post(
                "/jobscheduler/master/api/command",
                content=command,
                headers={"Content-Type": "application/xml"},
            )
            self._check(response)
            return response.content

    def events(self, after: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over the event stream: (`fact` or `pulse`, data). Ends when the engine does."""
        query = {} if after is None else {"after": str(after)}
        httpx = _httpx()
        silence = httpx.Timeout(CONNECT_TIMEOUT_S, read=STREAM_SILENCE_S)
        with (
            self._translated(),
            self._open().stream("GET", "/api/events", params=query, timeout=silence) as response,
        ):
            if response.status_code != 200:
                response.read()
                self._check(response)
            name = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        with self._translated():
            response = self._open().request(method, path, **arguments)
            self._check(response)
            return response.json()

    def _open(self) -> "httpx.Client":
        if self._client is None:
            httpx = _httpx()
            address = self._address
            if address.socket is not None and not address.socket.exists():
                raise EngineNotReachable(f"no engine runs at {address}: there is no such socket")
            uds = None if address.socket is None else str(address.socket)
            verify: ssl.SSLContext | bool = True
            if address.ca_file is not None:
                verify = ssl.create_default_context(cafile=address.ca_file)
            token = address.token
            self._client = httpx.Client(
                base_url=address.url,
                transport=httpx.HTTPTransport(uds=uds, verify=verify, trust_env=False),
                timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                headers={"Authorization": f"Bearer {token}"} if token else {},
                trust_env=False,
            )
        return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        httpx = _httpx()
        try:
            yield
        except httpx.TransportError as error:
            raise EngineNotReachable(
                f"the engine at {self._address} does not answer: {error or type(error).__name__}"
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise EngineNotReachable(f"{self._address} is no address: {error}") from error

    def _check(self, response: "httpx.Response") -> None:
        if response.status_code < 400:
            return
        try:
            problem = response.json()["problem"]
            text, code = str(problem["text"]), str(problem["code"])
        except (ValueError, KeyError, TypeError):
            text, code = response.text.strip()[:500] or response.reason_phrase, ""
        shown = "" if code == str(response.status_code) else code
        raise RequestRefused(text, code=shown, status=response.status_code)


def _httpx() -> Any:
    """Return httpx, loaded when the first request is made: it takes a while."""
    import httpx  # noqa: PLC0415  # see above

    return httpx


def environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ
