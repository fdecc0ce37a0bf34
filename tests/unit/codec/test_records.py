"""The record codec: shapes, defaults, strictness and the paths in its errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Literal, NamedTuple, NewType, TypeAlias

import pytest

from engine.codec.records import codec_for, dump_json, parse_json
from engine.codec.shapes import UnsupportedTypeError
from engine.errors import CodecError

Name = NewType("Name", str)
Number = NewType("Number", int)


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Size(Enum):
    SMALL = "small"


class Key(NamedTuple):
    chain: Name
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    centre: Point
    radius: float = 1.0
    kind: str = ""


Figure: TypeAlias = Point | Circle


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: Name
    children: tuple["Tree", ...] = ()
    parent: "Tree | Colour | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    text: str
    number: int
    flag: bool
    share: float
    blob: bytes
    colour: Colour
    level: Level
    key: Key
    maybe: Name | None
    points: tuple[Point, ...]
    pair: tuple[int, str]
    names: frozenset[Name]
    params: Mapping[str, str]
    by_number: Mapping[Number, Point]
    by_colour: dict[Colour, int]
    by_key: dict[Key, int]
    figure: Figure | None
    either: Point | Colour | None
    mixed: Colour | int | None
    mode: Literal["first", "next"]


def everything() -> Everything:
    return Everything(
        text="ä",
        number=2**62,
        flag=True,
        share=0.5,
        blob=b"\x00\xff",
        colour=Colour.GREEN,
        level=Level.HIGH,
        key=Key(Name("/c"), "1"),
        maybe=None,
        points=(Point(x=1), Point(x=2, y=3)),
        pair=(1, "a"),
        names=frozenset({Name("b"), Name("a")}),
        params=MappingProxyType({"a": "1"}),
        by_number={Number(3): Point(x=3)},
        by_colour={Colour.RED: 1},
        by_key={Key(Name("/c"), "2"): 5},
        figure=Circle(centre=Point(x=0), kind="round"),
        either=Colour.RED,
        mixed=7,
        mode="next",
    )


def test_every_supported_type_comes_back_as_it_was() -> None:
    codec = codec_for(Everything)
    assert codec.from_json(codec.to_json(everything())) == everything()


def test_the_shapes_are_those_of_the_description() -> None:
    data = codec_for(Everything).to_builtins(everything())
    assert data["figure"] == {"kind": "Circle", "centre": {"x": 0}, "kind_": "round"}
    assert data["colour"] == "green"
    assert data["key"] == ["/c", "1"]
    assert data["names"] == ["a", "b"]
    assert data["by_number"] == {"3": {"x": 3}}
    assert data["by_colour"] == {"red": 1}
    assert data["by_key"] == [[["/c", "2"], 5]]
    assert data["points"] == [{"x": 1}, {"x": 2, "y": 3}]
    assert data["either"] == "red"
    assert data["blob"] == "AP8="


def test_fields_equal_to_their_default_are_left_out_and_come_back() -> None:
    codec = codec_for(Point)
    assert codec.to_builtins(Point(x=5)) == {"x": 5}
    assert codec.from_builtins({"x": 5}) == Point(x=5, y=0)


def test_an_equal_value_of_another_class_is_not_taken_for_the_default() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Loose:
        value: bool | int = 0

    codec = codec_for(Loose)
    assert codec.to_builtins(Loose(value=False)) == {"value": False}
    assert codec.from_builtins({"value": False}).value is False


def test_an_empty_mapping_of_any_class_is_the_empty_default() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Holder:
        params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    codec = codec_for(Holder)
    assert codec.to_builtins(Holder(params={})) == {}
    assert codec.from_builtins({}) == Holder()


def test_a_single_record_in_an_optional_field_carries_no_kind() -> None:
    assert codec_for(Point | None).to_builtins(Point(x=1)) == {"x": 1}
    assert codec_for(Point | None).from_builtins(None) is None


def test_records_may_contain_themselves() -> None:
    tree = Tree(
        name=Name("root"),
        children=(Tree(name=Name("leaf"), parent=Colour.RED),),
        parent=Tree(name=Name("up")),
    )
    codec = codec_for(Tree)
    assert codec.from_json(codec.to_json(tree)) == tree


def test_equal_sets_give_equal_bytes() -> None:
    codec = codec_for(frozenset[str])
    assert codec.to_json(frozenset("abcdef")) == codec.to_json(frozenset("fedcba"))


def test_two_enums_of_one_union_are_told_apart_by_their_values() -> None:
    codec = codec_for(Colour | Size | None)
    for value in (Colour.RED, Size.SMALL, None):
        assert codec.from_builtins(codec.to_builtins(value)) is value


def test_names_of_the_same_plain_type_may_share_a_union() -> None:
    codec = codec_for(Name | str)
    assert codec.from_builtins(codec.to_builtins("a")) == "a"
    with pytest.raises(CodecError):
        codec.from_builtins(None)


def test_subclasses_of_text_are_written_as_text() -> None:
    class Smart(str):
        __slots__ = ()

    assert codec_for(Key).to_json(Key(Name(Smart("/c")), Smart("1"))) == b'["/c","1"]'


def test_undecodable_bytes_inside_a_text_survive() -> None:
    codec = codec_for(dict[str, str])
    value = {"name": b"caf\xe9".decode("utf-8", "surrogateescape")}
    assert codec.from_json(codec.to_json(value)) == value


@pytest.mark.parametrize(
    ("hint", "data", "path", "text"),
    [
        (Point, {"x": 1, "z": 2}, "Point.z", "Point has no such field"),
        (Point, {"y": 1}, "Point.x", "is missing"),
        (Point, {"x": "1"}, "Point.x", "must be int, not str"),
        (Point, {"x": True}, "Point.x", "must be int, not bool"),
        (Point, {"x": 1.0}, "Point.x", "must be int, not float"),
        (Point, {"x": None}, "Point.x", "must be int, not null"),
        (Point, [1], "Point", "must be an object, not list"),
        (Point, {"x": 1, "kind": "Point"}, "Point.kind", "Point has no such field"),
        (Circle, {"centre": {"x": 1, "w": 0}}, "Circle.centre.w", "Point has no such field"),
        (
            Tree,
            {"name": "a", "children": [{"name": "b"}, {"name": 1}]},
            "Tree.children[1].name",
            "",
        ),
        (Tree, {"name": "a", "parent": {"name": "b"}}, "Tree.parent.kind", "must be one of Tree"),
        (Tree, {"name": "a", "parent": "blue"}, "Tree.parent", "must be one of red, green"),
        (Tree, {"name": "a", "parent": 1}, "Tree.parent", "must be one of"),
        (Key, ["/c"], "Key", "must be an array of 2"),
        (Key, ["/c", 1], "Key[1]", "must be str, not int"),
        (dict[Number, int], {"x": 1}, "dict.x", "must be a number"),
        (dict[str, int], {"a": "x"}, "dict.a", "must be int"),
        (bytes, "###", "bytes", "is not base64"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    hint: object, data: object, path: str, text: str
) -> None:
    with pytest.raises(CodecError) as caught:
        codec_for(hint).from_builtins(data)
    assert caught.value.path == path
    assert text in caught.value.text


def test_a_wrong_value_is_refused_before_it_is_written() -> None:
    wrong = Tree(name=Name("a"), children=(Tree(name=None),))  # type: ignore[arg-type]
    with pytest.raises(CodecError) as caught:
        codec_for(Tree).to_json(wrong)
    assert caught.value.path == "Tree.children[0].name"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(CodecError):
        codec_for(float).to_json(number)


def test_what_a_record_refuses_itself_is_a_codec_error() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Even:
        value: int

        def __post_init__(self) -> None:
            if self.value % 2:
                raise ValueError("odd")

    with pytest.raises(CodecError, match="is no Even: odd"):
        codec_for(Even).from_builtins({"value": 1})


@pytest.mark.parametrize(
    "hint", [object, complex, str | bytes, Colour | str, list[int] | tuple[int, ...], Mapping | int]
)
def test_ambiguous_and_unknown_types_are_refused_when_compiled(hint: object) -> None:
    with pytest.raises(UnsupportedTypeError):
        codec_for(hint)


def test_a_record_with_an_unsupported_field_is_refused_every_time() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Bad:
        inner: Point
        value: complex

    for _ in range(2):
        with pytest.raises(UnsupportedTypeError):
            codec_for(Bad)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b"\xff", b'"\\ud', b"[" * 100_000])
def test_broken_json_is_a_codec_error(text: bytes) -> None:
    with pytest.raises(CodecError):
        parse_json(text)


def test_json_is_compact() -> None:
    assert dump_json({"a": [1, None, True]}) == b'{"a":[1,null,true]}'
