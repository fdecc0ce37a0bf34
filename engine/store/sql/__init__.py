"""Named SQL statements, one file per dialect and database: `-- name: …` starts each."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(file: str) -> Mapping[str, str]:
    """Return the statements of a file of this folder by name."""
    text = resources.files(__name__).joinpath(file).read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
