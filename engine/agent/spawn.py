"""Start one task's program under its supervisor.

`posix_spawn` without anything between fork and exec: a real fork of a large process costs tens of
milliseconds. The supervisor is one small `sh`, in a session of its own, and outlives this program.
"""

import asyncio
import errno
import fcntl
import os
import pwd
import re
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.agent.run_folder import RunFolder
from engine.agent.surroundings import Surroundings
from engine.kernel.effects import ProcessSpec
from engine.kernel.instants import Instant

SUPERVISOR = Path(__file__).with_name("supervisor.sh")
SHELL = "/bin/sh"
CARRIER = Path(__file__).with_name("carry_environment.py")
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BUSY_PAUSES_S = (0.010, 0.050, 0.500, 1.440)
"""Between looks at a script file that somebody still has open for writing (agents.md 5.1)."""
_NAMED_PRIORITIES = {"idle": 16, "below_normal": 6, "normal": 0, "above_normal": -6, "high": -16}
_RESET_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class StartError(Exception):
    """The program cannot be started; the text is for the task's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A supervisor that has just been started."""

    supervisor: int
    """Its process id; a child of this process."""
    told: int
    """Descriptor that will be told the program's start; the receiver closes it."""


def spawn(
    folder: RunFolder,
    script: Path,
    spec: ProcessSpec,
    surroundings: Surroundings,
    *,
    arguments: Sequence[str],
    started_at: Instant,
) -> Spawned:
    """Start the script of a prepared run folder. Raises StartError; nothing runs then.

    Blocks until the shell is executed, about a millisecond.
    """
    command = [*_prefix(folder, script, spec), str(script), *arguments]
    environment = surroundings.environment(spec, folder.returns, started_at)
    if not all(_SHELL_NAME.fullmatch(name) for name in environment):
        command = [*_carried(folder, environment), *command]
    told, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        pid = os.posix_spawn(
            SHELL,
            ["sh", str(SUPERVISOR), str(folder.path), str(_OPEN_FILES), *command],
            environment,
            file_actions=_file_actions(folder, tell),
            setsid=True,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
    except (OSError, ValueError) as error:
        os.close(told)
        raise StartError(f"the task's shell cannot be started: {error}") from error
    finally:
        os.close(tell)
    return Spawned(supervisor=pid, told=told)


async def wait_until_not_busy(script: Path, is_busy: Callable[[Path], bool] | None = None) -> None:
    """Wait until nobody has the file open for writing, because executing it would fail.

    A process forked elsewhere in this program at the wrong moment holds our own descriptor until
    its exec. After the last pause the start is tried anyway.
    """
    check = is_busy or is_open_for_writing
    for pause in BUSY_PAUSES_S:
        if not check(script):
            return
        await asyncio.sleep(pause)


def nice_value(priority: str | None) -> int:
    """Return the nice value of a job's `priority`; 0 for none. Raises StartError."""
    if not priority:
        return 0
    named = _NAMED_PRIORITIES.get(priority)
    if named is not None:
        return named
    try:
        return max(-20, min(20, int(priority)))
    except ValueError:
        names = ", ".join(_NAMED_PRIORITIES)
        raise StartError(f"priority {priority!r} is neither a number nor one of {names}") from None


def allow_many_files() -> None:
    """Raise this process's limit of open files: each running task needs one descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
"""The limit this program was started with, which its tasks get as well."""


def _file_actions(folder: RunFolder, tell: int) -> list[tuple[int, int, str, int, int]]:
    append = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    return [
        (os.POSIX_SPAWN_DUP2, tell, 3),  # type: ignore[list-item]  # typeshed knows one form only
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(folder.stdout), append, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 4, str(folder.stderr), append, 0o600),
    ]


def _carried(folder: RunFolder, environment: Mapping[str, str]) -> list[str]:
    """Return what brings the environment past the supervisor: a shell drops names it cannot use.

    Names of parameters may hold anything, `/` of node parameters for one (orders-and-jobs.md 9.1).
    """
    try:
        file = folder.keep_environment(environment)
    except OSError as error:
        raise StartError(f"the task's environment cannot be written: {error}") from error
    return [sys.executable, "-I", "-S", str(CARRIER), str(file)]


def _prefix(folder: RunFolder, script: Path, spec: ProcessSpec) -> list[str]:
    nice = nice_value(spec.priority)
    prefix = [_found("nice"), "-n", str(nice)] if nice else []
    if spec.login_user:
        prefix += _as_user(spec.login_user, folder, script)
    return prefix


def _as_user(name: str, folder: RunFolder, script: Path) -> list[str]:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"there is no user {name!r} on this host") from None
    if user.pw_uid == os.geteuid():
        return []
    if os.geteuid() != 0:
        raise StartError(f"only root may run a task as another user ({name!r})")
    for path in (folder.path, script, folder.returns):
        os.chown(path, user.pw_uid, user.pw_gid)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
    return [_found("setpriv"), *ids, "--init-groups"]


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise StartError(f"this host has no program {program!r}")
    return path


def is_open_for_writing(file: Path) -> bool:
    """Return whether somebody may write to a file: a read lease is granted only without writers."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # File systems without leases say EINVAL; then there is nothing to learn.
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False
