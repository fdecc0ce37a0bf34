"""A door before a real engine, people with throw-away keys, and the real `ssh` of this host."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.support.programs import Program, World, free_port, wait_for, words_of
from tests.support.tmux import Terminal

PATIENCE_S = 60.0


class DoorWorld:
    """An engine that runs, a door before it, and people who come."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir()
        self.port = 0
        self.door: Program | None = None
        self.lines: list[str] = []

    @property
    def own(self) -> Path:
        """The door's folder in the data folder of the engine."""
        return self.world.data / "door"

    @property
    def log(self) -> str:
        """What the door has told."""
        assert self.door is not None, "a door was opened"
        return self.door.text

    # --- people and keys -----------------------------------------------------------------------

    def key(self, name: str) -> Path:
        """Return a key of this name, made at the first time."""
        file = self.keys / name
        if not file.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file))
        return file

    def admit(self, name: str, role: str, *options: str, key: str = "") -> None:
        """Let a person in with a key of their own."""
        public = self.key(key or name).with_suffix(".pub").read_text().strip()
        self.let_in(",".join([f'person="{name}"', f'role="{role}"', *options]), public)

    def trust(self, authority: str, principals: str, role: str) -> None:
        """Let those in who hold certificates of this authority for these names."""
        public = self.key(authority).with_suffix(".pub").read_text().strip()
        self.let_in(f'cert-authority,principals="{principals}",role="{role}"', public)

    def let_in(self, options: str, public: str) -> None:
        """Write a line."""
        self.write_people([*self.lines, f"{options} {public}"])

    def write_people(self, lines: Sequence[str]) -> None:
        """Replace the file of people as a whole."""
        self.lines = list(lines)
        self.own.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.own / "draft"
        draft.write_text("".join(f"{line}\n" for line in self.lines))
        draft.chmod(0o600)
        draft.replace(self.own / "authorized_keys")

    def certify(self, key: str, authority: str, *options: str) -> None:
        """Have an authority sign a key."""
        public = str(self.key(key).with_suffix(".pub"))
        run("ssh-keygen", "-q", "-s", str(self.key(authority)), "-I", key, *options, public)

    # --- the door ------------------------------------------------------------------------------

    def open(self, *options: str, data: bool = True) -> Program:
        """Open the door and wait until it says so."""
        self.port = free_port()
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        listen += ["--data", str(self.world.data)] if data else []
        name = f"door-{secrets.token_hex(4)}"
        door = self.door = self.world.run(name, ["door", *listen, *options])

        def is_open() -> bool:
            assert door.process.poll() is None, f"the door has closed: {door.text}"
            return "is open at" in door.text

        wait_for("an open door", is_open, PATIENCE_S)
        return door

    def ssh(self, person: str, *words: str, key: str = "") -> list[str]:
        """Return the command with which a person comes, without anything of this host's own."""
        return [
            "ssh", "-F", "/dev/null", "-p", str(self.port), "-i", str(self.key(key or person)),
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            *words[:-1], f"{person}@127.0.0.1", *words[-1:],
        ]  # fmt: skip

    def call(
        self, person: str, *words: str, key: str = "", given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Hand a command over, the last word, after options of ssh."""
        return subprocess.run(
            self.ssh(person, "-T", *words, key=key),
            check=False,
            capture_output=True,
            text=True,
            input=given,
            timeout=PATIENCE_S,
            env=client_environment(),
        )

    @contextlib.contextmanager
    def terminal(
        self,
        person: str,
        *words: str,
        key: str = "",
        size: tuple[int, int] = (80, 24),
        **environment: str,
    ) -> Iterator[Terminal]:
        """Come with a terminal, the real one of a private tmux."""
        command = self.ssh(person, "-t", *(words or ("",)), key=key)
        if not words:
            command.pop()
        changed = {"LC_ALL": "C.UTF-8", **environment}
        with Terminal(command, self.folder, size=size, environment=changed) as terminal:
            yield terminal

    def children(self) -> list[psutil.Process]:
        """Return the processes of sessions."""
        return [
            process
            for process in psutil.process_iter()
            if "engine.cli_door_session" in words_of(process) and self._is_of(process)
        ]

    def _is_of(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("HOME") == str(self.own / "home")
        except psutil.Error:
            return False

    def child(self) -> psutil.Process:
        """Return the process of the one session, as soon as there is one."""
        wait_for("the process of a session", self.children, PATIENCE_S)
        (found,) = self.children()
        return found

    def await_nobody(self) -> None:
        """Wait until no session runs and no token of one is left."""
        wait_for("the end of all sessions", lambda: not self.children())
        wait_for("no tokens", lambda: (self.own / "tokens").read_text() == "")


def client_environment() -> dict[str, str]:
    """Return an environment for `ssh` in which no agent helps."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SSH_", "LC_", "LANG", "POINTSMAN_"))
    }


def run(*words: str) -> None:
    """Run a program that has to succeed."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
