"""How plain values and containers look as builtins: the parts that record codecs are built from.

A shape is a pair of closures, compiled once. Both directions are strict, because what is written
wrongly today cannot be read after the next restart.
"""

import base64
import binascii
import math
import operator
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

from engine.errors import CodecError

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Any]

NONE = type(None)
MAPPINGS = (dict, types.MappingProxyType, Mapping)
"""The classes of mappings that records hold."""


class UnsupportedTypeError(TypeError):
    """A type hint for which no unambiguous shape exists: a mistake in our own records."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How values of one hint look, compiled."""

    encode: Encode
    decode: Decode
    json: type
    """The builtin class that the encoded value has."""
    python: tuple[type, ...]
    """The classes of the values, for choosing among the members of a union."""
    exact: type | None = None
    """Values of exactly this class are their own encoding; saves a call per field."""
    choices: Mapping[Any, Any] = field(default_factory=dict)
    """Of an enum or literal: encoded value -> value."""


def name_of_type(value: object) -> str:
    """Return what an error message calls the type of a value."""
    return "null" if value is None else type(value).__name__


def listing(choices: Iterable[object]) -> str:
    """Return the possible values for an error message."""
    return ", ".join(str(choice) for choice in choices)


# --- plain values --------------------------------------------------------------------------------


def none() -> Shape:
    """Return the shape of None."""

    def check(value: Any) -> None:
        if value is not None:
            raise CodecError(f"must be null, not {name_of_type(value)}")

    return Shape(check, check, NONE, (NONE,), exact=NONE)


def plain(cls: type) -> Shape:
    """Return the shape of a class that JSON has itself: str, int or bool."""

    def encode(value: Any) -> Any:
        # Subclasses (texts of lxml, int enums) are reduced to the value they are.
        if isinstance(value, cls) and (cls is bool or not isinstance(value, bool)):
            return str.__str__(value) if cls is str else cls(value)
        raise CodecError(f"must be {cls.__name__}, not {name_of_type(value)}")

    def decode(data: Any) -> Any:
        if data.__class__ is cls:
            return data
        raise CodecError(f"must be {cls.__name__}, not {name_of_type(data)}")

    return Shape(encode, decode, cls, (cls,), exact=cls)


def floating() -> Shape:
    """Return the shape of a finite float; JSON has no others."""

    def encode(value: Any) -> float:
        if not isinstance(value, float | int) or isinstance(value, bool):
            raise CodecError(f"must be float, not {name_of_type(value)}")
        if not math.isfinite(value):
            raise CodecError(f"must be a finite number, not {value}")
        return float(value)

    def decode(data: Any) -> float:
        if data.__class__ is float or data.__class__ is int:
            return float(data)
        raise CodecError(f"must be float, not {name_of_type(data)}")

    return Shape(encode, decode, float, (float,))


def binary() -> Shape:
    """Return the shape of bytes: base64 text."""

    def encode(value: Any) -> str:
        if not isinstance(value, bytes):
            raise CodecError(f"must be bytes, not {name_of_type(value)}")
        return base64.b64encode(value).decode("ascii")

    def decode(data: Any) -> bytes:
        if data.__class__ is not str:
            raise CodecError(f"must be base64 text, not {name_of_type(data)}")
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise CodecError(f"is not base64: {error}") from None

    return Shape(encode, decode, str, (bytes,))


def enumeration(cls: type[Enum]) -> Shape:
    """Return the shape of an enum: its values."""
    choices = {member.value: member for member in cls}
    value_class = _class_of(choices, cls)
    value_of = operator.attrgetter("_value_")  # `value` is a slow property

    def encode(value: Any) -> Any:
        if value.__class__ is cls:
            return value_of(value)
        raise CodecError(f"must be a {cls.__name__}, not {value!r}")

    return Shape(encode, _chooser(choices), value_class, (cls,), choices=choices)


def literal(values: Collection[Any]) -> Shape:
    """Return the shape of a choice among texts or numbers: themselves."""
    choices = {value: value for value in values}
    value_class = _class_of(choices, values)
    choose = _chooser(choices)
    return Shape(choose, choose, value_class, (value_class,), choices=choices)


def _class_of(choices: Iterable[Any], hint: object) -> type:
    classes = {type(value) for value in choices}
    if classes not in ({str}, {int}):
        raise UnsupportedTypeError(f"{hint!r} needs values that are all str or all int")
    return classes.pop()


def _chooser(choices: Mapping[Any, Any]) -> Decode:
    value_class = type(next(iter(choices)))

    def decode(data: Any) -> Any:
        if data.__class__ is value_class and data in choices:
            return choices[data]
        raise CodecError(f"must be one of {listing(choices)}, not {data!r}")

    return decode


# --- containers ----------------------------------------------------------------------------------


