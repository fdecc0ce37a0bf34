"""The next version of a frozen record: what the fold does most."""

from collections.abc import Callable
from dataclasses import fields
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

__all__ = ["replace"]

T = TypeVar("T")

if TYPE_CHECKING:
    # The type checker knows that the names of the changes are those of the fields.
    from dataclasses import replace
else:

    def replace(record: T, /, **changes: object) -> T:
        """Return the record with some fields changed, as `dataclasses.replace` does.

        It copies the slots instead of calling `__init__`, and takes a third of the time: most of
        an event's fold is this. So it is for records with slots and without `__post_init__` only.
        """
        cls = record.__class__
        names, values_of = _PLANS.get(cls) or _plan_of(cls)
        version = _NEW(cls)
        any(map(_SET, repeat(version), names, values_of(record)))
        for name, value in changes.items():
            _SET(version, name, value)
        return version


_NEW = object.__new__
_SET = object.__setattr__
_Plan = tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]
_PLANS: dict[type, _Plan] = {}
"""By class: its fields, and what gets all of them at once."""


def _plan_of(cls: type) -> _Plan:
    assert not hasattr(cls, "__post_init__"), "its check would be passed over"
    names = tuple(field.name for field in fields(cls))
    get = attrgetter(*names)
    _PLANS[cls] = names, get if len(names) > 1 else lambda record: (get(record),)
    return _PLANS[cls]
