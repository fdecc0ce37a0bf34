"""The filter language of tables.

load EU           both words, anywhere in the row
a|b               a regular expression
!done             without
chain=inv*        a column (or another fact) has this value; * and ? stand for anything
tasks>3           compares numbers, times and texts
-f lodb           fuzzy: the letters in this order
@late             the filter that was saved under this name
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import TypeAlias

from tui.views.texts import Texts

_COMPARE = re.compile(r"([A-Za-z_ ]+?)(>=|<=|!=|=|>|<)(.*)$", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CLOCK = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")

Predicate: TypeAlias = Callable[[Texts], bool]
"""A compiled filter: whether a row with these texts stays."""


class FilterProblem(ValueError):
    """A filter that cannot be understood; the text says what is wrong."""


def compile_filter(text: str, saved: Mapping[str, str] | None = None) -> Predicate | None:
    """Return the filter; None for an empty one. Raises FilterProblem."""
    words = [part for word in text.split() for part in _expanded(word, saved or {})]
    if not words:
        return None
    if words[0] == "-f":
        return _fuzzy("".join(words[1:]))
    tests = [_test(word) for word in words]
    if len(tests) == 1:
        return tests[0]

    def keep(texts: Texts) -> bool:
        return all(test(texts) for test in tests)

    return keep


def _expanded(word: str, saved: Mapping[str, str]) -> list[str]:
    """Return the words of a saved filter, or the word itself."""
    if not word.startswith("@") or word == "@":
        return [word]
    if word[1:] not in saved:
        names = " ".join(f"@{name}" for name in sorted(saved)) or "none"
        raise FilterProblem(f"no filter is saved as {word}; saved: {names}")
    return saved[word[1:]].split()


def _test(word: str) -> Predicate:
    if len(word) > 1 and word.startswith("!"):
        inner = _test(word[1:])
        return lambda texts: not inner(texts)
    compared = _COMPARE.match(word)
    if compared is not None:
        return _comparison(compared[1].strip().casefold(), compared[2], compared[3])
    if re.search(r"[|\\^$()\[\]]|\.\*", word):
        pattern = _regex(word)
        return lambda texts: any(pattern.search(value) for value in texts.values())
    folded = word.casefold()
    return lambda texts: folded in texts.folded


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise FilterProblem(f"{text!r} is no regular expression: {error}") from error


def _comparison(name: str, sign: str, wanted: str) -> Predicate:
    if sign in {"=", "!="}:
        pattern = re.compile(translate(wanted), re.IGNORECASE)

        def equal(texts: Texts) -> bool:
            value = _value(texts, name)
            same = value is not None and _matches(pattern, value)
            return same if sign == "=" else not same

        return equal
    limit = _magnitude(wanted)

    def compare(texts: Texts) -> bool:
        value = _value(texts, name)
        if value is None:
            return False
        size = _magnitude(value)
        if limit is None or size is None:
            ours, theirs = value.casefold(), wanted.casefold()
            return _holds(sign, (ours > theirs) - (ours < theirs))
        return _holds(sign, (size > limit) - (size < limit))

    return compare


def _matches(pattern: re.Pattern[str], value: str) -> bool:
    """Return whether a value, its last path part, or one of its words is meant."""
    if pattern.match(value) or pattern.match(value.rpartition("/")[2]):
        return True
    return any(pattern.match(word) for word in value.split())


def _holds(sign: str, order: int) -> bool:
    match sign:
        case ">":
            return order > 0
        case "<":
            return order < 0
        case ">=":
            return order >= 0
        case _:
            return order <= 0


def _value(texts: Texts, name: str) -> str | None:
    if name in texts:
        return texts[name]
    return next((value for key, value in texts.items() if key.startswith(name)), None)


def _magnitude(text: str) -> float | None:
    """Return a number, or the seconds of `0:42`, `3h12m`, `1d02h`; None for other texts."""
    text = text.strip()
    if ":" in text and all(part.isdigit() for part in text.split(":")):
        total = 0
        for part in text.split(":"):
            total = total * 60 + int(part)
        return float(total)
    found = _CLOCK.match(text)
    if found is not None and any(found.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    number = _NUMBER.match(text)
    return float(number[0]) if number is not None else None


def _fuzzy(letters: str) -> Predicate:
    pattern = re.compile(".*?".join(re.escape(letter) for letter in letters), re.IGNORECASE)

    def keep(texts: Texts) -> bool:
        return any(pattern.search(value) for value in texts.values())

    return keep
