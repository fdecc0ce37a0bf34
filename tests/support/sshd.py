"""Real SSH servers on loopback ports, with throw-away keys and accounts, and their end.

As root, accounts are made up by libnss-wrapper (nothing is written to the system) and get user ids
of their own, so that no test can signal a process that is not its own. As anybody else there is one
account: oneself.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
DROPBEAR = shutil.which("dropbear", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
WRAPPER = next(iter(Path("/usr/lib").glob("*/libnss_wrapper.so")), None)
START_LIMIT_S = 10.0


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    home: Path
    shell: str


def missing(*programs: str) -> str | None:
    """Why a test cannot run here; None when everything is there."""
    for program in programs:
        if shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin") is None:
            return f"{program} is not installed"
    return None


def eventually(what: Callable[[], object], limit_s: float = 60.0) -> None:
    """Wait until something is true, not longer than the limit."""
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.01)


def needs_own_accounts(server: "SshServer") -> None:
    """Skip where accounts cannot be made up, which are nobody else's."""
    if not server.has_own_uid:
        pytest.skip("needs made-up accounts: root and libnss-wrapper")


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


class SshServer:
    """One running server, OpenSSH or Dropbear."""

    def __init__(
        self,
        *,
        kind: str = "openssh",
        shells: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        password: str | None = None,
        port: int | None = None,
    ) -> None:
        self.kind = kind
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pointsman-sshd-"))
        self.folder.chmod(0o755)
        self.key = self.folder / "key"
        self.known_hosts = self.folder / "known_hosts"
        self.password = password
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._makes_accounts = os.geteuid() == 0 and WRAPPER is not None
        uid = 200_000 + self.port if self._makes_accounts else os.geteuid()
        shells = shells or {"tester": "/bin/sh"}
        self.accounts = {name: self._account(name, uid, shell) for name, shell in shells.items()}
        self.uid = uid
        self._write_keys()

    @property
    def user(self) -> str:
        return next(iter(self.accounts))

    @property
    def has_own_uid(self) -> bool:
        """Whether its accounts are nobody else's."""
        return self._makes_accounts

    def home(self, user: str | None = None) -> Path:
        return self.accounts[user or self.user].home

    def start(self) -> "SshServer":
        environment = dict(os.environ)
        if self._makes_accounts:
            environment |= {
                "LD_PRELOAD": str(WRAPPER),
                "NSS_WRAPPER_PASSWD": str(self.folder / "passwd"),
                "NSS_WRAPPER_GROUP": str(self.folder / "group"),
            }
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command(), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._answers, START_LIMIT_S)
        return self

    def stop(self) -> None:
        """End the server, its connections, and every process of its accounts."""
        self.cut()
        self.stop_listening()
        if self._makes_accounts:
            self.end_all_processes()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_listening(self) -> None:
        """End the server itself: nobody can connect any more; connections live on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def cut(self) -> int:
        """Kill the processes that serve connections, as a crash would; returns how many."""
        servers = self.servers()
        for pid in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not set(self.servers()) & set(servers))
        return len(servers)

    def stop_listening_and_cut(self) -> None:
        """Make the host unreachable; what runs on it runs on."""
        servers = self.servers()
        self.stop_listening()
        for pid in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self, *, frozen: bool) -> None:
        """Stop or continue the processes that serve connections: no answer, and no end either."""
        for pid in self.servers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def servers(self) -> list[int]:
        """The processes between the listener and the jobs."""
        if self._process is None:
            return []
        found: list[int] = []
        parents = [self._process.pid]
        while parents:
            parent = parents.pop()
            for child in children_of(parent):
                if name_of(child) in {"sshd", "dropbear", "sshd-session"}:
                    found.append(child)
                    parents.append(child)
        return found

    def processes(self) -> dict[int, str]:
        """Living processes of the accounts, without the server's own: pid and command line."""
        assert self._makes_accounts, "only made-up accounts are ours alone"
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                if entry.stat().st_uid == self.uid and state_of(pid) not in "ZX":
                    text = (
                        (entry / "cmdline")
                        .read_bytes()
                        .replace(b"\0", b" ")
                        .decode(errors="replace")
                    )
                    if not text.startswith(
                        ("sshd:", "/usr/sbin/sshd", "dropbear", "/usr/sbin/dropbear")
                    ):
                        found[pid] = text.strip()
        return found

    def end_all_processes(self) -> None:
        def none_left() -> bool:
            left = self.processes()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        eventually(none_left)

    def _account(self, name: str, uid: int, shell: str) -> Account:
        home = self.folder / "home" / name
        home.mkdir(parents=True)
        if self._makes_accounts:
            os.chown(home, uid, uid)
        else:
            entry = pwd.getpwuid(uid)
            name, home = entry.pw_name, Path(entry.pw_dir)
        return Account(name=name, uid=uid, home=home, shell=shell)

    def _write_keys(self) -> None:
        _keygen(self.key)
        public = self.key.with_suffix(".pub").read_text()
        authorized = self.folder / "authorized_keys"
        authorized.write_text(public)
        for account in self.accounts.values():
            if self.kind == "dropbear":
                folder = account.home / ".ssh"
                folder.mkdir(mode=0o700)
                (folder / "authorized_keys").write_text(public)
                if self._makes_accounts:
                    os.chown(folder, account.uid, account.uid)
                    os.chown(folder / "authorized_keys", account.uid, account.uid)
        if self._makes_accounts:
            hashed = "*"
            if self.password is not None:
                hashed = subprocess.run(
                    ["openssl", "passwd", "-6", "-stdin"],
                    input=self.password,
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=10,
                ).stdout.strip()
            (self.folder / "passwd").write_text(
                Path("/etc/passwd").read_text()
                + "".join(
                    f"{each.name}:{hashed}:{each.uid}:{each.uid}::{each.home}:{each.shell}\n"
                    for each in self.accounts.values()
                )
            )
            (self.folder / "group").write_text(
                Path("/etc/group").read_text() + f"testers:x:{self.uid_of_accounts}:\n"
            )
        self.new_host_key()

    @property
    def uid_of_accounts(self) -> int:
        return next(iter(self.accounts.values())).uid

    def new_host_key(self) -> None:
        """Give the server another host key; known_hosts follows only at the first time."""
        host_key = self.folder / "host_key"
        host_key.unlink(missing_ok=True)
        if self.kind == "dropbear":
            subprocess.run(
                ["dropbearkey", "-t", "ed25519", "-f", str(host_key)],
                check=True,
                capture_output=True,
                timeout=20,
            )
            shown = subprocess.run(
                ["dropbearkey", "-y", "-f", str(host_key)],
                check=True,
                capture_output=True,
                text=True,
                timeout=20,
            ).stdout
            public = next(line for line in shown.splitlines() if line.startswith("ssh-"))
        else:
            _keygen(host_key)
            public = host_key.with_suffix(".pub").read_text()
        if not self.known_hosts.exists():
            self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(public.split()[:2])}\n")

    def _command(self) -> list[str]:
        if self.kind == "dropbear":
            return [
                DROPBEAR,
                "-F",
                "-E",
                "-m",
                "-p",
                f"127.0.0.1:{self.port}",
                "-r",
                str(self.folder / "host_key"),
                "-P",
                str(self.folder / "pid"),
            ]
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "config"
        config.write_text(
            "\n".join(
                [
                    *self._options,
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {self.folder / 'host_key'}",
                    f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
                    "StrictModes no",
                    "UsePAM no",
                    "UseDNS no",
                    "PidFile none",
                    "PrintMotd no",
                    "PermitRootLogin yes",
                    f"PasswordAuthentication {'yes' if self.password else 'no'}",
                    "",
                ]
            )
        )
        return [SSHD, "-D", "-e", "-f", str(config)]

    def _answers(self) -> bool:
        assert self._process is not None, "started before"
        assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as line,
        ):
            line.settimeout(2)
            return line.recv(4).startswith(b"SSH")
        return False


@contextlib.contextmanager
def ssh_server(**settings: object) -> Iterator[SshServer]:
    server = SshServer(**settings)  # type: ignore[arg-type]  # passed through
    try:
        yield server.start()
    finally:
        server.stop()


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int(_stat(int(entry.name))[1]) == pid:
                    found.append(int(entry.name))
    return found


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def state_of(pid: int) -> str:
    return _stat(pid)[0]


def start_of(pid: int) -> str:
    return "t" + _stat(pid)[19]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return state_of(pid) not in "ZX"
    return False


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _keygen(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.with_suffix(".pub").unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)],
        check=True,
        capture_output=True,
        timeout=20,
    )
