"""Frozen records <-> builtins and JSON, compiled from type hints.

A codec is compiled once per type into closures and cached, so that a small record takes a few
microseconds each way. The shapes:

* a record (dataclass) becomes an object; fields equal to their default are left out, and fields
  that are missing take their default, so rows written before a field existed stay readable.
  Changing a default therefore changes the meaning of old rows and needs an upcaster
  (`engine.codec.journal`);
* in a union of several records, or of a record with anything but None, the object carries its class
  name under `kind`; a field of that name gives way there and is written as `kind_`;
* enums are written by value, named tuples and tuples as arrays, sets as sorted arrays, bytes as
  base64, mappings with text, number or enum keys as objects, other mappings as arrays of pairs.

Everything else is strict: an unknown field, a wrong type or an unknown name is a `CodecError` with
the path of the place. A type whose values could not be told apart is refused when it is compiled.
"""

import dataclasses
import json
import threading
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from enum import Enum
from typing import Any, Generic, Literal, TypeVar, cast, overload

import msgspec

from engine.codec import shapes
from engine.codec.shapes import Decode, Encode, Shape, UnsupportedTypeError, listing, name_of_type
from engine.errors import CodecError

KIND = "kind"
"""The entry that names the class of a record in a union."""

T = TypeVar("T")

_MISPLACED_SURROGATE = b"\\ud"
_JSON_ENCODER = msgspec.json.Encoder()
_JSON_DECODER = msgspec.json.Decoder()
_OBJECT_SPLITTER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY_SPLITTER = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class RecordCodec(Generic[T]):
    """Turns values of one type into builtins or JSON and back."""

    name: str
    """The class name, the first part of the path in errors."""
    encode: Encode
    decode: Decode

    def to_builtins(self, value: T) -> Any:
        """Return dictionaries, lists, texts, numbers, booleans and None."""
        try:
            return self.encode(value)
        except CodecError as error:
            raise error.within(self.name) from None

    def from_builtins(self, data: object) -> T:
        """Return the value; CodecError names the place that does not fit."""
        try:
            return cast("T", self.decode(data))
        except CodecError as error:
            raise error.within(self.name) from None

    def to_json(self, value: T) -> bytes:
        """Return the value as compact JSON."""
        return dump_json(self.to_builtins(value))

    def from_json(self, data: bytes) -> T:
        """Return the value; CodecError when the text is no JSON or does not fit."""
        return self.from_builtins(parse_json(data))


@overload
def codec_for(hint: type[T]) -> RecordCodec[T]: ...
@overload
def codec_for(hint: Any) -> RecordCodec[Any]: ...
def codec_for(hint: Any) -> RecordCodec[Any]:
    """Return the codec of a record class, a union or any other supported hint."""
    shape = _shape_of(hint)
    return RecordCodec(getattr(hint, "__name__", "value"), shape.encode, shape.decode)


def dump_json(data: Any) -> bytes:
    """Return builtins as compact JSON."""
    try:
        return _JSON_ENCODER.encode(data)
    except UnicodeEncodeError:
        # Bytes that were no text (surrogateescape) travel as \udcXX; they must not stop the engine.
        return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def parse_json(data: bytes) -> Any:
    """Return the builtins of a JSON text; CodecError when it is none."""
    try:
        return _JSON_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if _MISPLACED_SURROGATE in data.lower():
            try:
                return json.loads(data)
            except (ValueError, RecursionError):
                pass
        raise CodecError(f"not JSON: {error}") from error


