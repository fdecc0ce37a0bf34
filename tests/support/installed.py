"""The program as somebody installs it: sdist, wheel from the sdist, an environment with nothing else.

The environment holds the wheel and, linked from the environment of the tests, exactly what the
wheel declares to need: a forgotten dependency shows, and no registry is asked.
"""

import fcntl
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.programs import CHECKOUT

PROJECT = "pointsman"
_TIMEOUT_S = 120.0


def installed_program(folder: Path) -> Path:
    """Return the console script of an installation in `folder`, made by the first who asks."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        environment = folder / "environment"
        if not done.exists():
            _install(_wheel(folder), environment)
            done.touch()
    return environment / "bin" / PROJECT


def _wheel(folder: Path) -> Path:
    """Build the sdist from the checkout, and the wheel from nothing but the sdist."""
    _build("sdist", CHECKOUT, folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    _build("wheel", source, folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _build(target: str, source: Path, folder: Path) -> None:
    _run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)], source)


def _install(wheel: Path, environment: Path) -> None:
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    _run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], wheel.parent)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    target = environment / "lib" / version / "site-packages"
    (own,) = metadata.distributions(name=PROJECT, path=[str(target)])
    for name in {entry for needed in _needed_by(own) for entry in _top_entries(needed)}:
        link = target / name
        if not link.exists():
            link.symlink_to(Path(sysconfig.get_path("purelib")) / name)


def _needed_by(own: metadata.Distribution) -> Iterator[metadata.Distribution]:
    """Yield the distributions that this one declares, and what those declare."""
    pending = [(own, "")]
    seen: set[tuple[str, str]] = set()
    while pending:
        found, extra = pending.pop()
        for line in found.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": extra}):
                continue
            needed = _here(requirement.name)
            yield needed
            for wanted in ("", *requirement.extras):
                if (requirement.name, wanted) not in seen:
                    seen.add((requirement.name, wanted))
                    pending.append((needed, wanted))


def _here(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise AssertionError(f"{name} is new: run pip install -e '.[dev]' again") from None


def _top_entries(found: metadata.Distribution) -> set[str]:
    """Return what a distribution puts into site-packages, without its scripts."""
    return {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "bin"}}


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=folder
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
