"""Files and directories of a host, as file orders and watches of jobs need them.

Everything here blocks and is meant for a thread.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path


def path_in(directory: str, name: str) -> str:
    """Return the full path of an entry: the directory as configured, a separator, the name."""
    return f"{directory.rstrip('/')}/{name}"


def matching_names(directory: str, regex: str | None) -> list[str]:
    """Return the names in a directory in which `regex` is found; OSError when it is unreadable."""
    pattern = re.compile(regex or "")
    names = os.listdir(directory)  # noqa: PTH208 - names are wanted, not paths
    return [name for name in names if pattern.search(name)]


def oldest_first(directory: str, regex: str | None) -> list[str]:
    """Return the full paths of all matching entries, sub-directories too, by modification time.

    Names that are no UTF-8 text are left out: no order could be called by them.
    """
    dated: list[tuple[int, str]] = []
    for name in filter(_is_text, matching_names(directory, regex)):
        path = path_in(directory, name)
        try:
            dated.append((Path(path).lstat().st_mtime_ns, path))
        except OSError:
            continue  # it has just gone
    return [path for _, path in sorted(dated)]


def present(paths: Iterable[str]) -> list[str]:
    """Return those of the paths that are there; a link counts, wherever it leads."""
    return [path for path in paths if os.path.lexists(path)]


def remove_file(path: str) -> bool:
    """Delete a file; False when it had gone already. OSError for anything else."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return False
    return True


def move_file(path: str, directory: str) -> bool:
    """Move a file into an existing directory, over one of this name; False when it had gone.

    Between file systems it is copied under another name first, so that nobody sees half of it.
    """
    file, target = Path(path), Path(directory)
    if not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "Not an existing directory", directory)
    try:
        file.replace(target / file.name)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(file, target / file.name)
    return True


def _copy_over(file: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copy2(file, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    file.unlink()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