def items(container: type, item: Shape) -> Shape:
    """Return the shape of a list, tuple or set of any length: an array."""
    exact = item.exact

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, container):
            raise CodecError(f"must be {container.__name__}, not {name_of_type(value)}")
        members = cast("Collection[Any]", value)
        try:
            data = [each if each.__class__ is exact else item.encode(each) for each in members]
        except CodecError as error:
            raise _located(item.encode, members, error) from None
        return _in_order(data) if container in (set, frozenset) else data

    def decode(data: Any) -> Any:
        if data.__class__ is not list:
            raise CodecError(f"must be an array, not {name_of_type(data)}")
        try:
            members = [each if each.__class__ is exact else item.decode(each) for each in data]
        except CodecError as error:
            raise _located(item.decode, data, error) from None
        return members if container is list else container(members)

    return Shape(encode, decode, list, (container,))


def _located(work: Encode, members: Iterable[Any], error: CodecError) -> CodecError:
    """Return the error with the index of the first member that causes one."""
    for index, member in enumerate(members):
        try:
            work(member)
        except CodecError as found:
            return found.within(f"[{index}]")
    return error


def _in_order(data: list[Any]) -> list[Any]:
    """Return the members of a set so that equal sets give equal bytes."""
    try:
        return sorted(data)
    except TypeError:
        return sorted(data, key=repr)


def fixed_tuple(places: Sequence[Shape]) -> Shape:
    """Return the shape of a tuple with a type for each place: an array."""
    return _positions(tuple, places, len(places), tuple)


def named_tuple(cls: Any, places: Sequence[Shape]) -> Shape:
    """Return the shape of a named tuple: an array; places with defaults may be missing."""
    needed = len(places) - len(cls._field_defaults)
    return _positions(cls, places, needed, lambda members: cls(*members))


def _positions(
    cls: type[tuple[Any, ...]],
    places: Sequence[Shape],
    needed: int,
    build: Callable[[list[Any]], Any],
) -> Shape:
    size = len(places)
    encoders = [place.encode for place in places]
    decoders = [place.decode for place in places]

    def encode(value: Any) -> list[Any]:
        if type(value) is cls and len(value) == size:
            return _each(encoders, value)
        raise CodecError(f"must be {cls.__name__} of {size}, not {name_of_type(value)}")

    def decode(data: Any) -> Any:
        if data.__class__ is not list or not needed <= len(data) <= size:
            raise CodecError(f"must be an array of {size}, not {name_of_type(data)}")
        return build(_each(decoders, data))

    return Shape(encode, decode, list, (cls,))


def _each(work: list[Encode], members: Sequence[Any]) -> list[Any]:
    index = 0
    done: list[Any] = []
    try:
        for index, member in enumerate(members):
            done.append(work[index](member))
    except CodecError as error:
        raise error.within(f"[{index}]") from None
    return done


def mapping(key: Shape, item: Shape) -> Shape:
    """Return the shape of a mapping: an object, or an array of pairs if the keys are no text."""
    if key.json is str:
        return _object(key, item, key.encode, key.decode)
    if key.json is int:
        return _object(
            key, item, lambda value: str(key.encode(value)), lambda text: key.decode(_number(text))
        )
    return _pairs(key, item)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CodecError(f"must be a number, not {text!r}") from None


def _object(key: Shape, item: Shape, to_text: Encode, of_text: Decode) -> Shape:
    has_text_keys = key.exact is str
    exact = item.exact

    def encode(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise CodecError(f"must be a mapping, not {name_of_type(value)}")
        data: dict[str, Any] = {}
        name: Any = ""
        try:
            for name, member in value.items():
                text = name if has_text_keys and name.__class__ is str else to_text(name)
                data[text] = member if member.__class__ is exact else item.encode(member)
        except CodecError as error:
            raise error.within(str(name)) from None
        return data

    def decode(data: Any) -> dict[Any, Any]:
        if data.__class__ is not dict:
            raise CodecError(f"must be an object, not {name_of_type(data)}")
        value: dict[Any, Any] = {}
        text = ""
        try:
            for text, member in data.items():
                name = text if has_text_keys else of_text(text)
                value[name] = member if member.__class__ is exact else item.decode(member)
        except CodecError as error:
            raise error.within(text) from None
        return value

    return Shape(encode, decode, dict, MAPPINGS)


def _pairs(key: Shape, item: Shape) -> Shape:
    pairs = items(list, fixed_tuple((key, item)))

    def encode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise CodecError(f"must be a mapping, not {name_of_type(value)}")
        return pairs.encode(list(value.items()))

    def decode(data: Any) -> dict[Any, Any]:
        return dict(pairs.decode(data))

    return Shape(encode, decode, list, MAPPINGS)
