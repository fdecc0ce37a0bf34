"""Parameters: case-insensitive names that keep their first spelling (orders-and-jobs.md 0.5).

A parameter set is an ordinary mapping that nobody changes; every function returns a new one.
"""

from collections.abc import Iterator, Mapping
from typing import NoReturn, TypeAlias

Params: TypeAlias = Mapping[str, str]


class _NoParams(Mapping[str, str]):
    """The empty set; hashable, so that it can be the default of a record's field."""

    __slots__ = ()

    def __getitem__(self, name: str) -> NoReturn:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return hash(())

    def __repr__(self) -> str:
        return "{}"


NO_PARAMS: Params = _NoParams()


def merge(*sets: Params) -> dict[str, str]:
    """Return the union; later sets win, the first spelling of a name stays."""
    spelling: dict[str, str] = {}
    merged: dict[str, str] = {}
    for params in sets:
        for name, value in params.items():
            merged[spelling.setdefault(name.casefold(), name)] = value
    return merged


def value_of(params: Params, name: str) -> str | None:
    """Return the value of a name in any spelling, or None."""
    if name in params:
        return params[name]
    folded = name.casefold()
    return next((value for key, value in params.items() if key.casefold() == folded), None)


def is_yes(value: str | None) -> bool:
    """Whether a parameter that is a switch is on (orders-and-jobs.md 0.2)."""
    return value is not None and value.strip().lower() in {"yes", "true", "1"}


def is_no(value: str | None) -> bool:
    """Whether a parameter that is a switch is there and off."""
    return value is not None and value.strip().lower() in {"no", "false", "0"}


def without(params: Params, *names: str) -> dict[str, str]:
    """Return the set less these names in any spelling."""
    folded = {name.casefold() for name in names}
    return {key: value for key, value in params.items() if key.casefold() not in folded}


def for_node(params: Params, node: str) -> dict[str, str]:
    """Return what a shell job at `node` is passed (orders-and-jobs.md 9.1).

    `NODE/NAME` becomes `NAME` and wins over a plain `NAME`; those of other nodes are left out.
    """
    plain = {name: value for name, value in params.items() if "/" not in name}
    prefix = f"{node}/"
    own = {
        name[len(prefix) :]: value
        for name, value in params.items()
        if name.startswith(prefix) and len(name) > len(prefix)
    }
    return merge(plain, own)


def as_environment(params: Params, prefix: str) -> dict[str, str]:
    """Return PREFIX + upper-cased name for each parameter (orders-and-jobs.md 8.3)."""
    return {f"{prefix}{name.upper()}": value for name, value in params.items()}
