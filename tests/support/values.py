"""Hypothesis strategies for any type that records are made of."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal

from hypothesis import reject
from hypothesis import strategies as st

_TEXTS = st.text(max_size=8) | st.binary(max_size=4).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
_SIZE = 3
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXTS,
    int: st.integers(-(2**70), 2**70),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=8),
    type(None): st.none(),
}
_known: dict[Any, st.SearchStrategy[Any]] = {}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type, every field of every record filled."""
    if hint not in _known:
        _known[hint] = st.deferred(lambda: _strategy(hint))
    return _known[hint]


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values_of(member) for member in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is not None:
        return _container(origin, arguments)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if dataclasses.is_dataclass(hint):
        return _record(hint)
    return _fields(hint, typing.get_type_hints(hint))


def _container(origin: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if issubclass(origin, Mapping):
        key, value = (values_of(argument) for argument in arguments)
        return st.dictionaries(key, value, max_size=_SIZE)
    if origin is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=_SIZE)
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return st.tuples(*(values_of(argument) for argument in arguments))
    assert issubclass(origin, Sequence), f"no strategy for {origin}"
    items = st.lists(values_of(arguments[0]), max_size=_SIZE)
    return items if origin is list else items.map(tuple)


def _record(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    return _fields(cls, {name: hints[name] for name in names})


def _fields(cls: Any, hints: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    def make(values: dict[str, Any]) -> Any:
        try:
            return cls(**values)
        except (ValueError, AssertionError):
            return reject()  # values that do not go together

    return st.fixed_dictionaries({name: values_of(hint) for name, hint in hints.items()}).map(make)
