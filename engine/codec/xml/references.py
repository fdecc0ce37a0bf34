"""Paths in files and commands -> absolute paths (live-folder.md 3)."""


class PathError(ValueError):
    """The path leads out of the root folder (SCHEDULER-461)."""


def resolved(path: str, folder: str = "/") -> str:
    """Return the absolute form of a path that stands in a file of `folder`.

    `.`, `..` and double slashes are resolved.
    """
    path = path.strip()
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{folder}/{path}").split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise PathError(f"The path {path!r} leaves the root folder")
            parts.pop()
        else:
            parts.append(part)
    return "/" + "/".join(parts)
