"""Variables in attribute values, and paths."""

import pytest

from engine.codec.xml.references import PathError, resolved
from engine.codec.xml.substitution import Variables

VARIABLES = Variables({"HOME": "/scheduler"}, {"HOME": "/h", "Where": "$HOME", "A B": "blank"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$HOME/x", "/scheduler/x"),
        ("${HOME}x", "/schedulerx"),
        ("$home", "/scheduler"),
        ("${A B}", "blank"),
        ("$where", "$HOME"),
        ("$unknown|", "|"),
        ("${unknown}|", "|"),
        (r"\$HOME", "$HOME"),
        (r"\${HOME}", "${HOME}"),
        (r"\.txt$", r"\.txt$"),
        ("$1 $$ $-", "$1 $$ $-"),
        ("${}", "$"),
        ("${HOME", "${HOME"),
        ("a${HOME and more", "a${HOME and more"),
        ("$_x|", "|"),
    ],
)
def test_variables_are_replaced(text: str, expected: str) -> None:
    assert VARIABLES.substituted(text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", "/f/g/a"),
        ("./a", "/f/g/a"),
        ("../a", "/f/a"),
        ("../../a", "/a"),
        ("sub//a", "/f/g/sub/a"),
        ("/a", "/a"),
        ("//a/./b/", "/a/b"),
        ("/", "/"),
    ],
)
def test_paths_begin_in_the_folder_of_their_file(path: str, expected: str) -> None:
    assert resolved(path, "/f/g") == expected


@pytest.mark.parametrize("path", ["../../../a", "/..", "/a/../.."])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(PathError, match="leaves the root"):
        resolved(path, "/f/g")