def split_object(data: bytes) -> dict[str, bytes]:
    """Return the entries of a JSON object, each still as JSON; CodecError when it is none."""
    try:
        return {name: bytes(part) for name, part in _OBJECT_SPLITTER.decode(data).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = parse_json(data)  # it may be one that only `parse_json` can read
        if not isinstance(whole, dict):
            raise CodecError("must be an object") from None
        return {name: dump_json(part) for name, part in whole.items()}


def split_array(data: bytes) -> Iterator[bytes]:
    """Return the members of a JSON array, each still as JSON; CodecError when it is none.

    Of a long one only the member at hand is ever in memory as builtins.
    """
    try:
        return map(bytes, _ARRAY_SPLITTER.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = parse_json(data)
        if not isinstance(whole, list):
            raise CodecError("must be an array") from None
        return map(dump_json, whole)


# --- from hints to shapes ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _RecordShape(Shape):
    """Of a record: also with its class name inside."""

    name: str = ""
    encode_tagged: Encode = shapes.none().encode
    decode_tagged: Decode = shapes.none().decode


_ready: dict[Any, Shape] = {}
_pending: dict[Any, Shape] = {}
"""Shapes under construction: records that contain themselves find their shape here."""
_compiling = threading.RLock()


def _shape_of(hint: Any) -> Shape:
    found = _ready.get(hint)
    if found is not None:
        return found
    with _compiling:
        found = _ready.get(hint) or _pending.get(hint)
        if found is not None:
            return found
        is_outermost = not _pending
        try:
            _pending[hint] = found = _compile(hint)
            if is_outermost:
                _ready.update(_pending)
        finally:
            # After an error too: nothing may keep a shape whose parts are missing.
            if is_outermost:
                _pending.clear()
        return found


def _compile(hint: Any) -> Shape:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if hint is None or hint is shapes.NONE:
        return shapes.none()
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _compile_union(hint)
    if origin is Literal:
        return shapes.literal(typing.get_args(hint))
    if origin is not None:
        return _compile_generic(hint, origin, typing.get_args(hint))
    if isinstance(hint, type):
        return _compile_class(hint)
    raise UnsupportedTypeError(f"no shape is known for {hint!r}")


def _compile_class(cls: Any) -> Shape:
    if dataclasses.is_dataclass(cls):
        return _compile_record(cls)
    if issubclass(cls, Enum):
        return shapes.enumeration(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = typing.get_type_hints(cls)
        return shapes.named_tuple(cls, [_shape_of(hints[name]) for name in cls._fields])
    if cls is float:
        return shapes.floating()
    if cls is bytes:
        return shapes.binary()
    if cls in (str, int, bool):
        return shapes.plain(cls)
    raise UnsupportedTypeError(f"no shape is known for {cls!r}")


def _compile_generic(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Shape:
    if issubclass(origin, Mapping):
        return shapes.mapping(_shape_of(arguments[0]), _shape_of(arguments[1]))
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return shapes.fixed_tuple([_shape_of(argument) for argument in arguments])
    for container in (tuple, list, frozenset, set):
        if origin is container:
            return shapes.items(container, _shape_of(arguments[0]))
    if issubclass(origin, Sequence):
        return shapes.items(tuple, _shape_of(arguments[0]))
    raise UnsupportedTypeError(f"no shape is known for {hint!r}")


# --- records -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Default:
    """A field's default, and the classes in which a value may be equal to it."""

    value: Any
    classes: tuple[type, ...]
    """Equality alone would take True for 1 and a float for an int."""
    equal: Any
    """What to compare with: the value, a mapping of any class as a dictionary."""


_NO_DEFAULT = _Default(MISSING, (), MISSING)


def _default_of(field: dataclasses.Field[Any]) -> _Default:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return _NO_DEFAULT
    if isinstance(value, Mapping):
        return _Default(value, (type(value), *shapes.MAPPINGS), dict(value))
    return _Default(value, (type(value),), value)


_EncodeStep = tuple[str, str, _Default, type | None, Encode]
"""Field name, key, default, exact class, encoder."""
_DecodeStep = tuple[str, type | None, Decode]
"""Field name, exact class, decoder."""


def _compile_record(cls: Any) -> Shape:
    """Compile a dataclass; its shape is known before its fields are, since records may nest."""
    name = cls.__name__
    plain, tagged = _Plan([], {}), _Plan([], {})
    encode, encode_tagged = _record_encoder(cls, plain), _record_encoder(cls, tagged)
    shape = _RecordShape(
        lambda value: encode(value, {}),
        _record_decoder(cls, plain, ignored=None),
        dict,
        (cls,),
        name=name,
        encode_tagged=lambda value: encode_tagged(value, {KIND: name}),
        decode_tagged=_record_decoder(cls, tagged, ignored=KIND),
    )
    _pending[cls] = shape
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.init:
            part = _shape_of(hints[field.name])
            plain.add(field, field.name, part)
            tagged.add(field, f"{KIND}_" if field.name == KIND else field.name, part)
    return shape


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done for each field of a record."""

    outwards: list[_EncodeStep]
    inwards: dict[str, _DecodeStep]

    def add(self, field: dataclasses.Field[Any], key: str, part: Shape) -> None:
        """Plan a field that is written under `key`."""
        self.outwards.append((field.name, key, _default_of(field), part.exact, part.encode))
        self.inwards[key] = (field.name, part.exact, part.decode)


def _record_encoder(cls: type, plan: _Plan) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    steps = plan.outwards

    def encode(value: Any, data: dict[str, Any]) -> dict[str, Any]:
        if value.__class__ is not cls:
            raise CodecError(f"must be {cls.__name__}, not {name_of_type(value)}")
        name = ""
        try:
            for name, key, default, exact, encode_item in steps:
                item = getattr(value, name)
                if item is default.value:
                    continue
                item_class = item.__class__
                if item_class in default.classes and item == default.equal:
                    continue
                data[key] = item if item_class is exact else encode_item(item)
        except CodecError as error:
            raise error.within(name) from None
        return data

    return encode


def _record_decoder(cls: Any, plan: _Plan, *, ignored: str | None) -> Decode:
    steps = plan.inwards

    def decode(data: Any) -> Any:
        if data.__class__ is not dict:
            raise CodecError(f"must be an object, not {name_of_type(data)}")
        arguments: dict[str, Any] = {}
        key = ""
        try:
            for key, item in data.items():
                step = steps.get(key)
                if step is not None:
                    name, exact, decode_item = step
                    arguments[name] = item if item.__class__ is exact else decode_item(item)
                elif key != ignored:
                    raise _unknown_field(cls)
        except CodecError as error:
            raise error.within(key) from None
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            raise _not_constructible(cls, steps, arguments, error) from error

    return decode


def _unknown_field(cls: type) -> CodecError:
    return CodecError(f"{cls.__name__} has no such field")


def _not_constructible(
    cls: Any, steps: dict[str, _DecodeStep], arguments: dict[str, Any], error: Exception
) -> CodecError:
    needed = {field.name for field in dataclasses.fields(cls) if _default_of(field) is _NO_DEFAULT}
    for key, (name, _, _) in steps.items():
        if name in needed and name not in arguments:
            return CodecError("is missing", path=key)
    return CodecError(f"is no {cls.__name__}: {error}")


# --- unions --------------------------------------------------------------------------------------


def _compile_union(hint: Any) -> Shape:
    members = _distinct([_shape_of(member) for member in typing.get_args(hint)])
    others = [member for member in members if member.json is not shapes.NONE]
    if len(others) == 1:
        return others[0] if len(members) == 1 else _optional(others[0])
    encoders: dict[type, Encode] = {}
    decoders: dict[type, Decode] = {}
    records = [member for member in members if isinstance(member, _RecordShape)]
    if records:
        encoders |= {record.python[0]: record.encode_tagged for record in records}
        decoders[dict] = _decoder_by_kind(hint, records)
    for member in members:
        if isinstance(member, _RecordShape):
            continue
        if member.json in decoders:
            raise UnsupportedTypeError(
                f"two members of {hint!r} look the same as {member.json.__name__}"
            )
        encoders |= dict.fromkeys(member.python, member.encode)
        decoders[member.json] = member.decode
    if float in decoders:
        decoders.setdefault(int, decoders[float])
    return Shape(_encoder_by_class(encoders), _decoder_by_class(decoders), object, tuple(encoders))


def _distinct(members: list[Shape]) -> list[Shape]:
    """Return the members without doubles, and all enums of one value class as one."""
    found: list[Shape] = []
    for member in members:
        if member.exact is not None and any(member.exact is other.exact for other in found):
            continue
        alike = [other for other in found if other.choices and other.json is member.json]
        if member.choices and alike:
            found[found.index(alike[0])] = _merged(alike[0], member)
        else:
            found.append(member)
    return found


def _merged(one: Shape, two: Shape) -> Shape:
    shared = set(one.choices) & set(two.choices)
    if shared:
        raise UnsupportedTypeError(f"enums of one union share the values {listing(shared)}")
    choices = {**one.choices, **two.choices}
    encoders = dict.fromkeys(one.python, one.encode) | dict.fromkeys(two.python, two.encode)

    def decode(data: Any) -> Any:
        if data in choices:
            return choices[data]
        raise CodecError(f"must be one of {listing(choices)}, not {data!r}")

    encode = _encoder_by_class(encoders)
    return Shape(encode, decode, one.json, one.python + two.python, choices=choices)


def _optional(inner: Shape) -> Shape:
    return Shape(
        lambda value: None if value is None else inner.encode(value),
        lambda data: None if data is None else inner.decode(data),
        object,
        (shapes.NONE, *inner.python),
        exact=inner.exact,
    )


def _decoder_by_kind(hint: Any, records: list[_RecordShape]) -> Decode:
    by_name = {record.name: record.decode_tagged for record in records}
    if len(by_name) != len(records):
        raise UnsupportedTypeError(f"two classes of {hint!r} have the same name")

    def decode(data: Any) -> Any:
        name = data.get(KIND)
        work = by_name.get(name) if name.__class__ is str else None
        if work is None:
            raise CodecError(f"must be one of {listing(by_name)}, not {name!r}", path=KIND)
        return work(data)

    return decode


def _encoder_by_class(encoders: Mapping[type, Encode]) -> Encode:
    def encode(value: Any) -> Any:
        work = encoders.get(value.__class__)
        if work is None:
            work = next((encoders[each] for each in encoders if isinstance(value, each)), None)
        if work is None:
            possible = listing(each.__name__ for each in encoders)
            raise CodecError(f"must be one of {possible}, not {name_of_type(value)}")
        return work(value)

    return encode


def _decoder_by_class(decoders: Mapping[type, Decode]) -> Decode:
    def decode(data: Any) -> Any:
        work = decoders.get(data.__class__)
        if work is None:
            possible = listing(each.__name__ for each in decoders)
            raise CodecError(f"must be one of {possible}, not {name_of_type(data)}")
        return work(data)

    return decode
